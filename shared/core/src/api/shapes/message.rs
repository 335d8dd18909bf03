//! A message and where it stands.

use serde::Serialize;

use super::parts::{AttemptShape, ErrorShape, text_or_base64};
use crate::ledger::{KeptAnswer, MessageRecord};
use crate::route::Ordering;
use crate::time::Timestamp;

/// A message as `GET /messages/{id}` answers it; a list leaves the answer out.
#[derive(Debug, Serialize)]
pub(in crate::api) struct MessageShape<'a> {
    id: &'a str,
    generation: u32,
    state: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cancelling: bool,
    tenant: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    producer: &'a str,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    labels: &'a [String],
    route: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_host: Option<&'a str>,
    received_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_due: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ordering: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    attempts: Vec<AttemptShape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<BodyShape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<AnswerShape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorShape<'a>>,
}

/// A body that is kept beside the queue.
#[derive(Debug, Serialize)]
struct BodyShape<'a> {
    body_ref: &'a str,
    bytes: u64,
}

/// The beginning of the target's last answer.
#[derive(Debug, Serialize)]
struct AnswerShape<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    truncated: bool,
}

impl<'a> MessageShape<'a> {
    pub(in crate::api) fn whole(record: &'a MessageRecord) -> Self {
        Self { answer: record.answer.as_ref().map(AnswerShape::of), ..Self::listed(record) }
    }

    pub(in crate::api) fn listed(record: &'a MessageRecord) -> Self {
        let listing = &record.listing;
        Self {
            id: &listing.id,
            generation: listing.generation,
            state: record.state.name(),
            cancelling: record.cancelling,
            tenant: &listing.tenant,
            producer: &listing.producer,
            subject: &listing.subject,
            client: listing.client.as_deref(),
            labels: &listing.labels,
            route: &listing.route,
            queue: record.queue.as_deref(),
            target: listing.target.as_deref(),
            target_host: listing.target_host.as_deref(),
            received_at: listing.received_at,
            next_due: record.next_due,
            ordering: record.ordering.map(Ordering::name),
            expires_at: record.expires_at,
            ended_at: record.ended_at,
            attempts: record.attempts.iter().map(|(attempt, by)| AttemptShape::of(attempt, Some(by))).collect(),
            body: listing.body.as_ref().map(|body| BodyShape { body_ref: &body.reference, bytes: body.bytes }),
            answer: None,
            error: record.error.as_ref().map(ErrorShape::of),
        }
    }
}

impl<'a> AnswerShape<'a> {
    fn of(answer: &'a KeptAnswer) -> Self {
        let (body, body_base64) = text_or_base64(&answer.body);
        Self { status: answer.status, body, body_base64, truncated: answer.truncated }
    }
}
