//! A key's limits at the target, while many lines want more: ten a second and two at once, over half a minute.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{POLL, Running, Stage};

/// How long it is looked at.
const SPAN: Duration = Duration::from_secs(30);
/// What begins in it by the rate, give or take a tenth.
const BEGUN: std::ops::RangeInclusive<usize> = 270..=330;
/// At once, by the parallelism.
const AT_ONCE: u32 = 2;
/// Lines that want more than they get, in all shards. Each head that has to wait is hidden for whole seconds on AWS:
/// there are so many that some ask at every moment.
const LINES: u64 = 120;
/// Messages, more than may begin in the time.
const MESSAGES: u64 = 480;

/// The rate is kept and reached, the parallelism never exceeded, and what is left over is cancelled.
///
/// # Errors
/// The target got too much, too little, or something twice.
pub async fn ten_a_second_and_two_at_once_hold_for_half_a_minute<R: Running>(
    stage: &Stage<'_, R>,
) -> anyhow::Result<()> {
    let asked = json!({
        "flow": {"key": stage.run, "rate": 10, "per": "1s", "parallelism": AT_ONCE}, "labels": [stage.run],
    });
    let message = |n| stage.envelope(&stage.subject(n % LINES), "slow/100", n, asked.clone());
    let batch: Vec<Value> = (0..MESSAGES).map(message).collect();
    stage.accepted(&batch).await?;
    stage.until("a request", |calls| !calls.is_empty()).await?;
    let began = stage.calls().first().map(|call| call.at).context("no request")?;
    while began.elapsed() < SPAN {
        tokio::time::sleep(POLL).await;
        let most = stage.calls().iter().map(|call| call.at_once).max();
        ensure!(most <= Some(AT_ONCE), "{most:?} at once");
    }
    let end = began + SPAN;
    stage.chaski.cancel_label(stage.run).await?;
    stage.chaski.quiet().await?;

    let calls = stage.calls();
    let within = |from: Instant, to: Instant| calls.iter().filter(|call| (from..to).contains(&call.at)).count();
    let count = within(began, end);
    let seconds: Vec<usize> =
        (0..30).map(|n| began + Duration::from_secs(n)).map(|at| within(at, at + Duration::from_secs(1))).collect();
    let most = calls.iter().map(|call| call.at_once).max().unwrap_or(0);
    println!("{count} requests in {SPAN:?}, at most {most} at once; in each second {seconds:?}");
    ensure!(BEGUN.contains(&count), "{count} requests in {SPAN:?}");
    ensure!(most <= AT_ONCE, "{most} at once");
    let ids: BTreeSet<&str> = calls.iter().map(|call| call.id()).collect();
    ensure!(ids.len() == calls.len() && calls.iter().all(|call| call.attempt() == 1), "a wait is no attempt");
    ensure!(stage.chaski.buried(stage.run).await?.is_empty(), "something died");
    Ok(())
}
