//! The target: answers 200 at once, and keeps who came.
//!
//! One thread, two system calls a request. `/slow/…` is answered after [`SLOW`].

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};

use super::load::content_length;
use super::mark::{self, Mark};
use super::processes::Thread;
use super::seen::Seen;
use super::work::subject_number;

/// What a slow target takes.
pub(crate) const SLOW: Duration = Duration::from_millis(300);

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// A request is below one KiB.
const REQUEST_BYTES: usize = 16_384;
/// How often the wish to stop is looked for.
const GLANCE: Duration = Duration::from_millis(50);
const LISTENER: Token = Token(0);

/// A running target; it ends with this value.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    thread: Thread,
    running: Option<JoinHandle<anyhow::Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    count: AtomicUsize,
    stop: AtomicBool,
}

impl Target {
    /// Begins to listen. Port 0: a free one.
    ///
    /// # Errors
    /// When the address is taken.
    pub(crate) fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| format!("no target on {address}"))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let (told, tells) = std::sync::mpsc::channel();
        let running = std::thread::Builder::new().name("target".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || {
                told.send(Thread::this()?).ok();
                Loop::new(listener, shared)?.run()
            }
        })?;
        Ok(Self { address, shared, thread: tells.recv().context("the target did not start")?, running: Some(running) })
    }

    /// Requests until now.
    pub(crate) fn count(&self) -> usize {
        self.shared.count.load(Ordering::Acquire)
    }

    /// Processor time until now.
    pub(crate) fn cpu(&self) -> Duration {
        self.thread.cpu()
    }

    /// Waits until so many requests came.
    ///
    /// # Errors
    /// When none came for `patience` and some are missing, or the target has failed.
    pub(crate) fn wait_for(&self, requests: usize, patience: Duration) -> anyhow::Result<Instant> {
        let (mut last, mut came) = (Instant::now(), self.count());
        loop {
            let count = self.count();
            if count >= requests {
                return Ok(Instant::now());
            }
            if count > came {
                (last, came) = (Instant::now(), count);
            }
            ensure!(self.running.as_ref().is_some_and(|running| !running.is_finished()), "the target has failed");
            ensure!(last.elapsed() < patience, "{} of {requests} came, then none for {patience:?}", count);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Everything seen since this was asked last.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

struct Connection {
    stream: TcpStream,
    request: Box<[u8]>,
    filled: usize,
}

struct Loop {
    poll: Poll,
    listener: TcpListener,
    connections: HashMap<Token, Connection>,
    next: usize,
    /// Answers to come, the earliest first: all take the same time.
    slow: VecDeque<(Instant, Token)>,
    shared: Arc<Shared>,
}

impl Loop {
    fn new(mut listener: TcpListener, shared: Arc<Shared>) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self { poll, listener, connections: HashMap::new(), next: 1, slow: VecDeque::new(), shared })
    }

    fn run(mut self) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(256);
        while !self.shared.stop.load(Ordering::Acquire) {
            let due = self.slow.front().map_or(GLANCE, |(due, _)| due.saturating_duration_since(Instant::now()));
            match self.poll.poll(&mut events, Some(due.min(GLANCE))) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    token => self.serve(token),
                }
            }
            self.answer_slow();
        }
        Ok(())
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.welcome(stream)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The caller gave up before it was its turn.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn welcome(&mut self, mut stream: TcpStream) -> anyhow::Result<()> {
        stream.set_nodelay(true)?;
        let token = Token(self.next);
        self.next += 1;
        let registry: &Registry = self.poll.registry();
        registry.register(&mut stream, token, Interest::READABLE)?;
        let request = vec![0; REQUEST_BYTES].into_boxed_slice();
        self.connections.insert(token, Connection { stream, request, filled: 0 });
        Ok(())
    }

    /// Reads what there is. A connection that fails or says nothing that can be read is closed.
    fn serve(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        match connection.read() {
            Ok(Step::Waits) => {}
            Ok(Step::Asked { seen, slow }) => {
                self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
                if slow {
                    self.slow.push_back((Instant::now() + SLOW, token));
                } else if connection.answer().is_err() {
                    self.connections.remove(&token);
                }
                self.shared.count.fetch_add(1, Ordering::Release);
            }
            Ok(Step::Ended) | Err(_) => drop(self.connections.remove(&token)),
        }
    }

    fn answer_slow(&mut self) {
        while let Some((_, token)) = self.slow.pop_front_if(|(due, _)| *due <= Instant::now()) {
            let answered = self.connections.get_mut(&token).map(Connection::answer);
            if answered.is_some_and(|answered| answered.is_err()) {
                self.connections.remove(&token);
            }
        }
    }
}

