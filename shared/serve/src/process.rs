//! The life of the process: it opens its store and its door, works, and ends in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chaski_core::api::{Api, Door};
use chaski_core::app::{Dispatcher, Ingress};
use chaski_core::limits;
use chaski_core::settings::Settings;
use chaski_embedded::{OpenError, Options, Store, StoreError};
use chaski_http::HttpTarget;
use chaski_system::{SystemChance, SystemClock};
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::dispatch::{self, Beat};
use crate::home::Home;
use crate::metrics::{Counted, Metrics};
use crate::rules;
use crate::server::Server;
use crate::tls::Certificate;

/// Why the process does not start, or has ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Without producers whoever reaches the door is an admin.
    #[error(
        "listen: {0} can be reached from other machines, and no [[producers]] are configured; configure producers with \
         their keys, or listen on 127.0.0.1"
    )]
    Open(SocketAddr),
    /// The address can't be listened on.
    #[error("listen: {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// A file of `[tls]` is wrong.
    #[error("{0}: {1}")]
    Tls(&'static str, String),
    /// The store can't be opened.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// The store can't go on.
    #[error("{0}; the next start recovers what was accepted")]
    Store(#[from] StoreError),
    /// The system refuses a signal's handler, or a thread.
    #[error("the system: {0}")]
    System(#[from] io::Error),
    /// What is counted can't be.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Where the process listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// The address, with the port that was given.
    pub address: SocketAddr,
    /// Whether it speaks HTTPS.
    pub tls: bool,
}

impl Ready {
    /// The base URL of the API.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.address)
    }
}

/// Serves until a signal ends it, and tells once when it is ready.
///
/// # Errors
/// It can't start, or its store failed.
pub async fn run(settings: Arc<Settings>, ready: impl FnOnce(Ready)) -> Result<(), ServeError> {
    rules::check(&settings)?;
    let mut signals = Signals::listen()?;
    let certificate = settings.serve.tls.as_ref().map(Certificate::read).transpose()?;
    let acceptor = certificate.as_ref().map(Certificate::acceptor).transpose()?;
    let listen = settings.serve.listen;
    let listener = TcpListener::bind(listen).await.map_err(|error| ServeError::Listen(listen, error))?;
    let address = listener.local_addr()?;

    let clock = SystemClock::start();
    let store = Store::open(Options::of(&settings), Arc::new(clock))?;
    let metrics = Arc::new(Metrics::new()?);
    let beat = Arc::new(Beat::new(clock));
    let target = HttpTarget::new(settings.guard.clone(), Arc::new(clock));
    let settle = Counted { inner: store.clone(), metrics: metrics.clone() };
    let dispatcher = Arc::new(Dispatcher::new(settings.clone(), target, settle, clock));
    let queues = Counted { inner: store.clone(), metrics: metrics.clone() };
    let ingress = Ingress::new(settings.clone(), queues, clock, SystemChance);
    let home = Home { store: store.clone(), metrics: metrics.clone(), beat: beat.clone() };
    let api = Api::new(ingress, Some(home), Door { body_bytes: limits::SERVE_BATCH_BYTES, local: true });

    let server = Server::new(api, settings.serve.limits, metrics, acceptor);
    let dispatching = tokio::spawn(dispatch::run(store.clone(), dispatcher, beat.clone()));
    let serving = server.clone().start(listener);
    let watchdog = tokio::spawn(keep_watchdog(beat));
    // Where no service manager listens there is nothing to say.
    let _ = sd_notify::notify(false, &[NotifyState::Ready]);
    // The first line is the address, for whoever started this process.
    ready(Ready { address, tls: certificate.is_some() });
    info!(event.action = "start", "listens on {address}");
    rules::warn(&settings);

    let failed = tokio::select! {
        failure = store.failed() => Some(failure),
        () = signals.until_end(certificate.as_deref()) => None,
    };
    let _ = sd_notify::notify(false, &[NotifyState::Stopping]);
    if let Some(failure) = failed {
        return Err(failure.into());
    }
    let grace = settings.serve.limits.grace;
    info!(event.action = "stop", "ends: {} attempts run, and have {} s", store.in_flight(), grace.as_secs());
    store.stop_leasing();
    serving.abort();
    let drained = async {
        server.drain().await;
        store.idle().await;
    };
    tokio::select! {
        drained = tokio::time::timeout(grace, drained) => {
            if drained.is_err() {
                warn!(
                    event.action = "stop",
                    "{} attempts did not end in time; they are made again by the next start", store.in_flight()
                );
            }
        }
        () = signals.until_end(None) => warn!(event.action = "stop", "ends at once, as asked a second time"),
    }
    dispatching.abort();
    watchdog.abort();
    let closed = tokio::task::spawn_blocking(move || store.close()).await;
    info!(event.action = "stop", "ended");
    closed.map_err(|error| ServeError::System(io::Error::other(error)))
}

/// Tells a service manager that the process lives, as long as its loop does.
async fn keep_watchdog(beat: Arc<Beat>) {
    let mut micros = 0;
    if !sd_notify::watchdog_enabled(false, &mut micros) {
        return;
    }
    let mut tick = tokio::time::interval(Duration::from_micros(micros) / 2);
    loop {
        tick.tick().await;
        if beat.check().is_ok() {
            let _ = sd_notify::notify(false, &[NotifyState::Watchdog]);
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when the process is to end. A hang-up has the certificate read again.
    async fn until_end(&mut self, certificate: Option<&Certificate>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => match certificate.map(Certificate::read_again) {
                    None => {}
                    Some(Ok(())) => info!(event.action = "tls", "the certificate was read again"),
                    Some(Err(error)) => warn!(event.action = "tls", "the old certificate stays: {error}"),
                },
            }
        }
    }
}
