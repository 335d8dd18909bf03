//! The transaction that a batch of jobs shares.

use std::collections::HashMap;
use std::time::Duration;

use chaski_core::history::ErrorRecord;
use chaski_core::ledger::{AttemptReport, Listing, MessageState};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::bodies;
use crate::finds::{FIND_COLUMNS, find_keys};
use crate::queues::QueueTable;
use crate::row::{
    ENTRY_COLUMNS, ENTRY_INSERT, EntryRow, IdValue, LETTER_INSERT, LetterRow, listing, readable, state_number, state_of,
};
use crate::schedule::Millis;
use crate::store::Shared;

/// What a message's row says of where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) no: i64,
    pub(crate) state: MessageState,
    pub(crate) received_at: Millis,
}

/// Numbers for messages and entries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    /// The next one that is free.
    pub(crate) next: i64,
    /// The file says that none from here on was given.
    pub(crate) noted: i64,
}

/// Numbers that the file is told of ahead, so that it is seldom told. A restart leaves out what was not used.
const AHEAD: i64 = 4_096;

/// An open transaction.
pub(crate) struct Transaction<'a> {
    connection: &'a Connection,
    pub(crate) shared: &'a Shared,
    numbers: Numbers,
    /// When it began, of the store's clock.
    pub(crate) now: Millis,
    /// What upkeep may take of it: others wait for their answer meanwhile.
    pub(crate) spare: Duration,
    /// How the queues' depths change.
    depths: HashMap<i64, i64>,
}