/// What reading led to.
enum Step {
    Waits,
    Asked { seen: Seen, slow: bool },
    Ended,
}

impl Connection {
    fn answer(&mut self) -> std::io::Result<()> {
        self.stream.write_all(ANSWER)
    }

    fn read(&mut self) -> anyhow::Result<Step> {
        loop {
            let room = self.request.get_mut(self.filled..).filter(|room| !room.is_empty()).context("a long request")?;
            match self.stream.read(room) {
                Ok(0) => return Ok(Step::Ended),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Step::Waits),
                Err(error) => return Err(error.into()),
            }
            if let Some(asked) = asked(self.request.get(..self.filled).unwrap_or_default())? {
                self.filled = 0;
                return Ok(asked);
            }
        }
    }
}

/// The request, once it is there whole.
fn asked(bytes: &[u8]) -> anyhow::Result<Option<Step>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(head_bytes) = head.parse(bytes).context("no HTTP request")? else {
        return Ok(None);
    };
    let length = head_bytes + content_length(head.headers)?.unwrap_or(0);
    if bytes.len() < length {
        return Ok(None);
    }
    let path = head.path.unwrap_or_default();
    let body = bytes.get(head_bytes..length).unwrap_or_default();
    let mark = Mark::find(if body.is_empty() { path.as_bytes() } else { body });
    // One without a mark is nobody's, and counted as such.
    let mark = mark.unwrap_or(Mark { subject: u32::MAX, number: u32::MAX });
    let mut seen = Seen { mark, id: 0, attempt: 1, subject: None };
    for field in head.headers.iter() {
        // Most fields are told apart by their length alone.
        match field.name.len() {
            9 if field.name.eq_ignore_ascii_case("chaski-id") => seen.id = uuid(field.value),
            14 if field.name.eq_ignore_ascii_case("chaski-attempt") => {
                seen.attempt = mark::number(field.value).unwrap_or(0);
            }
            14 if field.name.eq_ignore_ascii_case("chaski-subject") => {
                seen.subject = Some(subject_number(field.value).unwrap_or(u32::MAX));
            }
            _ => {}
        }
    }
    Ok(Some(Step::Asked { seen, slow: path.starts_with("/slow/") }))
}

fn uuid(text: &[u8]) -> u128 {
    let digits = text.iter().filter_map(|&byte| char::from(byte).to_digit(16));
    digits.fold(0, |sum, digit| sum << 4 | u128::from(digit))
}

#[cfg(test)]
mod tests {
    use super::super::load::{Endpoint, send};
    use super::super::seen::{Tally, tally};
    use super::super::work::{Ask, Work};
    use super::*;

    const ANY_PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

    /// The target stands where the server would: what the load sends is what the target must have seen.
    #[test]
    fn all_that_is_sent_is_seen_once_and_in_order() {
        let target = Target::start(ANY_PORT.into()).unwrap();
        let ask = Ask { method: "POST", url: "http://t/".to_owned(), body_bytes: 256 };
        let work = Work { first: 7, subjects: 50, messages: 2_000, asks: vec![ask] };
        let to = Endpoint { address: target.address, path: "/messages".to_owned() };
        let sent = send(&work, &to, 8).unwrap();
        assert_eq!(sent.latencies.len(), 2_000);
        target.wait_for(2_000, Duration::from_secs(30)).unwrap();
        assert_eq!(tally(&work, &target.take()), Tally::default());
        assert!(sent.cpu > Duration::ZERO && target.cpu() > Duration::ZERO);
    }

    #[test]
    fn a_slow_answer_is_late_and_the_fields_are_read() {
        let target = Target::start(ANY_PORT.into()).unwrap();
        let mut stream = std::net::TcpStream::connect(target.address).unwrap();
        let began = Instant::now();
        let fields =
            "Chaski-Id: 00000000-0000-0000-0000-0000000000ff\r\nchaski-subject: bench-000003\r\nCHASKI-ATTEMPT: 2";
        let request = format!("GET /slow/~000003.0000009 HTTP/1.1\r\n{fields}\r\n\r\n");
        // In two pieces, as the network may bring it.
        let (head, tail) = request.split_at(30);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(tail.as_bytes()).unwrap();
        let mut answer = vec![0; ANSWER.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, ANSWER);
        assert!(began.elapsed() >= SLOW);
        let seen = target.take();
        let [Seen { mark, id, attempt, subject }] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!((mark.subject, mark.number, *id, *attempt, *subject), (3, 9, 255, 2, Some(3)));
    }
}
