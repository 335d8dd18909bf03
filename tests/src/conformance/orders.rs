//! What an operator orders: what is paused waits and loses nothing, what is cancelled is never attempted.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use chaski_core::filter::{MessageFilter, Whose};
use chaski_core::pause::PauseScope;
use chaski_core::ports::{Cancelled, Ledger, Pauses};

use super::{Held, accept, counts, until_attempts, until_idle};
use crate::home::{Home, Message};

/// Turns the clockwork until nothing is handed to the use cases any more, waking nothing.
async fn until_still<H: Home>(home: &H) -> Held {
    while home.step().await? > 0 {}
    Ok(())
}

async fn pause<H: Home>(home: &H, scope: PauseScope) -> anyhow::Result<String> {
    let (pause, new) = home.desk().pause(&scope).await?;
    ensure!(new, "{scope:?} was paused before");
    Ok(pause.id)
}

/// Thirty messages of ten subjects, of which a third fail once, are accepted into a pause: none is attempted, all are
/// there. When it ends each makes its attempts, numbered as if there had been no pause, in the order of its subject.
///
/// # Errors
/// The rule does not hold.
pub async fn a_pause_holds_attempts_and_a_resume_lets_them_go<H: Home>(home: &H) -> Held {
    let id = pause(home, PauseScope::All).await?;
    let path = |n: u64| if n < 10 { "/once" } else { "/200" };
    let messages: Vec<Message> = (0..30).map(|n| Message::new(format!("s{}", n % 10), path(n), n)).collect();
    let receipts = accept(home, &messages).await?;
    until_still(home).await?;
    ensure!(home.target().attempts().is_empty(), "{} attempts in the pause", home.target().attempts().len());
    let depth: u64 = home.depths().await?.values().sum();
    ensure!(depth == 30, "{depth} of 30 messages wait");

    ensure!(home.desk().resume(&id).await?, "there is no such pause");
    // Nothing is woken here: the resume itself shows what the pause held.
    until_attempts(home, 40).await?;
    until_idle(home).await?;
    let attempts = home.target().attempts();
    let counts = counts(&attempts);
    for (n, receipt) in (0..).zip(&receipts) {
        let expected = if n < 10 { 2 } else { 1 };
        let seen = counts.get(receipt.id.as_str()).copied().unwrap_or_default();
        ensure!(seen == expected, "message {n}: {seen} attempts of {expected}");
    }
    ensure!(attempts.iter().all(|attempt| attempt.number <= 2), "a wait was counted as an attempt");
    for subject in 0..10 {
        let of_subject = home.target().of(&format!("s{subject}"));
        let firsts: Vec<Option<u64>> = of_subject.iter().filter(|one| one.number == 1).map(|one| one.n()).collect();
        ensure!(firsts.is_sorted(), "s{subject} is out of order: {firsts:?}");
    }
    ensure!(home.dead_letters().await?.is_empty());
    ensure!(!home.desk().resume(&id).await?, "a pause ends once");
    Ok(())
}

/// Everything is paused, and one subject by itself too: when the wider pause ends the subject still waits, and others
/// go on. When the subject's ends it goes as well.
///
/// # Errors
/// The rule does not hold.
pub async fn a_narrower_pause_still_holds_what_a_wider_one_let_go<H: Home>(home: &H) -> Held {
    let wide = pause(home, PauseScope::All).await?;
    let scope = PauseScope::Subject { tenant: String::new(), subject: "held".to_owned() };
    let narrow = pause(home, scope.clone()).await?;
    let (_, new) = home.desk().pause(&scope).await?;
    ensure!(!new && home.desk().pauses().await?.len() == 2, "the same scope is the same pause");
    accept(home, &[Message::new("held", "/200", 0), Message::new("free", "/200", 0)]).await?;
    until_still(home).await?;
    ensure!(home.desk().resume(&wide).await?);
    until_attempts(home, 1).await?;
    until_still(home).await?;
    let seen = |subject: &str| home.target().of(subject).len();
    ensure!((seen("free"), seen("held")) == (1, 0), "free {}, held {}", seen("free"), seen("held"));
    ensure!(home.desk().resume(&narrow).await?);
    until_attempts(home, 2).await?;
    until_idle(home).await?;
    ensure!((seen("free"), seen("held")) == (1, 1), "free {}, held {}", seen("free"), seen("held"));
    Ok(())
}

/// Messages wait in a pause; those of a subject are cancelled by a filter, another by its id. When the pause ends
/// exactly the others are attempted, and one of the subject that was accepted after its cancellation.
///
/// # Errors
/// The rule does not hold.
pub async fn what_is_cancelled_is_not_attempted_and_what_comes_later_is<H: Home>(home: &H) -> Held {
    let id = pause(home, PauseScope::All).await?;
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
    until_idle(home).await?;
    let attempted: BTreeSet<u64> = home.target().attempts().iter().filter_map(|attempt| attempt.n()).collect();
    ensure!(attempted == [6, 8, 9, 10].into(), "attempted: {attempted:?}");
    ensure!(home.target().attempts().len() == 4 && home.dead_letters().await?.is_empty());
    Ok(())
}
