//! `meta`: all that Chaski adds to an envelope. Every field is optional to a reader.

use crate::history::{self, AttemptRecord, ErrorRecord};
use crate::identity;
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
    /// Not to be attempted before.
    pub not_before: Option<Timestamp>,
    /// Not to be attempted from then on.
    pub expires_at: Option<Timestamp>,
    /// Its number among the strict messages of its subject that were attempted, from 1.
    pub sequence: Option<u64>,
    /// The id of the message whose outcome it tells of.
    pub callback_of: Option<String>,
    /// When it was sent again; it counts as accepted then.
    pub replayed_at: Option<Timestamp>,
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
            not_before: None,
            expires_at: None,
            sequence: None,
            callback_of: None,
            replayed_at: None,
            route: None,
            trace: None,
            extra: Extra::default(),
        }
    }
}

/// An id longer than this was not made here and can't be a table's key; the entry's own id stands in.
const ID_BYTES: usize = 255;

impl Meta {
    /// Reads what [`Meta::to_json`] wrote. `None` when the text is no object.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str::<Fields<'_>>(text).ok().map(Self::read)
    }

    /// The text of the object, as a home remembers it beside its queues.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.write(None, None)
    }

    /// The line that a message of this subject stands in. A callback has one of its own beside the subject's: who is
    /// slow to be told must not hold up the messages.
    #[must_use]
    pub fn line(&self, subject: &str) -> String {
        match self.callback_of {
            None => identity::group_id(&self.tenant, subject),
            Some(_) => identity::callback_group_id(&self.tenant, subject),
        }
    }

    /// Takes the fields that are understood; the others stay as they are.
    pub(super) fn read(mut fields: Fields<'_>) -> Self {
        let default = Self::default();
        let history = match fields.take_as::<Items<'_>>("history") {
            Some(items) => items.0.into_iter().filter_map(Fields::read).filter_map(AttemptRecord::read).collect(),
            None => Vec::new(),
        };
        Self {
            v: fields.take_as("v").unwrap_or(META_VERSION),
            id: take_id(&mut fields).unwrap_or_default(),
            producer: fields.take_as("producer").unwrap_or_default(),
            tenant: fields.take_as("tenant").unwrap_or_default(),
            received_at: history::take_time(&mut fields, "received_at"),
            order: fields.take_as("order"),
            generation: fields.take_as("generation").unwrap_or(default.generation),
            attempts: fields.take_as("attempts").unwrap_or_else(|| u32::try_from(history.len()).unwrap_or(0)),
            history,
            hop: fields.take_as("hop").unwrap_or_default(),
            first_error: fields.take("first_error").and_then(Fields::read).and_then(ErrorRecord::read),
            last_error: fields.take("last_error").and_then(Fields::read).and_then(ErrorRecord::read),
            next_due: history::take_time(&mut fields, "next_due"),
            not_before: history::take_time(&mut fields, "not_before"),
            expires_at: history::take_time(&mut fields, "expires_at"),
            sequence: fields.take_as("sequence"),
            callback_of: fields.take_as("callback_of"),
            replayed_at: history::take_time(&mut fields, "replayed_at"),
            route: fields.take_as("route"),
            trace: fields.take_as("trace"),
            extra: fields.rest(),
        }
    }

    /// The text of the object. `body` says what a travelling base64 body holds, or one that is kept beside the queue,
    /// and `bytes` how large the latter is.
    pub(super) fn write(&self, body: Option<&'static str>, bytes: Option<u64>) -> String {
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
            writer.raw("history", &json::array(self.history.iter().map(AttemptRecord::to_json)));
        }
        writer.number("hop", self.hop);
        for (name, error) in [("first_error", &self.first_error), ("last_error", &self.last_error)] {
            if let Some(error) = error {
                writer.raw(name, &error.to_json());
            }
        }
        for (name, at) in [
            ("next_due", self.next_due),
            ("not_before", self.not_before),
            ("expires_at", self.expires_at),
            ("replayed_at", self.replayed_at),
        ] {
            writer.text_if(name, at.map(|at| at.to_string()).as_deref());
        }
        if let Some(sequence) = self.sequence {
            writer.number("sequence", sequence);
        }
        writer.text_if("callback_of", self.callback_of.as_deref());
        writer.text_if("route", self.route.as_deref());
        writer.text_if("trace", self.trace.as_deref());
        writer.text_if("body", body);
        if let Some(bytes) = bytes {
            writer.number("body_bytes", bytes);
        }
        writer.finish(&self.extra)
    }
}

fn take_id(fields: &mut Fields<'_>) -> Option<String> {
    let id: String = fields.take_as("id")?;
    let usable = !id.is_empty() && id.len() <= ID_BYTES && !id.contains(['#', '\0']);
    usable.then_some(id)
}
