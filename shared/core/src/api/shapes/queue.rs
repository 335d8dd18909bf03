//! A queue and how it moves.

use serde::Serialize;

use crate::ports::QueueRecord;
use crate::queue::QueueName;

/// A queue as `GET /queues` answers it.
#[derive(Debug, Serialize)]
pub(in crate::api) struct QueueShape<'a> {
    queue: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    state: &'static str,
    depth: u64,
    in_flight: u64,
    delayed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_age_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    out_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_per_second: Option<f64>,
}

impl<'a> QueueShape<'a> {
    pub(in crate::api) fn of(record: &'a QueueRecord) -> Self {
        let [in_per_second, out_per_second, failed_per_second] =
            record.rates.map_or([None; 3], |rates| rates.map(Some));
        Self {
            queue: record.queue.to_string(),
            route: match &record.queue {
                QueueName::Shard { route, .. } => Some(route),
                QueueName::Tier(_) | QueueName::Wake | QueueName::WakeNet | QueueName::LastNet => None,
            },
            state: state(record),
            depth: record.depth,
            delay_ms: record.delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            in_flight: record.in_flight,
            delayed: record.delayed,
            oldest_age_ms: record.oldest_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            in_per_second,
            out_per_second,
            failed_per_second,
        }
    }
}

/// `idle` is what waits while nothing of it is at work.
fn state(record: &QueueRecord) -> &'static str {
    match record {
        QueueRecord { paused: true, .. } => "paused",
        QueueRecord { in_flight: 1.., .. } => "busy",
        QueueRecord { depth: 0, .. } => "empty",
        _ => "idle",
    }
}
