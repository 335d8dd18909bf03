//! Deleting what its retention is over for, in small steps, and giving the pages back to the disk.

use std::sync::mpsc::Sender;

use rusqlite::{Connection, OptionalExtension};

use super::{Job, Transaction};
use crate::schedule::Millis;
use crate::store::Shared;

/// Rows looked at in a step: a few milliseconds.
const ROWS: i64 = 500;

/// Where a purge stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Messages were looked at up to here.
    pub(crate) message: i64,
    /// Dead letters were looked at up to here.
    pub(crate) letter: i64,
    /// Whether both have been looked through.
    pub(crate) through: bool,
    /// Rows deleted in this step.
    pub(crate) deleted: usize,
}

/// One step of the retention.
pub(crate) struct Purge {
    pub(crate) from: Progress,
    /// Messages that ended before this go.
    pub(crate) ended_before: Option<Millis>,
    /// Dead letters buried before this go, with their messages.
    pub(crate) died_before: Option<Millis>,
    /// Deduplication ids noted before this go.
    pub(crate) moved_before: Millis,
    pub(crate) reply: Sender<Progress>,
}

impl Job for Purge {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        let mut progress = Progress { deleted: 0, ..self.from };
        let messages = self.purge_messages(transaction, &mut progress)?;
        let letters = self.purge_letters(transaction, &mut progress)?;
        progress.deleted += transaction
            .prepare("DELETE FROM moves WHERE dedup IN (SELECT dedup FROM moves WHERE at < ?1 LIMIT ?2)")?
            .execute([self.moved_before, ROWS])?;
        progress.through = !messages && !letters;
        self.from = progress;
        Ok(())
    }

    fn done(self: Box<Self>, _: &Shared, _: &Connection) {
        let _ = self.reply.send(self.from);
    }

    fn failed(self: Box<Self>, _: &Shared, _: &str) {}
}

impl Purge {
    /// Looks at the next messages; whether there may be more.
    fn purge_messages(&self, transaction: &mut Transaction<'_>, progress: &mut Progress) -> rusqlite::Result<bool> {
        let Some(before) = self.ended_before else { return Ok(false) };
        let last =
            last(transaction, "SELECT no FROM messages WHERE no > ?1 ORDER BY no LIMIT 1 OFFSET ?2", progress.message)?;
        let until = last.unwrap_or(i64::MAX);
        // A dead message stays as long as its dead letter does.
        let ended: Vec<i64> = transaction
            .prepare("SELECT no FROM messages WHERE no > ?1 AND no <= ?2 AND ended_at < ?3 AND state <> 4")?
            .query_map([progress.message, until, before], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for no in &ended {
            transaction.delete_message(*no)?;
        }
        progress.deleted += ended.len();
        progress.message = last.unwrap_or(progress.message);
        Ok(last.is_some())
    }

    fn purge_letters(&self, transaction: &mut Transaction<'_>, progress: &mut Progress) -> rusqlite::Result<bool> {
        let Some(before) = self.died_before else { return Ok(false) };
        let sql = "SELECT no FROM dead_letters WHERE no > ?1 ORDER BY no LIMIT 1 OFFSET ?2";
        let last = last(transaction, sql, progress.letter)?;
        let until = last.unwrap_or(i64::MAX);
        let died: Vec<(i64, i64)> = transaction
            .prepare("SELECT no, accepted_no FROM dead_letters WHERE no > ?1 AND no <= ?2 AND died_at < ?3")?
            .query_map([progress.letter, until, before], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (no, message) in &died {
            transaction.prepare("DELETE FROM dead_letters WHERE no = ?1")?.execute([no])?;
            let dead = transaction.prepare("SELECT 1 FROM messages WHERE no = ?1 AND state = 4")?.exists([message])?;
            if dead {
                transaction.delete_message(*message)?;
            }
        }
        progress.deleted += died.len();
        progress.letter = last.unwrap_or(progress.letter);
        Ok(last.is_some())
    }
}

fn last(transaction: &Transaction<'_>, sql: &str, from: i64) -> rusqlite::Result<Option<i64>> {
    transaction.prepare(sql)?.query_row([from, ROWS - 1], |row| row.get(0)).optional()
}

/// Gives free pages at the file's end back to the disk, some at a time.
pub(crate) struct DropPages {
    pub(crate) pages: u32,
    pub(crate) reply: Sender<i64>,
    left: i64,
}

impl DropPages {
    pub(crate) fn new(pages: u32, reply: Sender<i64>) -> Box<Self> {
        Box::new(Self { pages, reply, left: 0 })
    }
}

impl Job for DropPages {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        let mut vacuum = transaction.prepare(&format!("PRAGMA incremental_vacuum({})", self.pages))?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        self.left = transaction.prepare("PRAGMA freelist_count")?.query_row([], |row| row.get(0))?;
        Ok(())
    }

    fn done(self: Box<Self>, _: &Shared, _: &Connection) {
        let _ = self.reply.send(self.left);
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
        if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            shared.fail(&format!("folding the log into the file failed: {error}"), super::is_damage(&error));
        }
    }

    fn failed(self: Box<Self>, _: &Shared, _: &str) {}
}
