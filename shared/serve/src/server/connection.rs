//! One connection: requests in, answers out.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use bytes::Bytes;
use chaski_core::api::{Request, Response, upload, uploaded};
use chaski_core::ports::{Chance, Clock, Desk, Enqueue};
use chaski_core::problem::Problem;
use futures_util::FutureExt;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, EXPECT, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Server, body, refusal, upload as uploads};

/// What a head may take: the contract's headers many times over.
const HEAD_BYTES: usize = 64 * 1_024;
/// Headers of a request.
const HEADERS: usize = 100;

/// Serves a connection to its end.
pub(super) async fn serve<E, C, R, D, S>(server: &Server<E, C, R, D>, stream: S)
where
    E: Enqueue + 'static,
    C: Clock + 'static,
    R: Chance + 'static,
    D: Desk + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(server, request).await) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(server.patience.head)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // From the end's beginning on every answer closes its connection. Where no request comes any more, the
    // connection is closed a little later: one may be under way, and to hang up on it would leave it unanswered.
    let idle_end = async {
        server.ending.begun().await;
        tokio::time::sleep(server.patience.last).await;
    };
    // A breach of the protocol was answered by hyper, and a caller who has gone needs no word.
    tokio::select! {
        ended = connection.as_mut() => drop(ended),
        () = idle_end => {
            connection.as_mut().graceful_shutdown();
            drop(connection.await);
        }
    }
}

async fn answer<E, C, R, D>(
    server: &Server<E, C, R, D>,
    request: hyper::Request<Incoming>,
) -> hyper::Response<Full<Bytes>>
where
    E: Enqueue + 'static,
    C: Clock + 'static,
    R: Chance + 'static,
    D: Desk + 'static,
{
    let began = Instant::now();
    let (head, mut incoming) = request.into_parts();
    let mut asked = asked(&head);
    if asked.id().is_empty() {
        asked.platform_id = server.ids.next();
    }
    let (response, refused) = match upload(&server.api, &asked) {
        Some(allowed) => take_upload(server, &asked, allowed, &mut incoming).await,
        None => answer_whole(server, &mut asked, &mut incoming).await,
    };
    // A caller who waits to be asked for its body is not asked; one who is sending it is heard out.
    if refused && !head.headers.contains_key(EXPECT) {
        tokio::spawn(body::discard(incoming, server.patience));
    }
    server.metrics.answered(&asked.method, &asked.path, response.status, began.elapsed());
    translate(response, refused || server.ending.has_begun())
}

/// Answers a request whose body is read as a whole; whether it was refused before all of that had come.
async fn answer_whole<E, C, R, D>(
    server: &Server<E, C, R, D>,
    asked: &mut Request,
    incoming: &mut Incoming,
) -> (Response, bool)
where
    E: Enqueue + 'static,
    C: Clock + 'static,
    R: Chance + 'static,
    D: Desk + 'static,
{
    match body::read(incoming, &server.bodies, &server.patience).await {
        Ok(read) => {
            asked.body = read.bytes;
            let answering = AssertUnwindSafe(server.answer(asked)).catch_unwind().await;
            drop(read.place);
            let broken = |_| refusal::problem(&Problem::new(500, "this request could not be handled"), asked.id());
            (answering.unwrap_or_else(broken), false)
        }
        Err(problem) => (refusal::problem(&problem, asked.id()), true),
    }
}

/// Takes an upload in, if its caller may; whether it was refused before all of it had come.
async fn take_upload<E, C, R, D>(
    server: &Server<E, C, R, D>,
    asked: &Request,
    allowed: Result<String, Response>,
    incoming: &mut Incoming,
) -> (Response, bool) {
    match allowed {
        Ok(reference) => {
            let told = uploads::receive(&server.store, &reference, incoming, &server.patience).await;
            let refused = told.is_err();
            (uploaded(asked, told), refused)
        }
        Err(response) => (response, true),
    }
}

fn asked(head: &Parts) -> Request {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Request {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        body: Vec::new(),
        platform_caller: false,
        platform_id: String::new(),
    }
}

fn translate(response: Response, close: bool) -> hyper::Response<Full<Bytes>> {
    let mut translated = hyper::Response::new(Full::new(Bytes::from(response.body)));
    *translated.status_mut() = hyper::StatusCode::from_u16(response.status).unwrap_or_default();
    for (name, value) in response.headers {
        // Values are our own, or were checked to be visible ASCII.
        if let Ok(value) = HeaderValue::from_str(&value) {
            translated.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
    if close {
        translated.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    translated
}
