//! A small Lambda Runtime API: one process asks for events, and is told them one at a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use bytes::Bytes;
use hyper::{Method, Request};
use tokio::sync::{Mutex, mpsc};

use super::serve::{Answer, Service, answer, serve};

/// What Lambda gives a function for an event.
const TIMEOUT: Duration = Duration::from_secs(42);
/// What a measurement waits for at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was heard of the process.
enum Heard {
    /// It asks for an event.
    Next(Instant),
    /// It answered one, well or not.
    Answered { at: Instant, well: bool, body: Bytes },
}

struct Api {
    events: Mutex<mpsc::UnboundedReceiver<(Bytes, mpsc::UnboundedSender<Instant>)>>,
    heard: mpsc::UnboundedSender<Heard>,
    count: AtomicU64,
}

/// The harness' side of it.
pub(crate) struct RuntimeApi {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    events: mpsc::UnboundedSender<(Bytes, mpsc::UnboundedSender<Instant>)>,
    heard: mpsc::UnboundedReceiver<Heard>,
}

/// An event's way through the process.
pub(crate) struct Invocation {
    /// From the event's last byte given to the answer's last byte received.
    pub(crate) took: Duration,
    /// When the answer was here.
    pub(crate) answered: Instant,
    /// The answer.
    pub(crate) body: Bytes,
}

impl RuntimeApi {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let ((events, inbox), (sender, heard)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let api = Api { events: Mutex::new(inbox), heard: sender, count: AtomicU64::new(0) };
        Ok(Self { address: serve(Arc::new(api), None).await?, events, heard })
    }

    /// Waits until the process asks for an event.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Instant> {
        match self.hear().await? {
            Heard::Next(at) => Ok(at),
            Heard::Answered { body, .. } => bail!("the function failed: {}", String::from_utf8_lossy(&body)),
        }
    }

    /// Gives an event to the process, which has asked for one, and waits for its answer and its next question.
    pub(crate) async fn invoke(&mut self, event: &Bytes) -> anyhow::Result<Invocation> {
        let (given, mut when) = mpsc::unbounded_channel();
        self.events.send((event.clone(), given)).map_err(|_| anyhow::anyhow!("the Runtime API is gone"))?;
        let Heard::Answered { at, well, body } = self.hear().await? else {
            bail!("the function asked again without an answer")
        };
        if !well {
            bail!("the function failed: {}", String::from_utf8_lossy(&body));
        }
        let given = when.recv().await.context("the event was not given")?;
        self.next().await?;
        Ok(Invocation { took: at.saturating_duration_since(given), answered: at, body })
    }

    async fn hear(&mut self) -> anyhow::Result<Heard> {
        let heard = tokio::time::timeout(PATIENCE, self.heard.recv()).await;
        heard.context("the function is silent")?.context("the Runtime API is gone")
    }
}

impl Service for Api {
    async fn answer(&self, request: Request<Bytes>) -> Answer {
        let at = Instant::now();
        let path = request.uri().path();
        if request.method() == Method::GET && path.ends_with("/runtime/invocation/next") {
            let _ = self.heard.send(Heard::Next(at));
            return self.next_event().await;
        }
        let well = path.ends_with("/response");
        let _ = self.heard.send(Heard::Answered { at, well, body: request.into_body() });
        answer(202, "")
    }
}

impl Api {
    async fn next_event(&self) -> Answer {
        let Some((event, given)) = self.events.lock().await.recv().await else {
            return answer(500, "");
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let id = format!("00000000-0000-4000-8000-{:012}", self.count.fetch_add(1, Ordering::Relaxed));
        let mut answer = answer(200, event);
        let headers = [
            ("lambda-runtime-aws-request-id", id),
            ("lambda-runtime-deadline-ms", (now + TIMEOUT).as_millis().to_string()),
            ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:bench".to_owned()),
            ("lambda-runtime-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0".to_owned()),
            ("content-type", "application/json".to_owned()),
        ];
        for (name, value) in headers {
            if let Ok(value) = value.parse() {
                answer.headers_mut().insert(name, value);
            }
        }
        let _ = given.send(Instant::now());
        answer
    }
}
