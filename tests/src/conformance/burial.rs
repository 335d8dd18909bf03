//! Dead letters: there once, whatever happens between the record and the answer.

use std::collections::{BTreeMap, HashSet};

use anyhow::ensure;

use super::{Held, accept, until_idle};
use crate::home::{Home, Message, group};

/// How often one burial is repeated …
const TIMES: u32 = 100;
/// … and one of each other class: fewer failures than those for which a host is given pauses. All others are repeated
/// once or more.
const SOME_TIMES: u32 = 15;

/// The known answer of 2.0's QA table, 50 messages each to 200, 400, 500 and too late, in 200 subjects: 150 dead
/// letters. The answer to every burial is lost, to one a hundred times, and 150 stay 150 (H-15, H-17).
///
/// # Errors
/// The rule does not hold.
pub async fn a_burial_repeated_a_hundred_times_is_one_dead_letter<H: Home>(home: &H) -> Held {
    let paths = [
        ("/200", 1, None),
        ("/400", 5, Some("http_4xx")),
        ("/500", 6, Some("http_5xx")),
        ("/late", 4, Some("timeout")),
    ];
    // Fifty hosts: one that so many fail at would be given pauses.
    let message =
        |n, path: &str| Message::new(format!("s{n}{}", path.replace('/', "-")), &format!("//host{n}.example{path}"), n);
    let messages: Vec<Message> = (0..50).flat_map(|n| paths.map(|(path, ..)| message(n, path))).collect();
    let receipts = accept(home, &messages).await?;
    home.faults().lose_burials(1);
    let often = messages.iter().skip(100).take(paths.len());
    for message in often {
        let times = if message.path.ends_with("/400") { TIMES } else { SOME_TIMES };
        home.faults().lose_burials_of(&group(&message.subject), times);
    }
    until_idle(home).await?;

    let letters = home.dead_letters().await?;
    ensure!(letters.len() == 150, "{} dead letters", letters.len());
    let ids: HashSet<&str> = letters.iter().map(|letter| letter.id.as_str()).collect();
    ensure!(ids.len() == 150, "{} messages have one", ids.len());
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    for letter in &letters {
        *classes.entry(&letter.class).or_default() += 1;
    }
    ensure!(classes == BTreeMap::from([("http_4xx", 50), ("http_5xx", 50), ("timeout", 50)]), "{classes:?}");
    for (message, receipt) in messages.iter().zip(&receipts) {
        let calls = paths.iter().find(|(path, ..)| message.path.ends_with(path)).map_or(0, |(_, calls, _)| *calls);
        let seen: HashSet<u32> = home.target().of(&message.subject).iter().map(|attempt| attempt.number).collect();
        ensure!(seen == (1..=calls).collect(), "{message:?}: {seen:?}");
        let letter = letters.iter().find(|letter| letter.id == receipt.id);
        ensure!(letter.is_none_or(|letter| letter.attempts == (1..=calls).collect::<Vec<_>>()), "{letter:?}");
    }
    if !home.capabilities().atomic_settle {
        let burials = home.faults().burials();
        let over = |least| burials.values().filter(|times| **times > least).count();
        ensure!(burials.len() == 150 && over(1) == 150 && over(SOME_TIMES) >= 3 && over(TIMES) >= 1, "{burials:?}");
    }
    Ok(())
}
