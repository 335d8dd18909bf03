//! Targets that misbehave: sockets on loopback, a script for each connection.
#![expect(dead_code, reason = "each test binary uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise, its helpers too")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chaski_core::guard::{AddressRule, Guard, TargetRules};
use chaski_core::ports::{Answer, CallError, Clock, Outgoing, Payload, Target};
use chaski_core::time::Timestamp;
use chaski_http::{Found, HttpTarget, Lookup};

/// Of an attempt against a target that never ends it.
pub(crate) const DEADLINE: Duration = Duration::from_millis(400);

/// Of an attempt that shall not come near it.
pub(crate) const AMPLE: Duration = Duration::from_secs(20);

/// How long past its deadline an attempt may end, on a machine that does much at once.
pub(crate) const MARGIN: Duration = Duration::from_secs(1);

/// What a target saw and did.
#[derive(Default)]
pub(crate) struct Tally {
    connections: AtomicUsize,
    requests: AtomicUsize,
    /// Connections whose script came to its end.
    ended: AtomicUsize,
    written: AtomicUsize,
}

impl Tally {
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }

    pub(crate) fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }
}

/// One accepted connection, in the hands of a script.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    pub(crate) tally: Arc<Tally>,
}

impl Peer {
    /// Reads one request whole and gives its head and body. `None` at the end of the connection.
    pub(crate) fn request(&mut self) -> Option<(String, Vec<u8>)> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if self.stream.read(&mut byte).ok()? == 0 {
                return None;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let length = header(&head, "content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).ok()?;
        self.tally.requests.fetch_add(1, Ordering::SeqCst);
        Some((head, body))
    }

    /// Writes; false when the other side has gone.
    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let bytes = bytes.as_ref();
        let said = self.stream.write_all(bytes).is_ok();
        self.tally.written.fetch_add(bytes.len(), Ordering::SeqCst);
        said
    }

    /// Reads a request but for the last byte of its body, which makes the system send a reset when the socket
    /// closes. `body` is the body's size.
    pub(crate) fn reset_after_request(mut self, body: usize) {
        let mut read = Vec::new();
        let mut byte = [0];
        let whole = |read: &[u8]| read.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4 + body);
        while whole(&read).is_none_or(|size| read.len() + 1 < size) {
            if self.stream.read(&mut byte).is_ok_and(|count| count > 0) {
                read.push(byte[0]);
            } else {
                return;
            }
        }
        self.tally.requests.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until the other side has closed.
    pub(crate) fn until_closed(&mut self) {
        let mut rest = [0; 4_096];
        while self.stream.read(&mut rest).is_ok_and(|count| count > 0) {}
    }
}

/// A header of a request's head, by its name in lower case.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// A listening target.
pub(crate) struct Hostile {
    pub(crate) address: SocketAddr,
    pub(crate) tally: Arc<Tally>,
}

impl Hostile {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Listens on loopback and runs `script` for each connection, in a thread of its own.
pub(crate) fn target(script: impl Fn(Peer) + Send + Sync + 'static) -> Hostile {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let tally = Arc::new(Tally::default());
    let (script, counted) = (Arc::new(script), Arc::clone(&tally));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // No thread outlives a test for long, whatever the client does.
            stream.set_read_timeout(Some(AMPLE)).unwrap();
            stream.set_write_timeout(Some(AMPLE)).unwrap();
            stream.set_nodelay(true).unwrap();
            counted.connections.fetch_add(1, Ordering::SeqCst);
            let (script, tally) = (Arc::clone(&script), Arc::clone(&counted));
            std::thread::spawn(move || {
                script(Peer { stream, tally: Arc::clone(&tally) });
                tally.ended.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    Hostile { address, tally }
}

/// A target that answers every request of a connection with the same bytes.
pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Hostile {
    let answer = answer.into();
    target(move |mut peer| while peer.request().is_some() && peer.say(&answer) {})
}

/// A target that reads a request, says these bytes, and closes.
pub(crate) fn saying(answer: impl Into<Vec<u8>>) -> Hostile {
    let answer = answer.into();
    target(move |mut peer| {
        peer.request();
        peer.say(&answer);
    })
}

/// The machine's clocks, the wall clock being `ahead` of itself.
pub(crate) struct TestClock {
    began: Instant,
    ahead_ms: AtomicI64,
}

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), ahead_ms: AtomicI64::new(0) })
    }

    /// The wall clock goes on, or back, while the process's own stands still: what a frozen function sees.
    pub(crate) fn freeze_ms(&self, by: i64) {
        self.ahead_ms.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        Timestamp::from_millis(millis + self.ahead_ms.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

/// Finds what a function finds.
pub(crate) struct Names<F>(pub(crate) F);

impl<F: Fn(&str) -> Vec<&'static str> + Send + Sync> Lookup for Names<F> {
    fn lookup(&self, host: &str) -> Found {
        let found = (self.0)(host).into_iter().map(|text| text.parse().unwrap()).collect();
        Box::pin(std::future::ready(Ok(found)))
    }
}

pub(crate) fn guard(allow: &[&str]) -> Guard {
    let allow = allow.iter().map(|text| AddressRule::parse(text).unwrap()).collect();
    Guard::new(TargetRules { allow, ..TargetRules::default() }, None).unwrap()
}

/// A client that may call loopback.
pub(crate) fn client() -> HttpTarget {
    HttpTarget::new(guard(&["127.0.0.0/8"]), TestClock::new())
}

pub(crate) fn post(url: &str, body: impl Into<Vec<u8>>) -> Outgoing {
    Outgoing {
        url: url.parse().unwrap(),
        method: "POST".to_owned(),
        headers: Vec::new(),
        body: Payload::Bytes(body.into()),
    }
}

/// Makes one attempt and holds it to its deadline.
pub(crate) async fn attempt(client: &HttpTarget, request: Outgoing, deadline: Duration) -> Result<Answer, CallError> {
    let began = Instant::now();
    let result = client.call(request, deadline).await;
    assert!(began.elapsed() < deadline + MARGIN, "ended after {:?}: {result:?}", began.elapsed());
    if let Err(CallError::Timeout(_)) = result {
        assert!(began.elapsed() >= deadline, "a timeout before the deadline: {:?}", began.elapsed());
    }
    result
}

/// One attempt with a new client.
pub(crate) async fn call(target: &Hostile) -> Result<Answer, CallError> {
    attempt(&client(), post(&target.url("/hook?token=secret"), "hello"), DEADLINE).await
}

/// Waits for something that another thread does; fails when it never does.
pub(crate) async fn until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < AMPLE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) fn is_connection(result: &Result<Answer, CallError>) -> bool {
    matches!(result, Err(CallError::Connection(_)))
}

pub(crate) fn is_timeout(result: &Result<Answer, CallError>) -> bool {
    matches!(result, Err(CallError::Timeout(_)))
}

pub(crate) fn is_blocked(result: &Result<Answer, CallError>) -> bool {
    matches!(result, Err(CallError::Blocked(_)))
}
