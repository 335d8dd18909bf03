//! HTTP/1.1 on loopback, with or without TLS.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// An answer.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Answers one request, of which the body is here whole.
pub(crate) trait Service: Send + Sync + 'static {
    /// The answer.
    fn answer(&self, request: Request<Bytes>) -> impl Future<Output = Answer> + Send;
}

/// How long answers took, from a request's first byte to its answer's first byte, encryption included.
#[derive(Debug, Default)]
pub(crate) struct Meter(AtomicU64);

impl Meter {
    /// All answers together.
    pub(crate) fn total(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// Serves until the process ends; with TLS, its answers are timed.
pub(crate) async fn serve<S: Service>(
    service: Arc<S>,
    tls: Option<(TlsAcceptor, Arc<Meter>)>,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (service, tls) = (Arc::clone(&service), tls.clone());
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                // A connection that breaks is the function's end, or its failure, which shows elsewhere.
                let _ = match tls {
                    None => http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), calls(service))
                        .await
                        .ok(),
                    Some((tls, meter)) => match tls
                        .accept(Timed {
                            stream,
                            meter,
                            asked: None,
                        })
                        .await
                    {
                        Ok(stream) => http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), calls(service))
                            .await
                            .ok(),
                        Err(_) => None,
                    },
                };
            });
        }
    });
    Ok(address)
}

fn calls<S: Service>(
    service: Arc<S>,
) -> impl hyper::service::HttpService<Incoming, ResBody = Full<Bytes>, Error = Infallible, Future: Send> {
    service_fn(move |request: Request<Incoming>| {
        let service = Arc::clone(&service);
        async move {
            let (parts, body) = request.into_parts();
            let body = body
                .collect()
                .await
                .map(|body| body.to_bytes())
                .unwrap_or_default();
            Ok::<_, Infallible>(service.answer(Request::from_parts(parts, body)).await)
        }
    })
}

/// An answer of this status and body.
pub(crate) fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    answer
}

/// A connection that times what happens on it. One request at a time, as HTTP/1.1 has it.
struct Timed {
    stream: TcpStream,
    meter: Arc<Meter>,
    asked: Option<Instant>,
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.asked.get_or_insert_with(Instant::now);
        }
        polled
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(asked) = self.asked.take() {
            let nanos = u64::try_from(asked.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.meter.0.fetch_add(nanos, Ordering::Relaxed);
        }
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
