//! HTTP/1.1 on loopback, with or without TLS.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// An answer.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Answers one request, of which the body is here whole.
pub(crate) trait Service: Send + Sync + 'static {
    /// The answer.
    fn answer(&self, request: Request<Bytes>) -> impl Future<Output = Answer> + Send;
}

/// Serves until the process ends.
pub(crate) async fn serve<S: Service>(service: Arc<S>, tls: Option<TlsAcceptor>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (service, tls) = (Arc::clone(&service), tls.clone());
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                match tls {
                    None => converse(stream, service).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            converse(stream, service).await;
                        }
                    }
                }
            });
        }
    });
    Ok(address)
}

async fn converse<S: Service>(stream: impl AsyncRead + AsyncWrite + Unpin + Send, service: Arc<S>) {
    // A connection that breaks is the function's end, or its failure, which shows elsewhere.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), calls(service)).await;
}

fn calls<S: Service>(
    service: Arc<S>,
) -> impl hyper::service::HttpService<Incoming, ResBody = Full<Bytes>, Error = Infallible, Future: Send> {
    service_fn(move |request: Request<Incoming>| {
        let service = Arc::clone(&service);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
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
