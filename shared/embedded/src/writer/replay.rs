//! Sending dead letters again, and deleting them.

use chaski_core::ledger::Listing;
use chaski_core::ports::{Entry, Replayed};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use super::enqueue::{publish, row_of};
use super::{Job, Tell, Told, Transaction};
use crate::row::EntryRow;
use crate::store::Shared;

/// A dead letter's next generation.
pub(crate) struct Replay {
    id: String,
    generation: u32,
    entry: Entry,
    fate: Replayed,
    written: Option<EntryRow>,
    reply: Tell<Replayed>,
}

impl Replay {
    pub(crate) fn new(id: String, generation: u32, entry: Entry) -> (Box<Self>, Told<Replayed>) {
        let (reply, told) = oneshot::channel();
        (Box::new(Self { id, generation, entry, fate: Replayed::Unknown, written: None, reply }), told)
    }
}

impl Job for Replay {
    fn takes(&self) -> bool {
        true
    }

    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.written = None;
        let found: Option<(i64, Option<i64>, bool)> = transaction
            .prepare("SELECT accepted_no, replayed_at, damaged FROM dead_letters WHERE id = ?1 AND generation = ?2")?
            .query_row(params![self.id, self.generation], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let queue = transaction.queues().number(&self.entry.queue);
        let (Some((_, replayed_at, damaged)), Some(queue)) = (found, queue) else {
            self.fate = Replayed::Unknown;
            return Ok(());
        };
        if replayed_at.is_some() || damaged {
            self.fate = Replayed::Already;
            return Ok(());
        }
        transaction
            .prepare("UPDATE dead_letters SET replayed_at = ?3 WHERE id = ?1 AND generation = ?2")?
            .execute(params![self.id, self.generation, transaction.now])?;
        let seq = transaction.number();
        let message = match &self.entry.listing {
            None => None,
            Some(listing) => Some((place(transaction, listing, seq)?, &**listing)),
        };
        let row = row_of(transaction, &self.entry, queue, seq, message);
        transaction.insert_entry(&row)?;
        self.written = Some(row);
        self.fate = Replayed::Sent;
        Ok(())
    }

    fn done(self: Box<Self>, shared: &Shared, connection: &Connection) {
        if let Some(row) = self.written {
            publish(shared, connection, row);
        }
        let _ = self.reply.send(Ok(self.fate));
    }

    fn failed(self: Box<Self>, _: &Shared, why: &str) {
        let _ = self.reply.send(Err(why.to_owned()));
    }
}

/// The message's place in the ledger: its own, or a new one where its retention was over.
fn place(transaction: &mut Transaction<'_>, listing: &Listing, seq: i64) -> rusqlite::Result<i64> {
    match transaction.standing(&listing.id)? {
        Some(known) => {
            transaction.renew_message(known.no, listing, seq)?;
            Ok(known.no)
        }
        None => {
            transaction.insert_message(seq, listing, seq)?;
            Ok(seq)
        }
    }
}

/// A dead letter that is not wanted any more.
pub(crate) struct Delete {
    id: String,
    generation: u32,
    deleted: bool,
    reply: Tell<bool>,
}

impl Delete {
    pub(crate) fn new(id: String, generation: u32) -> (Box<Self>, Told<bool>) {
        let (reply, told) = oneshot::channel();
        (Box::new(Self { id, generation, deleted: false, reply }), told)
    }
}

impl Job for Delete {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.deleted = transaction
            .prepare("DELETE FROM dead_letters WHERE id = ?1 AND generation = ?2")?
            .execute(params![self.id, self.generation])?
            > 0;
        Ok(())
    }

    fn done(self: Box<Self>, _: &Shared, _: &Connection) {
        let _ = self.reply.send(Ok(self.deleted));
    }

    fn failed(self: Box<Self>, _: &Shared, why: &str) {
        let _ = self.reply.send(Err(why.to_owned()));
    }
}
