//! Cancelling: no request from then on, and nobody waits for what is cancelled.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;

use super::{Held, accept, attempts_of, cancel, numbers, until, until_idle, until_still};
use crate::home::{Home, Message};

/// Messages are cancelled before they are delivered: in the middle of a line, at its head, and one that waits for its
/// time. None is ever requested, those behind them are, and nobody is buried.
///
/// # Errors
/// The rule does not hold.
pub async fn what_is_cancelled_is_never_sent<H: Home>(home: &H) -> Held {
    for (subject, strict) in [("relaxed", false), ("strict", true)] {
        let line: Vec<Message> = (0..6).map(|n| Message::new(subject, "/200", n)).collect();
        let line: Vec<Message> = if strict { line.into_iter().map(Message::strict).collect() } else { line };
        let receipts = accept(home, &line).await?;
        for at in [0, 3] {
            cancel(home, &receipts.get(at).context("no receipt")?.id).await?;
        }
    }
    let later = accept(home, &[Message::new("later", "/200", 0).asking(json!({"delay": "5s"}))]).await?;
    for receipt in &later {
        cancel(home, &receipt.id).await?;
    }
    until_still(home).await?;
    home.advance(Duration::from_secs(5)).await?;
    until_idle(home).await?;
    for subject in ["relaxed", "strict"] {
        let seen = numbers(home, subject);
        ensure!(seen == [1, 2, 4, 5], "{subject}: {seen:?}");
    }
    ensure!(numbers(home, "later").is_empty(), "a delayed one was sent: {:?}", home.target().of("later"));
    ensure!(home.dead_letters().await?.is_empty(), "{:?}", home.dead_letters().await?);
    Ok(())
}

/// The head of a strict line waits for its retry and is cancelled: no further attempt, and the next goes, not later
/// than the retry would have; the same for a relaxed one in its tier, which nobody waits for.
///
/// # Errors
/// The rule does not hold.
pub async fn what_waits_for_its_retry_can_be_cancelled<H: Home>(home: &H) -> Held {
    let messages = [
        Message::new("s", "/500", 0).strict(),
        Message::new("s", "/200", 1).strict(),
        Message::new("t", "/500", 0),
        Message::new("t", "/200", 1),
    ];
    let receipts = accept(home, &messages).await?;
    let failed = |subject: &'static str| {
        move |attempts: &[crate::home::script::Attempt]| attempts.iter().any(|attempt| attempt.subject == subject)
    };
    until(home, "a head of s", failed("s")).await?;
    until(home, "a head of t", failed("t")).await?;
    let before: Vec<Vec<u32>> = receipts.iter().map(|receipt| attempts_of(home, &receipt.id)).collect();
    for at in [0, 2] {
        cancel(home, &receipts.get(at).context("no receipt")?.id).await?;
    }
    until_idle(home).await?;
    for at in [0, 2] {
        let receipt = receipts.get(at).context("no receipt")?;
        let made = attempts_of(home, &receipt.id);
        ensure!(Some(&made) == before.get(at), "attempted after it was cancelled: {made:?}");
    }
    for subject in ["s", "t"] {
        ensure!(numbers(home, subject).ends_with(&[1]), "{subject}: {:?}", numbers(home, subject));
    }
    ensure!(home.dead_letters().await?.is_empty(), "{:?}", home.dead_letters().await?);
    Ok(())
}
