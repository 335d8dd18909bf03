//! A target without a socket: it does what the path says, and remembers every attempt.
//!
//! `/200`, `/404`, … answer that status; `/late` never answers in time, `/late-once`
//! answers 500 from the second attempt on; `/once` fails the first attempt and
//! `/twice` the first two, `/four` the first four; `/flaky` fails one of five, by the message's id and the attempt's
//! number; `/panic` takes down whoever calls it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chaski_core::ports::{Answer, CallError, Outgoing, Target};

/// The URL of a path. Nothing resolves the name: no request leaves the process.
#[must_use]
pub fn url(path: &str) -> String {
    format!("http://target.example{path}")
}

/// One request, as the target got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When.
    pub at: Instant,
    /// The message's id.
    pub id: String,
    /// The message's subject.
    pub subject: String,
    /// The attempt's number.
    pub number: u32,
    /// The message's generation.
    pub generation: u32,
    /// Its number in its line, as it was told.
    pub sequence: String,
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
#[derive(Debug, Clone, Default)]
pub struct Script(Arc<Mutex<Vec<Attempt>>>);

impl Script {
    /// All attempts so far, in the order in which they were made.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The attempts of one subject.
    #[must_use]
    pub fn of(&self, subject: &str) -> Vec<Attempt> {
        self.attempts().into_iter().filter(|attempt| attempt.subject == subject).collect()
    }

    fn note(&self, attempt: Attempt) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(attempt);
    }
}

impl Target for Script {
    async fn call(&self, request: Outgoing, _: Duration) -> Result<Answer, CallError> {
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
            "/flaky" => flaky(&header("chaski-id"), number),
            path => path.trim_start_matches('/').parse().unwrap_or(404),
        };
        let [id, subject, generation, sequence] =
            ["chaski-id", "chaski-subject", "chaski-generation", "chaski-sequence"].map(header);
        let body = request.body.read().await.map_err(|error| CallError::Connection(error.to_string()))?;
        self.note(Attempt {
            at: Instant::now(),
            id,
            subject,
            number,
            generation: generation.parse().unwrap_or(0),
            sequence,
            path: path.clone(),
            body,
            status,
        });
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
