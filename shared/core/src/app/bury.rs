//! Makes the dead letter of a message that is given up.

use super::task::Task;
use crate::dead_letter::DeadLetter;
use crate::history::ErrorRecord;
use crate::outcome::Failure;
use crate::ports::{Answer, Leased};
use crate::redact;
use crate::time::Timestamp;

/// The record of a message that could be read.
pub(super) fn letter(task: &Task<'_>, failure: &Failure, answer: Option<&Answer>, now: Timestamp) -> DeadLetter {
    let meta = &task.meta;
    let last = error(failure, now);
    DeadLetter {
        id: meta.id.clone(),
        generation: meta.generation,
        tenant: meta.tenant.clone(),
        producer: Some(meta.producer.clone()).filter(|producer| !producer.is_empty()),
        order: meta.order.clone(),
        subject: Some(task.envelope.subject.clone()),
        client: task.client.clone(),
        target: task.target.clone(),
        target_host: task.target_host.clone(),
        received_at: meta.received_at,
        first_error: meta.first_error.clone().unwrap_or_else(|| last.clone()),
        last_error: last,
        attempts: meta.history.clone(),
        message: task.wire().into_bytes(),
        response: answer.map(|answer| redact::answer(&answer.body, &task.envelope.message.headers)),
        entry_sent_at: task.leased.sent_at,
        died_at: now,
    }
}

/// The record of an entry that is no envelope: its raw bytes, under the queue's own id.
pub(super) fn raw_letter(leased: &Leased, failure: &Failure, now: Timestamp) -> DeadLetter {
    let error = error(failure, now);
    DeadLetter {
        id: leased.entry_id.clone(),
        generation: 1,
        tenant: String::new(),
        producer: None,
        order: Some(leased.sequence.clone()),
        subject: None,
        client: None,
        target: None,
        target_host: None,
        received_at: Some(leased.sent_at),
        first_error: error.clone(),
        last_error: error,
        attempts: Vec::new(),
        message: leased.body.clone().into_bytes(),
        response: None,
        entry_sent_at: leased.sent_at,
        died_at: now,
    }
}

fn error(failure: &Failure, now: Timestamp) -> ErrorRecord {
    ErrorRecord::new(failure.class.name(), failure.status, &failure.detail, now)
}
