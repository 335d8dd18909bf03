//! Pauses: nothing begins in their scope, nothing is lost, nothing counts as an attempt, and the end of one goes on in
//! order.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::ensure;
use chaski_core::pause::PauseScope;
use chaski_core::ports::Pauses;

use super::{Held, accept, alone_until_idle, until_attempts};
use crate::home::script::{Attempt, HOST};
use crate::home::{Home, Message};

/// How long everything is held back …
const LONG: Duration = Duration::from_secs(30);
/// … and what is held back by itself: longer than all retries of it would take.
const SHORT: Duration = Duration::from_secs(4);
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
    holds(home, PauseScope::All, LONG, |_| true).await
}

/// A route is held back under load, retries included.
///
/// # Errors
/// The rule does not hold.
pub async fn a_route_can_be_paused<H: Home>(home: &H) -> Held {
    holds(home, PauseScope::Route("messages".to_owned()), SHORT, |_| true).await
}

/// One subject is held back under load, while the others go on.
///
/// # Errors
/// The rule does not hold.
pub async fn a_subject_can_be_paused<H: Home>(home: &H) -> Held {
    let subject = "s1".to_owned();
    holds(home, PauseScope::Subject { tenant: String::new(), subject }, SHORT, |attempt| attempt.subject == "s1").await
}

/// One target's host is held back under load, while what goes to another goes on.
///
/// # Errors
/// The rule does not hold.
pub async fn a_target_can_be_paused<H: Home>(home: &H) -> Held {
    holds(home, PauseScope::Target(HOST.to_owned()), SHORT, |attempt| attempt.host == HOST).await
}

/// Everything is paused, and one subject by itself too: when the wider pause ends the subject still waits, and others
/// go on. When the subject's ends it goes as well.
///
/// # Errors
/// The rule does not hold.
pub async fn a_narrower_pause_still_holds_what_a_wider_one_let_go<H: Home>(home: &H) -> Held {
    let wide = super::pause(home, &PauseScope::All).await?;
    let scope = PauseScope::Subject { tenant: String::new(), subject: "held".to_owned() };
    let narrow = super::pause(home, &scope).await?;
    let (_, new) = home.desk().pause(&scope).await?;
    ensure!(!new && home.desk().pauses().await?.len() == 2, "the same scope is the same pause");
    accept(home, &[Message::new("held", "/200", 0), Message::new("free", "/200", 0)]).await?;
    while home.step().await? > 0 {}
    ensure!(home.desk().resume(&wide).await?);
    until_attempts(home, 1).await?;
    while home.step().await? > 0 {}
    let seen = |subject: &str| home.target().of(subject).len();
    ensure!((seen("free"), seen("held")) == (1, 0), "free {}, held {}", seen("free"), seen("held"));
    ensure!(home.desk().resume(&narrow).await?);
    until_attempts(home, 2).await?;
    alone_until_idle(home).await?;
    ensure!((seen("free"), seen("held")) == (1, 1), "free {}, held {}", seen("free"), seen("held"));
    Ok(())
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

async fn holds<H: Home>(home: &H, scope: PauseScope, span: Duration, held: impl Fn(&Attempt) -> bool) -> Held {
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
        home.advance(span / LOOKS).await?;
        while home.step().await? > 0 {}
    }
    let after = home.target().attempts();
    let meanwhile = after.get(before.len()..).unwrap_or_default();
    ensure!(!meanwhile.iter().any(&held), "{scope:?} was not held: {meanwhile:?}");
    let all = after.iter().all(&held);
    ensure!(all != meanwhile.iter().any(|attempt| !held(attempt)), "what is not in {scope:?} was held: {meanwhile:?}");
    ensure!(home.desk().resume(&pause).await?, "there is no such pause");
    // Nothing is woken here: the resume itself shows what the pause held.
    alone_until_idle(home).await?;
    ensure!(!home.desk().resume(&pause).await?, "a pause ends once");

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
