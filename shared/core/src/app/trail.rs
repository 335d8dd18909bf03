//! A message's trail: the lines that are printed for it on every hop, and the metrics that are counted from
//! them. Exact: one `attempt` line an attempt, one `dead_letter` line a burial, and so on.

use std::fmt;

use tracing::{info, warn};

use super::request;
use super::task::Task;
use crate::history::AttemptRecord;
use crate::ledger::Listing;
use crate::logger::TRAIL;
use crate::ports::{Entry, SettleError, Settlement};
use crate::queue::QueueName;
use crate::time::Timestamp;

/// CloudWatch's namespace of our metrics.
const NAMESPACE: &str = "Chaski";

/// Dimensions of CloudWatch metrics: fields of the line with few values only, as each combination is charged.
const DIMENSIONS: &str = r#"[["service.name","service.version","chaski.route","chaski.queue","chaski.outcome"]]"#;

/// What an attempt's line counts in CloudWatch: of one that failed …
const FAILED: [(&str, &str); 2] = [("attempts", "Count"), ("attempt_duration_ms", "Milliseconds")];
/// … and of one that delivered.
const DELIVERED: [(&str, &str); 3] =
    [("attempts", "Count"), ("attempt_duration_ms", "Milliseconds"), ("delivery_delay_ms", "Milliseconds")];

/// A message was accepted, and is durable.
pub(super) fn accepted(listing: &Listing, trace: Option<&str>, queue: &str) {
    info!(
        target: TRAIL,
        {
            event.action = "accepted",
            trace.id = request::trace_id(trace, &listing.id),
            chaski.id = listing.id,
            chaski.subject = listing.subject,
            chaski.client = listing.client,
            chaski.producer = listing.producer,
            chaski.route = listing.route,
            chaski.queue = queue,
            chaski.target = listing.target,
            chaski.target_host = listing.target_host,
            chaski.generation = listing.generation,
        },
        "accepted"
    );
}

/// An attempt ended. `delay_ms` is the time from acceptance to delivery, where it was delivered.
pub(super) fn attempt(task: &Task<'_>, attempt: &AttemptRecord, detail: &str, delay_ms: Option<u64>, now: Timestamp) {
    let metrics = if delay_ms.is_some() { DELIVERED.as_slice() } else { FAILED.as_slice() };
    let emf = Emf { at: now, metrics };
    info!(
        target: TRAIL,
        {
            event.action = "attempt",
            trace.id = task.trace,
            chaski.id = task.meta.id,
            chaski.subject = task.envelope.subject,
            chaski.client = task.client,
            chaski.producer = task.meta.producer,
            chaski.route = task.route,
            chaski.queue = attempt.tier,
            chaski.target = task.target,
            chaski.target_host = task.target_host,
            chaski.attempt = attempt.n,
            chaski.generation = task.meta.generation,
            chaski.outcome = attempt.outcome,
            chaski.status = attempt.status,
            chaski.duration_ms = attempt.duration_ms,
            attempts = 1,
            attempt_duration_ms = attempt.duration_ms,
            delivery_delay_ms = delay_ms,
            _aws = %emf,
        },
        "{detail}"
    );
    let failed = attempt.outcome != crate::outcome::DELIVERED;
    let by = [
        ("time_by_subject", "error_by_subject", Some(task.envelope.subject.as_str())),
        ("time_by_target", "error_by_target", task.target.as_deref()),
        ("time_by_client", "error_by_client", task.client.as_deref()),
    ];
    for (time, error, value) in by {
        if value.is_some() {
            metric(task, time, attempt.duration_ms);
            if failed {
                metric(task, error, 1);
            }
        }
    }
}

/// A message's first entry is settled in the consumer.
fn message(task: &Task<'_>) {
    metric(task, "messages_by_subject", 1);
    if task.client.is_some() {
        metric(task, "messages_by_client", 1);
    }
}

/// A message is settled: what follows its attempt, or its end.
pub(super) fn settled(task: &Task<'_>, settlement: &Settlement) {
    match settlement {
        Settlement::Done => {}
        Settlement::Move(entry) => waits(task, "retry", &entry.queue.to_string(), task.meta.next_due),
        Settlement::Hold(hold) => waits(task, "retry", &task.queue, Some(hold.due)),
        Settlement::Bury(letter) => dead_letter(letter, Some(&task.trace), Some(&task.route), &task.queue),
        Settlement::End(end, _) => ended(task, end.name()),
    }
    // One a message, whatever becomes of it; what went from queue to queue is told where it was first attempted.
    if task.is_first && matches!(task.leased.queue, QueueName::Shard { .. }) {
        message(task);
    }
}

