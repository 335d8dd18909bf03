//! Sending dead letters again, and deleting them.

use chaski_core::dead_letter::DeadLetter;
use chaski_core::ports::{Entry, Replayed};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use super::bodies::{self, Claim};
use super::enqueue::{place, publish, row_of};
use super::{Job, Told, Transaction};
use crate::row::{EntryRow, LETTER_COLUMNS, LetterRow, readable};
use crate::store::Shared;

/// What came of a replay, or why it is refused.
pub(crate) type Fate = Result<Replayed, String>;

/// A dead letter's next generation.
pub(crate) struct Replay {
    key: Key,
    entry: Entry,
    fate: Fate,
    written: Option<EntryRow>,
    reply: oneshot::Sender<Result<Fate, String>>,
}

/// Which dead letter: what every home's record is known by.
struct Key {
    id: String,
    generation: u32,
    entry_sent_at: i64,
}

impl Replay {
    pub(crate) fn new(letter: &DeadLetter, entry: Entry) -> (Box<Self>, Told<Fate>) {
        let (reply, told) = oneshot::channel();
        let (id, generation) = (letter.id.clone(), letter.generation);
        let key = Key { id, generation, entry_sent_at: letter.entry_sent_at.millis() };
        (Box::new(Self { key, entry, fate: Ok(Replayed::Unknown), written: None, reply }), told)
    }

    /// The letter's number, where it may be sent again.
    fn find(&self, transaction: &Transaction<'_>) -> rusqlite::Result<Result<i64, Fate>> {
        let Key { id, generation, entry_sent_at } = &self.key;
        let found = transaction
            .prepare(&format!(
                "SELECT {LETTER_COLUMNS}, no FROM dead_letters WHERE id = ?1 AND generation = ?2 AND entry_sent_at = ?3"
            ))?
            .query_row(params![id, generation, entry_sent_at], |row| {
                Ok((readable(LetterRow::read(row))?, row.get(21)?))
            })
            .optional()?;
        let Some((read, no)) = found else { return Ok(Err(Ok(Replayed::Unknown))) };
        let Some((row, _)) = read.filter(|(row, whole)| *whole && !row.damaged) else {
            // What was accepted can't be known from it: nothing else is sent in its place.
            return Ok(Err(Err(format!("the dead letter of {id} is damaged, and can't be sent again"))));
        };
        // A message that was posted again meanwhile is on its way already.
        let on_its_way = match &self.entry.listing {
            Some(listing) => transaction.standing(&listing.id)?.is_some_and(|known| !known.state.is_end()),
            None => false,
        };
        if row.replayed_at.is_some() || on_its_way {
            return Ok(Err(Ok(Replayed::Already)));
        }
        if let Some(listing) = &self.entry.listing
            && let Some(body) = &listing.body
            && bodies::claim(transaction, &body.reference, &listing.id)? != Claim::Granted
        {
            return Ok(Err(Err(format!(
                "the body of {id} is not there any more, and it can't be sent again without it"
            ))));
        }
        Ok(Ok(no))
    }
}

impl Job for Replay {
    fn takes(&self) -> bool {
        true
    }

    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.written = None;
        let letter = match self.find(transaction)? {
            Ok(letter) => letter,
            Err(fate) => {
                self.fate = fate;
                return Ok(());
            }
        };
        let Some(queue) = transaction.queues().number(&self.entry.queue) else {
            self.fate = Err(format!("there is no queue {}", self.entry.queue));
            return Ok(());
        };
        transaction
            .prepare("UPDATE dead_letters SET replayed_at = ?2 WHERE no = ?1")?
            .execute([letter, transaction.now])?;
        let seq = transaction.number();
        let message = match &self.entry.listing {
            None => None,
            Some(listing) => Some((place(transaction, listing, seq)?, &**listing)),
        };
        if let Some((_, listing)) = &message
            && let Some(body) = &listing.body
        {
            bodies::give(transaction, &body.reference, &listing.id)?;
        }
        let row = row_of(transaction, &self.entry, queue, seq, message);
        transaction.insert_entry(&row)?;
        self.written = Some(row);
        self.fate = Ok(Replayed::Sent);
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

/// A dead letter that is not wanted any more.
pub(crate) struct Delete {
    id: String,
    generation: u32,
    deleted: bool,
    reply: oneshot::Sender<Result<bool, String>>,
}

impl Delete {
    pub(crate) fn new(id: String, generation: u32) -> (Box<Self>, Told<bool>) {
        let (reply, told) = oneshot::channel();
        (Box::new(Self { id, generation, deleted: false, reply }), told)
    }
}

impl Job for Delete {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        // The one that a look shows.
        let found: Option<(i64, i64)> = transaction
            .prepare(
                "SELECT no, accepted_no FROM dead_letters WHERE id = ?1 AND generation = ?2
                 ORDER BY entry_sent_at DESC LIMIT 1",
            )?
            .query_row(params![self.id, self.generation], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        self.deleted = found.is_some();
        let Some((no, message)) = found else { return Ok(()) };
        transaction.prepare("DELETE FROM dead_letters WHERE no = ?1")?.execute([no])?;
        // The message stays listed as dead, for the time of what has ended.
        transaction
            .prepare("UPDATE messages SET letter = NULL WHERE no = ?1 AND letter = ?2")?
            .execute([message, no])?;
        Ok(())
    }

    fn done(self: Box<Self>, _: &Shared, _: &Connection) {
        let _ = self.reply.send(Ok(self.deleted));
    }

    fn failed(self: Box<Self>, _: &Shared, why: &str) {
        let _ = self.reply.send(Err(why.to_owned()));
    }
}
