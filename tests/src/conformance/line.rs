//! A subject is a line: its first attempts are in order, and nobody overtakes one that goes back.

use std::collections::HashMap;

use anyhow::{Context, ensure};

use super::{Held, Written, accept, raw, until_attempts, until_idle};
use crate::home::{Batch, Home, Message, Sighting, group};

/// Five subjects of twenty messages, some of which fail at first: the first attempts of each subject are in the
/// order of acceptance. (Retries may come later than their followers: the order is relaxed.)
///
/// # Errors
/// The rule does not hold.
pub async fn first_attempts_of_a_subject_are_in_order<H: Home>(home: &H) -> Held {
    let path = |n: u64| if n % 7 == 3 { "/once" } else { "/200" };
    let messages: Vec<Message> = (0..100).map(|n| Message::new(format!("s{}", n % 5), path(n), n)).collect();
    accept(home, &messages).await?;
    until_idle(home).await?;
    for subject in 0..5 {
        let attempts = home.target().of(&format!("s{subject}"));
        let first: Vec<u64> = attempts.iter().filter(|attempt| attempt.number == 1).filter_map(|a| a.n()).collect();
        ensure!(first.len() == 20 && first.is_sorted_by(|a, b| a < b), "s{subject}: {first:?}");
    }
    Ok(())
}

