//! Flows: what shares a key shares its limits, and what is over them waits, is never dropped, and counts as no attempt.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};

use super::{Held, accept, until_idle};
use crate::home::script::Attempt;
use crate::home::{Home, Message};

/// Messages of each kind, each of a subject of its own.
const MESSAGES: u64 = 40;

fn messages(name: &str, flow: Option<Value>) -> Vec<Message> {
    let asks = flow.map_or_else(|| json!({}), |flow| json!({ "flow": flow }));
    let message = |n| Message::new(format!("{name}{n}"), &format!("/busy/{name}"), n).asking(asks.clone());
    (0..MESSAGES).map(message).collect()
}

/// The attempts of each message of that name: one, with the number 1.
fn attempts<H: Home>(home: &H, name: &str) -> anyhow::Result<Vec<Attempt>> {
    let all = home.target().attempts();
    let of: Vec<Attempt> = all.into_iter().filter(|attempt| attempt.path == format!("/busy/{name}")).collect();
    let mut seen: Vec<u64> = of.iter().filter_map(Attempt::n).collect();
    seen.sort_unstable();
    ensure!(seen.iter().copied().eq(0..MESSAGES), "{name}: {seen:?}");
    ensure!(of.iter().all(|attempt| attempt.number == 1), "a wait counted as an attempt: {of:?}");
    Ok(of)
}

/// Forty messages share a key that allows two at once, forty others share none: of the former never more than two are
/// at the target, of the latter more are. Each is attempted once.
///
/// # Errors
/// The rule does not hold.
pub async fn no_more_run_at_once_than_a_flow_allows<H: Home>(home: &H) -> Held {
    let mut posted = messages("limited", Some(json!({"key": "crm", "parallelism": 2})));
    posted.extend(messages("free", None));
    accept(home, &posted).await?;
    until_idle(home).await?;
    attempts(home, "limited")?;
    attempts(home, "free")?;
    let (limited, free) = (home.target().most_at_once("/busy/limited"), home.target().most_at_once("/busy/free"));
    ensure!((1..=2).contains(&limited), "{limited} at once");
    ensure!(free > 2, "{free} at once: a home that never makes more shows nothing");
    Ok(())
}

/// Forty messages share a key that allows ten a second: whatever span is looked at, no more begin in it than its rate
/// and one second's burst allow, within a tenth. Forty others are not held up. Each is attempted once.
///
/// # Errors
/// The rule does not hold.
pub async fn no_more_begin_in_a_second_than_a_flow_allows<H: Home>(home: &H) -> Held {
    let mut posted = messages("limited", Some(json!({"key": "crm", "rate": 10})));
    posted.extend(messages("free", None));
    accept(home, &posted).await?;
    until_idle(home).await?;
    let limited: Vec<Duration> = attempts(home, "limited")?.iter().map(|attempt| attempt.at).collect();
    for (n, from) in limited.iter().enumerate() {
        for (m, to) in limited.iter().enumerate().skip(n) {
            let span = to.saturating_sub(*from) + home.capabilities().tier_precision;
            let most = 1.1 * (10.0 * span.as_secs_f64() + 10.0) + 1.0;
            let begun = u32::try_from(m - n + 1)?;
            ensure!(f64::from(begun) <= most, "{begun} began in {span:?}: {limited:?}");
        }
    }
    let free: Vec<Duration> = attempts(home, "free")?.iter().map(|attempt| attempt.at).collect();
    ensure!(free.iter().max() < limited.iter().max(), "what shares no key waited: {free:?}");
    Ok(())
}
