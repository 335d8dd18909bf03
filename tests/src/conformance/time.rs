//! Times: not before, not after, how long, how often.

use std::time::Duration;

use anyhow::{Context, ensure};
use chaski_core::ledger::MessageState;
use serde_json::json;

use super::{Held, accept, alone_until_idle, attempts_of, numbers, state, until, until_still};
use crate::home::script::Attempt;
use crate::home::{Home, Message};

/// A message for now, one for in two seconds and one for in 90, posted in the opposite order to one subject: each comes
/// when its time has come, not early, not late beyond the home's precision, and stands in nobody's way before.
///
/// # Errors
/// The rule does not hold.
pub async fn a_delayed_message_joins_its_line_in_time<H: Home>(home: &H) -> Held {
    let posted = home.target().elapsed();
    let after = |n, delay: &str| Message::new("s", "/200", n).asking(json!({"delay": delay}));
    let receipts = accept(home, &[after(90, "90s"), after(2, "2s"), Message::new("s", "/200", 0)]).await?;
    let waits = receipts.iter().filter(|receipt| receipt.queue == "wake").count();
    ensure!(waits == 2, "{receipts:?}");
    let had = |n| move |attempts: &[Attempt]| attempts.iter().any(|attempt| attempt.n() == Some(n));
    until(home, "the one for now", had(0)).await?;
    let mut before = 0;
    for seconds in [2, 90] {
        home.advance(Duration::from_secs(seconds - before)).await?;
        until(home, "a delayed one", had(seconds)).await?;
        before = seconds;
    }
    alone_until_idle(home).await?;
    let seen = numbers(home, "s");
    ensure!(seen == [0, 2, 90], "{seen:?}");
    for attempt in home.target().of("s") {
        in_time(home, &attempt, posted + Duration::from_secs(attempt.n().unwrap_or(0)))?;
    }
    Ok(())
}

/// A message for in twenty days waits over a crash and comes then, at the right minute at least, and once.
///
/// # Errors
/// The rule does not hold.
pub async fn a_delay_of_twenty_days_is_kept<H: Home>(home: &H) -> Held {
    let delay = Duration::from_secs(20 * 24 * 60 * 60);
    let margin = Duration::from_secs(120);
    let posted = home.target().elapsed();
    let receipts = accept(home, &[Message::new("s", "/200", 0).asking(json!({"delay": "20d"})).strict()]).await?;
    until_still(home).await?;
    home.crash().await?;
    home.advance(delay.saturating_sub(margin)).await?;
    until_still(home).await?;
    ensure!(numbers(home, "s").is_empty(), "it came before its time: {:?}", home.target().of("s"));
    home.advance(margin).await?;
    until(home, "its time", |attempts| attempts.iter().any(|attempt| attempt.subject == "s")).await?;
    alone_until_idle(home).await?;
    let attempts = home.target().of("s");
    let [attempt] = attempts.as_slice() else { anyhow::bail!("{attempts:?}") };
    ensure!(receipts.iter().all(|receipt| receipt.id == attempt.id), "{receipts:?}");
    in_time(home, attempt, posted + delay)
}

fn in_time<H: Home>(home: &H, attempt: &Attempt, due: Duration) -> Held {
    let (early, late) = (home.capabilities().tier_precision, home.capabilities().wait_precision);
    ensure!(attempt.at + early >= due, "{attempt:?} is early: due at {due:?}");
    ensure!(attempt.at <= due + late, "{attempt:?} is late: due at {due:?}");
    Ok(())
}

/// What has expired is not sent: a message behind a head that failed, and one whose time to be sent and to expire both
/// passed unseen. Each is recorded as `expired`, once, without an attempt, and its line goes on.
///
/// # Errors
/// The rule does not hold.
pub async fn what_has_expired_is_not_sent<H: Home>(home: &H) -> Held {
    let brief = |message: Message| message.asking(json!({"expires_in": "500ms"}));
    let messages = [
        Message::new("s", "/once", 0).strict(),
        brief(Message::new("s", "/200", 1).strict()),
        Message::new("s", "/200", 2).strict(),
        Message::new("t", "/200", 3).asking(json!({"delay": "1s", "expires_in": "2s"})),
    ];
    let receipts = accept(home, &messages).await?;
    until(home, "the head", |attempts| attempts.iter().any(|attempt| attempt.n() == Some(0))).await?;
    home.advance(Duration::from_secs(4)).await?;
    alone_until_idle(home).await?;
    ensure!(numbers(home, "s") == [0, 0, 2] && numbers(home, "t").is_empty(), "{:?}", home.target().attempts());
    let letters = home.dead_letters().await?;
    let expired = [1, 3].map(|n: usize| receipts.get(n).map(|receipt| receipt.id.as_str()));
    ensure!(letters.len() == 2, "{letters:?}");
    for id in expired {
        let letter = letters.iter().find(|letter| Some(letter.id.as_str()) == id).context("no record")?;
        ensure!(letter.class == "expired" && letter.attempts.is_empty(), "{letter:?}");
        let state = state(home, &letter.id).await?;
        ensure!(state.is_none_or(|state| state == MessageState::Expired), "{state:?}");
    }
    Ok(())
}

