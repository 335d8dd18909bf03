//! A dead letter as items of DynamoDB.
//!
//! One record is one item, but for a message that does not fit into one even when it is packed (SQS carries
//! 1 MiB, an item 400 KB; what our own ingress accepted fits): its bytes then stand in items of their own
//! beside it, and the record names their sort keys, in order, in `parts`.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use chaski_core::dead_letter::DeadLetter;
use chaski_core::history::{AttemptRecord, ErrorRecord, cut};
use chaski_core::identity;
use chaski_core::limits;
use chaski_core::time::Timestamp;

/// An item, by attribute.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// Partition key, sort key, and what tells a record from another in the same place.
pub(crate) const DATE: &str = "date";
pub(crate) const TIMESTAMP: &str = "timestamp";
pub(crate) const ID: &str = "id";
pub(crate) const GENERATION: &str = "generation";
/// The whole message, or the sort keys of the items that hold it.
pub(crate) const MESSAGE: &str = "message";
pub(crate) const PARTS: &str = "parts";
/// The bytes in an item that is a part.
pub(crate) const PART: &str = "part";

/// From when on DynamoDB may delete the item (the table's time to live), in Unix seconds.
const EXPIRES_AT: &str = "expires_at";

/// A part's bytes; the rest of its item is below 10 KB.
const PART_BYTES: usize = limits::DEAD_LETTER_ITEM_BYTES - 10_000;
/// Any text in a record. Longer ones do not pass ingress; they stand whole in the message, and are cut here
/// so that the record has its place.
const TEXT_BYTES: usize = limits::URL_BYTES;
/// A name in a record: an error class, an outcome, a queue.
const NAME_BYTES: usize = 256;
/// An answer's beginning; redacting may have made it longer.
const RESPONSE_BYTES: usize = 2 * limits::ANSWER_BYTES;
/// A sort key's size without that of a part's ending (DynamoDB: 1,024 with it).
const SORT_KEY_BYTES: usize = 960;

/// The items of a record in the order in which they are written: the record itself last, so that it never
/// names a part that is not there.
pub(crate) fn items(letter: &DeadLetter) -> Vec<Item> {
    let mut record = record(letter);
    let message = letter.stored_message();
    let whole = size(&record) + MESSAGE.len() + message.len();
    if whole <= limits::DEAD_LETTER_ITEM_BYTES {
        record.insert(MESSAGE.to_owned(), bytes(message));
        return vec![record];
    }
    // The digest keeps the parts of two burials apart whose messages differ (in the time of an attempt, say),
    // of which the first was interrupted.
    let digest = identity::digest(&[&message]);
    let mut items = Vec::new();
    let mut keys = Vec::new();
    for (n, chunk) in message.chunks(PART_BYTES).enumerate() {
        let key = format!("{}#part-{n}-{digest}", sort_key(letter));
        keys.push(AttributeValue::S(key.clone()));
        let mut part = place(letter, key);
        part.insert(PART.to_owned(), bytes(chunk.to_vec()));
        items.push(part);
    }
    record.insert(PARTS.to_owned(), AttributeValue::L(keys));
    items.push(record);
    items
}

/// Lets DynamoDB delete the item from then on, to the second, and never before.
pub(crate) fn expire(item: &mut Item, at: Timestamp) {
    let seconds = at.millis().saturating_add(999).div_euclid(1_000);
    item.insert(EXPIRES_AT.to_owned(), AttributeValue::N(seconds.to_string()));
}

/// What DynamoDB counts for an item: names and values, and 3 bytes and one an element for lists and maps.
pub(crate) fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        // At most 38 digits in 20 bytes and one for the sign; ours are never estimated too small by this.
        AttributeValue::N(_) => 21,
        AttributeValue::B(blob) => blob.as_ref().len(),
        AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + value_size(value)).sum::<usize>(),
        AttributeValue::M(map) => 3 + map.iter().map(|(name, value)| 1 + name.len() + value_size(value)).sum::<usize>(),
        _ => 1,
    }
}

