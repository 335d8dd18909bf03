//! Ending a lease: the entry goes, and what takes its place comes, in one step.

use chaski_core::dead_letter::DeadLetter;
use chaski_core::ledger::{AttemptReport, MessageState};
use chaski_core::ports::{Beside, Entry, Hold, Leased, SettleError, Settlement};
use chaski_core::queue::QueueName;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use super::callback::tell_of;
use super::enqueue::{publish, take_one};
use super::{Job, Transaction};
use crate::queues::Move;
use crate::row::{AttemptRow, EntryRow, LetterRow};
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
    /// The group of a strict line, and the number that its head has in it.
    sequence: Option<(String, u64)>,
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
        lease: Held,
        leased: &Leased,
        settlement: Settlement,
        beside: Beside<'_>,
    ) -> (Box<Self>, oneshot::Receiver<Result<(), SettleError>>) {
        let (reply, told) = oneshot::channel();
        let job = Self {
            token,
            lease,
            settlement,
            attempt: beside.attempt.cloned(),
            callback: beside.callback.cloned(),
            sequence: beside.sequence.map(|sequence| (leased.group.clone(), sequence)),
            reply,
            found: false,
            next: Vec::new(),
            held: None,
            ended: false,
        };
        (Box::new(job), told)
    }

    /// What was asked for while the attempt ran. The callback that came beside tells of another end.
    fn cancel(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        let text = match &self.settlement {
            Settlement::Hold(hold) => {
                transaction.delete_entry(self.lease.seq, self.lease.queue)?;
                hold.envelope.to_wire()
            }
            Settlement::Move(entry) => entry.body.clone(),
            Settlement::Bury(letter) | Settlement::End(_, Some(letter)) => {
                String::from_utf8_lossy(&letter.message).into_owned()
            }
            Settlement::Done | Settlement::End(_, None) => String::new(),
        };
        self.next.extend(tell_of(transaction, &text, MessageState::Cancelled)?);
        end(transaction, self.lease.message, MessageState::Cancelled, self.attempt.as_ref())
    }

    fn perform(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        if let Some(callback) = &self.callback {
            self.next.extend(take_one(transaction, callback)?);
        }
        let (message, attempt) = (self.lease.message, self.attempt.as_ref());
        match &self.settlement {
            Settlement::Done => end(transaction, message, MessageState::Delivered, attempt),
            Settlement::Bury(letter) => {
                bury(transaction, letter, message, MessageState::Dead)?;
                match (message, attempt) {
                    (Some(message), Some(report)) => {
                        transaction.note_attempt_of(message, MessageState::Dead, None, report)
                    }
                    _ => Ok(()),
                }
            }
            Settlement::End(state, Some(letter)) => bury(transaction, letter, message, *state),
            Settlement::End(state, None) => end(transaction, message, *state, attempt),
            Settlement::Move(entry) => {
                self.ended = false;
                self.next.push(move_on(transaction, &self.lease, entry, attempt)?);
                Ok(())
            }
            Settlement::Hold(hold) => {
                self.ended = false;
                self.held = hold_still(transaction, &self.lease, hold, attempt)?;
                Ok(())
            }
        }
    }

    /// Whether the entry is still there; it goes, unless it is to stay. One that is damaged meanwhile is left to the
    /// loader, which sets it aside.
    fn find(&self, transaction: &mut Transaction<'_>) -> rusqlite::Result<bool> {
        match &self.settlement {
            Settlement::Hold(_) => Ok(transaction.entry(self.lease.seq)?.is_some()),
            _ => transaction.delete_entry(self.lease.seq, self.lease.queue),
        }
    }
}

