//! Cancelling: no request from then on, and nobody waits for what is cancelled.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, ensure};
use chaski_core::filter::{MessageFilter, Whose};
use chaski_core::pause::PauseScope;
use chaski_core::ports::{Cancelled, Ledger, Pauses};
use serde_json::json;

use super::{Held, accept, alone_until_idle, attempts_of, cancel, numbers, pause, until, until_still};
use crate::home::{Home, Message};

/// Messages are cancelled before they are delivered: in the middle of a line, at its head, and one that waits for its
/// time. None is ever requested, those behind them are, and nobody is buried.
///
/// # Errors
/// The rule does not hold.
pub async fn what_is_cancelled_is_never_sent<H: Home>(home: &H) -> Held {
    let mut gone = Vec::new();
    for (subject, strict) in [("relaxed", false), ("strict", true)] {
        let line: Vec<Message> = (0..6).map(|n| Message::new(subject, "/200", n)).collect();
        let line: Vec<Message> = if strict { line.into_iter().map(Message::strict).collect() } else { line };
        let receipts = accept(home, &line).await?;
        gone.extend([0, 3].iter().filter_map(|at: &usize| receipts.get(*at).cloned()));
    }
    gone.extend(accept(home, &[Message::new("later", "/200", 0).asking(json!({"delay": "4s"}))]).await?);
    cancel(home, &gone).await?;
    until_still(home).await?;
    home.advance(Duration::from_secs(4)).await?;
    alone_until_idle(home).await?;
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
    cancel(home, receipts.iter().step_by(2)).await?;
    alone_until_idle(home).await?;
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

/// Messages wait in a pause; those of a subject are cancelled by a filter, another by its id. When the pause ends
/// exactly the others are attempted, and one of the subject that was accepted after its cancellation.
///
/// # Errors
/// The rule does not hold.
pub async fn what_is_cancelled_is_not_attempted_and_what_comes_later_is<H: Home>(home: &H) -> Held {
    let id = pause(home, &PauseScope::All).await?;
    let subject = |n: u64| if n < 6 { "all" } else { "one" };
    let messages: Vec<Message> = (0..10).map(|n| Message::new(subject(n), "/200", n)).collect();
    let receipts = accept(home, &messages).await?;
    let filter = MessageFilter { subject: Some("all".to_owned()), ..MessageFilter::default() };
    let counted = home.desk().cancel_all(&filter, false).await?;
    ensure!(counted.matched.is_none_or(|matched| matched == 6), "{counted:?}");
    let one = receipts.get(7).context("no eighth receipt")?;
    let told = home.desk().cancel(&one.id, &Whose::default()).await?;
    ensure!(matches!(told, Cancelled::Now | Cancelled::Cancelling), "{told:?}");
    accept(home, &[Message::new("all", "/200", 10)]).await?;
    ensure!(home.desk().resume(&id).await?);
    alone_until_idle(home).await?;
    let attempted: BTreeSet<u64> = home.target().attempts().iter().filter_map(|attempt| attempt.n()).collect();
    ensure!(attempted == [6, 8, 9, 10].into(), "attempted: {attempted:?}");
    ensure!(home.target().attempts().len() == 4 && home.dead_letters().await?.is_empty());
    Ok(())
}
