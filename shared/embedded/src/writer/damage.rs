//! Entries whose row does not say what was written: they are set aside as dead letters, and never delivered.

use chaski_core::dead_letter::DeadLetter;
use chaski_core::history::ErrorRecord;
use chaski_core::ledger::MessageState;
use chaski_core::outcome::ErrorClass;
use chaski_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use tracing::error;

use super::{Job, Transaction};
use crate::row::{ENTRY_COLUMNS, EntryRow, LISTING_COLUMNS, LetterRow, ListingRow, readable};
use crate::store::Shared;

/// Damaged entries, by their places.
pub(crate) struct SetAside {
    pub(crate) entries: Vec<i64>,
    /// Lines to be read anew.
    pub(crate) lines: Vec<i64>,
    /// Those that were set aside in the end.
    buried: Vec<i64>,
}

impl SetAside {
    pub(crate) fn new(entries: Vec<i64>, lines: Vec<i64>) -> Box<Self> {
        Box::new(Self { entries, lines, buried: Vec::new() })
    }
}

struct Remains {
    queue: i64,
    message: Option<i64>,
    body: Vec<u8>,
}

const DETAIL: &str = "the stored entry does not match its checksum: what was accepted can't be known from it";

impl Job for SetAside {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.buried.clear();
        let mut misled = false;
        for seq in &self.entries {
            if let Some(row) = whole(transaction, *seq)? {
                misled = true;
                // The look-up may have kept it from its own line.
                self.lines.push(row.line);
            } else {
                set_aside(transaction, *seq)?;
                self.buried.push(*seq);
            }
        }
        if misled {
            transaction.prepare("REINDEX entries")?.execute([])?;
        }
        Ok(())
    }

    fn done(self: Box<Self>, shared: &Shared, _: &Connection) {
        for seq in &self.buried {
            error!(event.action = "damaged", chaski.entry = shared.entry_id(*seq), "{DETAIL}");
        }
        let mut schedule = shared.schedule();
        self.lines.iter().for_each(|line| schedule.refresh(*line));
        // A look-up that was built anew may show other lines.
        schedule.owe_round();
        drop(schedule);
        shared.wake_loader();
    }

    fn failed(self: Box<Self>, _: &Shared, _: &str) {}
}

/// The row itself, where it is whole: then it was a look-up that led to it by a wrong way.
fn whole(transaction: &Transaction<'_>, seq: i64) -> rusqlite::Result<Option<EntryRow>> {
    let read = transaction
        .prepare(&format!("SELECT {ENTRY_COLUMNS} FROM entries NOT INDEXED WHERE seq = ?1"))?
        .query_row([seq], |row| readable(EntryRow::read(row)))
        .optional()?;
    Ok(read.flatten().filter(|(_, whole)| *whole).map(|(row, _)| row))
}

fn set_aside(transaction: &mut Transaction<'_>, seq: i64) -> rusqlite::Result<()> {
    let read = |row: &Row<'_>| {
        // Any of the columns may be the damaged one.
        Ok(Remains {
            queue: row.get(0).unwrap_or_default(),
            message: row.get(1).ok().flatten(),
            body: row.get(2).unwrap_or_default(),
        })
    };
    let found = transaction
        .prepare("SELECT queue, message, CAST(body AS BLOB) FROM entries WHERE seq = ?1")?
        .query_row([seq], read)
        .optional()?;
    let Some(remains) = found else { return Ok(()) };
    transaction.delete_entry(seq, remains.queue)?;
    // The number of a message that was damaged may be another one's: that one waits, and keeps its state.
    let listing = match remains.message {
        None => None,
        Some(no) => transaction
            .prepare(&format!("SELECT {LISTING_COLUMNS} FROM messages WHERE no = ?1 AND entry = ?2"))?
            .query_row([no, seq], |row| readable(ListingRow::read(row)))
            .optional()?
            .flatten(),
    };
    let letter = letter(transaction, seq, remains.body, listing.as_ref().map(|(row, _)| row));
    let accepted_no = listing.as_ref().map_or(seq, |(row, _)| row.no);
    let row = LetterRow { letter, damaged: true, accepted_no, replayed_at: None };
    transaction.bury(&row, listing.map(|(listing, _)| listing.no), MessageState::Dead)
}

fn letter(transaction: &Transaction<'_>, seq: i64, body: Vec<u8>, listing: Option<&ListingRow>) -> DeadLetter {
    let now = Timestamp::from_millis(transaction.now);
    let error = ErrorRecord::new(ErrorClass::Undecodable.name(), None, DETAIL, now);
    let listing = listing.map(|row| &row.listing);
    DeadLetter {
        id: listing.map_or_else(|| transaction.shared.entry_id(seq), |listing| listing.id.clone()),
        generation: listing.map_or(1, |listing| listing.generation),
        tenant: listing.map(|listing| listing.tenant.clone()).unwrap_or_default(),
        producer: listing.map(|listing| listing.producer.clone()).filter(|producer| !producer.is_empty()),
        order: None,
        subject: listing.map(|listing| listing.subject.clone()),
        client: listing.and_then(|listing| listing.client.clone()),
        target: listing.and_then(|listing| listing.target.clone()),
        target_host: listing.and_then(|listing| listing.target_host.clone()),
        received_at: listing.map(|listing| listing.received_at),
        first_error: error.clone(),
        last_error: error,
        attempts: Vec::new(),
        message: body,
        response: None,
        entry_sent_at: now,
        died_at: now,
    }
}
