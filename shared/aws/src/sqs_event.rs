//! Lambda's batch of SQS records, to the core's leased entries and back.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use chaski_core::ports::Leased;
use chaski_core::time::Timestamp;

use crate::queue_url::QueuePrefix;

/// A record that can't be told from others, or whose queue is none of this stack. The function answers with
/// this error, and the whole batch stays in its queue: a part of it can be returned only by name, and what is
/// not returned is deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// SQS gives every message an id.
    #[error("record {0} of the batch has no messageId")]
    NoId(usize),
    /// A mapping of this function reads a queue that its settings do not know.
    #[error("record {0} of the batch comes from {1:?}, which is no queue of this stack")]
    ForeignQueue(usize, String),
}

/// The entries of a batch, in its order. None is left out: what else a record lacks gets a default that is
/// the same at every redelivery, so that a record's place in the dead-letter table does not move.
///
/// # Errors
/// See [`EventError`].
pub fn leased(event: SqsEvent, prefix: &QueuePrefix) -> Result<Vec<Leased>, EventError> {
    event.records.into_iter().enumerate().map(|(n, record)| entry(n, record, prefix)).collect()
}

fn entry(n: usize, mut record: SqsMessage, prefix: &QueuePrefix) -> Result<Leased, EventError> {
    let entry_id = record.message_id.filter(|id| !id.is_empty()).ok_or(EventError::NoId(n))?;
    let source = record.event_source_arn.unwrap_or_default();
    let queue = prefix.queue(&source).ok_or(EventError::ForeignQueue(n, source))?;
    let mut attribute = |name| record.attributes.remove(name);
    let sent_at = attribute("SentTimestamp").and_then(|millis| millis.parse().ok()).unwrap_or(0);
    Ok(Leased {
        queue,
        body: record.body.unwrap_or_default(),
        sequence: attribute("SequenceNumber").unwrap_or_else(|| "0".to_owned()),
        // Without a group it stands in line with nobody.
        group: attribute("MessageGroupId").unwrap_or_else(|| entry_id.clone()),
        sent_at: Timestamp::from_millis(sent_at),
        receives: attribute("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1),
        handle: record.receipt_handle.unwrap_or_default(),
        kept_at: None,
        entry_id,
    })
}

/// The function's answer: the entries that go back, by id. Everything else is deleted.
#[must_use]
pub fn response(go_back: Vec<String>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = go_back
        .into_iter()
        .map(|id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        })
        .collect();
    response
}

#[cfg(test)]
mod tests;
