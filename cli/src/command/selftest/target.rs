//! The target of the known answer: it answers 200, 400, 500 or not at all, as the path says, and counts.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::kind::Kind;

/// Who is too late waits until the caller hangs up; this only ends what nobody waits for any more. It is longer
/// than any timeout may be.
const TOO_LATE: Duration = Duration::from_secs(15 * 60);

/// What came in, of one round.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Attempts by kind: one message's id and one number are one, however often they come.
    pub(super) requests: HashMap<Kind, u64>,
    /// Requests of attempts that had come before.
    pub(super) repeats: u64,
    /// First attempts that came after one of a later message of their subject.
    pub(super) out_of_order: u64,
    known: HashSet<(String, u32)>,
    /// Of each subject, the latest message whose first attempt came.
    furthest: HashMap<String, usize>,
}

/// A running target.
#[derive(Debug)]
pub(super) struct Target {
    address: SocketAddr,
    journal: Journal,
}

type Journal = Arc<Mutex<HashMap<String, Seen>>>;

impl Target {
    /// Starts one, for as long as the process lives.
    pub(super) async fn start(listen: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let target = Self { address: listener.local_addr()?, journal: Journal::default() };
        tokio::spawn(serve(listener, target.journal.clone()));
        Ok(target)
    }

    /// Where it gets the `number`th message of a round.
    pub(super) fn url(&self, round: &str, kind: Kind, number: usize) -> String {
        format!("http://{}/{round}/{}/{number}", self.address, kind.path())
    }

    /// What came in so far.
    pub(super) fn seen(&self, round: &str) -> Seen {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).get(round).cloned().unwrap_or_default()
    }
}

async fn serve(listener: TcpListener, journal: Journal) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: the connections that end give some back.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let journal = Arc::clone(&journal);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&journal)));
            // Hanging up is what a caller does who is kept waiting.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, journal: Journal) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    // A body that breaks off is an attempt all the same.
    let _ = body.collect().await;
    let parts: Vec<&str> = head.uri.path().trim_start_matches('/').split('/').collect();
    let found = match parts.as_slice() {
        [round, kind, number] => Kind::of_path(kind).zip(number.parse().ok()).map(|(kind, n)| (*round, kind, n)),
        _ => None,
    };
    let mut response = Response::new(Empty::new());
    let Some((round, kind, number)) = found else {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    };
    record(&journal, round, kind, number, &head.headers);
    match kind.status().and_then(|status| StatusCode::from_u16(status).ok()) {
        Some(status) => *response.status_mut() = status,
        None => tokio::time::sleep(TOO_LATE).await,
    }
    Ok(response)
}

fn record(journal: &Journal, round: &str, kind: Kind, number: usize, headers: &HeaderMap) {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let attempt: u32 = header("chaski-attempt").parse().unwrap_or(0);
    let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
    let seen = journal.entry(round.to_owned()).or_default();
    if !seen.known.insert((header("chaski-id").to_owned(), attempt)) {
        seen.repeats += 1;
        return;
    }
    *seen.requests.entry(kind).or_default() += 1;
    if attempt == 1 {
        let furthest = seen.furthest.entry(header("chaski-subject").to_owned()).or_default();
        seen.out_of_order += u64::from(number < *furthest);
        *furthest = number.max(*furthest);
    }
}
