//! A host answers 503 for a minute while ten messages a second come for it: it is left alone meanwhile, and gets
//! everything afterwards. In real time; it takes the minute, and what it takes to notice: the rest of a pause, which is
//! of 30 s at most, and on AWS the next one too for a head that asked while the first probes were on their way, with
//! the spread of its wait.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::{Running, Stage, number};
use crate::world::target::Call;

/// How long the host fails.
const OUTAGE: Duration = Duration::from_secs(60);
/// Messages come so long before it fails, and after.
const WELL: Duration = Duration::from_secs(3);
/// The steady load: so many messages each …
const AT_ONCE: u64 = 5;
/// … span of time: ten a second.
const EVERY: Duration = Duration::from_millis(500);
/// What would have come in the outage.
const STEADY: usize = 600;
/// What the host gets in it at most: a tenth.
const MOST: usize = STEADY / 10;
/// Lines, of which every other one is strict.
const SUBJECTS: u64 = 20;

/// When the host began to fail and was well again, and how many messages were posted by then, and after.
struct Posted {
    failed: Instant,
    well: Instant,
    messages: u64,
}

/// Half of the lines are strict. They may be attempted as often as it takes: with the test's tiers of a second, those
/// that met the failing host first would be given up before the minute is over, as with tiers of ten they are not.
///
/// # Errors
/// The host got too much, or something was lost, died, or came out of order.
pub async fn a_host_that_fails_for_a_minute_gets_a_tenth_and_everything_after<R: Running>(
    stage: &Stage<'_, R>,
) -> anyhow::Result<()> {
    let Posted { failed, well, messages } = load(stage).await?;
    let all = usize::try_from(messages)?;
    let is_over = |calls: &[Call]| calls.iter().filter(|call| call.status == 200).count() >= all;
    let over = stage.until("every delivery", is_over).await;
    let calls = stage.calls();
    let failing = calls.iter().filter(|call| call.status == 503).count();
    let delivered: Vec<&Call> = calls.iter().filter(|call| call.status == 200).collect();
    let after = |call: Option<&&Call>| call.map(|call| call.at.saturating_duration_since(well));
    let first = after(delivered.iter().find(|call| call.at > well));
    let mut waits: Vec<u32> = delivered.iter().map(|call| call.attempt()).collect();
    waits.sort_unstable();
    println!(
        "{messages} messages: {failing} requests in the {:?} in which the host failed, {} % of the load, in each ten \
         seconds {:?}; then the first after {first:?} and the last after {:?}; at most {:?} attempts",
        well - failed,
        100 * failing / STEADY,
        by_tens(&calls, failed),
        after(delivered.last()),
        waits.last(),
    );
    over?;
    ensure!(failing <= MOST, "{failing} requests to a host that fails");
    stage.chaski.quiet().await?;

    let ids: BTreeSet<&str> = delivered.iter().map(|call| call.id()).collect();
    ensure!(ids.len() == all && delivered.len() == all, "{} of {all} delivered, {} times", ids.len(), delivered.len());
    ensure!(stage.chaski.buried(stage.run).await?.is_empty(), "something died");
    let mut lines: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for call in &calls {
        let line = lines.entry(call.header("chaski-subject")).or_default();
        // A relaxed line is in order in its first attempts, a strict one in all.
        if is_strict(number(call) % SUBJECTS) || call.attempt() == 1 {
            line.push(number(call));
        }
    }
    ensure!(lines.len() as u64 == SUBJECTS, "{} lines", lines.len());
    for (subject, line) in &lines {
        ensure!(line.is_sorted(), "{subject} is out of order: {line:?}");
    }
    Ok(())
}

fn is_strict(line: u64) -> bool {
    line.is_multiple_of(2)
}

/// Requests that failed in each ten seconds.
fn by_tens(calls: &[Call], failed: Instant) -> Vec<usize> {
    let of = |call: &&Call| call.at.saturating_duration_since(failed).as_secs() / 10;
    let failing: Vec<u64> = calls.iter().filter(|call| call.status == 503).map(|call| of(&call)).collect();
    (0..=6).map(|ten| failing.iter().filter(|at| **at == ten).count()).collect()
}

/// The steady load, and the outage in it.
async fn load<R: Running>(stage: &Stage<'_, R>) -> anyhow::Result<Posted> {
    let mut ticks = interval(EVERY);
    // A call that took long is made up for: the load is what came, not what would have come.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    let (mut failed, mut well, mut messages) = (None, None, 0);
    while well.is_none_or(|well: Instant| well.elapsed() < WELL) {
        ticks.tick().await;
        if failed.is_none() && began.elapsed() >= WELL {
            stage.target.switch(stage.run, 503);
            failed = Some(Instant::now());
        }
        if well.is_none() && failed.is_some_and(|failed: Instant| failed.elapsed() >= OUTAGE) {
            stage.target.switch(stage.run, 200);
            well = Some(Instant::now());
        }
        let batch: Vec<Value> = (messages..messages + AT_ONCE).map(|n| envelope(stage, n)).collect();
        stage.accepted(&batch).await?;
        messages += AT_ONCE;
    }
    Ok(Posted { failed: failed.unwrap_or(began), well: well.unwrap_or(began), messages })
}

fn envelope<R>(stage: &Stage<'_, R>, n: u64) -> Value {
    let line = n % SUBJECTS;
    let ordering = if is_strict(line) { "strict" } else { "relaxed" };
    let asked = json!({"ordering": ordering, "retry": {"max_attempts": 100}});
    stage.envelope(&stage.subject(line), "switch/5", n, asked)
}
