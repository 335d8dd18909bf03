//! The HTTP server: bounded connections, each of them HTTP/1.1, each request a value for the core's API.

mod body;
mod connection;
mod patience;
mod refusal;
mod upload;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chaski_core::api::{Api, Request, Response, handle};
use chaski_core::ports::{Chance, Clock, Desk, Enqueue};
use chaski_core::settings::LimitSettings;
use chaski_embedded::Store;
use chaski_system::SystemChance;
use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, unconstrained};
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use crate::beat::{BEAT, Beat};
use crate::ending::Ending;
use crate::metrics::Metrics;
pub use patience::Patience;
use refusal::RequestIds;

/// Bodies of all requests that are being read or answered, in KiB.
const BODIES_KIB: usize = 64 * 1_024;
/// How long accepting rests when the system has no descriptor left.
const NO_DESCRIPTORS: Duration = Duration::from_millis(100);
/// Callers who are told at the same time that there are too many; the rest is hung up on without a word.
const TURNED_AWAY: usize = 64;

/// Answers requests over the core's API.
pub(crate) struct Server<E, C, R, D> {
    api: Api<E, C, R, D, Store>,
    store: Store,
    metrics: Arc<Metrics>,
    acceptor: Option<TlsAcceptor>,
    patience: Patience,
    connections: Arc<Semaphore>,
    most: usize,
    turned_away: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    ids: RequestIds,
    ending: Ending,
}

/// What a server is made of, besides its API.
pub(crate) struct Frame {
    /// Takes uploads.
    pub(crate) store: Store,
    pub(crate) limits: LimitSettings,
    pub(crate) patience: Patience,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) acceptor: Option<TlsAcceptor>,
    pub(crate) ending: Ending,
}

impl<E, C, R, D> Server<E, C, R, D>
where
    E: Enqueue + 'static,
    C: Clock + 'static,
    R: Chance + 'static,
    D: Desk + 'static,
{
    pub(crate) fn new(api: Api<E, C, R, D, Store>, frame: Frame) -> Arc<Self> {
        let Frame { store, limits, patience, metrics, acceptor, ending } = frame;
        let most = usize::try_from(limits.connections).unwrap_or(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            api,
            store,
            metrics,
            acceptor,
            patience,
            connections: Arc::new(Semaphore::new(most)),
            most,
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY)),
            bodies: Arc::new(Semaphore::new(BODIES_KIB)),
            ids: RequestIds::new(&SystemChance),
            ending,
        })
    }

    /// Accepts connections until the end begins; the beat says that it still does.
    pub(crate) fn start(self: Arc<Self>, listener: TcpListener, beat: Arc<Beat>) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(BEAT);
            let ending = self.ending.begun();
            tokio::pin!(ending);
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = tick.tick() => {
                        beat.mark();
                        continue;
                    }
                    () = &mut ending => break,
                };
                match accepted {
                    Ok((stream, _)) => self.take(stream),
                    Err(error) => {
                        // One caller's fault is not worth a word; a lack of descriptors needs a pause.
                        if !is_the_callers(&error) {
                            warn!(event.action = "not_accepted", "a connection was not accepted: {error}");
                            tokio::time::sleep(NO_DESCRIPTORS).await;
                        }
                    }
                }
            }
            // Who came before is served: closing the door would reset the connections that wait in front of it.
            while let Some(Ok((stream, _))) = unconstrained(listener.accept()).now_or_never() {
                self.take(stream);
            }
        })
    }

    fn take(self: &Arc<Self>, stream: TcpStream) {
        // Answers are written whole: waiting for more of them would only cost time.
        let _ = stream.set_nodelay(true);
        let server = self.clone();
        let Ok(place) = self.connections.clone().try_acquire_owned() else {
            // There is no word for a caller who expects TLS.
            if self.acceptor.is_none()
                && let Ok(place) = self.turned_away.clone().try_acquire_owned()
            {
                tokio::spawn(async move {
                    refusal::turn_away(stream, &server.ids.next(), server.patience).await;
                    drop(place);
                });
            }
            return;
        };
        let open = self.metrics.connection();
        tokio::spawn(async move {
            match &server.acceptor {
                None => connection::serve(&server, stream).await,
                Some(acceptor) => {
                    if let Ok(Ok(stream)) =
                        tokio::time::timeout(server.patience.handshake, acceptor.accept(stream)).await
                    {
                        connection::serve(&server, stream).await;
                    }
                }
            }
            drop((open, place));
        });
    }

    /// Returns when no connection is left, after the end has begun and accepting is over.
    pub(crate) async fn drained(&self) {
        let all = u32::try_from(self.most).unwrap_or(u32::MAX);
        // Nobody closes the semaphore.
        drop(self.connections.acquire_many(all).await);
    }

    async fn answer(&self, request: &Request) -> Response {
        handle(&self.api, request).await
    }
}

fn is_the_callers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests;
