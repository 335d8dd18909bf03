//! A target that does what its path says, and remembers every request.
//!
//! `/<run>/200`, `/<run>/400`, … answer that status; `/<run>/late` answers after [`LATE`]; `/<run>/once`
//! fails a message's first attempt, `/<run>/from/3` all before the third; `/<run>/first/410` answers 410 to a
//! message's first generation and 200 to its replay; `/<run>/flaky/20` fails 20 % of the attempts, by their
//! message's id and number; `/<run>/slow/200` answers 200 after 200 ms; `/<run>/echo/500` answers 500 with the
//! credential that it was sent; `/<run>/switch/100` answers after 100 ms what [`Target::switch`] set last, 200 at
//! first. `<run>` keeps the tests apart.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// How late a late answer is; longer than any timeout under test.
pub const LATE: Duration = Duration::from_secs(6);

/// A request, as the target got it.
#[derive(Debug, Clone)]
pub struct Call {
    /// When it had come in whole.
    pub at: Instant,
    /// Requests of its run that were not answered then, itself included.
    pub at_once: u32,
    /// The status that it is answered with.
    pub status: u16,
    /// The first part of the path.
    pub run: String,
    /// The rest of the path.
    pub path: String,
    /// The method.
    pub method: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Call {
    /// A header's value; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The message's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.header("chaski-id")
    }

    /// The attempt's number; 0 where there is none.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.header("chaski-attempt").parse().unwrap_or(0)
    }
}

/// What a target remembers.
#[derive(Debug, Default)]
struct Memory {
    journal: Vec<Call>,
    /// The status that a run's switch is at.
    switches: HashMap<String, u16>,
    /// A run's requests that are not answered.
    running: HashMap<String, u32>,
}

/// A running target.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    memory: Arc<Mutex<Memory>>,
}

impl Target {
    /// Starts one on the address, for as long as the process lives.
    ///
    /// # Errors
    /// The address is taken.
    pub async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("the target can't listen on {address}"))?;
        let target = Self { address: listener.local_addr()?, memory: Arc::default() };
        tokio::spawn(serve(listener, target.clone()));
        Ok(target)
    }

    /// The URL of a path of a run.
    #[must_use]
    pub fn url(&self, run: &str, path: &str) -> String {
        format!("http://{}/{run}/{path}", self.address)
    }

    /// The requests of a run so far, in the order in which they came.
    #[must_use]
    pub fn calls(&self, run: &str) -> Vec<Call> {
        self.memory().journal.iter().filter(|call| call.run == run).cloned().collect()
    }

    /// From now on `switch` answers this status in a run.
    pub fn switch(&self, run: &str, status: u16) {
        self.memory().switches.insert(run.to_owned(), status);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a request down; the status of its answer, and after how long.
    fn note(&self, mut call: Call) -> (u16, Duration) {
        let mut memory = self.memory();
        let (status, wait) = script(&call, memory.switches.get(&call.run).copied());
        let running = memory.running.entry(call.run.clone()).or_default();
        *running += 1;
        (call.at, call.at_once, call.status) = (Instant::now(), *running, status);
        memory.journal.push(call);
        (status, wait)
    }
}

/// A request that is not answered yet; it is over when this is dropped, whether its caller waits or has hung up.
struct Running<'a> {
    target: &'a Target,
    run: &'a str,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(running) = self.target.memory().running.get_mut(self.run) {
            *running -= 1;
        }
    }
}

async fn serve(listener: TcpListener, target: Target) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let target = target.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, target.clone()));
            // A caller that hangs up in the middle is part of the script.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, target: Target) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let (run, path) = head.uri.path().trim_start_matches('/').split_once('/').unwrap_or_default();
    let call = Call {
        at: Instant::now(),
        at_once: 0,
        status: 0,
        run: run.to_owned(),
        path: path.to_owned(),
        method: head.method.to_string(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body,
    };
    let echo = call.path.starts_with("echo/").then(|| call.header("authorization").to_owned());
    let (status, wait) = target.note(call);
    let running = Running { target: &target, run };
    let said = echo.unwrap_or_else(|| status.to_string());
    tokio::time::sleep(wait).await;
    drop(running);
    let mut response = Response::new(Full::new(Bytes::from(format!("{{\"said\":\"{said}\"}}"))));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::IM_A_TEAPOT);
    Ok(response)
}

/// The status that a call is answered with, and after how long.
fn script(call: &Call, switch: Option<u16>) -> (u16, Duration) {
    let now = Duration::ZERO;
    let millis = |text: &str| Duration::from_millis(text.parse().unwrap_or(0));
    match call.path.split_once('/').unwrap_or((&call.path, "")) {
        ("late", _) => (200, LATE),
        ("first", status) if call.header("chaski-generation") == "1" => (status.parse().unwrap_or(404), now),
        ("first", _) => (200, now),
        ("once", _) => (if call.attempt() == 1 { 500 } else { 200 }, now),
        ("from", first) => (if call.attempt() < first.parse().unwrap_or(0) { 500 } else { 200 }, now),
        ("flaky", percent) => (if chance(call) < percent.parse().unwrap_or(0) { 500 } else { 200 }, now),
        ("echo", status) => (status.parse().unwrap_or(404), now),
        ("slow", span) => (200, millis(span)),
        ("switch", span) => (switch.unwrap_or(200), millis(span)),
        (status, _) => (status.parse().unwrap_or(404), now),
    }
}

/// 0 to 99, the same for the same attempt of the same message.
fn chance(call: &Call) -> u64 {
    let mut hasher = DefaultHasher::new();
    (call.id(), call.attempt()).hash(&mut hasher);
    hasher.finish() % 100
}
