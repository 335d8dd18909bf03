//! Protecting targets: what shares a key shares its limits, a host that keeps failing is left alone; what has to wait for
//! that is never dropped, and no wait counts as an attempt.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};

use super::{Held, accept, alone_until_idle};
use crate::home::script::Attempt;
use crate::home::{Home, Message};

/// Messages of each kind, each of a subject of its own.
const MESSAGES: u64 = 40;

fn messages(name: &str, flow: Option<Value>) -> Vec<Message> {
    let asks = flow.map_or_else(|| json!({}), |flow| json!({ "flow": flow }));
    messages_to("", name, &asks)
}

/// To a host that is written `//host`; to the usual one where none is.
fn messages_to(host: &str, name: &str, asks: &Value) -> Vec<Message> {
    let message = |n| Message::new(format!("{name}{n}"), &format!("{host}/busy/{name}"), n).asking(asks.clone());
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
    never_more_than_two(home, messages("limited", Some(json!({"key": "crm", "parallelism": 2})))).await
}

/// The same of a host that the settings allow two attempts at once, whose messages name flows of their own.
///
/// # Errors
/// The rule does not hold.
pub async fn no_more_run_at_once_than_a_host_allows<H: Home>(home: &H) -> Held {
    let asks = json!({"flow": {"key": "crm", "parallelism": 30}});
    never_more_than_two(home, messages_to("//limited.example", "limited", &asks)).await
}

async fn never_more_than_two<H: Home>(home: &H, mut posted: Vec<Message>) -> Held {
    posted.extend(messages("free", None));
    accept(home, &posted).await?;
    alone_until_idle(home).await?;
    attempts(home, "limited")?;
    attempts(home, "free")?;
    let (limited, free) = (home.target().most_at_once("/busy/limited"), home.target().most_at_once("/busy/free"));
    ensure!((1..=2).contains(&limited), "{limited} at once");
    ensure!(free > 2, "{free} at once: a home that never makes more shows nothing");
    Ok(())
}

/// Forty messages share a key that allows ten a second: whatever span is looked at, no more begin in it than its rate
/// and the home's burst allow, within a tenth. Forty others are not held up. Each is attempted once.
///
/// # Errors
/// The rule does not hold.
pub async fn no_more_begin_in_a_second_than_a_flow_allows<H: Home>(home: &H) -> Held {
    let mut posted = messages("limited", Some(json!({"key": "crm", "rate": 10})));
    posted.extend(messages("free", None));
    accept(home, &posted).await?;
    alone_until_idle(home).await?;
    let limited: Vec<Duration> = attempts(home, "limited")?.iter().map(|attempt| attempt.at).collect();
    for (n, from) in limited.iter().enumerate() {
        for (m, to) in limited.iter().enumerate().skip(n) {
            let span = to.saturating_sub(*from) + home.capabilities().tier_precision;
            let most = 1.1 * 10.0 * (span + home.capabilities().flow_burst).as_secs_f64() + 1.0;
            let begun = u32::try_from(m - n + 1)?;
            ensure!(f64::from(begun) <= most, "{begun} began in {span:?}: {limited:?}");
        }
    }
    let free: Vec<Duration> = attempts(home, "free")?.iter().map(|attempt| attempt.at).collect();
    ensure!(free.iter().max() < limited.iter().max(), "what shares no key waited: {free:?}");
    Ok(())
}

/// Sixty messages that are to be tried every second go to a host that fails for six seconds: it gets less than half of
/// the requests in that time, and everything when it is well again, each message its attempts one after the other. What
/// goes to another host meanwhile does not wait.
///
/// # Errors
/// The rule does not hold.
pub async fn a_host_that_keeps_failing_is_left_alone<H: Home>(home: &H) -> Held {
    const FAILS: &str = "/until/6000";
    const SECONDS: usize = 6;
    const EACH: usize = 60;
    let often = json!({"retry": {"max_attempts": 60, "delays": ["1s"]}});
    let failing = |n| Message::new(format!("f{n}"), &format!("//failing.example{FAILS}"), n).asking(often.clone());
    let mut posted: Vec<Message> = (0..).take(EACH).map(failing).collect();
    posted.extend((0..20).map(|n| Message::new(format!("w{n}"), "//well.example/200", n)));
    let receipts = accept(home, &posted).await?;
    alone_until_idle(home).await?;

    let attempts = home.target().attempts();
    let failed = attempts.iter().filter(|attempt| !attempt.is_delivered());
    let (failures, last) = (failed.clone().count(), failed.map(|attempt| attempt.at).max());
    ensure!(failures < SECONDS * EACH / 2, "{failures} requests in {SECONDS} s");
    for receipt in &receipts {
        let own: Vec<&Attempt> = attempts.iter().filter(|attempt| attempt.id == receipt.id).collect();
        ensure!(own.last().is_some_and(|last| last.is_delivered()), "{} was not delivered: {own:?}", receipt.subject);
        ensure!((1..).zip(&own).all(|(number, attempt)| attempt.number == number), "a wait was counted: {own:?}");
    }
    let well = attempts.iter().filter(|attempt| attempt.host == "well.example").map(|attempt| attempt.at).max();
    ensure!(well < last, "another host waited");
    ensure!(home.dead_letters().await?.is_empty(), "{:?}", home.dead_letters().await?);
    Ok(())
}
