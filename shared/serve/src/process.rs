//! The life of the process: it opens its store and its door, works, and ends in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chaski_core::api::{Api, Door};
use chaski_core::app::{Dispatcher, Ingress};
use chaski_core::limits;
use chaski_core::settings::Settings;
use chaski_embedded::{Options, Store};
use chaski_http::HttpTarget;
use chaski_system::{SystemChance, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::beat::{Beat, Beats};
use crate::dispatch;
use crate::ending::Ending;
use crate::error::ServeError;
use crate::home::Home;
use crate::manager;
use crate::metrics::{Counted, Metrics};
use crate::orders::{self, Order};
use crate::rules;
use crate::server::{Frame, Patience, Server};
use crate::tls::Certificate;
use crate::workers::Aside;

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

/// Serves until a signal ends it, and tells once when it is ready. SIGTERM and SIGINT end it in order, a second one
/// at once; SIGHUP has the certificate read again.
///
/// # Errors
/// It can't start, or its store failed.
pub async fn run(settings: Arc<Settings>, ready: impl FnOnce(Ready)) -> Result<(), ServeError> {
    run_with(settings, Patience::default(), orders::signals()?, ready).await
}

/// The same with other orders than signals, which a whole process gets, and with another patience. Nobody left to
/// give an order is an order to end.
///
/// # Errors
/// It can't start, or its store failed.
pub async fn run_with(
    settings: Arc<Settings>,
    patience: Patience,
    mut orders: mpsc::Receiver<Order>,
    ready: impl FnOnce(Ready),
) -> Result<(), ServeError> {
    rules::check(&settings)?;
    let certificate = settings.serve.tls.as_ref().map(Certificate::read).transpose()?;
    let acceptor = certificate.as_ref().map(Certificate::acceptor).transpose()?;
    let listen = settings.serve.listen;
    let listener = TcpListener::bind(listen).await.map_err(|error| ServeError::Listen(listen, error))?;
    let address = listener.local_addr()?;

    let running = Running::begin(&settings, patience, acceptor, listener)?;
    manager::ready();
    // The first line is the address, for whoever started this process.
    ready(Ready { address, tls: certificate.is_some() });
    info!(event.action = "start", "listens on {address}");
    rules::warn(&settings);

    tokio::select! {
        failure = running.store.failed() => {
            manager::stopping();
            Err(failure.into())
        }
        () = orders::until_end(&mut orders, certificate.as_deref()) => {
            manager::stopping();
            running.end(settings.serve.limits.grace, orders).await
        }
    }
}

/// A process at work.
struct Running {
    store: Store,
    server: Arc<Server<Counted<Store>, SystemClock, SystemChance, Home>>,
    ending: Ending,
    dispatching: Aside,
    accepting: JoinHandle<()>,
    watchdog: JoinHandle<()>,
}

impl Running {
    /// Opens the store, and starts the loops.
    fn begin(
        settings: &Arc<Settings>,
        patience: Patience,
        acceptor: Option<TlsAcceptor>,
        listener: TcpListener,
    ) -> Result<Self, ServeError> {
        let clock = SystemClock::start();
        let store = Store::open(Options::of(settings), Arc::new(clock))?;
        let metrics = Arc::new(Metrics::new()?);
        let beats = Beats { dispatch: Beat::new(clock), accept: Beat::new(clock) };
        let ending = Ending::new();
        let target = HttpTarget::new(settings.guard.clone(), Arc::new(clock));
        let counted = || Counted { inner: store.clone(), metrics: metrics.clone() };
        let dispatcher = Dispatcher::new(settings.clone(), target, counted(), clock, store.clone());
        let dispatcher = Arc::new(dispatcher.with_bodies(store.clone()));
        let ingress = Ingress::new(settings.clone(), counted(), clock, SystemChance).with_bodies(store.clone());
        let home =
            Home { store: store.clone(), metrics: metrics.clone(), beats: beats.clone(), ending: ending.clone() };
        let door = Door { body_bytes: limits::SERVE_BATCH_BYTES, local: true, tls: acceptor.is_some() };
        let api = Api::new(ingress, Some(home), door);
        let limits = settings.serve.limits;
        let server = Server::new(
            api,
            Frame { store: store.clone(), limits, patience, metrics, acceptor, ending: ending.clone() },
        );
        let attempts = dispatch::keep(store.clone(), dispatcher, clock, beats.dispatch.clone());
        Ok(Self {
            dispatching: Aside::start("dispatch", attempts).map_err(ServeError::System)?,
            accepting: server.clone().start(listener, beats.accept.clone()),
            watchdog: tokio::spawn(manager::keep_watchdog(beats)),
            store,
            server,
            ending,
        })
    }

    /// Finishes what runs, within the grace, and closes the store.
    async fn end(self, grace: Duration, mut orders: mpsc::Receiver<Order>) -> Result<(), ServeError> {
        let Self { store, server, ending, dispatching, accepting, watchdog } = self;
        info!(event.action = "stop", "ends: {} attempts run, and have {} s", store.in_flight(), grace.as_secs());
        store.stop_leasing();
        ending.begin();
        let drained = async {
            // A loop that panicked has nobody left to serve.
            drop(accepting.await);
            server.drained().await;
            store.idle().await;
        };
        let failed = tokio::select! {
            drained = tokio::time::timeout(grace, drained) => {
                if drained.is_err() {
                    let late = "attempts did not end in time; they are made again by the next start";
                    warn!(event.action = "stop", "{} {late}", store.in_flight());
                }
                None
            }
            // What can't be settled any more is not waited for.
            failure = store.failed() => Some(failure),
            // Nobody left to give an order means that this one was the last.
            true = orders::again(&mut orders) => {
                warn!(event.action = "stop", "ends at once, as asked a second time");
                None
            }
        };
        if let Some(failure) = failed {
            return Err(failure.into());
        }
        watchdog.abort();
        let closed = tokio::task::spawn_blocking(move || {
            dispatching.end();
            store.close();
        })
        .await;
        info!(event.action = "stop", "ended");
        closed.map_err(|error| ServeError::System(io::Error::other(error)))
    }
}