/// What a line is to remember of its head can't be kept.
pub(super) fn not_held(task: &Task<'_>, error: &SettleError) {
    warn!(
        event.action = "not_remembered",
        chaski.id = task.meta.id,
        chaski.queue = task.queue,
        chaski.attempt = task.meta.attempts,
        "a failed attempt of a strict message is not counted: {error}"
    );
}

/// A message went on without an attempt.
pub(super) fn moved(task: &Task<'_>, settlement: &Settlement) {
    if let Settlement::Move(entry) = settlement {
        waits(task, "moved", &entry.queue.to_string(), entry.due);
    }
}

/// A callback is durable.
pub(super) fn called_back(callback: &Entry) {
    if let Some(listing) = &callback.listing {
        accepted(listing, None, &callback.queue.to_string());
    }
}

/// A message was cancelled, or has expired.
fn ended(task: &Task<'_>, end: &str) {
    info!(
        target: TRAIL,
        {
            event.action = end,
            trace.id = task.trace,
            chaski.id = task.meta.id,
            chaski.subject = task.envelope.subject,
            chaski.client = task.client,
            chaski.producer = task.meta.producer,
            chaski.route = task.route,
            chaski.queue = task.queue,
            chaski.target = task.target,
            chaski.target_host = task.target_host,
            chaski.attempt = task.meta.attempts,
            chaski.generation = task.meta.generation,
        },
        "{end} before it was delivered"
    );
}

/// A message waits elsewhere now.
fn waits(task: &Task<'_>, action: &str, queue: &str, due: Option<Timestamp>) {
    info!(
        target: TRAIL,
        {
            event.action = action,
            trace.id = task.trace,
            chaski.id = task.meta.id,
            chaski.subject = task.envelope.subject,
            chaski.client = task.client,
            chaski.route = task.route,
            chaski.queue = queue,
            chaski.target = task.target,
            chaski.attempt = task.meta.attempts,
            chaski.generation = task.meta.generation,
            chaski.next_due = due.map(|at| at.to_string()),
        },
        "waits in {queue}"
    );
}

/// A message was given up, and its record is durable.
pub(super) fn dead_letter(
    letter: &crate::dead_letter::DeadLetter,
    trace_id: Option<&str>,
    route: Option<&str>,
    queue: &str,
) {
    info!(
        target: TRAIL,
        {
            event.action = "dead_letter",
            trace.id = trace_id,
            chaski.id = letter.id,
            chaski.subject = letter.subject,
            chaski.client = letter.client,
            chaski.producer = letter.producer,
            chaski.route = route,
            chaski.queue = queue,
            chaski.target = letter.target,
            chaski.target_host = letter.target_host,
            chaski.attempt = letter.attempts.last().map(|attempt| attempt.n),
            chaski.generation = letter.generation,
            chaski.outcome = letter.last_error.class,
            chaski.status = letter.last_error.status,
            burials = 1,
            _aws = %Emf { at: letter.died_at, metrics: &[("burials", "Count")] },
        },
        "given up: {}",
        letter.last_error.detail
    );
}

/// A dead letter was sent again, and its next generation is durable.
pub(super) fn replayed(letter: &crate::dead_letter::DeadLetter, entry: &Entry) {
    let listing = entry.listing.as_ref();
    info!(
        target: TRAIL,
        {
            event.action = "replayed",
            chaski.id = letter.id,
            chaski.subject = letter.subject,
            chaski.client = letter.client,
            chaski.producer = letter.producer,
            chaski.route = listing.map(|listing| listing.route.as_str()),
            chaski.queue = entry.queue.to_string(),
            chaski.target = letter.target,
            chaski.target_host = letter.target_host,
            chaski.generation = listing.map(|listing| listing.generation),
        },
        "sent again"
    );
}

fn metric(task: &Task<'_>, name: &str, value: u64) {
    info!(
        target: TRAIL,
        {
            event.action = "metric",
            chaski.metric = name,
            chaski.value = value,
            chaski.id = task.meta.id,
            chaski.subject = task.envelope.subject,
            chaski.client = task.client,
            chaski.target = task.target,
            chaski.route = task.route,
            chaski.queue = task.queue,
        },
        "{name}"
    );
}

/// CloudWatch's embedded metric format: which fields of the line are metrics. Made when it is printed.
struct Emf<'a> {
    at: Timestamp,
    /// Names with their units.
    metrics: &'a [(&'a str, &'a str)],
}

impl fmt::Display for Emf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, metrics } = self;
        write!(
            f,
            r#"{{"Timestamp":{},"CloudWatchMetrics":[{{"Namespace":"{NAMESPACE}","Dimensions":{DIMENSIONS},"Metrics":["#,
            at.millis()
        )?;
        for (n, (name, unit)) in metrics.iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            write!(f, r#"{comma}{{"Name":"{name}","Unit":"{unit}"}}"#)?;
        }
        f.write_str("]}]}")
    }
}
