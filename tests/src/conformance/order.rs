//! Strict order: a subject's next message waits until the one before is at its end, retries included, and no other
//! subject waits with it.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chaski_core::queue::Tier;

use super::{Held, PATIENCE, accept, alone_until_idle, attempts_of, cancel, numbers, seed, until};
use crate::home::faults::{Seeded, Weather};
use crate::home::script::Attempt;
use crate::home::{Capabilities, Home, Message, group};

/// Message 3 of 10 fails four times: the target sees 1 2 3 3 3 3 3 4 … 10, no retry early, and another subject's
/// message arrives meanwhile.
///
/// # Errors
/// The rule does not hold.
pub async fn a_failed_head_holds_its_line_and_no_other<H: Home>(home: &H) -> Held {
    let path = |n| if n == 3 { "/fail/4" } else { "/200" };
    let line: Vec<Message> = (1..=10).map(|n| Message::new("s", path(n), n).strict()).collect();
    accept(home, &line).await?;
    until(home, "message 3", |attempts| attempts.iter().any(|attempt| attempt.n() == Some(3))).await?;
    accept(home, &[Message::new("t", "/200", 0).strict()]).await?;
    alone_until_idle(home).await?;

    let seen = numbers(home, "s");
    ensure!(seen == [1, 2, 3, 3, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10], "{seen:?}");
    let all = home.target().attempts();
    let place = |subject: &str, n: u64| all.iter().position(|a| a.subject == subject && a.n() == Some(n));
    ensure!(place("t", 0) < place("s", 4), "another subject waited: {all:?}");
    let third: Vec<&Attempt> = all.iter().filter(|a| a.subject == "s" && a.n() == Some(3)).collect();
    ensure!(third.iter().map(|attempt| attempt.number).eq(1..=5), "{third:?}");
    let Capabilities { tiers, tier_precision, .. } = home.capabilities();
    for (pair, tier) in third.windows(2).zip([Tier::Fast, Tier::Fast, Tier::Medium, Tier::Medium]) {
        let [before, after] = pair else { continue };
        let waited = after.at.saturating_sub(before.at);
        ensure!(waited + tier_precision >= tiers.of(tier), "attempt {} came after {waited:?}", after.number);
    }
    Ok(())
}

/// Many lines (100 × 50 where the home is fast enough), one attempt in five fails, settlements fail before and after
/// their effect, batches come twice, answers get lost, and ten times everything crashes: every line is attempted in
/// order, each message to its end before the next, and none is lost.
///
/// # Errors
/// The rule does not hold.
pub async fn every_line_is_in_order_over_crashes<H: Home>(home: &H) -> Held {
    const CRASHES: u64 = 10;
    /// One less than the policy's calls: every message is delivered.
    const FAILURES: u32 = 5;
    let seed = seed();
    let mut chance = Seeded::new(seed);
    let (subjects, each) = home.capabilities().crowd;
    let mut failures: HashMap<(u64, u64), u32> = HashMap::new();
    let mut messages = Vec::new();
    for n in 0..each {
        for subject in 0..subjects {
            let fails = (0..FAILURES).take_while(|_| chance.hits(20)).count();
            failures.insert((subject, n), u32::try_from(fails)?);
            messages.push(Message::new(format!("s{subject}"), &format!("/fail/{fails}"), n).strict());
        }
    }
    let mut receipts = Vec::new();
    for piece in messages.chunks(1_000) {
        receipts.extend(accept(home, piece).await?);
    }
    home.faults().weather(seed, Weather { lose: 3, again: 2, refuse: 3 });

    let began = Instant::now();
    let calls: u64 = failures.values().map(|fails| u64::from(*fails) + 1).sum();
    let mut next_crash = chance.below(calls / CRASHES);
    loop {
        ensure!(began.elapsed() < PATIENCE, "{} of {calls} calls", home.target().count());
        if u64::try_from(home.target().count())? >= next_crash && next_crash < calls {
            home.crash().await?;
            next_crash += 1 + chance.below(2 * calls / CRASHES);
        }
        if home.step().await? == 0 {
            if home.depths().await?.values().all(|depth| *depth == 0) {
                break;
            }
            // A line that waits for its head is not woken: that would use up its receives.
            home.rest().await?;
        }
    }
    ensure!(home.dead_letters().await?.is_empty(), "{:?}", home.dead_letters().await?);
    let known: HashSet<&str> = receipts.iter().map(|receipt| receipt.id.as_str()).collect();
    let mut lines: HashMap<String, Vec<Attempt>> = HashMap::new();
    for attempt in home.target().attempts() {
        ensure!(known.contains(attempt.id.as_str()), "unexpected: {attempt:?}");
        lines.entry(attempt.subject.clone()).or_default().push(attempt);
    }
    for subject in 0..subjects {
        let line = lines.get(&format!("s{subject}")).context("a whole line is lost")?;
        let wanted = |n| failures.get(&(subject, n)).copied().unwrap_or(0) + 1;
        in_order(line, each, wanted).with_context(|| format!("s{subject}"))?;
    }
    Ok(())
}

