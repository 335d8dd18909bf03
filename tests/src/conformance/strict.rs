//! A strict line: nobody passes a message that failed, and nobody else waits for it.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use anyhow::{Context, ensure};

use super::{Held, accept, alone_until_idle};
use crate::home::faults::{Seeded, Weather};
use crate::home::script::Attempt;
use crate::home::{Home, Message};

fn strict(subject: impl Into<String>, path: &str, n: u64) -> Message {
    Message::new(subject, path, n).asking("ordering", "strict")
}

/// The third of ten strict messages fails four times: the target sees 1 2 3 3 3 3 3 4 … 10, no attempt is early, and
/// another subject's message arrives while they wait. Each is numbered in its line, without a gap.
///
/// # Errors
/// The rule does not hold.
pub async fn a_failed_message_holds_up_its_line_and_no_other<H: Home>(home: &H) -> Held {
    let path = |n: u64| if n == 3 { "/four" } else { "/200" };
    let mut messages: Vec<Message> = (1..=10).map(|n| strict("s", path(n), n)).collect();
    messages.push(Message::new("t", "/200", 0));
    accept(home, &messages).await?;
    alone_until_idle(home).await?;

    let line = home.target().of("s");
    let seen: Vec<(u64, u32)> = line.iter().filter_map(|attempt| Some((attempt.n()?, attempt.number))).collect();
    let mut expected: Vec<(u64, u32)> = (1..=10).map(|n| (n, 1)).collect();
    expected.splice(2..3, (1..=5).map(|number| (3, number)));
    ensure!(seen == expected, "{seen:?}");
    let tiers = home.capabilities().tiers;
    let thirds: Vec<Instant> = line.iter().filter(|attempt| attempt.n() == Some(3)).map(|attempt| attempt.at).collect();
    for (pair, delay) in thirds.windows(2).zip([tiers.fast, tiers.fast, tiers.medium, tiers.medium]) {
        let [before, after] = pair else { continue };
        let waited = *after - *before;
        ensure!(waited + home.capabilities().tier_precision >= delay, "tried again after {waited:?}");
    }
    let other = home.target().of("t");
    let last = thirds.last().context("no attempt")?;
    ensure!(other.len() == 1 && other.iter().all(|attempt| attempt.at < *last), "the other subject waited: {other:?}");
    ensure!(home.dead_letters().await?.is_empty(), "something was given up");
    Ok(())
}

/// A strict message fails to its end: it is one dead letter that tells of every attempt, and its line goes on.
///
/// # Errors
/// The rule does not hold.
pub async fn a_line_goes_on_after_its_head_is_given_up<H: Home>(home: &H) -> Held {
    let own = serde_json::json!({"max_attempts": 3, "delays": ["1s", "1s"]});
    let head = strict("s", "/500", 1).asking("retry", own);
    accept(home, &[head, strict("s", "/410", 2), strict("s", "/200", 3)]).await?;
    alone_until_idle(home).await?;
    let seen: Vec<Option<u64>> = home.target().of("s").iter().map(Attempt::n).collect();
    ensure!(seen == [1, 1, 1, 2, 3].map(Some), "{seen:?}");
    let mut letters = home.dead_letters().await?;
    letters.sort_by_key(|letter| letter.attempts.len());
    let told: Vec<(&str, &[u32])> =
        letters.iter().map(|letter| (letter.class.as_str(), letter.attempts.as_slice())).collect();
    ensure!(told == [("gone", &[1][..]), ("http_5xx", &[1, 2, 3])], "{told:?}");
    Ok(())
}

/// One line of both kinds: a relaxed message that failed is passed, a strict one is not, and relaxed ones wait behind
/// it as well.
///
/// # Errors
/// The rule does not hold.
pub async fn a_line_may_mix_both_kinds<H: Home>(home: &H) -> Held {
    let messages =
        [Message::new("s", "/once", 1), strict("s", "/once", 2), Message::new("s", "/200", 3), strict("s", "/200", 4)];
    accept(home, &messages).await?;
    alone_until_idle(home).await?;
    let line = home.target().of("s");
    let of = |n: u64| line.iter().filter(move |attempt| attempt.n() == Some(n));
    let begun: Vec<u64> = line.iter().filter(|attempt| attempt.number == 1).filter_map(Attempt::n).collect();
    ensure!(begun == [1, 2, 3, 4], "{begun:?}");
    ensure!(of(1).count() == 2 && of(2).count() == 2, "{line:?}");
    let delivered = of(2).map(|attempt| attempt.at).max().context("not delivered")?;
    ensure!(of(3).chain(of(4)).all(|attempt| attempt.at > delivered), "a strict message was passed: {line:?}");
    Ok(())
}

const SUBJECTS: u64 = 100;
const EACH: u64 = 50;

/// 100 subjects of 50 strict messages each, to a target that fails one attempt of five, while answers are lost, batches
/// come twice and settlements fail: none is lost, and of every subject no message is attempted before the one in front
/// of it is delivered, or dead.
///
/// # Errors
/// The rule does not hold.
pub async fn in_bad_weather_every_line_is_in_order<H: Home>(home: &H, seed: u64) -> Held {
    let messages: Vec<Message> =
        (0..SUBJECTS * EACH).map(|n| strict(format!("s{}", n % SUBJECTS), "/flaky", n / SUBJECTS)).collect();
    for piece in messages.chunks(1_000) {
        accept(home, piece).await?;
    }
    let mut chance = Seeded::new(seed);
    home.faults().weather(seed, Weather { lose: chance.below(4), again: 2, refuse: 2 });
    // A line that waits for its head is not woken: that would use up its receives.
    alone_until_idle(home).await.with_context(|| format!("CHASKI_SEED={seed}"))?;

    let dead: HashSet<String> = home.dead_letters().await?.into_iter().map(|letter| letter.id).collect();
    let attempts = home.target().attempts();
    // The messages of each subject that are at their end, as the attempts come by.
    let mut ended: HashMap<&str, HashSet<u64>> = HashMap::new();
    for attempt in &attempts {
        let n = attempt.n().context("a body that is not ours")?;
        let line = ended.entry(&attempt.subject).or_default();
        let passed = n > 0 && !line.contains(&(n - 1));
        ensure!(!passed, "CHASKI_SEED={seed}: message {n} of {} passed the one before it", attempt.subject);
        if attempt.is_delivered() || dead.contains(&attempt.id) {
            line.insert(n);
        }
    }
    let all: HashSet<u64> = (0..EACH).collect();
    for subject in 0..SUBJECTS {
        let line = ended.get(format!("s{subject}").as_str());
        ensure!(line == Some(&all), "CHASKI_SEED={seed}: of s{subject} only {line:?} came to an end");
    }
    Ok(())
}
