//! One connection: requests in, answers out.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chaski_core::api::{Request, Response};
use chaski_core::ports::{Chance, Clock, Desk, Enqueue};
use chaski_core::problem::Problem;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Server, body};

/// A request's head is there within this time; a connection without a request lasts no longer either.
const HEAD: Duration = Duration::from_secs(30);
/// What a head may take: the contract's headers many times over.
const HEAD_BYTES: usize = 64 * 1_024;
/// Headers of a request.
const HEADERS: usize = 100;

/// Numbers the requests that bring no id.
static REQUESTS: AtomicU64 = AtomicU64::new(1);

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
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut ending = server.ending.subscribe();
    // A breach of the protocol was answered by hyper, and a caller who has gone needs no word.
    let end = async { drop(ending.wait_for(|ending| *ending).await) };
    tokio::select! {
        ended = connection.as_mut() => drop(ended),
        () = end => {
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
    let (head, incoming) = request.into_parts();
    let method = head.method.as_str().to_owned();
    let mut asked = Request {
        method: method.clone(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body: Vec::new(),
        platform_caller: false,
        platform_id: String::new(),
    };
    if asked.header("x-request-id").is_none() {
        asked.platform_id = format!("r-{}", REQUESTS.fetch_add(1, Ordering::Relaxed));
    }
    let (response, close) = match body::read(incoming, &server.bodies).await {
        Ok(read) => {
            asked.body = read.bytes;
            let response = server.answer(&asked).await;
            drop(read.place);
            (response, false)
        }
        // What is left of the body is not read: the connection can't be used again.
        Err(problem) => (refusal(&problem, asked.id()), true),
    };
    server.metrics.answered(&method, response.status, began.elapsed());
    translate(response, close)
}

/// A problem of the server itself, as the API writes them.
fn refusal(problem: &Problem, id: &str) -> Response {
    let mut body = serde_json::to_value(problem).unwrap_or_default();
    if let Some(object) = body.as_object_mut() {
        object.insert("instance".to_owned(), id.into());
    }
    let mut headers = vec![("content-type", "application/problem+json".to_owned()), ("x-request-id", id.to_owned())];
    headers.extend(problem.retry_after_s.map(|seconds| ("retry-after", seconds.to_string())));
    Response { status: problem.status, headers, body: body.to_string() }
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