/// Each message has all of its attempts in their order, and none of the next comes before the first of its last ones.
/// (A crash repeats an attempt under the same number.)
fn in_order(line: &[Attempt], each: u64, calls: impl Fn(u64) -> u32) -> Held {
    let mut begun: Vec<(u64, u32)> = Vec::new();
    for attempt in line {
        let step = (attempt.n().context("no number")?, attempt.number);
        if !begun.contains(&step) {
            begun.push(step);
        }
    }
    let wanted: Vec<(u64, u32)> = (0..each).flat_map(|n| (1..=calls(n)).map(move |number| (n, number))).collect();
    if let Some(at) = (0..wanted.len().max(begun.len())).find(|at| begun.get(*at) != wanted.get(*at)) {
        let around = begun.get(at.saturating_sub(3)..).unwrap_or_default();
        ensure!(
            false,
            "step {at} should be {:?}; seen {:?}",
            wanted.get(at),
            around.iter().take(8).collect::<Vec<_>>()
        );
    }
    Ok(())
}

/// A head that fails to its end becomes a dead letter after its attempts, and one that expires while it waits becomes
/// one then; the hundred behind each go on, in order.
///
/// # Errors
/// The rule does not hold.
pub async fn a_poison_head_dies_and_its_line_goes_on<H: Home>(home: &H) -> Held {
    let heads = [
        Message::new("dies", "/500", 0).strict(),
        Message::new("expires", "/500", 0).strict().asking(serde_json::json!({"expires_in": "3s"})),
    ];
    let heads = accept(home, &heads).await?;
    let [dies, expires] = heads.as_slice() else { anyhow::bail!("{heads:?}") };
    let behind = |subject| (1..=100).map(move |n| Message::new(subject, "/200", n).strict());
    accept(home, &behind("dies").chain(behind("expires")).collect::<Vec<_>>()).await?;
    alone_until_idle(home).await?;
    for (subject, head) in [("dies", dies), ("expires", expires)] {
        let made = attempts_of(home, &head.id);
        let seen = numbers(home, subject);
        ensure!(seen.iter().take(made.len()).all(|n| *n == 0), "overtaken: {seen:?}");
        ensure!(seen.iter().skip(made.len()).copied().eq(1..=100), "{subject}: {seen:?}");
        let letters = home.dead_letters().await?;
        let letter = letters.iter().find(|letter| letter.id == head.id).context("no dead letter")?;
        ensure!(letters.len() == 2 && letter.attempts == made, "{letters:?} of {made:?}");
        let (class, calls) = if subject == "dies" { ("http_5xx", 6..=6) } else { ("expired", 1..=5) };
        ensure!(letter.class == class && calls.contains(&made.len()), "{letter:?} after {made:?}");
    }
    Ok(())
}

/// One call posts both kinds in one subject: a relaxed message that failed lets its successors go, a strict one holds
/// what stands behind it, of both kinds.
///
/// # Errors
/// The rule does not hold.
pub async fn a_batch_may_mix_both_kinds<H: Home>(home: &H) -> Held {
    let messages = [
        Message::new("s", "/200", 0).strict(),
        Message::new("s", "/fail/4", 1),
        Message::new("s", "/twice", 2).strict(),
        Message::new("s", "/200", 3),
        Message::new("s", "/200", 4).strict(),
    ];
    accept(home, &messages).await?;
    alone_until_idle(home).await?;
    let seen = numbers(home, "s");
    let held: Vec<u64> = seen.iter().copied().filter(|n| *n != 1).collect();
    ensure!(held == [0, 2, 2, 2, 3, 4], "{seen:?}");
    ensure!(seen.starts_with(&[0, 1, 2]) && seen.iter().filter(|n| **n == 1).count() == 5, "{seen:?}");
    Ok(())
}

