//! The rules that every home is held to. Each is a story that drives a [`Home`] and says what must be seen; none knows
//! which home it is. What a home may do otherwise it states in its `Capabilities`.
//!
//! Waits are for conditions. A rule that needs a chance takes a seed, and names it when it does not hold.

pub mod burial;
pub mod dedup;
pub mod delivery;
pub mod foreign;
pub mod line;
pub mod orders;
pub mod retry;
pub mod storm;
pub mod strict;
pub mod time;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use chaski_core::app::Receipt;
use chaski_core::identity;
use chaski_core::ports::Entry;
use chaski_core::queue::QueueName;

use crate::home::script::{self, Attempt};
use crate::home::{Home, Message, group};

/// What a rule comes to: held, or what was seen instead.
pub type Held = anyhow::Result<()>;

/// How long a condition is waited for at most; the machines are noisy.
const PATIENCE: Duration = Duration::from_secs(240);
/// Between two looks at a home in which nothing is due.
const POLL: Duration = Duration::from_millis(20);

/// Turns the clockwork until no queue holds anything.
async fn until_idle<H: Home>(home: &H) -> Held {
    let began = Instant::now();
    loop {
        if home.step().await? > 0 {
            continue;
        }
        let depths = home.depths().await?;
        if depths.values().all(|depth| *depth == 0) {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "not idle after {PATIENCE:?}: {depths:?}");
        if home.wake().await? == 0 {
            tokio::time::sleep(POLL).await;
        }
    }
}

/// The same, but nothing is woken: whatever waits is seen again by itself.
async fn alone_until_idle<H: Home>(home: &H) -> Held {
    let began = Instant::now();
    loop {
        if home.step().await? > 0 {
            continue;
        }
        let depths = home.depths().await?;
        if depths.values().all(|depth| *depth == 0) {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "not idle after {PATIENCE:?}: {depths:?}");
        tokio::time::sleep(POLL).await;
    }
}

/// Turns the clockwork until that many attempts were made, waking nothing.
async fn until_attempts<H: Home>(home: &H, count: usize) -> Held {
    let began = Instant::now();
    while home.target().attempts().len() < count {
        ensure!(began.elapsed() < PATIENCE, "{} of {count} attempts", home.target().attempts().len());
        if home.step().await? == 0 {
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}

/// Takes messages in, all of which the queues take.
async fn accept<H: Home>(home: &H, messages: &[Message]) -> anyhow::Result<Vec<Receipt>> {
    let mut receipts = Vec::new();
    for (message, answer) in messages.iter().zip(home.accept(messages).await) {
        match answer {
            Ok(receipt) => receipts.push(receipt),
            Err(problem) => bail!("{message:?} was answered {}: {}", problem.status, problem.detail),
        }
    }
    ensure!(receipts.len() == messages.len(), "{} answers to {} messages", receipts.len(), messages.len());
    Ok(receipts)
}

/// How many attempts each message had, by id.
fn counts(attempts: &[Attempt]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for attempt in attempts {
        *counts.entry(attempt.id.as_str()).or_default() += 1;
    }
    counts
}

/// An entry of a message that another hand wrote: its place in `meta`, and a move of its own.
struct Written<'a> {
    queue: &'a str,
    subject: &'a str,
    path: &'a str,
    id: &'a str,
    generation: u32,
    /// Attempts that were made before.
    attempts: u32,
    hop: u32,
}

impl Written<'_> {
    fn entry(&self) -> anyhow::Result<Entry> {
        let Self { subject, id, generation, attempts, hop, .. } = self;
        let body = serde_json::json!({
            "subject": subject,
            "message": {"url": script::url(self.path), "method": "POST", "body": {"n": 0}},
            "meta": {
                "v": 2, "id": id, "tenant": "", "received_at": "2026-12-01T09:00:00.000Z",
                "generation": generation, "attempts": attempts, "hop": hop,
            },
        });
        Ok(Entry {
            queue: queue(self.queue)?,
            body: body.to_string(),
            group: group(subject),
            dedup: identity::dedup_id(id, *generation, attempts + 1, *hop),
            due: None,
            listing: None,
        })
    }
}

fn queue(name: &str) -> anyhow::Result<QueueName> {
    QueueName::parse(name).with_context(|| format!("{name} is no queue"))
}

/// An entry that is no envelope of this version: `text` as it stands.
fn raw(queue_name: &str, subject: &str, text: &str) -> anyhow::Result<Entry> {
    let dedup = identity::digest(&[text.as_bytes()]);
    Ok(Entry {
        queue: queue(queue_name)?,
        body: text.to_owned(),
        group: group(subject),
        dedup,
        due: None,
        listing: None,
    })
}
