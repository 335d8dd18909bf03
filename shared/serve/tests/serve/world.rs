//! A host on a port of the system's choice, callers that write what they like, and a target that can be held up.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chaski_core::settings::Settings;
use chaski_serve::{Order, Patience, Ready, ServeError, run_with};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

/// Nothing in these tests takes so long, unless it hangs, or waits as long as callers are waited for by default.
const HANGS: Duration = Duration::from_secs(25);

/// A host at work.
pub(crate) struct Host {
    pub(crate) ready: Ready,
    pub(crate) orders: mpsc::Sender<Order>,
    running: JoinHandle<Result<(), ServeError>>,
}

impl Host {
    /// Starts a host over a folder, with more settings than the test's own ones.
    pub(crate) async fn start(data: &Path, more: &str, patience: Patience) -> Result<Self, ServeError> {
        let data = data.join("store").display().to_string();
        let file = format!("listen = \"127.0.0.1:0\"\ndata = {data:?}\n{more}\n[targets]\nallow_private = true\n");
        let settings = Settings::read(&file, &|_| None).unwrap();
        let (orders, taken) = mpsc::channel(4);
        let (tell, told) = oneshot::channel();
        let running = tokio::spawn(run_with(Arc::new(settings), patience, taken, |ready| tell.send(ready).unwrap()));
        match told.await {
            Ok(ready) => Ok(Self { ready, orders, running }),
            Err(_) => Err(running.await.unwrap().unwrap_err()),
        }
    }

    /// A host with the patience of `chaski serve`, over a folder of its own.
    pub(crate) async fn patient(more: &str) -> (Self, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Self::start(folder.path(), more, Patience::default()).await.unwrap(), folder)
    }

    pub(crate) async fn order(&self, order: Order) {
        self.orders.send(order).await.unwrap();
    }

    /// Waits until every order was taken.
    pub(crate) async fn followed(&self) {
        in_time(async {
            while self.orders.capacity() < self.orders.max_capacity() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// How it ended.
    pub(crate) async fn ended(self) -> Result<(), ServeError> {
        in_time(self.running).await.unwrap()
    }

    pub(crate) async fn caller(&self) -> Caller<TcpStream> {
        Caller::new(TcpStream::connect(self.ready.address).await.unwrap())
    }

    /// Asks on a connection of its own.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut caller = self.caller().await;
        caller.say(&request(method, path, body)).await;
        caller.answer().await.unwrap()
    }

    /// Asks until the answer is one to be content with.
    pub(crate) async fn ask_until(&self, path: &str, content: impl Fn(&Answer) -> bool) -> Answer {
        in_time(async {
            loop {
                let mut caller = self.caller().await;
                // A host with no connection left may hang up at any point.
                if caller.try_say(&request("GET", path, "")).await
                    && let Some(answer) = caller.answer().await
                    && content(&answer)
                {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }

    /// The value of a metric, by its name with its labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.ask("GET", "/metrics", "").await.body;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }
}

/// Waits for what comes, unless it hangs.
pub(crate) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANGS, what).await.expect("it hangs")
}

/// A request as it is written.
pub(crate) fn request(method: &str, path: &str, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{length}\r\n{body}")
}

/// A message to a target.
pub(crate) fn envelope(subject: &str, target: &str) -> String {
    format!(r#"{{"subject":"{subject}","message":{{"url":"{target}"}}}}"#)
}

/// An answer as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        headers.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Who calls, byte by byte.
pub(crate) struct Caller<S> {
    stream: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Caller<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        assert!(self.try_say(text).await, "the host hung up");
    }

    /// Whether it could be said.
    pub(crate) async fn try_say(&mut self, text: &str) -> bool {
        self.try_say_bytes(text.as_bytes()).await
    }

    /// Whether they could be said.
    pub(crate) async fn try_say_bytes(&mut self, bytes: &[u8]) -> bool {
        in_time(self.stream.write_all(bytes)).await.is_ok() && self.stream.flush().await.is_ok()
    }

    /// Says that nothing more will come.
    pub(crate) async fn hush(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The next answer; none when the host hung up.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        self.answer_to("GET").await
    }

    /// The same to a request of that method.
    pub(crate) async fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let head = loop {
            match self.read.windows(4).position(|end| end == b"\r\n\r\n") {
                Some(end) => break self.take(end + 4),
                None => self.more().await?,
            }
        };
        let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap();
        let mut answer = Answer { status, head: head.trim_end().to_owned(), body: String::new() };
        let length =
            if method == "HEAD" { 0 } else { answer.header("content-length").map_or(0, |n| n.parse().unwrap()) };
        while self.read.len() < length {
            self.more().await?;
        }
        answer.body = self.take(length);
        Some(answer)
    }

    fn take(&mut self, size: usize) -> String {
        String::from_utf8(self.read.drain(..size).collect()).unwrap()
    }

    async fn more(&mut self) -> Option<()> {
        let mut piece = [0; 4_096];
        // A connection that was reset is one that was hung up on.
        let size = in_time(self.stream.read(&mut piece)).await.unwrap_or(0);
        self.read.extend_from_slice(&piece[..size]);
        (size > 0).then_some(())
    }

    /// All that the host says until it hangs up.
    pub(crate) async fn hear_out(&mut self) -> &[u8] {
        while self.more().await.is_some() {}
        &self.read
    }

    /// Whether the host hangs up, having nothing more to say.
    pub(crate) async fn is_hung_up_on(&mut self) -> bool {
        self.more().await.is_none() && self.read.is_empty()
    }
}

/// A target that answers 200 as often as it is let.
pub(crate) struct Target {
    pub(crate) url: String,
    /// A permit is an answer.
    pub(crate) answers: Arc<Semaphore>,
    /// Grows with every request.
    pub(crate) requests: Arc<Semaphore>,
}

impl Target {
    pub(crate) async fn start(answers: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let target = Self { url, answers: Arc::new(Semaphore::new(answers)), requests: Arc::new(Semaphore::new(0)) };
        let (answers, requests) = (target.answers.clone(), target.requests.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, requests) = (answers.clone(), requests.clone());
                tokio::spawn(async move {
                    let mut heard = Caller::new(stream);
                    loop {
                        while !heard.read.windows(4).any(|end| end == b"\r\n\r\n") {
                            if heard.more().await.is_none() {
                                return;
                            }
                        }
                        heard.read.clear();
                        requests.add_permits(1);
                        answers.acquire().await.unwrap().forget();
                        if !heard.try_say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await {
                            return;
                        }
                    }
                });
            }
        });
        target
    }

    /// Waits until so many requests have come.
    pub(crate) async fn is_asked(&self, requests: u32) {
        in_time(self.requests.acquire_many(requests)).await.unwrap().forget();
    }
}
