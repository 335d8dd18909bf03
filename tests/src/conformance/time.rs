//! Times that a message asks for: never early, and nothing is lost while it waits.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chaski_core::envelope::Envelope;
use chaski_core::identity;
use chaski_core::ports::{Entry, Leased, Settlement};
use chaski_core::queue::QueueName;

use super::{Held, PATIENCE, POLL, accept, alone_until_idle};
use crate::home::{Home, Message};

/// A message with a delay is attempted when that is over and not before, once; what was posted after it to the same
/// subject does not wait for it.
///
/// # Errors
/// The rule does not hold.
pub async fn a_delayed_message_is_not_early_and_joins_its_line_then<H: Home>(home: &H) -> Held {
    const DELAY: Duration = Duration::from_secs(2);
    let began = Instant::now();
    let receipts = accept(home, &[Message::new("s", "/200", 1).asking("delay", "2s")]).await?;
    accept(home, &[Message::new("s", "/200", 2)]).await?;
    ensure!(receipts.iter().all(|receipt| receipt.queue == "wake"), "{receipts:?}");
    alone_until_idle(home).await?;
    let line = home.target().of("s");
    let seen: Vec<Option<u64>> = line.iter().map(crate::home::script::Attempt::n).collect();
    ensure!(seen == [Some(2), Some(1)], "{seen:?}");
    let waited = line.last().context("no attempt")?.at - began;
    ensure!(waited >= DELAY, "attempted after {waited:?}");
    Ok(())
}

/// A message that expires while it waits behind a strict one makes no request, and its record is kept.
///
/// # Errors
/// The rule does not hold.
pub async fn an_expired_message_makes_no_request<H: Home>(home: &H) -> Held {
    let head = Message::new("s", "/twice", 1).asking("ordering", "strict");
    let short = Message::new("s", "/200", 2).asking("expires_in", "500ms");
    accept(home, &[head, short, Message::new("s", "/200", 3)]).await?;
    alone_until_idle(home).await?;
    let seen: Vec<Option<u64>> = home.target().of("s").iter().map(crate::home::script::Attempt::n).collect();
    ensure!(seen == [1, 1, 1, 3].map(Some), "{seen:?}");
    let letters = home.dead_letters().await?;
    ensure!(letters.len() == 1 && letters.iter().all(|letter| letter.class == "expired"), "{letters:?}");
    Ok(())
}

/// Three messages wait ten times each within the window of deduplication, without an attempt between: each is delivered
/// once, as its first attempt.
///
/// # Errors
/// The rule does not hold.
pub async fn ten_waits_within_five_minutes_lose_nothing<H: Home>(home: &H) -> Held {
    let began = Instant::now();
    let messages: Vec<Message> =
        (0..3).map(|n| Message::new(format!("s{n}"), "/200", n).asking("delay", "200ms")).collect();
    accept(home, &messages).await?;
    for _ in 0..10 {
        let mut taken = Vec::new();
        for _ in &messages {
            taken.push(next(home).await?);
        }
        for leased in &taken {
            home.settle(leased, &Settlement::Move(again(leased)?)).await?;
        }
    }
    ensure!(began.elapsed() < home.capabilities().dedup_window, "too slow a machine to see the window");
    alone_until_idle(home).await?;
    let attempts = home.target().attempts();
    let mut seen: Vec<Option<u64>> = attempts.iter().map(crate::home::script::Attempt::n).collect();
    seen.sort_unstable();
    ensure!(seen == [0, 1, 2].map(Some), "{seen:?}");
    ensure!(attempts.iter().all(|attempt| attempt.number == 1), "a wait counted as an attempt: {attempts:?}");
    Ok(())
}

/// What waits, when its time has come.
async fn next<H: Home>(home: &H) -> anyhow::Result<Leased> {
    let began = Instant::now();
    loop {
        if let Some(leased) = home.take(&QueueName::Wake).await? {
            return Ok(leased);
        }
        ensure!(began.elapsed() < PATIENCE / 12, "an entry was swallowed: {:?}", home.depths().await?);
        tokio::time::sleep(POLL).await;
    }
}

/// The entry of the next wait of the same message.
fn again(leased: &Leased) -> anyhow::Result<Entry> {
    let mut envelope = Envelope::read(&leased.body)?;
    let meta = envelope.meta.as_mut().context("no meta")?;
    meta.hop += 1;
    let due = meta.not_before;
    let dedup = identity::dedup_id(&meta.id, meta.generation, meta.attempts + 1, meta.hop);
    Ok(Entry { queue: QueueName::Wake, body: envelope.to_wire(), group: dedup.clone(), dedup, due, listing: None })
}
