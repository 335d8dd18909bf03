//! What is remembered of a message's attempts and errors.

use crate::json::{Extra, Fields, Writer};
use crate::limits;
use crate::time::Timestamp;

/// One attempt, as it stands in `meta.history` and in a dead letter's `attempts`.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRecord {
    /// Its number in its generation, from 1.
    pub n: u32,
    /// When it began.
    pub at: Timestamp,
    /// The queue that its entry came from, by its short name.
    pub tier: String,
    /// `delivered` or an error class, as it is written.
    pub outcome: String,
    /// The target's answer, where there was one.
    pub status: Option<u16>,
    /// From the request's start to the answer's end, in milliseconds.
    pub duration_ms: u64,
    /// Fields that another version wrote.
    pub extra: Extra,
}

/// One error, as it stands in `meta.first_error` and `meta.last_error`, and in a dead letter.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorRecord {
    /// An error class, as it is written.
    pub class: String,
    /// The target's answer, where there was one.
    pub status: Option<u16>,
    /// For a person; at most [`limits::ERROR_DETAIL_BYTES`].
    pub detail: String,
    /// When the attempt ended, or the decision was made.
    pub at: Timestamp,
    /// Fields that another version wrote.
    pub extra: Extra,
}

impl ErrorRecord {
    /// An error of now; the detail is cut to its limit.
    #[must_use]
    pub fn new(class: &str, status: Option<u16>, detail: &str, at: Timestamp) -> Self {
        let mut detail = detail.to_owned();
        cut(&mut detail, limits::ERROR_DETAIL_BYTES);
        Self { class: class.to_owned(), status, detail, at, extra: Extra::default() }
    }

    /// Reads the object that [`ErrorRecord::to_json`] writes. `None` without a class.
    #[must_use]
    pub fn read(mut fields: Fields<'_>) -> Option<Self> {
        Some(Self {
            class: fields.take_as("class")?,
            status: fields.take_as("status"),
            detail: fields.take_as("detail").unwrap_or_default(),
            at: take_time(&mut fields, "at").unwrap_or_default(),
            extra: fields.rest(),
        })
    }

    /// `{"class","status","detail","at"}`, and what another version wrote.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut writer = Writer::default();
        writer.text("class", &self.class);
        if let Some(status) = self.status {
            writer.number("status", status);
        }
        writer.text("detail", &self.detail);
        writer.text("at", &self.at.to_string());
        writer.finish(&self.extra)
    }
}

impl AttemptRecord {
    /// Reads the object that [`AttemptRecord::to_json`] writes. `None` without a number.
    #[must_use]
    pub fn read(mut fields: Fields<'_>) -> Option<Self> {
        Some(Self {
            n: fields.take_as("n")?,
            at: take_time(&mut fields, "at").unwrap_or_default(),
            tier: fields.take_as("tier").unwrap_or_default(),
            outcome: fields.take_as("outcome").unwrap_or_default(),
            status: fields.take_as("status"),
            duration_ms: fields.take_as("duration_ms").unwrap_or_default(),
            extra: fields.rest(),
        })
    }

    /// `{"n","at","tier","outcome","status","duration_ms"}`, and what another version wrote.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut writer = Writer::default();
        writer.number("n", self.n);
        writer.text("at", &self.at.to_string());
        writer.text("tier", &self.tier);
        writer.text("outcome", &self.outcome);
        if let Some(status) = self.status {
            writer.number("status", status);
        }
        writer.number("duration_ms", self.duration_ms);
        writer.finish(&self.extra)
    }
}

/// Takes a point in time, where the field holds one.
pub(crate) fn take_time(fields: &mut Fields<'_>, name: &str) -> Option<Timestamp> {
    fields.take_as::<String>(name).as_deref().and_then(Timestamp::parse)
}

/// Adds an attempt and keeps the first [`limits::HISTORY_FIRST`] and the last [`limits::HISTORY_LAST`].
pub fn push(history: &mut Vec<AttemptRecord>, attempt: AttemptRecord) {
    history.push(attempt);
    while history.len() > limits::HISTORY_FIRST + limits::HISTORY_LAST {
        history.remove(limits::HISTORY_FIRST);
    }
}

/// Shortens a text to at most `bytes`, between two characters.
pub fn cut(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let end = text.floor_char_boundary(bytes);
        text.truncate(end);
    }
}
