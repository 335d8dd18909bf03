//! The HTTP server: bounded connections, each of them HTTP/1.1, each request a value for the core's API.

mod body;
mod connection;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chaski_core::api::{Api, Request, Response, handle};
use chaski_core::ports::{Chance, Clock, Desk, Enqueue};
use chaski_core::settings::LimitSettings;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use crate::metrics::Metrics;

/// A TLS handshake ends within this time.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Bodies of all requests that are being read or answered, in KiB.
const BODIES_KIB: usize = 64 * 1_024;
/// How long accepting rests when the system has no descriptor left.
const NO_DESCRIPTORS: Duration = Duration::from_millis(100);

/// What a connection too many is told.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
content-type: application/problem+json\r\ncontent-length: 122\r\n\r\n\
{\"type\":\"urn:chaski:problem:unavailable\",\"title\":\"Service unavailable\",\"status\":503,\"detail\":\"too many connections are open\"}";

/// Answers requests over the core's API.
pub(crate) struct Server<E, C, R, D> {
    api: Api<E, C, R, D>,
    metrics: Arc<Metrics>,
    acceptor: Option<TlsAcceptor>,
    connections: Arc<Semaphore>,
    most: usize,
    bodies: Arc<Semaphore>,
    /// Turns true when connections are to end after the request that they are at.
    ending: watch::Sender<bool>,
}

impl<E, C, R, D> Server<E, C, R, D>
where
    E: Enqueue + 'static,
    C: Clock + 'static,
    R: Chance + 'static,
    D: Desk + 'static,
{
    pub(crate) fn new(
        api: Api<E, C, R, D>,
        limits: LimitSettings,
        metrics: Arc<Metrics>,
        acceptor: Option<TlsAcceptor>,
    ) -> Arc<Self> {
        let most = usize::try_from(limits.connections).unwrap_or(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            api,
            metrics,
            acceptor,
            connections: Arc::new(Semaphore::new(most)),
            most,
            bodies: Arc::new(Semaphore::new(BODIES_KIB)),
            ending: watch::Sender::new(false),
        })
    }

    /// Accepts connections until the task is aborted.
    pub(crate) fn start(self: Arc<Self>, listener: TcpListener) -> JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => self.clone().take(stream),
                    Err(error) => {
                        // One caller's fault is not worth a word; a lack of descriptors needs a pause.
                        if !is_the_callers(&error) {
                            warn!(event.action = "not_accepted", "a connection was not accepted: {error}");
                            tokio::time::sleep(NO_DESCRIPTORS).await;
                        }
                    }
                }
            }
        })
    }

    fn take(self: Arc<Self>, mut stream: TcpStream) {
        let Ok(place) = self.connections.clone().try_acquire_owned() else {
            tokio::spawn(async move {
                // Whoever does not read it has hung up, or will.
                let _ = stream.write_all(FULL).await;
                let _ = stream.shutdown().await;
            });
            return;
        };
        // Answers are written whole: waiting for more of them would only cost time.
        let _ = stream.set_nodelay(true);
        self.metrics.connections.inc();
        tokio::spawn(async move {
            match &self.acceptor {
                None => connection::serve(&self, stream).await,
                Some(acceptor) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        connection::serve(&self, stream).await;
                    }
                }
            }
            self.metrics.connections.dec();
            drop(place);
        });
    }

    /// Ends every connection after the request that it is at; returns when none is left.
    pub(crate) async fn drain(&self) {
        self.ending.send_replace(true);
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