impl<'a> Transaction<'a> {
    pub(crate) fn begin(
        connection: &'a Connection,
        shared: &'a Shared,
        numbers: Numbers,
        spare: Duration,
    ) -> rusqlite::Result<Self> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Self { connection, shared, numbers, now: shared.clock.now(), spare, depths: HashMap::new() })
    }

    /// Makes it durable; the numbers that are left.
    pub(crate) fn commit(mut self) -> rusqlite::Result<Numbers> {
        if self.numbers.next > self.numbers.noted {
            // The rows that have the highest numbers go, and none is ever given twice: not after a restart either.
            self.numbers.noted = self.numbers.next + AHEAD;
            self.prepare("INSERT OR REPLACE INTO store (key, value) VALUES ('next', ?1)")?
                .execute([self.numbers.noted.to_string()])?;
        }
        for (queue, change) in self.depths.iter().filter(|(_, change)| **change != 0) {
            self.prepare("UPDATE queues SET depth = depth + ?2 WHERE no = ?1")?.execute([queue, change])?;
        }
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(self.numbers)
    }

    pub(crate) fn queues(&self) -> &QueueTable {
        &self.shared.queues
    }

    /// A statement, parsed once for the connection.
    pub(crate) fn prepare(&self, sql: &str) -> rusqlite::Result<CachedStatement<'a>> {
        self.connection.prepare_cached(sql)
    }

    /// A number that no message and no entry has.
    pub(crate) fn number(&mut self) -> i64 {
        let number = self.numbers.next;
        self.numbers.next += 1;
        number
    }

    pub(crate) fn insert_entry(&mut self, entry: &EntryRow) -> rusqlite::Result<()> {
        entry.insert(&mut *self.prepare(ENTRY_INSERT)?)?;
        *self.depths.entry(entry.queue).or_default() += 1;
        Ok(())
    }

    /// Takes an entry out of its queue; whether it was there.
    pub(crate) fn delete_entry(&mut self, seq: i64, queue: i64) -> rusqlite::Result<bool> {
        let deleted = self.prepare("DELETE FROM entries WHERE seq = ?1")?.execute([seq])? > 0;
        if deleted {
            *self.depths.entry(queue).or_default() -= 1;
        }
        Ok(deleted)
    }

    /// An entry as it stands in the file; `None` when it has gone, or is not what was written.
    pub(crate) fn entry(&self, seq: i64) -> rusqlite::Result<Option<EntryRow>> {
        let read = self
            .prepare(&format!("SELECT {ENTRY_COLUMNS} FROM entries WHERE seq = ?1"))?
            .query_row([seq], |row| readable(EntryRow::read(row)))
            .optional()?;
        Ok(read.flatten().filter(|(_, whole)| *whole).map(|(row, _)| row))
    }

    /// Gives an entry another text and time, in its place.
    pub(crate) fn change_entry(&mut self, row: &EntryRow) -> rusqlite::Result<()> {
        self.prepare("UPDATE entries SET body = ?2, due = ?3, sum = ?4 WHERE seq = ?1")?.execute(params![
            row.seq,
            row.body,
            row.due,
            row.sum()
        ])?;
        Ok(())
    }

    /// The strict line has come to this number.
    pub(crate) fn count(&self, group: &str, sequence: u64) -> rusqlite::Result<()> {
        self.prepare(
            "INSERT INTO sequences (grp, n) VALUES (?1, ?2)
             ON CONFLICT (grp) DO UPDATE SET n = excluded.n WHERE excluded.n > n",
        )?
        .execute(params![group, i64::try_from(sequence).unwrap_or(i64::MAX)])?;
        Ok(())
    }

    /// Whether the deduplication id, or the id of a message that is not listed any more, was taken within the time
    /// of keys.
    pub(crate) fn remembers(&self, dedup: &str) -> rusqlite::Result<bool> {
        self.prepare("SELECT 1 FROM moves WHERE dedup = ?1 AND at >= ?2")?
            .exists(params![dedup, self.now - self.shared.keys_ms])
    }

    /// Remembers it for that time, from `at` on.
    pub(crate) fn remember(&self, dedup: &str, at: Millis) -> rusqlite::Result<()> {
        self.prepare("INSERT OR REPLACE INTO moves (dedup, at) VALUES (?1, ?2)")?.execute(params![dedup, at])?;
        Ok(())
    }

    /// The row of a message.
    pub(crate) fn standing(&self, id: &str) -> rusqlite::Result<Option<Standing>> {
        self.prepare("SELECT no, state, received_at FROM messages WHERE id = ?1")?
            .query_row([IdValue(id.to_owned())], |row| {
                Ok(Standing {
                    no: row.get(0)?,
                    state: state_of(row.get(1)?).unwrap_or(MessageState::Pending),
                    received_at: row.get(2)?,
                })
            })
            .optional()
    }

    /// Writes the row of a message whose first entry is `entry`; `false` when its id has one.
    pub(crate) fn insert_message(&mut self, no: i64, listing: &Listing, entry: i64) -> rusqlite::Result<bool> {
        listing::write(&mut *self.prepare(listing::INSERT)?, no, listing, entry)
    }

    /// Begins a message's next generation in its place. Its listing may differ from the one before: it was read with
    /// other routes.
    pub(crate) fn renew_message(&mut self, no: i64, listing: &Listing, entry: i64) -> rusqlite::Result<()> {
        self.delete_finds(no)?;
        listing::write(&mut *self.prepare(listing::RENEW)?, no, listing, entry)?;
        // The look-ups may have passed this place.
        let mut insert = self.prepare("INSERT OR IGNORE INTO finds (key, message) VALUES (?1, ?2)")?;
        for key in self.find_keys_of(no)? {
            insert.execute([key, no])?;
        }
        Ok(())
    }

    fn find_keys_of(&self, no: i64) -> rusqlite::Result<Vec<i64>> {
        let sql = format!("SELECT {FIND_COLUMNS} FROM messages WHERE no = ?1");
        let keys = self.prepare(&sql)?.query_row([no], |row| readable(find_keys(row))).optional()?;
        Ok(keys.flatten().unwrap_or_default())
    }

    /// Takes a message out of the look-ups; its row says which they are.
    fn delete_finds(&self, no: i64) -> rusqlite::Result<()> {
        let mut delete = self.prepare("DELETE FROM finds WHERE key = ?1 AND message = ?2")?;
        for key in self.find_keys_of(no)? {
            delete.execute([key, no])?;
        }
        Ok(())
    }

    /// Takes a message out of the ledger.
    pub(crate) fn delete_message(&mut self, no: i64) -> rusqlite::Result<()> {
        self.delete_finds(no)?;
        bodies::release(self, no)?;
        self.prepare("DELETE FROM attempts WHERE message = ?1")?.execute([no])?;
        self.prepare("DELETE FROM messages WHERE no = ?1")?.execute([no])?;
        Ok(())
    }

    /// The message stands elsewhere after an attempt: at its end where `entry` is none, or in front of that entry.
    pub(crate) fn note_attempt_of(
        &mut self,
        no: i64,
        state: MessageState,
        entry: Option<i64>,
        report: &AttemptReport,
    ) -> rusqlite::Result<()> {
        let answer = report.answer.as_ref();
        let body = answer.map(|answer| answer.body.as_slice()).filter(|body| !body.is_empty());
        self.prepare(
            "UPDATE messages SET state = ?2, entry = ?3, ended_at = ?4, error = ?5, answer_status = ?6, answer = ?7,
                 answer_truncated = ?8, cancelling = 0 WHERE no = ?1",
        )?
        .execute(params![
            no,
            state_number(state),
            entry,
            entry.is_none().then_some(self.now),
            report.error.as_ref().map(ErrorRecord::to_json),
            answer.map(|answer| answer.status),
            body,
            answer.map(|answer| answer.truncated),
        ])?;
        Ok(())
    }

    /// The message came to its end.
    pub(crate) fn end_message(&mut self, no: i64, state: MessageState) -> rusqlite::Result<()> {
        self.prepare("UPDATE messages SET state = ?2, entry = NULL, cancelling = 0, ended_at = ?3 WHERE no = ?1")?
            .execute([no, state_number(state), self.now])?;
        Ok(())
    }

    /// Writes a dead letter, and ends its message with it: dead, or expired.
    pub(crate) fn bury(&mut self, row: &LetterRow, message: Option<i64>, end: MessageState) -> rusqlite::Result<()> {
        row.insert(&mut *self.prepare(LETTER_INSERT)?)?;
        let Some(message) = message else { return Ok(()) };
        self.end_message(message, end)?;
        let letter = &row.letter;
        self.prepare(
            "UPDATE messages SET error = ?5, letter =
                 (SELECT no FROM dead_letters WHERE id = ?2 AND generation = ?3 AND entry_sent_at = ?4) WHERE no = ?1",
        )?
        .execute(params![
            message,
            letter.id,
            letter.generation,
            letter.entry_sent_at.millis(),
            letter.last_error.to_json()
        ])?;
        Ok(())
    }
}
