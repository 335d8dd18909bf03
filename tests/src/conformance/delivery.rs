//! What is delivered is done; what is not known to be done is seen again.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, ensure};

use super::line::ends_are_suffixes;
use super::{Held, accept, counts, seed, until_idle};
use crate::home::faults::{Seeded, Weather};
use crate::home::script::Attempt;
use crate::home::{Home, Message};

/// Of a storm.
const MESSAGES: u64 = 80;
const SUBJECTS: u64 = 8;

/// Thirty messages of ten subjects, all delivered: each is attempted once, and nothing is left anywhere.
///
/// # Errors
/// The rule does not hold.
pub async fn what_is_done_is_never_seen_again<H: Home>(home: &H) -> Held {
    let messages: Vec<Message> = (0..30).map(|n| Message::new(format!("s{}", n % 10), "/200", n)).collect();
    let receipts = accept(home, &messages).await?;
    until_idle(home).await?;
    for _ in 0..10 {
        ensure!(home.step().await? == 0, "something is seen after the end");
    }
    let attempts = home.target().attempts();
    let counts = counts(&attempts);
    for receipt in &receipts {
        ensure!(counts.get(receipt.id.as_str()) == Some(&1), "{receipt:?}: {:?}", counts.get(receipt.id.as_str()));
    }
    ensure!(attempts.len() == 30, "{} attempts", attempts.len());
    ensure!(home.dead_letters().await?.is_empty());
    Ok(())
}

/// The process dies between the settlement and its answer: the entry is seen again as it was, with the same attempt,
/// unless the home makes both in one change. A hand-off that happened twice is one entry either way (H-08).
///
/// # Errors
/// The rule does not hold.
pub async fn a_lost_answer_is_an_entry_seen_again_and_nothing_more<H: Home>(home: &H) -> Held {
    let messages = [Message::new("s", "/200", 0), Message::new("t", "/once", 0)];
    accept(home, &messages).await?;
    home.faults().lose_answers(2);
    until_idle(home).await?;
    let numbers = |subject| home.target().of(subject).iter().map(|attempt| attempt.number).collect::<Vec<_>>();
    let (delivered, retried) = (numbers("s"), numbers("t"));
    let firsts = retried.iter().filter(|number| **number == 1).count();
    if home.capabilities().atomic_settle {
        ensure!(delivered == [1] && retried == [1, 2], "{delivered:?} {retried:?}");
    } else {
        ensure!(
            delivered.iter().all(|number| *number == 1) && delivered.len() + firsts > 2,
            "{delivered:?} {retried:?}"
        );
        ensure!(retried.last() == Some(&2) && firsts + 1 == retried.len(), "a second chain of retries: {retried:?}");
    }
    ensure!(home.dead_letters().await?.is_empty());
    Ok(())
}

/// A batch is handed over twice, as at-least-once allows: its hand-offs are one entry each.
///
/// # Errors
/// The rule does not hold.
pub async fn a_batch_delivered_twice_is_handed_off_once<H: Home>(home: &H) -> Held {
    let messages: Vec<Message> = (0..10).map(|n| Message::new(format!("s{n}"), "/once", n)).collect();
    accept(home, &messages).await?;
    home.faults().deliver_again(2);
    until_idle(home).await?;
    for n in 0..10 {
        let numbers: Vec<u32> = home.target().of(&format!("s{n}")).iter().map(|attempt| attempt.number).collect();
        let firsts = numbers.iter().filter(|number| **number == 1).count();
        ensure!((1..=2).contains(&firsts) && numbers.len() == firsts + 1, "s{n}: {numbers:?}");
        ensure!(numbers.last() == Some(&2), "s{n}: {numbers:?}");
    }
    Ok(())
}

/// Everything at once to 80 messages in eight subjects, answers that get lost, batches that come twice, settlements that
/// fail before and after their effect: each is delivered or is one dead letter and never neither, attempts are numbered
/// without a hole, a chain of retries never forks, first attempts of a subject begin in order, and what goes back is
/// always the end of its line.
///
/// # Errors
/// The rule does not hold.
pub async fn in_bad_weather_nothing_is_lost<H: Home>(home: &H) -> Held {
    let seed = seed();
    let mut chance = Seeded::new(seed);
    let paths = ["/200", "/200", "/200", "/once", "/twice", "/410", "/400"];
    let mut any = || paths.get(usize::try_from(chance.below(7)).unwrap_or(0)).copied().unwrap_or("/200");
    let messages: Vec<Message> = (0..MESSAGES).map(|n| Message::new(format!("s{}", n % SUBJECTS), any(), n)).collect();
    let receipts = accept(home, &messages).await?;
    home.faults().weather(seed, Weather { lose: 20, again: 10, refuse: 15 });
    until_idle(home).await?;

    let attempts = home.target().attempts();
    let mut of: HashMap<&str, Vec<&Attempt>> = HashMap::new();
    for attempt in &attempts {
        of.entry(&attempt.id).or_default().push(attempt);
    }
    let letters = home.dead_letters().await?;
    let dead: HashSet<&str> = letters.iter().map(|letter| letter.id.as_str()).collect();
    ensure!(dead.len() == letters.len(), "a message has two dead letters");
    for (message, receipt) in messages.iter().zip(&receipts) {
        let calls: u32 = match message.path.as_str() {
            "/once" => 2,
            "/twice" => 3,
            "/400" => 5,
            _ => 1,
        };
        let dies = matches!(message.path.as_str(), "/410" | "/400");
        let own = of.get(receipt.id.as_str()).with_context(|| format!("{message:?} is lost"))?;
        let numbers: HashSet<u32> = own.iter().map(|attempt| attempt.number).collect();
        ensure!(numbers == (1..=calls).collect(), "{message:?} was attempted {numbers:?}");
        ensure!(dead.contains(receipt.id.as_str()) == dies, "{message:?} dead: {}", !dies);
    }
    for subject in 0..SUBJECTS {
        let mut begun = Vec::new();
        for attempt in home.target().of(&format!("s{subject}")) {
            if attempt.number == 1 && !begun.contains(&attempt.n()) {
                begun.push(attempt.n());
            }
        }
        ensure!(begun.is_sorted(), "first attempts of s{subject}: {begun:?}");
    }
    ends_are_suffixes(&home.batches())
}