/// A message expires while it waits for its retry, of either kind: no attempt from then on, one record that tells of
/// those that were made.
///
/// # Errors
/// The rule does not hold.
pub async fn what_waits_for_its_retry_expires<H: Home>(home: &H) -> Held {
    let life = Duration::from_millis(2_500);
    let of = |subject, path| Message::new(subject, path, 0).asking(json!({"expires_in": "2500ms"}));
    let posted = home.target().elapsed();
    let receipts = accept(home, &[of("relaxed", "/500"), of("strict", "/500").strict()]).await?;
    let accepted = home.target().elapsed();
    alone_until_idle(home).await?;
    let letters = home.dead_letters().await?;
    ensure!(letters.len() == 2, "{letters:?}");
    for receipt in receipts {
        let letter = letters.iter().find(|letter| letter.id == receipt.id).context("no record")?;
        let made = attempts_of(home, &receipt.id);
        ensure!(letter.class == "expired" && letter.attempts == made, "{letter:?} after {made:?}");
        ensure!(!made.is_empty() && made.len() < 6, "{made:?}");
        for attempt in home.target().of(&receipt.subject) {
            ensure!(attempt.at < accepted.max(posted) + life, "attempted after its time: {attempt:?}");
        }
    }
    Ok(())
}

/// Five messages wait ten times each within five minutes, each wait before a retry of its own: none is swallowed, each
/// has its eleven attempts and is delivered by the last (H-52).
///
/// # Errors
/// The rule does not hold.
pub async fn ten_waits_lose_nothing<H: Home>(home: &H) -> Held {
    let own = json!({"retry": {"max_attempts": 11, "delays": ["1s", "2s", "1s"]}});
    // Each at a host of its own: one that all of them fail at would be given pauses.
    let path = |n| format!("//host{n}.example/fail/10");
    let messages: Vec<Message> =
        (0..5).map(|n| Message::new(format!("s{n}"), &path(n), n).asking(own.clone())).collect();
    let receipts = accept(home, &messages).await?;
    alone_until_idle(home).await?;
    for receipt in receipts {
        let made = attempts_of(home, &receipt.id);
        ensure!(made.iter().copied().eq(1..=11), "{}: {made:?}", receipt.subject);
    }
    ensure!(home.dead_letters().await?.is_empty(), "{:?}", home.dead_letters().await?);
    Ok(())
}

/// A message's own `timeout` is the deadline of its calls, the deployment's is that of the others, and one that is too
/// late is retried as a timeout is.
///
/// # Errors
/// The rule does not hold.
pub async fn each_message_has_its_own_timeout<H: Home>(home: &H) -> Held {
    let messages = [
        Message::new("own", "/200", 0).asking(json!({"timeout": "250ms"})),
        Message::new("late", "/late", 0).asking(json!({"timeout": "100ms"})),
        Message::new("none", "/200", 0),
    ];
    accept(home, &messages).await?;
    alone_until_idle(home).await?;
    for (subject, millis, calls) in [("own", 250, 1), ("late", 100, 4), ("none", 1_000, 1)] {
        let attempts = home.target().of(subject);
        let deadline = Duration::from_millis(millis);
        ensure!(attempts.len() == calls && attempts.iter().all(|a| a.deadline == deadline), "{attempts:?}");
    }
    let classes: Vec<String> = home.dead_letters().await?.into_iter().map(|letter| letter.class).collect();
    ensure!(classes == ["timeout"], "{classes:?}");
    Ok(())
}

/// A message's own `retry` says how often it is called in all, also more often than the policy would, and how long it
/// waits in between: never less, and the last wait repeats.
///
/// # Errors
/// The rule does not hold.
pub async fn each_message_is_retried_as_it_asks<H: Home>(home: &H) -> Held {
    let asked: [(&str, serde_json::Value, &[u64]); 6] = [
        ("once", json!({"max_attempts": 1}), &[]),
        ("thrice", json!({"max_attempts": 3}), &[1, 1]),
        ("more", json!({"max_attempts": 8}), &[1, 1, 1, 1, 2, 2, 2]),
        ("delays", json!({"delays": ["1s", "3s"]}), &[1, 3]),
        ("both", json!({"max_attempts": 4, "delays": [0.5, "2s"]}), &[0, 2, 2]),
        ("fewer", json!({"max_attempts": 2, "delays": ["1s", "1s", "1s"]}), &[1]),
    ];
    let message = |subject: &str, retry: &serde_json::Value| {
        Message::new(subject, &format!("//{subject}.example/500"), 0).asking(json!({ "retry": retry }))
    };
    accept(home, &asked.iter().map(|(subject, retry, _)| message(subject, retry)).collect::<Vec<_>>()).await?;
    alone_until_idle(home).await?;
    let precision = home.capabilities().tier_precision;
    for (subject, _, waits) in &asked {
        let attempts = home.target().of(subject);
        ensure!(attempts.len() == waits.len() + 1, "{subject}: {} attempts", attempts.len());
        for (pair, wait) in attempts.windows(2).zip(*waits) {
            let [before, after] = pair else { continue };
            let waited = after.at.saturating_sub(before.at);
            ensure!(waited + precision >= Duration::from_secs(*wait), "{subject} {}: {waited:?}", after.number);
        }
    }
    let letters = home.dead_letters().await?;
    ensure!(letters.len() == asked.len() && letters.iter().all(|letter| letter.class == "http_5xx"), "{letters:?}");
    Ok(())
}
