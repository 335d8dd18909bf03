//! `meta`: all that Chaski adds to an envelope. Every field is optional to a reader.

use crate::history::{AttemptRecord, ErrorRecord};
use crate::json::{self, Extra, Fields, Items, Writer};
use crate::time::Timestamp;

/// The version of `meta` that is written here. A higher one is read as known, and kept.
pub const META_VERSION: u64 = 2;

/// All that Chaski adds to an envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct Meta {
    /// The highest version that wrote it.
    pub v: u64,
    /// The message's id; empty where it is not known yet.
    pub id: String,
    /// The producer's id; empty for callers without one.
    pub producer: String,
    /// The producer's tenant; the empty one by default.
    pub tenant: String,
    /// When the message was accepted.
    pub received_at: Option<Timestamp>,
    /// The queue's sequence number of the first entry.
    pub order: Option<String>,
    /// From 1; replay makes the next one.
    pub generation: u32,
    /// Attempts made in this generation.
    pub attempts: u32,
    /// The first and the last of them.
    pub history: Vec<AttemptRecord>,
    /// Moves since the last attempt that were not attempts.
    pub hop: u32,
    /// The error that chose the retry policy.
    pub first_error: Option<ErrorRecord>,
    /// The latest error.
    pub last_error: Option<ErrorRecord>,
    /// When the next attempt is due.
    pub next_due: Option<Timestamp>,
    /// The route's name.
    pub route: Option<String>,
    /// The trace that it belongs to, as a `traceparent`.
    pub trace: Option<String>,
    /// Fields that another version wrote.
    pub extra: Extra,
}

impl Default for Meta {
    fn default() -> Self {
        Self {
            v: META_VERSION,
            id: String::new(),
            producer: String::new(),
            tenant: String::new(),
            received_at: None,
            order: None,
            generation: 1,
            attempts: 0,
            history: Vec::new(),
            hop: 0,
            first_error: None,
            last_error: None,
            next_due: None,
            route: None,
            trace: None,
            extra: Extra::default(),
        }
    }
}

/// An id longer than this was not made here and can't be a table's key; the entry's own id stands in.
const ID_BYTES: usize = 255;

impl Meta {
    /// Takes the fields that are understood; the others stay as they are.
    pub(super) fn read(mut fields: Fields<'_>) -> Self {
        let default = Self::default();
        let history = match fields.take_as::<Items<'_>>("history") {
            Some(items) => items.0.into_iter().filter_map(Fields::read).filter_map(read_attempt).collect(),
            None => Vec::new(),
        };
        Self {
            v: fields.take_as("v").unwrap_or(META_VERSION),
            id: take_id(&mut fields).unwrap_or_default(),
            producer: fields.take_as("producer").unwrap_or_default(),
            tenant: fields.take_as("tenant").unwrap_or_default(),
            received_at: take_time(&mut fields, "received_at"),
            order: fields.take_as("order"),
            generation: fields.take_as("generation").unwrap_or(default.generation),
            attempts: fields.take_as("attempts").unwrap_or_else(|| u32::try_from(history.len()).unwrap_or(0)),
            history,
            hop: fields.take_as("hop").unwrap_or_default(),
            first_error: take_error(&mut fields, "first_error"),
            last_error: take_error(&mut fields, "last_error"),
            next_due: take_time(&mut fields, "next_due"),
            route: fields.take_as("route"),
            trace: fields.take_as("trace"),
            extra: fields.rest(),
        }
    }

    /// The text of the object. `body` says what a travelling base64 body holds.
    pub(super) fn write(&self, body: Option<&'static str>) -> String {
        let mut writer = Writer::default();
        writer.number("v", self.v.max(META_VERSION));
        writer.text("id", &self.id);
        writer.text("producer", &self.producer);
        writer.text("tenant", &self.tenant);
        writer.text_if("received_at", self.received_at.map(|at| at.to_string()).as_deref());
        writer.text_if("order", self.order.as_deref());
        writer.number("generation", self.generation);
        writer.number("attempts", self.attempts);
        if !self.history.is_empty() {
            writer.raw("history", &json::array(self.history.iter().map(write_attempt)));
        }
        writer.number("hop", self.hop);
        for (name, error) in [("first_error", &self.first_error), ("last_error", &self.last_error)] {
            if let Some(error) = error {
                writer.raw(name, &write_error(error));
            }
        }
        writer.text_if("next_due", self.next_due.map(|at| at.to_string()).as_deref());
        writer.text_if("route", self.route.as_deref());
        writer.text_if("trace", self.trace.as_deref());
        writer.text_if("body", body);
        writer.finish(&self.extra)
    }
}

fn take_id(fields: &mut Fields<'_>) -> Option<String> {
    let id: String = fields.take_as("id")?;
    let usable = !id.is_empty() && id.len() <= ID_BYTES && !id.contains(['#', '\0']);
    usable.then_some(id)
}

fn take_time(fields: &mut Fields<'_>, name: &str) -> Option<Timestamp> {
    fields.take_as::<String>(name).as_deref().and_then(Timestamp::parse)
}

fn take_error(fields: &mut Fields<'_>, name: &str) -> Option<ErrorRecord> {
    let mut error = Fields::read(fields.take(name)?)?;
    Some(ErrorRecord {
        class: error.take_as("class")?,
        status: error.take_as("status"),
        detail: error.take_as("detail").unwrap_or_default(),
        at: take_time(&mut error, "at").unwrap_or_default(),
        extra: error.rest(),
    })
}

fn write_error(error: &ErrorRecord) -> String {
    let mut writer = Writer::default();
    writer.text("class", &error.class);
    if let Some(status) = error.status {
        writer.number("status", status);
    }
    writer.text("detail", &error.detail);
    writer.text("at", &error.at.to_string());
    writer.finish(&error.extra)
}

fn read_attempt(mut fields: Fields<'_>) -> Option<AttemptRecord> {
    Some(AttemptRecord {
        n: fields.take_as("n")?,
        at: take_time(&mut fields, "at").unwrap_or_default(),
        tier: fields.take_as("tier").unwrap_or_default(),
        outcome: fields.take_as("outcome").unwrap_or_default(),
        status: fields.take_as("status"),
        duration_ms: fields.take_as("duration_ms").unwrap_or_default(),
        extra: fields.rest(),
    })
}

fn write_attempt(attempt: &AttemptRecord) -> String {
    let mut writer = Writer::default();
    writer.number("n", attempt.n);
    writer.text("at", &attempt.at.to_string());
    writer.text("tier", &attempt.tier);
    writer.text("outcome", &attempt.outcome);
    if let Some(status) = attempt.status {
        writer.number("status", status);
    }
    writer.number("duration_ms", attempt.duration_ms);
    writer.finish(&attempt.extra)
}
