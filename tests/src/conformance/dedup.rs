//! Two entries of one move are one; the next move is never swallowed.

use std::time::Instant;

use anyhow::{Context, ensure};
use chaski_core::envelope::Envelope;
use chaski_core::identity;
use chaski_core::ports::{Entry, Leased, Settlement};
use chaski_core::queue::QueueName;

use super::{Held, PATIENCE, Written, accept, alone_until_idle, counts, queue, until_idle};
use crate::home::script::Attempt;
use crate::home::{Home, Message};

/// A producer posts the same message with the same key three times within the window, and another one with that key
/// and another body: two deliveries, under two ids.
///
/// # Errors
/// The rule does not hold.
pub async fn one_key_and_body_is_one_delivery<H: Home>(home: &H) -> Held {
    let began = Instant::now();
    let keyed = |n| Message { key: Some("order-7".to_owned()), ..Message::new("s", "/200", n) };
    let mut ids = Vec::new();
    for message in [keyed(0), keyed(0), keyed(1), keyed(0)] {
        ids.extend(accept(home, &[message]).await?.into_iter().map(|receipt| receipt.id));
        // A delivery in between must not make the next post a new message.
        until_idle(home).await?;
    }
    ensure!(began.elapsed() < home.capabilities().dedup_window, "too slow a machine to see the window");
    ensure!(ids.iter().filter(|id| ids.first() == Some(id)).count() == 3, "{ids:?}");
    let attempts = home.target().attempts();
    let counts = counts(&attempts);
    ensure!(counts.len() == 2 && counts.values().all(|count| *count == 1), "{counts:?}");
    Ok(())
}

/// Three messages wait ten times each in the same tier, within the window and without an attempt: each wait is a
/// move with the next `hop`, none is swallowed, and in the end each is delivered once (H-52).
///
/// # Errors
/// The rule does not hold.
pub async fn a_move_that_is_no_attempt_is_not_swallowed<H: Home>(home: &H) -> Held {
    const MOVES: u32 = 10;
    let began = Instant::now();
    let ids = ["a", "b", "c"];
    let written =
        |id, hop| Written { queue: "retry-fast", subject: id, path: "/200", id, generation: 1, attempts: 1, hop };
    for id in ids {
        home.put(&written(id, 0).entry()?).await?;
    }
    for hop in 1..=MOVES {
        for _ in ids {
            let leased = next(home, &queue("retry-fast")?).await.with_context(|| format!("before move {hop}"))?;
            let id = *ids.iter().find(|id| leased.group == crate::home::group(id)).context("a foreign entry")?;
            home.settle(&leased, &Settlement::Move(written(id, hop).entry()?)).await?;
        }
    }
    ensure!(began.elapsed() < home.capabilities().dedup_window, "too slow a machine to see the window");
    until_idle(home).await?;
    let attempts = home.target().attempts();
    let counts = counts(&attempts);
    ensure!(counts.len() == ids.len() && counts.values().all(|count| *count == 1), "{counts:?}");
    ensure!(attempts.iter().all(|attempt| attempt.number == 2), "a wait counted as an attempt: {attempts:?}");
    Ok(())
}

/// The next entry of a queue, when it is due.
async fn next<H: Home>(home: &H, queue: &QueueName) -> anyhow::Result<Leased> {
    let began = Instant::now();
    loop {
        if let Some(leased) = home.take(queue).await? {
            return Ok(leased);
        }
        ensure!(began.elapsed() < PATIENCE / 12, "an entry was swallowed: {:?}", home.depths().await?);
        home.rest().await?;
    }
}

/// Three messages wait ten times each within the window of deduplication, without an attempt between: each is delivered
/// once, as its first attempt.
///
/// # Errors
/// The rule does not hold.
pub async fn ten_waits_within_five_minutes_lose_nothing<H: Home>(home: &H) -> Held {
    let began = Instant::now();
    let messages: Vec<Message> =
        (0..3).map(|n| Message::new(format!("s{n}"), "/200", n).with("delay", "200ms")).collect();
    accept(home, &messages).await?;
    for _ in 0..10 {
        let mut taken = Vec::new();
        for _ in &messages {
            taken.push(next(home, &QueueName::Wake).await?);
        }
        for leased in &taken {
            home.settle(leased, &Settlement::Move(again(leased)?)).await?;
        }
    }
    ensure!(began.elapsed() < home.capabilities().dedup_window, "too slow a machine to see the window");
    alone_until_idle(home).await?;
    let attempts = home.target().attempts();
    let mut seen: Vec<Option<u64>> = attempts.iter().map(Attempt::n).collect();
    seen.sort_unstable();
    ensure!(seen == [0, 1, 2].map(Some), "{seen:?}");
    ensure!(attempts.iter().all(|attempt| attempt.number == 1), "a wait counted as an attempt: {attempts:?}");
    Ok(())
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

/// A message dies, and is replayed at once in the next generation: delivered, and not taken for the one that died
/// (H-10).
///
/// # Errors
/// The rule does not hold.
pub async fn a_replay_within_the_window_is_another_message<H: Home>(home: &H) -> Held {
    let of = |generation, path| Written {
        queue: "messages-0",
        subject: "s",
        path,
        id: "m",
        generation,
        attempts: 0,
        hop: 0,
    };
    home.put(&of(1, "/410").entry()?).await?;
    until_idle(home).await?;
    home.put(&of(2, "/410").entry()?).await?;
    until_idle(home).await?;
    home.put(&of(3, "/200").entry()?).await?;
    until_idle(home).await?;
    let generations: Vec<u32> = home.target().attempts().iter().map(|attempt| attempt.generation).collect();
    ensure!(generations == [1, 2, 3], "{generations:?}");
    let mut buried: Vec<u32> = home.dead_letters().await?.iter().map(|letter| letter.generation).collect();
    buried.sort_unstable();
    ensure!(buried == [1, 2], "each generation has its record: {buried:?}");
    Ok(())
}