/// The record without its message.
fn record(letter: &DeadLetter) -> Item {
    let mut item = place(letter, sort_key(letter));
    let mut put = |name: &str, value: Option<AttributeValue>| {
        if let Some(value) = value {
            item.insert(name.to_owned(), value);
        }
    };
    put("tenant", Some(text(&letter.tenant)));
    put("producer", letter.producer.as_deref().map(text));
    put("order", letter.order.as_deref().map(text));
    put("subject", letter.subject.as_deref().map(text));
    put("client", letter.client.as_deref().map(text));
    put("target", letter.target.as_deref().map(text));
    put("target_host", letter.target_host.as_deref().map(text));
    put("received_at", letter.received_at.map(|at| text(&at.to_string())));
    let errors = [("first", &letter.first_error), ("last", &letter.last_error)];
    put("error", Some(map(errors.map(|(name, error)| (name, Some(error_map(error)))))));
    put("attempts", Some(AttributeValue::L(shown(&letter.attempts).map(attempt_map).collect())));
    let answer = letter.response.as_deref().map(|answer| answer.get(..RESPONSE_BYTES).unwrap_or(answer));
    put("response", answer.map(|answer| bytes(answer.to_vec())));
    put("died_at", Some(text(&letter.died_at.to_string())));
    put("created_at", Some(text(&letter.died_at.to_string())));
    put("id_digest", Some(text(&letter.id_digest())));
    put("subject_digest", letter.subject_digest().as_deref().map(text));
    put("target_digest", letter.target_digest().as_deref().map(text));
    item
}

/// The keys of an item, and whose it is.
fn place(letter: &DeadLetter, sort_key: String) -> Item {
    let values = [
        (DATE, AttributeValue::S(letter.date_key())),
        (TIMESTAMP, AttributeValue::S(sort_key)),
        (ID, text(&letter.id)),
        (GENERATION, number(letter.generation)),
    ];
    values.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The record's sort key. An id that is too long for a key (none of ours is) stands in it by its digest.
pub(crate) fn sort_key(letter: &DeadLetter) -> String {
    let key = letter.time_key();
    if key.len() <= SORT_KEY_BYTES {
        return key;
    }
    format!("{}#{}#{}", letter.entry_sent_at, letter.id_digest(), letter.generation)
}

/// The first attempts and the last, should another writer have kept more of them.
fn shown(attempts: &[AttemptRecord]) -> impl Iterator<Item = &AttemptRecord> {
    let after = attempts.len().saturating_sub(limits::HISTORY_LAST);
    attempts
        .iter()
        .enumerate()
        .filter(move |(n, _)| *n < limits::HISTORY_FIRST || *n >= after)
        .map(|(_, attempt)| attempt)
}

fn attempt_map(attempt: &AttemptRecord) -> AttributeValue {
    map([
        ("n", Some(number(attempt.n))),
        ("at", Some(text(&attempt.at.to_string()))),
        ("tier", Some(name(&attempt.tier))),
        ("outcome", Some(name(&attempt.outcome))),
        ("status", attempt.status.map(number)),
        ("duration_ms", Some(number(attempt.duration_ms))),
    ])
}

fn error_map(error: &ErrorRecord) -> AttributeValue {
    map([
        ("class", Some(name(&error.class))),
        ("status", error.status.map(number)),
        ("detail", Some(text(&error.detail))),
        ("at", Some(text(&error.at.to_string()))),
    ])
}

fn map<const N: usize>(fields: [(&str, Option<AttributeValue>); N]) -> AttributeValue {
    AttributeValue::M(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}

fn text(value: &str) -> AttributeValue {
    short(value, TEXT_BYTES)
}

fn name(value: &str) -> AttributeValue {
    short(value, NAME_BYTES)
}

fn short(value: &str, limit: usize) -> AttributeValue {
    let mut value = value.to_owned();
    cut(&mut value, limit);
    AttributeValue::S(value)
}

fn number(value: impl Into<u64>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

fn bytes(value: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

#[cfg(test)]
mod tests;
