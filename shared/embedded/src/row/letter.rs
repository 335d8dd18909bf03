//! A dead letter's row.

use chaski_core::dead_letter::{DeadLetter, read_stored_message};
use chaski_core::history::{AttemptRecord, ErrorRecord};
use chaski_core::json::{self, Fields, Items};
use chaski_core::outcome::ErrorClass;
use chaski_core::time::Timestamp;
use rusqlite::{Row, Statement, named_params};
use serde_json::value::RawValue;

use super::{Sum, text, text_if};

/// A dead letter in its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LetterRow {
    /// The record.
    pub(crate) letter: DeadLetter,
    /// Whether its message was damaged before it was buried; such a one is never sent again.
    pub(crate) damaged: bool,
    /// Where its message stands in the order of acceptance.
    pub(crate) accepted_no: i64,
    /// When it was sent again.
    pub(crate) replayed_at: Option<Timestamp>,
}

/// The columns, in the order in which [`LetterRow::read`] takes them.
pub(crate) const COLUMNS: &str = "id, generation, tenant, producer, ord, subject, client, target, host, received_at,
    first_error, last_error, attempts, message, response, entry_sent_at, died_at, damaged, sum, accepted_no, replayed_at";

/// The same without the large ones, for lists.
pub(crate) const SHORT_COLUMNS: &str =
    "id, generation, tenant, producer, ord, subject, client, target, host, received_at,
    first_error, last_error, attempts, x'', NULL, entry_sent_at, died_at, damaged, sum, accepted_no, replayed_at";

/// Writes a row, on the condition that the same record is not there. Its key is that of every home: the time of the
/// last attempt's entry, the id and the generation. The same id may die twice, when its key's time was over.
pub(crate) const INSERT: &str =
    "INSERT INTO dead_letters (id, generation, tenant, producer, ord, subject, client, target, host,
        received_at, first_error, last_error, class, status, attempts, message, response, entry_sent_at, died_at,
        damaged, sum, accepted_no)
    VALUES (:id, :generation, :tenant, :producer, :ord, :subject, :client, :target, :host, :received_at, :first_error,
        :last_error, :class, :status, :attempts, :message, :response, :entry_sent_at, :died_at, :damaged, :sum,
        :accepted_no)
    ON CONFLICT (id, generation, entry_sent_at) DO NOTHING";

impl LetterRow {
    pub(crate) fn insert(&self, statement: &mut Statement<'_>) -> rusqlite::Result<()> {
        let letter = &self.letter;
        statement.execute(named_params! {
            ":id": letter.id, ":generation": letter.generation, ":tenant": letter.tenant, ":producer": letter.producer,
            ":ord": letter.order, ":subject": letter.subject, ":client": letter.client, ":target": letter.target,
            ":host": letter.target_host, ":received_at": letter.received_at.map(Timestamp::millis),
            ":first_error": letter.first_error.to_json(), ":last_error": letter.last_error.to_json(),
            ":class": letter.last_error.class, ":status": letter.last_error.status,
            ":attempts": attempts_json(&letter.attempts), ":message": letter.stored_message(),
            ":response": letter.response, ":entry_sent_at": letter.entry_sent_at.millis(),
            ":died_at": letter.died_at.millis(), ":damaged": self.damaged, ":sum": self.sum(),
            ":accepted_no": self.accepted_no,
        })?;
        Ok(())
    }

    /// Over all but the mark of a replay, which changes.
    pub(crate) fn sum(&self) -> i64 {
        let letter = &self.letter;
        Sum::default()
            .text(&letter.id)
            .number(i64::from(letter.generation))
            .text(&letter.tenant)
            .text_if(letter.producer.as_deref())
            .text_if(letter.order.as_deref())
            .text_if(letter.subject.as_deref())
            .text_if(letter.client.as_deref())
            .text_if(letter.target.as_deref())
            .text_if(letter.target_host.as_deref())
            .number_if(letter.received_at.map(Timestamp::millis))
            .text(&letter.first_error.to_json())
            .text(&letter.last_error.to_json())
            .text(&attempts_json(&letter.attempts))
            .bytes(&letter.message)
            .bytes_if(letter.response.as_deref())
            .number(letter.entry_sent_at.millis())
            .number(letter.died_at.millis())
            .number(i64::from(self.damaged))
            .number(self.accepted_no)
            .finish()
    }

    /// Reads a row; the second value tells whether it says what was written, unless it was read short.
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<(Self, bool)> {
        let stored: Vec<u8> = row.get(13)?;
        let (message, unpacked) = match read_stored_message(&stored) {
            Ok(message) => (message, true),
            Err(_) => (stored, false),
        };
        let letter = DeadLetter {
            id: text(row, 0)?,
            generation: row.get(1)?,
            tenant: text(row, 2)?,
            producer: text_if(row, 3)?,
            order: text_if(row, 4)?,
            subject: text_if(row, 5)?,
            client: text_if(row, 6)?,
            target: text_if(row, 7)?,
            target_host: text_if(row, 8)?,
            received_at: row.get::<_, Option<i64>>(9)?.map(Timestamp::from_millis),
            first_error: read_error(&text(row, 10)?).unwrap_or_else(unreadable),
            last_error: read_error(&text(row, 11)?).unwrap_or_else(unreadable),
            attempts: read_attempts(&text(row, 12)?),
            message,
            response: row.get(14)?,
            entry_sent_at: Timestamp::from_millis(row.get(15)?),
            died_at: Timestamp::from_millis(row.get(16)?),
        };
        let read = Self {
            letter,
            damaged: row.get(17)?,
            accepted_no: row.get(19)?,
            replayed_at: row.get::<_, Option<i64>>(20)?.map(Timestamp::from_millis),
        };
        let whole = unpacked && row.get::<_, i64>(18)? == read.sum();
        Ok((read, whole))
    }
}

fn attempts_json(attempts: &[AttemptRecord]) -> String {
    json::array(attempts.iter().map(AttemptRecord::to_json))
}

fn read_attempts(text: &str) -> Vec<AttemptRecord> {
    let Ok(items) = serde_json::from_str::<Items<'_>>(text) else { return Vec::new() };
    items.0.into_iter().filter_map(Fields::read).filter_map(AttemptRecord::read).collect()
}

/// Reads an error's JSON.
pub(crate) fn read_error(text: &str) -> Option<ErrorRecord> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    Fields::read(raw).and_then(ErrorRecord::read)
}

/// Stands in for an error whose text is damaged; the row's checksum tells so too.
fn unreadable() -> ErrorRecord {
    ErrorRecord::new(ErrorClass::Internal.name(), None, "the record of the error is damaged", Timestamp::default())
}
