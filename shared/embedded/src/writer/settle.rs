//! Ending a lease: the entry goes, and what takes its place comes, in one step.

use chaski_core::dead_letter::DeadLetter;
use chaski_core::ledger::{AttemptReport, MessageState};
use chaski_core::ports::{Beside, Entry, Hold, SettleError, Settlement};
use chaski_core::queue::QueueName;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use super::enqueue::{publish, take_one as take};
use super::{Job, Transaction};
use crate::queues::Move;
use crate::row::{AttemptRow, EntryRow, LetterRow, state_number};
use crate::schedule::{Held, Millis, Token};
use crate::store::Shared;

/// One settlement.
pub(crate) struct SettleJob {
    token: Token,
    lease: Held,
    settlement: Settlement,
    attempt: Option<AttemptReport>,
    /// The message that tells of the end.
    callback: Option<Entry>,
    reply: oneshot::Sender<Result<(), SettleError>>,
    /// Whether the entry was still there.
    found: bool,
    next: Vec<EntryRow>,
    /// When the entry is due again, where it stays.
    held: Option<Millis>,
    ended: bool,
}

impl SettleJob {
    pub(crate) fn new(
        token: Token,
        held: Held,
        settlement: Settlement,
        beside: Beside<'_>,
    ) -> (Box<Self>, oneshot::Receiver<Result<(), SettleError>>) {
        let (reply, told) = oneshot::channel();
        let job = Self {
            token,
            lease: held,
            settlement,
            attempt: beside.attempt.cloned(),
            callback: beside.callback.cloned(),
            reply,
            found: false,
            next: Vec::new(),
            held: None,
            ended: false,
        };
        (Box::new(job), told)
    }
}

impl Job for SettleJob {
    fn yields(&self) -> bool {
        matches!(&self.settlement, Settlement::Hold(_))
            || matches!(&self.settlement, Settlement::Move(entry) if matches!(entry.queue, QueueName::Tier(_)))
    }

    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.next.clear();
        self.held = None;
        self.ended = true;
        self.found = transaction.has_entry(self.lease.seq)?;
        if !self.found {
            return Ok(());
        }
        if let (Some(message), Some(report)) = (self.lease.message, &self.attempt) {
            note_attempt(transaction, message, report)?;
        }
        if !matches!(self.settlement, Settlement::Done) && cancelling(transaction, self.lease.message)? {
            transaction.delete_entry(self.lease.seq, self.lease.queue)?;
            return end(transaction, self.lease.message, MessageState::Cancelled, self.attempt.as_ref());
        }
        if let Settlement::Hold(hold) = &self.settlement {
            self.ended = false;
            self.held = Some(hold_still(transaction, &self.lease, hold, self.attempt.as_ref())?);
            return Ok(());
        }
        transaction.delete_entry(self.lease.seq, self.lease.queue)?;
        if let Some(callback) = &self.callback {
            self.next.extend(take(transaction, callback)?);
        }
        let attempt = self.attempt.as_ref();
        match &self.settlement {
            Settlement::Done => end(transaction, self.lease.message, MessageState::Delivered, attempt),
            Settlement::Bury(letter) => {
                bury(transaction, letter, self.lease.message)?;
                match (self.lease.message, attempt) {
                    (Some(message), Some(report)) => {
                        transaction.note_attempt_of(message, MessageState::Dead, None, report)
                    }
                    _ => Ok(()),
                }
            }
            Settlement::End(state, letter) => {
                if let Some(letter) = letter {
                    bury(transaction, letter, self.lease.message)?;
                }
                end(transaction, self.lease.message, *state, attempt)
            }
            Settlement::Move(entry) => {
                self.ended = false;
                self.next.push(move_on(transaction, &self.lease, entry, attempt)?);
                Ok(())
            }
            Settlement::Hold(_) => Ok(()),
        }
    }

    fn done(self: Box<Self>, shared: &Shared, connection: &Connection) {
        let failed = self.attempt.as_ref().is_some_and(|report| report.error.is_some());
        let now = shared.clock.now();
        shared.rates.count(self.lease.queue, Move::Out, now);
        if failed {
            shared.rates.count(self.lease.queue, Move::Failed, now);
        }
        for next in self.next {
            publish(shared, connection, next);
        }
        let mut schedule = shared.schedule();
        if let Some(due) = self.held {
            schedule.hold(self.token, now);
            drop(schedule);
            shared.note_due(due);
        } else {
            // Read with the schedule in hand: what the loader leaves to this line because it is due must be due here.
            let now = shared.clock.now();
            schedule.settled(self.token, now);
            drop(schedule);
        }
        shared.wake_loader_if_wanted();
        if let Some(message) = self.lease.message.filter(|_| self.ended) {
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

/// Leaves the entry at the head of its line, with its text as it is now; when it is due again.
fn hold_still(
    transaction: &mut Transaction<'_>,
    lease: &Held,
    hold: &Hold,
    attempt: Option<&AttemptReport>,
) -> rusqlite::Result<Millis> {
    let due = hold.due.millis().max(transaction.now + 1);
    transaction.rewrite_entry(lease.seq, hold.envelope.to_wire(), due)?;
    if let (Some(message), Some(report)) = (lease.message, attempt) {
        transaction.note_attempt_of(message, MessageState::Retrying, Some(lease.seq), report)?;
    }
    Ok(due)
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
    let due = transaction.shared.due_of(entry, transaction.now, seq);
    let waits = matches!(entry.queue, QueueName::Shard { .. });
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
            let state = if waits { MessageState::Pending } else { MessageState::Retrying };
            let values = [message, state_number(state), seq];
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
