//! Ending a lease: the entry goes, and what takes its place comes, in one step.

use chaski_core::dead_letter::DeadLetter;
use chaski_core::ledger::{AttemptReport, MessageState};
use chaski_core::ports::{Entry, SettleError, Settlement};
use chaski_core::queue::QueueName;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use super::enqueue::publish;
use super::{Job, Transaction};
use crate::queues::Move;
use crate::row::{AttemptRow, EntryRow, LetterRow, state_number};
use crate::schedule::{Held, Token};
use crate::store::Shared;

/// One settlement.
pub(crate) struct SettleJob {
    token: Token,
    held: Held,
    settlement: Settlement,
    attempt: Option<AttemptReport>,
    reply: oneshot::Sender<Result<(), SettleError>>,
    /// Whether the entry was still there.
    found: bool,
    next: Option<EntryRow>,
    ended: bool,
}

impl SettleJob {
    pub(crate) fn new(
        token: Token,
        held: Held,
        settlement: Settlement,
        attempt: Option<AttemptReport>,
    ) -> (Box<Self>, oneshot::Receiver<Result<(), SettleError>>) {
        let (reply, told) = oneshot::channel();
        let job = Self { token, held, settlement, attempt, reply, found: false, next: None, ended: false };
        (Box::new(job), told)
    }
}

impl Job for SettleJob {
    fn yields(&self) -> bool {
        matches!(self.settlement, Settlement::Retry(_))
    }

    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.next = None;
        self.ended = true;
        self.found = transaction.delete_entry(self.held.seq, self.held.queue)?;
        if !self.found {
            return Ok(());
        }
        if let (Some(message), Some(report)) = (self.held.message, &self.attempt) {
            note_attempt(transaction, message, report)?;
        }
        if !matches!(self.settlement, Settlement::Done) && cancelling(transaction, self.held.message)? {
            return end(transaction, self.held.message, MessageState::Cancelled, self.attempt.as_ref());
        }
        let attempt = self.attempt.as_ref();
        match &self.settlement {
            Settlement::Done => end(transaction, self.held.message, MessageState::Delivered, attempt),
            Settlement::Bury(letter) => {
                bury(transaction, letter, self.held.message)?;
                match (self.held.message, attempt) {
                    (Some(message), Some(report)) => {
                        transaction.note_attempt_of(message, MessageState::Dead, None, report)
                    }
                    _ => Ok(()),
                }
            }
            Settlement::Retry(entry) => {
                self.ended = false;
                self.next = Some(move_on(transaction, &self.held, entry, attempt)?);
                Ok(())
            }
        }
    }

    fn done(self: Box<Self>, shared: &Shared, connection: &Connection) {
        let failed = self.attempt.as_ref().is_some_and(|report| report.error.is_some());
        let now = shared.clock.now();
        shared.rates.count(self.held.queue, Move::Out, now);
        if failed {
            shared.rates.count(self.held.queue, Move::Failed, now);
        }
        if let Some(next) = self.next {
            publish(shared, connection, next);
        }
        let mut schedule = shared.schedule();
        // Read with the schedule in hand: what the loader leaves to this line because it is due must be due here.
        let now = shared.clock.now();
        schedule.settled(self.token, now);
        drop(schedule);
        shared.wake_loader_if_wanted();
        if let Some(message) = self.held.message.filter(|_| self.ended) {
            shared.ends.tell(message);
        }
        shared.settled();
        let gone = || Err(SettleError("the entry is not in its queue any more".to_owned()));
        let _ = self.reply.send(if self.found { Ok(()) } else { gone() });
    }

    fn failed(self: Box<Self>, shared: &Shared, why: &str) {
        shared.schedule().not_settled(self.token);
        let _ = self.reply.send(Err(SettleError(why.to_owned())));
    }
}

/// Puts the next entry of a message in the place of the one that was at work.
fn move_on(
    transaction: &mut Transaction<'_>,
    held: &Held,
    entry: &Entry,
    attempt: Option<&AttemptReport>,
) -> rusqlite::Result<EntryRow> {
    // Every tier is a queue of the table, or the store had not opened.
    let queue = transaction.queues().number(&entry.queue).unwrap_or(held.queue);
    let seq = transaction.number();
    let due = match &entry.queue {
        QueueName::Tier(tier) => Some(transaction.shared.due(*tier, transaction.now, seq)),
        QueueName::Shard { .. } | QueueName::LastNet => None,
    };
    let row = EntryRow {
        seq,
        line: EntryRow::line_of(queue, &entry.group),
        queue,
        message: held.message,
        due,
        sent_at: transaction.now,
        group: entry.group.clone(),
        host: held.host.clone(),
        route: held.route.clone(),
        flow: held.flow.clone(),
        body: entry.body.clone(),
    };
    transaction.insert_entry(&row)?;
    match (held.message, attempt) {
        (Some(message), Some(report)) => {
            transaction.note_attempt_of(message, MessageState::Retrying, Some(seq), report)?;
        }
        (Some(message), None) => {
            let values = [message, state_number(MessageState::Retrying), seq];
            transaction.prepare("UPDATE messages SET state = ?2, entry = ?3 WHERE no = ?1")?.execute(values)?;
        }
        (None, _) => {}
    }
    Ok(row)
}

fn bury(transaction: &mut Transaction<'_>, letter: &DeadLetter, message: Option<i64>) -> rusqlite::Result<()> {
    let accepted_no = match message {
        Some(no) => no,
        None => transaction.number(),
    };
    let row = LetterRow { letter: letter.clone(), damaged: false, accepted_no, replayed_at: None };
    transaction.bury(&row, message)
}

fn end(
    transaction: &mut Transaction<'_>,
    message: Option<i64>,
    state: MessageState,
    attempt: Option<&AttemptReport>,
) -> rusqlite::Result<()> {
    match (message, attempt) {
        (Some(message), Some(report)) => transaction.note_attempt_of(message, state, None, report),
        (Some(message), None) => transaction.end_message(message, state),
        (None, _) => Ok(()),
    }
}

fn note_attempt(transaction: &mut Transaction<'_>, message: i64, report: &AttemptReport) -> rusqlite::Result<()> {
    let row = AttemptRow { message, record: report.record.clone(), version: env!("CARGO_PKG_VERSION").to_owned() };
    row.insert(&mut *transaction.prepare(AttemptRow::INSERT)?)
}

fn cancelling(transaction: &Transaction<'_>, message: Option<i64>) -> rusqlite::Result<bool> {
    let Some(message) = message else { return Ok(false) };
    let mut query = transaction.prepare("SELECT cancelling FROM messages WHERE no = ?1")?;
    Ok(query.query_row([message], |row| row.get(0)).optional()?.unwrap_or(false))
}
