//! A target without a socket: it does what the path says, and remembers every attempt.
//!
//! `/200`, `/404`, … answer that status; `/late` never answers in time, `/late-once` answers 500 from the second
//! attempt on; `/once` fails the first attempt, `/twice` the first two and `/fail/4` (or `/four`) the first
//! four; `/until/6000` fails for six seconds from the first request to it; `/flaky` fails one of five, by the message's id and the attempt's number; `/panic` takes down whoever calls it;
//! `/busy/…` takes a while, in which others may come.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chaski_core::ports::{Answer, CallError, Clock, Outgoing, Target};

/// How often a busy target lets others have their turn before it answers.
const TURNS: u32 = 20;

/// The host of every target that a story does not name another for.
pub const HOST: &str = "target.example";

/// The URL of a path, or of a host with its path (`//other.example/200`). Nothing resolves the name: no request leaves
/// the process.
#[must_use]
pub fn url(path: &str) -> String {
    if path.starts_with("//") { format!("http:{path}") } else { format!("http://{HOST}{path}") }
}

/// One request, as the target got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When, by the clock of the home: see [`Script::elapsed`].
    pub at: Duration,
    /// The message's id.
    pub id: String,
    /// The message's subject.
    pub subject: String,
    /// The attempt's number.
    pub number: u32,
    /// The message's generation.
    pub generation: u32,
    /// Its place in its line, as it was told.
    pub sequence: Option<u128>,
    /// How long the call was allowed to take.
    pub deadline: Duration,
    /// The target's host.
    pub host: String,
    /// What the target was told to do.
    pub path: String,
    /// The body.
    pub body: Vec<u8>,
    /// What was answered; 0 where nothing was.
    pub status: u16,
}

impl Attempt {
    /// Whether the target took it.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The number in the message's body, which a story gave it.
    #[must_use]
    pub fn n(&self) -> Option<u64> {
        serde_json::from_slice::<serde_json::Value>(&self.body).ok()?.get("n")?.as_u64()
    }
}

/// The target and its journal. Clones share it.
#[derive(Clone)]
pub struct Script {
    journal: Arc<Mutex<Vec<Attempt>>>,
    /// Requests at once to each busy path: now, and at most.
    busy: Arc<Mutex<HashMap<String, (u32, u32)>>>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("journal", &self.journal).finish_non_exhaustive()
    }
}

impl Script {
    /// One that stamps attempts with this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { journal: Arc::default(), busy: Arc::default(), clock }
    }

    /// The reading of the clock that attempts are stamped with.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// All attempts so far, in the order in which they were made.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many attempts there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The attempts of one subject.
    #[must_use]
    pub fn of(&self, subject: &str) -> Vec<Attempt> {
        self.attempts().into_iter().filter(|attempt| attempt.subject == subject).collect()
    }

    /// When the first request to a path came.
    #[must_use]
    pub fn begun(&self, path: &str) -> Option<Duration> {
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.iter().find(|attempt| attempt.path == path).map(|attempt| attempt.at)
    }

    /// How many requests to a busy path there were at once, at most.
    #[must_use]
    pub fn most_at_once(&self, path: &str) -> u32 {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).get(path).map_or(0, |(_, most)| *most)
    }

    async fn be_busy(&self, path: &str) {
        let count = |by: fn(u32) -> u32| {
            let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            let (now, most) = busy.entry(path.to_owned()).or_default();
            *now = by(*now);
            *most = (*most).max(*now);
        };
        count(|now| now + 1);
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        count(|now| now.saturating_sub(1));
    }

    fn note(&self, attempt: Attempt) {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).push(attempt);
    }
}

impl Target for Script {
    async fn call(&self, request: Outgoing, deadline: Duration) -> Result<Answer, CallError> {
        let header = |name: &str| {
            let found = request.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let number = header("chaski-attempt").parse().unwrap_or(0);
        let path = request.url.path().to_owned();
        let status = match path.as_str() {
            "/late-once" if number > 1 => 500,
            "/late" | "/late-once" | "/panic" => 0,
            "/once" => failing(number, 1),
            "/twice" => failing(number, 2),
            "/four" => failing(number, 4),
            path if path.starts_with("/fail/") => {
                failing(number, path.trim_start_matches("/fail/").parse().unwrap_or(u32::MAX))
            }
            path if path.starts_with("/until/") => {
                let span = path.trim_start_matches("/until/").parse().map_or(Duration::MAX, Duration::from_millis);
                if self.begun(path).is_some_and(|first| first + span <= self.clock.elapsed()) { 200 } else { 503 }
            }
            path if path.starts_with("/busy/") => 200,
            "/flaky" => flaky(&header("chaski-id"), number),
            path => path.trim_start_matches('/').parse().unwrap_or(404),
        };
        let [id, subject, generation, sequence] =
            ["chaski-id", "chaski-subject", "chaski-generation", "chaski-sequence"].map(header);
        let body = request.body.read().await.map_err(|error| CallError::Connection(error.to_string()))?;
        self.note(Attempt {
            at: self.clock.elapsed(),
            id,
            subject,
            number,
            generation: generation.parse().unwrap_or(0),
            sequence: sequence.parse().ok(),
            deadline,
            host: request.url.host_str().unwrap_or_default().to_owned(),
            path: path.clone(),
            body,
            status,
        });
        if path.starts_with("/busy/") {
            self.be_busy(&path).await;
        }
        match path.as_str() {
            "/panic" => panic!("the script says so"),
            _ if status == 0 => Err(CallError::Timeout("the target did not answer in time".to_owned())),
            _ => Ok(Answer { status, ..Answer::default() }),
        }
    }
}

/// 500 for one attempt of five, the same whenever it is asked.
fn flaky(id: &str, number: u32) -> u16 {
    let digest = chaski_core::identity::bytes(&["flaky", id, &number.to_string()]);
    if digest.first().is_some_and(|byte| byte % 5 == 0) { 500 } else { 200 }
}

/// 500 up to that attempt, 200 after it.
fn failing(number: u32, last: u32) -> u16 {
    if number <= last { 500 } else { 200 }
}
