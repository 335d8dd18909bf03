//! Callbacks: who asked is told of the end, by an ordinary message with a life of its own.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, ensure};
use chaski_core::app::Receipt;
use chaski_core::identity::callback_id;
use serde_json::{Value, json};

use super::{Held, accept, alone_until_idle, attempts_of, cancel, until, until_idle};
use crate::home::script::{self, Attempt};
use crate::home::{Home, Message};

/// Asks to be told of every end at these paths.
fn told(message: Message, callback: &str, failure: &str) -> Message {
    message.asking(json!({
        "callback": {"url": script::url(callback)},
        "failure_callback": {"url": script::url(failure)},
    }))
}

/// The requests that told of a message's end.
fn calls<H: Home>(home: &H, id: &str) -> Vec<Attempt> {
    let own = callback_id(id, 1);
    home.target().attempts().into_iter().filter(|attempt| attempt.id == own).collect()
}

/// A message is delivered at its second attempt, one dies, one expires: each end is told once, to the right one of the
/// two, with the id, the state, the attempts, and what the target or the error said.
///
/// # Errors
/// The rule does not hold.
pub async fn each_end_is_told<H: Home>(home: &H) -> Held {
    let asks = |message| told(message, "//told.example/200", "//failed.example/200");
    let messages = [
        asks(Message::new("delivered", "/once", 0)),
        asks(Message::new("dead", "/410", 0)),
        asks(Message::new("expired", "/500", 0).asking(json!({"expires_in": "2500ms"}))),
    ];
    let receipts = accept(home, &messages).await?;
    alone_until_idle(home).await?;
    for receipt in &receipts {
        let body = outcome(home, receipt)?;
        match receipt.subject.as_str() {
            "delivered" => ensure!(*at(&body, "/attempts/1/n") == 2 && *at(&body, "/response/status") == 200, "{body}"),
            "dead" => ensure!(*at(&body, "/error/class") == "gone" && *at(&body, "/response/status") == 410, "{body}"),
            _ => ensure!(*at(&body, "/error/class") == "expired", "{body}"),
        }
    }
    Ok(())
}

/// A message that waits for its time is cancelled, and one that failed and waits for its retry: each cancellation is
/// told once, as no other end is.
///
/// # Errors
/// The rule does not hold.
pub async fn a_cancellation_is_told<H: Home>(home: &H) -> Held {
    let cancelled = |message: Message| {
        let subject = message.subject.clone();
        told(
            Message { subject: format!("{subject}-cancelled"), ..message },
            "//told.example/200",
            "//failed.example/200",
        )
    };
    let messages = [
        cancelled(Message::new("later", "/200", 0).asking(json!({"delay": "4s"}))),
        cancelled(Message::new("again", "/500", 0).strict()),
    ];
    let receipts = accept(home, &messages).await?;
    until(home, "an attempt", |attempts| !attempts.is_empty()).await?;
    cancel(home, &receipts).await?;
    alone_until_idle(home).await?;
    home.advance(Duration::from_secs(4)).await?;
    alone_until_idle(home).await?;
    for (receipt, attempts) in receipts.iter().zip([0, 1]) {
        let body = outcome(home, receipt)?;
        ensure!(at(&body, "/attempts").as_array().is_some_and(|told| told.len() == attempts), "{body}");
    }
    Ok(())
}

/// A place in what was told; null where there is nothing.
fn at<'a>(body: &'a Value, pointer: &str) -> &'a Value {
    body.pointer(pointer).unwrap_or(&Value::Null)
}

/// The one request that told of a message's end, which is the last word of its subject, held against what is known of
/// it; its body.
fn outcome<H: Home>(home: &H, receipt: &Receipt) -> anyhow::Result<Value> {
    let state = receipt.subject.rsplit('-').next().unwrap_or_default();
    let calls = calls(home, &receipt.id);
    let [call] = calls.as_slice() else { anyhow::bail!("{state} was told {} times: {calls:?}", calls.len()) };
    let host = if state == "delivered" { "told.example" } else { "failed.example" };
    ensure!(call.host == host && call.subject == receipt.subject && call.number == 1, "{call:?}");
    let body: Value = serde_json::from_slice(&call.body)?;
    ensure!(
        *at(&body, "/id") == receipt.id && *at(&body, "/subject") == receipt.subject && *at(&body, "/state") == state,
        "{body}"
    );
    let made = attempts_of(home, &receipt.id);
    let attempts = at(&body, "/attempts").as_array().context("no attempts")?;
    let told = attempts.iter().filter_map(|attempt| at(attempt, "/n").as_u64());
    ensure!(told.eq(made.iter().map(|n| u64::from(*n))), "{made:?} were told as {body}");
    Ok(body)
}

