//! Pauses: nothing begins in their scope, nothing is lost, nothing counts as an attempt, and the end of one goes on in
//! order.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::ensure;
use chaski_core::pause::PauseScope;
use chaski_core::ports::Pauses;

use super::{Held, accept, until_attempts, until_idle, until_still};
use crate::home::script::{Attempt, HOST};
use crate::home::{Home, Message};

/// How long everything is held back.
const PAUSE: Duration = Duration::from_secs(30);
/// Looks in it.
const LOOKS: u32 = 10;
const SUBJECTS: u64 = 6;
/// Messages of each subject, before and during the pause.
const EACH: u64 = 8;

/// Everything is held back for 30 s under load.
///
/// # Errors
/// The rule does not hold.
pub async fn everything_can_be_paused<H: Home>(home: &H) -> Held {
    holds(home, PauseScope::All, |_| true).await
}

/// A route is held back for 30 s under load, retries included.
///
/// # Errors
/// The rule does not hold.
pub async fn a_route_can_be_paused<H: Home>(home: &H) -> Held {
    holds(home, PauseScope::Route("messages".to_owned()), |_| true).await
}

/// One subject is held back for 30 s under load, while the others go on.
///
/// # Errors
/// The rule does not hold.
pub async fn a_subject_can_be_paused<H: Home>(home: &H) -> Held {
    let subject = "s1".to_owned();
    holds(home, PauseScope::Subject { tenant: String::new(), subject }, |attempt| attempt.subject == "s1").await
}

/// One target's host is held back for 30 s under load, while what goes to another goes on.
///
/// # Errors
/// The rule does not hold.
pub async fn a_target_can_be_paused<H: Home>(home: &H) -> Held {
    holds(home, PauseScope::Target(HOST.to_owned()), |attempt| attempt.host == HOST).await
}

/// Even subjects go to another host, odd ones are strict; one message in four fails at first.
fn messages(from: u64) -> Vec<Message> {
    let message = |n: u64, subject: u64| {
        let path = if n % 4 == 1 { "/once" } else { "/200" };
        match subject % 2 {
            0 => Message::new(format!("s{subject}"), &format!("//other.example{path}"), n),
            _ => Message::new(format!("s{subject}"), path, n).strict(),
        }
    };
    (from..from + EACH).flat_map(|n| (0..SUBJECTS).map(move |subject| message(n, subject))).collect()
}

async fn holds<H: Home>(home: &H, scope: PauseScope, held: impl Fn(&Attempt) -> bool) -> Held {
    let mut posted = messages(0);
    let mut receipts = accept(home, &posted).await?;
    until_attempts(home, 15).await?;
    let pause = super::pause(home, &scope).await?;
    let before = home.target().attempts();
    // Accepting goes on.
    let during = messages(EACH);
    receipts.extend(accept(home, &during).await?);
    posted.extend(during);
    for _ in 0..LOOKS {
        home.advance(PAUSE / LOOKS).await?;
        while home.step().await? > 0 {}
    }
    let after = home.target().attempts();
    let meanwhile = after.get(before.len()..).unwrap_or_default();
    ensure!(!meanwhile.iter().any(&held), "{scope:?} was not held: {meanwhile:?}");
    let all = after.iter().all(&held);
    ensure!(all != meanwhile.iter().any(|attempt| !held(attempt)), "what is not in {scope:?} was held: {meanwhile:?}");
    ensure!(home.desk().resume(&pause).await?, "there is no such pause");
    until_idle(home).await?;
    if !all {
        until_still(home).await?;
    }

    let attempts = home.target().attempts();
    let mut calls: HashMap<&str, Vec<u32>> = HashMap::new();
    for attempt in &attempts {
        calls.entry(&attempt.id).or_default().push(attempt.number);
    }
    for (message, receipt) in posted.iter().zip(&receipts) {
        let made = calls.get(receipt.id.as_str()).cloned().unwrap_or_default();
        let last = if message.path.ends_with("/once") { 2 } else { 1 };
        ensure!(made.iter().copied().eq(1..=last), "{message:?} was attempted {made:?}");
    }
    for subject in 0..SUBJECTS {
        let line = home.target().of(&format!("s{subject}"));
        let first: Vec<u64> = line.iter().filter(|attempt| attempt.number == 1).filter_map(Attempt::n).collect();
        ensure!(first.iter().copied().eq(0..2 * EACH), "s{subject}: {first:?}");
        let whole: Vec<u64> = line.iter().filter_map(Attempt::n).collect();
        ensure!(subject % 2 == 0 || whole.is_sorted(), "s{subject} is strict: {whole:?}");
    }
    ensure!(home.dead_letters().await?.is_empty(), "{:?}", home.dead_letters().await?);
    Ok(())
}
