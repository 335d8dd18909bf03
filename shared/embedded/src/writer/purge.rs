//! Deleting what its retention is over for, in small steps, and giving the pages back to the disk.

use std::sync::mpsc::Sender;

use rusqlite::{Connection, OptionalExtension, params};

use super::{Job, Transaction, bodies};
use crate::row::{IdValue, readable};
use crate::schedule::Millis;
use crate::store::Shared;

/// One step of the retention: what the keeper found. Whether it is still over is looked at here.
pub(crate) struct Purge {
    /// Messages, by their numbers.
    pub(crate) messages: Vec<i64>,
    /// Messages that ended before this go.
    pub(crate) ended_before: Millis,
    /// Dead letters, by their numbers, with their messages.
    pub(crate) letters: Vec<i64>,
    /// Ids noted before this are forgotten, at most [`PURGE_ROWS`] in a step.
    pub(crate) moved_before: Millis,
    /// Told how many rows went, and how many of them were ids.
    pub(crate) reply: Sender<(usize, usize)>,
    gone: (usize, usize),
}

/// Rows of a step: some milliseconds.
pub(crate) const PURGE_ROWS: usize = 500;

impl Job for Purge {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        let mut gone = 0;
        for no in &self.messages {
            gone += usize::from(self.purge_message(transaction, *no)?);
        }
        for no in &self.letters {
            gone += usize::from(self.purge_letter(transaction, *no)?);
        }
        let moves = transaction
            .prepare("DELETE FROM moves WHERE dedup IN (SELECT dedup FROM moves WHERE at < ?1 LIMIT ?2)")?
            .execute(params![self.moved_before, PURGE_ROWS])?;
        self.gone = (gone + moves, moves);
        Ok(())
    }

    fn done(self: Box<Self>, _: &Shared, _: &Connection) {
        let _ = self.reply.send(self.gone);
    }

    fn failed(self: Box<Self>, _: &Shared, _: &str) {}
}

impl Purge {
    pub(crate) fn new(ended_before: Millis, moved_before: Millis, reply: Sender<(usize, usize)>) -> Box<Self> {
        let (messages, letters) = (Vec::new(), Vec::new());
        Box::new(Self { messages, ended_before, letters, moved_before, reply, gone: (0, 0) })
    }

    fn purge_message(&self, transaction: &mut Transaction<'_>, no: i64) -> rusqlite::Result<bool> {
        // A dead message stays as long as its dead letter does.
        let over = transaction
            .prepare("SELECT 1 FROM messages WHERE no = ?1 AND ended_at < ?2 AND letter IS NULL")?
            .exists([no, self.ended_before])?;
        if over {
            self.forget(transaction, no)?;
        }
        Ok(over)
    }

    fn purge_letter(&self, transaction: &mut Transaction<'_>, no: i64) -> rusqlite::Result<bool> {
        let message: Option<i64> = transaction
            .prepare("SELECT no FROM messages WHERE letter = ?1 AND no = (SELECT accepted_no FROM dead_letters WHERE no = ?1)")?
            .query_row([no], |row| row.get(0))
            .optional()?;
        if let Some(message) = message {
            self.forget(transaction, message)?;
        }
        // Its message's row may have been lost; its body goes with the last of both.
        let orphaned: Option<Option<i64>> = transaction
            .prepare(
                "DELETE FROM dead_letters WHERE no = ?1 RETURNING CASE WHEN NOT EXISTS
                     (SELECT 1 FROM messages WHERE messages.no = accepted_no) THEN accepted_no END",
            )?
            .query_row([no], |row| row.get(0))
            .optional()?;
        if let Some(Some(message)) = orphaned {
            bodies::release(transaction, message)?;
        }
        Ok(orphaned.is_some())
    }

    /// Takes a message out of the ledger. Its key may be remembered for longer than that.
    fn forget(&self, transaction: &mut Transaction<'_>, no: i64) -> rusqlite::Result<()> {
        let key: Option<Option<(IdValue, Millis)>> = transaction
            .prepare("SELECT id, received_at FROM messages WHERE no = ?1 AND received_at >= ?2")?
            .query_row([no, self.moved_before], |row| readable((|| Ok((row.get(0)?, row.get(1)?)))()))
            .optional()?;
        if let Some((id, at)) = key.flatten() {
            transaction.remember(&id.0, at)?;
        }
        transaction.delete_message(no)
    }
}

/// Gives free pages at the file's end back to the disk, some at a time.
pub(crate) struct DropPages {
    pub(crate) pages: u32,
    pub(crate) reply: Sender<()>,
}

impl DropPages {
    pub(crate) fn new(pages: u32, reply: Sender<()>) -> Box<Self> {
        Box::new(Self { pages, reply })
    }
}

impl Job for DropPages {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        let mut vacuum = transaction.prepare(&format!("PRAGMA incremental_vacuum({})", self.pages))?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        Ok(())
    }

    fn done(self: Box<Self>, _: &Shared, _: &Connection) {
        let _ = self.reply.send(());
    }

    fn failed(self: Box<Self>, _: &Shared, _: &str) {}
}

/// Folds what is left of the log into the file, so that it begins anew.
pub(crate) struct Fold;

impl Job for Fold {
    fn apply(&mut self, _: &mut Transaction<'_>) -> rusqlite::Result<()> {
        Ok(())
    }

    fn done(self: Box<Self>, shared: &Shared, connection: &Connection) {
        // Passive: a reader in the way means that the log begins anew another time.
        // On a full disk it stays as it is, until a change that finds no room has given the reserve to both.
        if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
            && !super::is_full(&error)
        {
            shared.fail(&format!("folding the log into the file failed: {error}"), super::is_damage(&error));
        }
    }

    fn failed(self: Box<Self>, _: &Shared, _: &str) {}
}
