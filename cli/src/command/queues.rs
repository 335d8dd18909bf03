//! `chaski queues`: what waits where.

use std::time::Duration;

use clap::Subcommand;

use super::{Context, Failure};
use crate::client::{List, Queue};
use crate::output::{Column, Table, age, plain};

/// See what waits where
#[derive(Debug, Subcommand)]
pub(super) enum Queues {
    /// List every queue: its state, how much waits, how old the oldest is, and the rates of the last minute
    #[command(after_help = "\
idle: entries wait and nothing is in flight; busy: something is in flight; empty: no entries; paused: held.
The depth counts all entries: waiting, in flight and delayed. The rates are messages a second.

Example:
  chaski queues list")]
    List,
}

const COLUMNS: [Column; 10] = [
    Column::whole("QUEUE"),
    Column::goes("ROUTE"),
    Column::whole("STATE"),
    Column::number("DEPTH"),
    Column::number("IN FLIGHT"),
    Column::number("DELAYED"),
    Column::number("OLDEST"),
    Column::number("IN/S"),
    Column::number("OUT/S"),
    Column::number("FAILED/S"),
];

impl Queues {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let Self::List = self;
        let answer = context.client.queues().await?;
        if context.output.json {
            return Ok(context.output.line(&answer.text)?);
        }
        let list: List<Queue> = answer.read()?;
        let rows: Vec<Vec<String>> = list.items.iter().map(row).collect();
        Ok(context.output.table(&mut Table::new(&COLUMNS), &rows)?)
    }
}

fn row(queue: &Queue) -> Vec<String> {
    vec![
        plain(&queue.queue),
        plain(queue.route.as_deref().unwrap_or_default()),
        plain(&queue.state),
        queue.depth.to_string(),
        queue.in_flight.to_string(),
        queue.delayed.to_string(),
        queue.oldest_age_ms.map(|ms| age(Duration::from_millis(ms))).unwrap_or_default(),
        queue.in_per_second.map(rate).unwrap_or_default(),
        queue.out_per_second.map(rate).unwrap_or_default(),
        queue.failed_per_second.map(rate).unwrap_or_default(),
    ]
}

/// One digit behind the point is enough, and nothing is shown as 0 that is more.
fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate <= 0.0 => "0".to_owned(),
        rate if rate < 0.1 => "<0.1".to_owned(),
        rate if rate >= 100.0 => format!("{rate:.0}"),
        rate => format!("{rate:.1}"),
    }
}
