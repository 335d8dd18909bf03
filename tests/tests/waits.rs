//! Waits that no queue can delay, on AWS: an envelope in the control table, and a schedule that writes a reference.
//!
//! Method: the AWS home of the conformance suite, whose clock a story puts forward; the schedules are those of the local
//! AWS, which are looked at and fired here.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chaski_core::ports::Clock;
use chaski_tests::home::aws::AwsHome;
use chaski_tests::home::{Home, Message};

const DAY: Duration = Duration::from_secs(24 * 3_600);
const PATIENCE: Duration = Duration::from_secs(120);

/// Turns the clockwork until no queue holds anything.
async fn until_idle(home: &AwsHome) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let depths = home.depths().await?;
        if home.step().await? == 0 && depths.values().all(|depth| *depth == 0) {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "not idle: {depths:?}");
    }
}

async fn accept(home: &AwsHome, message: Message) -> anyhow::Result<String> {
    let answer = home.accept(&[message]).await.pop().context("no answer")?;
    answer.map(|receipt| receipt.id).map_err(|problem| anyhow::anyhow!("{}: {}", problem.status, problem.detail))
}

#[tokio::test]
async fn twenty_days_are_a_schedule_that_delivers_when_it_fires_and_not_before() -> anyhow::Result<()> {
    let home = AwsHome::open("twenty-days").await?;
    let posted = home.clock().now();
    let id = accept(&home, Message::new("s", "/200", 1).asking("delay", "20d")).await?;
    until_idle(&home).await?;
    ensure!(home.target().attempts().is_empty(), "attempted at once");
    let [schedule] = home.schedules().await?.try_into().map_err(|all| anyhow::anyhow!("{all:?}"))?;
    let (least, most) = (posted.plus(20 * DAY), home.clock().now().plus(20 * DAY + Duration::from_secs(1)));
    ensure!((least..=most).contains(&schedule.at), "{schedule:?}");
    ensure!(schedule.text.starts_with(&format!("{{\"wait\":\"{id}#1#")), "{schedule:?}");

    // Fired too early, it waits on: another move, the same time.
    home.fire(&schedule).await?;
    until_idle(&home).await?;
    ensure!(home.target().attempts().is_empty(), "attempted early");
    let [next] = home.schedules().await?.try_into().map_err(|all| anyhow::anyhow!("{all:?}"))?;
    ensure!(next.at == schedule.at && next.name != schedule.name, "{next:?} after {schedule:?}");
    ensure!(home.rows().await?.len() == 1, "a row is left of the first wait: {:?}", home.rows().await?);

    home.clock().put_forward(next.at.since(home.clock().now()));
    home.fire(&next).await?;
    until_idle(&home).await?;
    let attempts = home.target().attempts();
    ensure!(attempts.len() == 1 && attempts.iter().all(|attempt| attempt.id == id), "{attempts:?}");
    ensure!(home.rows().await?.is_empty(), "{:?}", home.rows().await?);

    // A reference that comes again finds nothing, and goes.
    home.fire(&next).await.ok();
    until_idle(&home).await?;
    ensure!(home.target().attempts().len() == 1 && home.dead_letters().await?.is_empty(), "it was seen twice");
    Ok(())
}

/// Of a relaxed message a long delay of its own goes the same way, and the next attempt is made from its line; a short
/// one is rounded up to a tier.
#[tokio::test]
async fn a_retry_in_two_hours_is_a_schedule_too() -> anyhow::Result<()> {
    let home = AwsHome::open("two-hours").await?;
    let own = serde_json::json!({"delays": ["1s", "2h"]});
    accept(&home, Message::new("s", "/twice", 1).asking("retry", own)).await?;
    until_idle(&home).await?;
    ensure!(home.target().attempts().len() == 2, "{:?}", home.target().attempts());
    let [schedule] = home.schedules().await?.try_into().map_err(|all| anyhow::anyhow!("{all:?}"))?;
    let ahead = schedule.at.since(home.clock().now());
    ensure!((Duration::from_secs(7_000)..=Duration::from_secs(7_201)).contains(&ahead), "{ahead:?}");
    home.clock().put_forward(ahead);
    home.fire(&schedule).await?;
    until_idle(&home).await?;
    let numbers: Vec<u32> = home.target().attempts().iter().map(|attempt| attempt.number).collect();
    ensure!(numbers == [1, 2, 3] && home.dead_letters().await?.is_empty(), "{numbers:?}");
    Ok(())
}

/// A strict line leaves nothing behind in the control table but its number, and its messages know their place.
#[tokio::test]
async fn a_line_that_moved_on_leaves_its_number_alone() -> anyhow::Result<()> {
    let home = AwsHome::open("numbers").await?;
    for n in 0..3 {
        let path = if n == 1 { "/once" } else { "/200" };
        accept(&home, Message::new("s", path, n).asking("ordering", "strict")).await?;
    }
    until_idle(&home).await?;
    let numbers: Vec<(Option<u64>, String)> =
        home.target().attempts().iter().map(|attempt| (attempt.n(), attempt.sequence.clone())).collect();
    let expected = [(0, "1"), (1, "2"), (1, "2"), (2, "3")].map(|(n, sequence)| (Some(n), sequence.to_owned()));
    ensure!(numbers == expected, "{numbers:?}");
    let rows = home.rows().await?;
    ensure!(rows.len() == 1 && rows.iter().all(|row| row.starts_with("seq#")), "{rows:?}");
    Ok(())
}