/// The queue does not take some entries of a call: they are answered 503, and so are later ones of their subjects,
/// which are not sent; all others are. What was taken is delivered, and posting the rest again keeps the order (H-18).
///
/// # Errors
/// The rule does not hold.
pub async fn what_follows_a_refused_entry_of_its_subject_is_not_sent<H: Home>(home: &H) -> Held {
    let messages: Vec<Message> = (0..40).map(|n| Message::new(format!("s{}", n % 8), "/200", n)).collect();
    // The second message of s3 and the third of s5.
    for n in [11, 21] {
        home.faults().refuse_entries(&format!(r#""n":{n}}}"#));
    }
    let not_sent = |n: u64| (n % 8 == 3 && n >= 11) || (n % 8 == 5 && n >= 21);
    let answers = home.accept(&messages).await;
    for (message, answer) in messages.iter().zip(&answers) {
        let status = answer.as_ref().map_or_else(|problem| problem.status, |_| 200);
        ensure!(status == if not_sent(message.n) { 503 } else { 200 }, "{message:?} was answered {status}");
    }
    until_idle(home).await?;
    let seen = |home: &H| home.target().attempts().iter().filter_map(|attempt| attempt.n()).collect::<Vec<u64>>();
    ensure!(seen(home).iter().all(|n| !not_sent(*n)), "sent after one that was refused: {:?}", seen(home));

    home.faults().take_all_entries();
    let again: Vec<Message> = messages.into_iter().filter(|message| not_sent(message.n)).collect();
    accept(home, &again).await?;
    until_idle(home).await?;
    ensure!(seen(home).len() == 40, "{} of 40 were delivered", seen(home).len());
    for subject in 0..8 {
        let line: Vec<u64> =
            home.target().of(&format!("s{subject}")).iter().filter_map(|attempt| attempt.n()).collect();
        ensure!(line.is_sorted_by(|a, b| a < b), "s{subject}: {line:?}");
    }
    Ok(())
}

/// The hand-off of a subject's first message fails: it is seen again, unchanged and with the same attempt, and until
/// then nothing of its subject is attempted; other subjects are (H-02, H-03).
///
/// # Errors
/// The rule does not hold.
pub async fn a_failed_settlement_leaves_the_message_and_its_line_as_they_were<H: Home>(home: &H) -> Held {
    let messages = [
        Message::new("s", "/once", 0),
        Message::new("s", "/200", 1),
        Message::new("s", "/200", 2),
        Message::new("t", "/200", 3),
        Message::new("t", "/200", 4),
    ];
    home.faults().refuse_settlements(&group("s"), 2);
    accept(home, &messages).await?;
    until_attempts(home, 3).await?;
    let early: Vec<u64> = home.target().of("s").iter().filter_map(|attempt| attempt.n()).collect();
    ensure!(early.iter().all(|n| *n == 0), "overtaken: {early:?}");
    until_idle(home).await?;

    let attempts: Vec<(Option<u64>, u32)> = home.target().of("s").iter().map(|a| (a.n(), a.number)).collect();
    let head = (Some(0), 1);
    ensure!(attempts.len() == 6 && attempts.starts_with(&[head, head, head]), "{attempts:?}");
    ensure!(
        attempts.get(3..5) == Some(&[(Some(1), 1), (Some(2), 1)]) && attempts.last() == Some(&(Some(0), 2)),
        "{attempts:?}"
    );
    ensure!(home.target().of("t").len() == 2, "the other subject");
    let mut bodies: HashMap<String, String> = HashMap::new();
    for sighting in home.batches().into_iter().flat_map(|batch| batch.entries) {
        let first = bodies.entry(sighting.entry_id).or_insert_with(|| sighting.body.clone());
        ensure!(*first == sighting.body, "an entry changed: {first} became {}", sighting.body);
    }
    ends_are_suffixes(&home.batches())
}

/// The store does not take a burial: nothing is let go, its line waits, and in the end there is one dead letter
/// (H-17). The same for what is buried without an attempt.
///
/// # Errors
/// The rule does not hold.
pub async fn a_failed_burial_lets_nothing_go<H: Home>(home: &H) -> Held {
    for group in [group("s"), group("net"), String::new()] {
        home.faults().refuse_settlements(&group, 2);
    }
    accept(home, &[Message::new("s", "/410", 0), Message::new("s", "/200", 1)]).await?;
    let given_up =
        Written { queue: "last-net", subject: "net", path: "/200", id: "net", generation: 1, attempts: 0, hop: 0 };
    home.put(&given_up.entry()?).await?;
    home.put(&raw("messages-0", "raw", "no envelope")?).await?;
    until_idle(home).await?;
    let line: Vec<Option<u64>> = home.target().of("s").iter().map(|attempt| attempt.n()).collect();
    ensure!(line == [0, 0, 0, 1].map(Some), "{line:?}");
    let mut classes: Vec<String> = home.dead_letters().await?.into_iter().map(|letter| letter.class).collect();
    classes.sort_unstable();
    ensure!(classes == ["gone", "last_net", "undecodable"], "{classes:?}");
    Ok(())
}

/// Handling a message panics: it and the rest of its subject go back, others are untouched, and the third panic
/// buries it, after which its subject goes on (H-06).
///
/// # Errors
/// The rule does not hold.
pub async fn the_third_panic_buries_and_nobody_else_suffers<H: Home>(home: &H) -> Held {
    let messages = [
        Message::new("s", "/200", 0),
        Message::new("s", "/panic", 1),
        Message::new("s", "/200", 2),
        Message::new("t", "/200", 3),
    ];
    let receipts = accept(home, &messages).await?;
    until_idle(home).await?;
    let line: Vec<Option<u64>> = home.target().of("s").iter().map(|attempt| attempt.n()).collect();
    ensure!(line == [0, 1, 1, 1, 2].map(Some), "{line:?}");
    ensure!(home.target().of("t").len() == 1, "another subject was handled again");
    let letters = home.dead_letters().await?;
    let letter = letters.first().context("no dead letter")?;
    ensure!(letters.len() == 1 && letter.class == "internal", "{letters:?}");
    ensure!(receipts.get(1).is_some_and(|receipt| receipt.id == letter.id), "{letter:?}");
    ends_are_suffixes(&home.batches())
}

/// In every batch: what went back of a group is its end, without a hole.
pub(super) fn ends_are_suffixes(batches: &[Batch]) -> Held {
    for batch in batches {
        let mut lines: HashMap<&str, Vec<bool>> = HashMap::new();
        for Sighting { entry_id, group, .. } in &batch.entries {
            lines.entry(group).or_default().push(batch.back.contains(entry_id));
        }
        for (group, line) in lines {
            ensure!(line.is_sorted(), "a hole in what went back of group {group} in {}: {line:?}", batch.queue);
        }
    }
    Ok(())
}