/// The home can't write down that a strict message failed: it is seen again with the same attempt, its line stays
/// behind it, and another subject goes on.
///
/// # Errors
/// The rule does not hold.
pub async fn a_failed_hold_leaves_the_line_as_it_was<H: Home>(home: &H) -> Held {
    home.faults().refuse_settlements(&group("s"), 2);
    let messages = [
        Message::new("s", "/once", 0).strict(),
        Message::new("s", "/200", 1).strict(),
        Message::new("s", "/200", 2).strict(),
        Message::new("t", "/200", 0).strict(),
    ];
    accept(home, &messages).await?;
    alone_until_idle(home).await?;
    let attempts: Vec<(Option<u64>, u32)> = home.target().of("s").iter().map(|a| (a.n(), a.number)).collect();
    let repeats = attempts.iter().take_while(|attempt| **attempt == (Some(0), 1)).count();
    ensure!(repeats == 3, "{attempts:?}");
    let rest = attempts.get(repeats..).unwrap_or_default();
    let end = [(Some(1), 1), (Some(2), 1)];
    ensure!(rest.starts_with(&[(Some(0), 2)]) && rest.ends_with(&end) && rest.len() == 3, "{attempts:?}");
    ensure!(home.target().of("t").len() == 1, "another subject was handled again");
    Ok(())
}

/// Every request tells its place: all attempts of a message tell the same one, it rises along the line, and it has no
/// gaps over what was attempted of a strict line where the home counts that: a message that ended without an attempt
/// leaves none.
///
/// # Errors
/// The rule does not hold.
pub async fn places_in_a_line_rise<H: Home>(home: &H) -> Held {
    let path = |n| if n % 3 == 1 { "/once" } else { "/200" };
    let strict = (0..10).map(|n| Message::new("strict", path(n), n).strict());
    let relaxed = (0..10).map(|n| Message::new("relaxed", path(n), n));
    let receipts = accept(home, &strict.chain(relaxed).collect::<Vec<_>>()).await?;
    cancel(home, receipts.get(5)).await?;
    alone_until_idle(home).await?;
    for subject in ["strict", "relaxed"] {
        let mut places: HashMap<u64, HashSet<u128>> = HashMap::new();
        for attempt in home.target().of(subject) {
            let (n, place) = (attempt.n().context("no number")?, attempt.sequence.context("no place")?);
            places.entry(n).or_default().insert(place);
        }
        let mut line: Vec<(u64, u128)> = Vec::new();
        for (n, told) in places {
            ensure!(told.len() == 1, "{subject} {n} told {told:?}");
            line.extend(told.into_iter().map(|place| (n, place)));
        }
        line.sort_unstable();
        ensure!(line.is_sorted_by(|(_, a), (_, b)| a < b), "{subject}: {line:?}");
        if subject == "strict" && home.capabilities().counts_sequence {
            ensure!(line.iter().map(|(_, place)| *place).eq(1..=u128::try_from(line.len())?), "gaps: {line:?}");
        }
    }
    Ok(())
}

/// A strict message's own wait before its retry is kept, and its line waits as long.
///
/// # Errors
/// The rule does not hold.
pub async fn a_line_waits_as_long_as_its_head_asks<H: Home>(home: &H) -> Held {
    let own = serde_json::json!({"retry": {"delays": ["3s"]}});
    accept(home, &[Message::new("s", "/once", 0).strict().asking(own), Message::new("s", "/200", 1).strict()]).await?;
    alone_until_idle(home).await?;
    let attempts = home.target().of("s");
    let [first, second, behind] = attempts.as_slice() else { anyhow::bail!("{attempts:?}") };
    let waited = second.at.saturating_sub(first.at);
    ensure!(waited + home.capabilities().tier_precision >= Duration::from_secs(3), "after {waited:?}");
    ensure!(behind.n() == Some(1) && second.n() == Some(0), "{attempts:?}");
    Ok(())
}
