//! The rules that every home is held to. Each is a story that drives a [`Home`] and says what must be seen; none knows
//! which home it is. What a home may do otherwise it states in its `Capabilities`.
//!
//! Waits are for conditions. A rule that needs a chance prints the seed that repeats it.

pub mod body;
pub mod burial;
pub mod callback;
pub mod cancel;
pub mod dedup;
pub mod delivery;
pub mod flow;
pub mod foreign;
pub mod identity;
pub mod line;
pub mod order;
pub mod pause;
pub mod retry;
pub mod time;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use chaski_core::app::Receipt;
use chaski_core::filter::Whose;
use chaski_core::identity::{dedup_id, digest};
use chaski_core::ledger::MessageState;
use chaski_core::pause::PauseScope;
use chaski_core::ports::{Cancelled, Chance, Entry, Ledger, Pauses};
use chaski_core::queue::QueueName;
use chaski_system::SystemChance;

use crate::home::script::{self, Attempt};
use crate::home::{Home, Message, group};

/// What a rule comes to: held, or what was seen instead.
pub type Held = anyhow::Result<()>;

/// How long a condition is waited for at most; the machines are noisy.
const PATIENCE: Duration = Duration::from_secs(240);
/// Between two looks at a home in which no time passes.
const MOMENT: Duration = Duration::from_millis(2);
/// So many steps that find nothing show that nothing is there.
const QUIET: u32 = 5;

/// Turns the clockwork until no queue holds anything. What waits after a failed settlement, or a panic, is woken: nothing
/// depends on how long that is.
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
            home.rest().await?;
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
        home.rest().await?;
    }
}

/// Turns the clockwork until that many attempts were made, waking nothing.
async fn until_attempts<H: Home>(home: &H, count: usize) -> Held {
    let began = Instant::now();
    while home.target().attempts().len() < count {
        ensure!(began.elapsed() < PATIENCE, "{} of {count} attempts", home.target().attempts().len());
        if home.step().await? == 0 {
            home.rest().await?;
        }
    }
    Ok(())
}

/// Turns the clockwork until that is so of the attempts, while no more time passes than the home's own.
async fn until<H: Home>(home: &H, what: &str, is_so: impl Fn(&[Attempt]) -> bool) -> Held {
    let began = Instant::now();
    while !is_so(&home.target().attempts()) {
        ensure!(began.elapsed() < PATIENCE, "{what} did not come: {:?}", home.target().attempts());
        if home.step().await? == 0 {
            tokio::time::sleep(MOMENT).await;
        }
    }
    Ok(())
}

/// Turns the clockwork until whatever may be attempted now has been: a message of another line has come and gone,
/// and nothing comes behind it.
async fn until_still<H: Home>(home: &H) -> Held {
    let marker = Message::new(format!("marker-{}", home.target().attempts().len()), "/200", 0);
    let id = accept(home, std::slice::from_ref(&marker)).await?.into_iter().map(|receipt| receipt.id).next();
    until(home, "a marker", |attempts| attempts.iter().any(|attempt| Some(&attempt.id) == id.as_ref())).await?;
    let mut quiet = 0;
    while quiet < QUIET {
        quiet = if home.step().await? == 0 { quiet + 1 } else { 0 };
        tokio::time::sleep(MOMENT).await;
    }
    Ok(())
}

/// Holds a scope back; the pause's id. No attempt begins in the scope any more.
async fn pause<H: Home>(home: &H, scope: &PauseScope) -> anyhow::Result<String> {
    let (pause, new) = home.desk().pause(scope).await?;
    ensure!(new, "{scope:?} was paused before");
    Ok(pause.id)
}

/// Cancels messages that are not at work; when this returns no attempt of them begins any more.
async fn cancel<'a, H: Home>(home: &H, receipts: impl IntoIterator<Item = &'a Receipt>) -> Held {
    for Receipt { id, .. } in receipts {
        let fate = home.desk().cancel(id, &Whose::default()).await?;
        ensure!(matches!(fate, Cancelled::Now | Cancelled::Cancelling), "{id} is {fate:?}");
        let state = state(home, id).await?;
        ensure!(state.is_none_or(|state| state == MessageState::Cancelled), "{id} is {state:?} after {fate:?}");
    }
    home.advance(home.capabilities().orders_lag).await
}

/// A seed, given or new, that repeats what a rule does by chance.
#[expect(clippy::print_stdout, reason = "shown when the rule does not hold")]
fn seed() -> u64 {
    let given = std::env::var("CHASKI_SEED").ok().and_then(|seed| seed.parse().ok());
    let new = || SystemChance.ten_bytes().iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte));
    let seed = given.unwrap_or_else(new);
    println!("CHASKI_SEED={seed} repeats this run");
    seed
}

/// A message's state, where the home has a ledger.
async fn state<H: Home>(home: &H, id: &str) -> anyhow::Result<Option<MessageState>> {
    if !home.capabilities().has_ledger {
        return Ok(None);
    }
    let record = home.desk().message(id, &Whose::default(), Duration::ZERO).await?;
    Ok(Some(record.with_context(|| format!("{id} is not known"))?.state))
}

/// The numbers that a story gave the messages of a subject, attempt by attempt.
fn numbers<H: Home>(home: &H, subject: &str) -> Vec<u64> {
    home.target().of(subject).iter().filter_map(Attempt::n).collect()
}

/// The number of each attempt of one message, in the order in which they were made.
fn attempts_of<H: Home>(home: &H, id: &str) -> Vec<u32> {
    home.target().attempts().iter().filter(|attempt| attempt.id == id).map(|attempt| attempt.number).collect()
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
            dedup: dedup_id(id, *generation, attempts + 1, *hop),
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
    let dedup = digest(&[text.as_bytes()]);
    Ok(Entry {
        queue: queue(queue_name)?,
        body: text.to_owned(),
        group: group(subject),
        dedup,
        due: None,
        listing: None,
    })
}