impl Job for SettleJob {
    fn yields(&self) -> bool {
        match &self.settlement {
            Settlement::Hold(_) => true,
            // What joins its line has waited for its time, and waits no more.
            Settlement::Move(entry) => !matches!(entry.queue, QueueName::Shard { .. }),
            _ => false,
        }
    }

    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.next.clear();
        self.held = None;
        self.ended = true;
        self.found = self.find(transaction)?;
        if !self.found {
            return Ok(());
        }
        if let (Some(message), Some(report)) = (self.lease.message, &self.attempt) {
            note_attempt(transaction, message, report)?;
        }
        if let Some((group, sequence)) = &self.sequence {
            transaction.count(group, *sequence)?;
        }
        let is_last_word = matches!(self.settlement, Settlement::Done | Settlement::End(MessageState::Cancelled, _));
        if !is_last_word && cancelling(transaction, self.lease.message)? {
            return self.cancel(transaction);
        }
        self.perform(transaction)
    }

    fn done(mut self: Box<Self>, shared: &Shared, connection: &Connection) {
        let failed = self.attempt.as_ref().is_some_and(|report| report.error.is_some());
        let now = shared.clock.now();
        shared.rates.count(self.lease.queue, Move::Out, now);
        if failed {
            shared.rates.count(self.lease.queue, Move::Failed, now);
        }
        self.next.drain(..).for_each(|row| publish(shared, connection, row));
        let mut schedule = shared.schedule();
        // Read with the schedule in hand: what the loader leaves to this line because it is due must be due here.
        let now = shared.clock.now();
        match self.held {
            Some(due) => schedule.hold(self.token, due, now),
            None if self.found => schedule.settled(self.token, now),
            // Whatever the file holds of the line now is read anew.
            None => schedule.hold(self.token, now, now),
        }
        drop(schedule);
        self.held.into_iter().for_each(|due| shared.note_due(due));
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
) -> rusqlite::Result<Option<Millis>> {
    let Some(row) = transaction.entry(lease.seq)? else { return Ok(None) };
    let due = transaction.shared.clock.of_wall(hold.due);
    transaction.change_entry(&EntryRow { body: hold.envelope.to_wire(), due: Some(due), ..row })?;
    note_move(transaction, lease.message, lease.seq, attempt)?;
    Ok(Some(due))
}

/// Puts the next entry of a message in the place of the one that was at work.
fn move_on(
    transaction: &mut Transaction<'_>,
    lease: &Held,
    entry: &Entry,
    attempt: Option<&AttemptReport>,
) -> rusqlite::Result<EntryRow> {
    // Every tier is a queue of the table, or the store had not opened.
    let queue = transaction.queues().number(&entry.queue).unwrap_or(lease.queue);
    let seq = transaction.number();
    let row = EntryRow {
        seq,
        line: EntryRow::line_of(queue, &entry.group),
        queue,
        message: lease.message,
        due: transaction.shared.due_of(entry, transaction.now, seq),
        sent_at: transaction.now,
        group: entry.group.clone(),
        host: lease.host.clone(),
        route: lease.route.clone(),
        flow: lease.flow.clone(),
        body: entry.body.clone(),
    };
    transaction.insert_entry(&row)?;
    note_move(transaction, lease.message, seq, attempt)?;
    Ok(row)
}

/// The message waits in this entry now; after an attempt it is retrying.
fn note_move(
    transaction: &mut Transaction<'_>,
    message: Option<i64>,
    seq: i64,
    attempt: Option<&AttemptReport>,
) -> rusqlite::Result<()> {
    match (message, attempt) {
        (Some(message), Some(report)) => {
            transaction.note_attempt_of(message, MessageState::Retrying, Some(seq), report)
        }
        (Some(message), None) => {
            transaction.prepare("UPDATE messages SET entry = ?2 WHERE no = ?1")?.execute([message, seq])?;
            Ok(())
        }
        (None, _) => Ok(()),
    }
}

fn bury(
    transaction: &mut Transaction<'_>,
    letter: &DeadLetter,
    message: Option<i64>,
    end: MessageState,
) -> rusqlite::Result<()> {
    let accepted_no = match message {
        Some(no) => no,
        None => transaction.number(),
    };
    let row = LetterRow { letter: letter.clone(), damaged: false, accepted_no, replayed_at: None };
    transaction.bury(&row, message, end)
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