/// A callback fails at first and is retried until it gets through; another fails to its end and is one dead letter,
/// of which nobody is told; the messages themselves are delivered once.
///
/// # Errors
/// The rule does not hold.
pub async fn a_callback_that_fails_is_retried_and_dies_once<H: Home>(home: &H) -> Held {
    let messages =
        [told(Message::new("s", "/200", 0), "/twice", "/200"), told(Message::new("t", "/200", 0), "/500", "/200")];
    let receipts = accept(home, &messages).await?;
    alone_until_idle(home).await?;
    let mut known: HashSet<String> = HashSet::new();
    for (receipt, wanted) in receipts.iter().zip([3, 6]) {
        ensure!(attempts_of(home, &receipt.id) == [1], "{receipt:?}");
        let made: Vec<u32> = calls(home, &receipt.id).iter().map(|call| call.number).collect();
        ensure!(made.iter().copied().eq(1..=wanted), "{}: {made:?}", receipt.subject);
        known.extend([receipt.id.clone(), callback_id(&receipt.id, 1)]);
    }
    let strangers: Vec<Attempt> =
        home.target().attempts().into_iter().filter(|attempt| !known.contains(&attempt.id)).collect();
    ensure!(strangers.is_empty(), "a callback called back: {strangers:?}");
    let letters = home.dead_letters().await?;
    let [letter] = letters.as_slice() else { anyhow::bail!("{letters:?}") };
    let dead = receipts.get(1).map(|receipt| callback_id(&receipt.id, 1));
    ensure!(Some(&letter.id) == dead.as_ref() && letter.attempts == [1, 2, 3, 4, 5, 6], "{letter:?}");
    Ok(())
}

/// What tells of an end can't be handed on: the end is none yet, the message is seen again with the same attempt, and
/// its line waits behind it. Then it is told, once.
///
/// # Errors
/// The rule does not hold.
pub async fn an_end_that_can_not_be_told_is_none_yet<H: Home>(home: &H) -> Held {
    home.faults().refuse_callbacks(2);
    let receipts = accept(home, &[told(Message::new("s", "/200", 0), "/200", "/200")]).await?;
    accept(home, &[Message::new("s", "/200", 1)]).await?;
    until_idle(home).await?;
    let receipt = receipts.first().context("no receipt")?;
    ensure!(attempts_of(home, &receipt.id) == [1, 1, 1], "{:?}", attempts_of(home, &receipt.id));
    let seen = calls(home, &receipt.id);
    ensure!(seen.len() == 1, "told {} times: {seen:?}", seen.len());
    ensure!(home.target().of("s").len() == 5, "{:?}", home.target().of("s"));
    ensure!(home.dead_letters().await?.is_empty(), "{:?}", home.dead_letters().await?);
    Ok(())
}

/// The answer to an end is lost after its callback was handed on, everything crashes around it, and an entry is
/// handled twice: the end is told by one message, whose id is derived and the same each time, and which is attempted
/// once.
///
/// # Errors
/// The rule does not hold.
pub async fn a_crash_around_an_end_makes_no_second_callback<H: Home>(home: &H) -> Held {
    let messages = [
        told(Message::new("done", "/200", 0), "/200", "/200"),
        told(Message::new("dead", "/410", 0).strict(), "/200", "/200"),
    ];
    home.faults().lose_answers(1);
    home.faults().deliver_again(1);
    home.faults().lose_burials(1);
    let receipts = accept(home, &messages).await?;
    for receipt in &receipts {
        until(home, "an end", |attempts| attempts.iter().any(|attempt| attempt.id == receipt.id)).await?;
        home.crash().await?;
    }
    until_idle(home).await?;
    let own: HashSet<String> = receipts.iter().map(|receipt| receipt.id.clone()).collect();
    let told: Vec<Attempt> =
        home.target().attempts().into_iter().filter(|attempt| !own.contains(&attempt.id)).collect();
    let ids: HashSet<&str> = told.iter().map(|call| call.id.as_str()).collect();
    let derived: Vec<String> = receipts.iter().map(|receipt| callback_id(&receipt.id, 1)).collect();
    ensure!(ids == derived.iter().map(String::as_str).collect(), "{told:?}");
    ensure!(told.iter().all(|call| call.number == 1), "{told:?}");
    for id in derived {
        let times = told.iter().filter(|call| call.id == id).count();
        // A lost answer to the callback itself may repeat its request; a crash is one, at most.
        let most = if home.capabilities().atomic_settle { 1 } else { 3 };
        ensure!((1..=most).contains(&times), "{id} was attempted {times} times");
    }
    ensure!(home.dead_letters().await?.len() == 1, "{:?}", home.dead_letters().await?);
    Ok(())
}
