//! What is done with a home, step by step.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chaski_core::filter::MessageFilter;
use chaski_core::pause::PauseScope;
use chaski_core::ports::{Clock, Ledger, Pauses};
use chaski_tests::home::aws::AwsHome;
use chaski_tests::home::{Home, Message};

/// The longest wait of a story is a tier of seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at a home in which nothing is due.
const POLL: Duration = Duration::from_millis(20);

/// Takes messages in, in one call.
pub(crate) async fn accept(home: &AwsHome, messages: &[Message]) -> anyhow::Result<()> {
    for answer in home.accept(messages).await {
        answer.map_err(|problem| anyhow::anyhow!("answered {}: {}", problem.status, problem.detail))?;
    }
    Ok(())
}

/// Turns the clockwork until no queue holds anything. Nothing is woken.
pub(crate) async fn until_idle(home: &AwsHome) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        if home.step().await? > 0 {
            continue;
        }
        let depths = home.depths().await?;
        if depths.values().all(|depth| *depth == 0) {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "not idle: {depths:?}");
        tokio::time::sleep(POLL).await;
    }
}

/// One message to its end.
pub(crate) async fn one(home: &AwsHome, message: Message) -> anyhow::Result<()> {
    accept(home, &[message]).await?;
    until_idle(home).await
}

/// A message whose time is far away: its schedule is fired when it has come.
pub(crate) async fn scheduled(home: &AwsHome, message: Message) -> anyhow::Result<()> {
    one(home, message).await?;
    let schedule = home.schedules().await?.pop().context("no schedule was made")?;
    home.clock().put_forward(schedule.at.since(home.clock().now()));
    home.fire(&schedule).await?;
    until_idle(home).await
}

/// A message whose time passes before anybody looks at it.
pub(crate) async fn expired(home: &AwsHome, message: Message) -> anyhow::Result<()> {
    accept(home, &[message]).await?;
    home.clock().put_forward(Duration::from_secs(60));
    until_idle(home).await
}

/// A message and its repeat.
pub(crate) async fn repeated(home: &AwsHome, message: Message) -> anyhow::Result<()> {
    accept(home, std::slice::from_ref(&message)).await?;
    one(home, message).await
}

/// A message that a mark cancels while it stands in its queue; without one, what the mark itself takes.
pub(crate) async fn cancelled(home: &AwsHome, message: Option<Message>) -> anyhow::Result<()> {
    if let Some(message) = message {
        accept(home, &[message]).await?;
    }
    let filter = MessageFilter { subject: Some("s".to_owned()), ..MessageFilter::default() };
    home.desk().cancel_all(&filter, false).await?;
    until_idle(home).await
}

/// A message that a pause holds until it ends; without one, what the pause itself takes.
pub(crate) async fn paused(home: &AwsHome, message: Option<Message>) -> anyhow::Result<()> {
    let (pause, _) = home.desk().pause(&PauseScope::All).await?;
    if let Some(message) = message {
        accept(home, &[message]).await?;
        ensure!(home.step().await? == 1, "nothing was held");
    }
    ensure!(home.desk().resume(&pause.id).await?, "there was no pause");
    until_idle(home).await
}
