//! A dead letter, under the names that the record has in every store.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::parts::{AttemptShape, ErrorShape, base64, text_or_base64};
use crate::json;
use crate::limits;
use crate::ports::Buried;
use crate::time::Timestamp;

/// A dead letter as `GET /dead-letters/{id}` answers it; a list leaves out the message and the response.
#[derive(Debug, Serialize)]
pub(in crate::api) struct DeadLetterShape<'a> {
    date: String,
    timestamp: String,
    id: &'a str,
    generation: u32,
    tenant: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    producer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received_at: Option<Timestamp>,
    error: Errors<'a>,
    attempts: Vec<AttemptShape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_base64: Option<String>,
    died_at: Timestamp,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed_at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct Errors<'a> {
    first: ErrorShape<'a>,
    last: ErrorShape<'a>,
}

impl<'a> DeadLetterShape<'a> {
    pub(in crate::api) fn whole(buried: &'a Buried) -> Self {
        let letter = &buried.letter;
        let message = readable(&letter.message);
        let message_base64 = message.is_none().then(|| base64(&letter.message));
        let (response, response_base64) = letter.response.as_deref().map(text_or_base64).unwrap_or_default();
        Self { message, message_base64, response, response_base64, ..Self::listed(buried) }
    }

    pub(in crate::api) fn listed(buried: &'a Buried) -> Self {
        let letter = &buried.letter;
        Self {
            date: letter.date_key(),
            timestamp: letter.time_key(),
            id: &letter.id,
            generation: letter.generation,
            tenant: &letter.tenant,
            producer: letter.producer.as_deref(),
            order: letter.order.as_deref(),
            subject: letter.subject.as_deref(),
            client: letter.client.as_deref(),
            target: letter.target.as_deref(),
            target_host: letter.target_host.as_deref(),
            received_at: letter.received_at,
            error: Errors { first: ErrorShape::of(&letter.first_error), last: ErrorShape::of(&letter.last_error) },
            attempts: letter.attempts.iter().map(|attempt| AttemptShape::of(attempt, None)).collect(),
            message: None,
            message_base64: None,
            response: None,
            response_base64: None,
            died_at: letter.died_at,
            created_at: letter.died_at,
            replayed_at: buried.replayed_at,
        }
    }
}

/// Readers of JSON stop at a depth, of 128 in many libraries, and the message stands one deeper here.
const DEPTH: usize = limits::JSON_DEPTH - 2;

/// The message as JSON, if every reader of the answer can read it as such: an object without half surrogate
/// pairs, numbers beyond all measure, and bottomless nesting, all of which a queue may carry.
fn readable(message: &[u8]) -> Option<&RawValue> {
    let text = std::str::from_utf8(message).ok()?;
    if json::depth(text) > DEPTH || !text.trim_ascii_start().starts_with('{') {
        return None;
    }
    serde_json::from_str::<Value>(text).ok()?;
    serde_json::from_str(text).ok()
}
