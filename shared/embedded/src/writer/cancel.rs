//! Cancelling messages.

use chaski_core::ledger::MessageState;
use chaski_core::ports::Cancelled;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use super::callback::tell_of;
use super::enqueue::publish;
use super::{Job, Told, Transaction};
use crate::row::{EntryRow, state_of, text};
use crate::store::Shared;

/// Messages to cancel, by their places.
pub(crate) struct Cancel {
    messages: Vec<i64>,
    fates: Vec<Cancelled>,
    /// Lines that are held still while their entries go.
    frozen: Vec<i64>,
    ended: Vec<i64>,
    /// Messages that tell of the ends.
    callbacks: Vec<EntryRow>,
    reply: oneshot::Sender<Result<Vec<Cancelled>, String>>,
}

impl Cancel {
    pub(crate) fn new(messages: Vec<i64>) -> (Box<Self>, Told<Vec<Cancelled>>) {
        let (reply, told) = oneshot::channel();
        let job =
            Self { messages, fates: Vec::new(), frozen: Vec::new(), ended: Vec::new(), callbacks: Vec::new(), reply };
        (Box::new(job), told)
    }

    fn cancel(&mut self, transaction: &mut Transaction<'_>, message: i64) -> rusqlite::Result<Cancelled> {
        let found: Option<(i64, Option<i64>)> = transaction
            .prepare("SELECT state, entry FROM messages WHERE no = ?1")?
            .query_row([message], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((state, entry)) = found else { return Ok(Cancelled::Unknown) };
        if state_of(state).is_some_and(MessageState::is_end) {
            return Ok(Cancelled::Ended);
        }
        let place: Option<(i64, i64, String)> = match entry {
            None => None,
            Some(seq) => transaction
                .prepare("SELECT line, queue, body FROM entries WHERE seq = ?1")?
                .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, text(row, 2)?)))
                .optional()?,
        };
        if let (Some(seq), Some((line, queue, text))) = (entry, place) {
            if !self.hold_still(transaction.shared, line, seq) {
                transaction.prepare("UPDATE messages SET cancelling = 1 WHERE no = ?1")?.execute([message])?;
                return Ok(Cancelled::Cancelling);
            }
            transaction.delete_entry(seq, queue)?;
            self.callbacks.extend(tell_of(transaction, &text, MessageState::Cancelled)?);
        }
        transaction.end_message(message, MessageState::Cancelled)?;
        self.ended.push(message);
        Ok(Cancelled::Now)
    }

    /// Whether the entry is not at work, and its line waits for this change.
    fn hold_still(&mut self, shared: &Shared, line: i64, seq: i64) -> bool {
        let mut schedule = shared.schedule();
        if schedule.is_leased(line, seq) {
            return false;
        }
        schedule.freeze(line);
        self.frozen.push(line);
        true
    }

    fn thaw(&mut self, shared: &Shared) {
        let mut schedule = shared.schedule();
        self.frozen.drain(..).for_each(|line| schedule.thaw(line));
    }
}

impl Job for Cancel {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.fates.clear();
        self.ended.clear();
        self.callbacks.clear();
        for message in self.messages.clone() {
            let fate = self.cancel(transaction, message)?;
            self.fates.push(fate);
        }
        Ok(())
    }

    fn done(mut self: Box<Self>, shared: &Shared, connection: &Connection) {
        self.thaw(shared);
        self.callbacks.drain(..).for_each(|row| publish(shared, connection, row));
        shared.wake_loader_if_wanted();
        self.ended.iter().for_each(|message| shared.ends.tell(*message));
        let _ = self.reply.send(Ok(self.fates));
    }

    fn failed(mut self: Box<Self>, shared: &Shared, why: &str) {
        self.thaw(shared);
        let _ = self.reply.send(Err(why.to_owned()));
    }
}
