//! Writing bodies piece by piece, giving them to their messages, and deleting them in small steps.

use std::sync::mpsc::Sender;

use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use super::{Job, Told, Transaction};
use crate::row::{BodyRow, BodyState, IdValue, PieceRow};
use crate::schedule::Millis;
use crate::store::Shared;

/// One change of a body's rows, with the caller who waits for it.
pub(crate) struct BodyJob<T: Change> {
    change: T,
    told: Option<T::Answer>,
    reply: oneshot::Sender<Result<T::Answer, String>>,
}

/// A change of a body's rows.
pub(crate) trait Change: Send + 'static {
    /// What its caller is told.
    type Answer: Send;

    /// Whether it only takes something new in.
    const TAKES: bool = true;

    fn make(&self, transaction: &Transaction<'_>) -> rusqlite::Result<Self::Answer>;
}

impl<T: Change> BodyJob<T> {
    pub(crate) fn new(change: T) -> (Box<Self>, Told<T::Answer>) {
        let (reply, told) = oneshot::channel();
        (Box::new(Self { change, told: None, reply }), told)
    }
}

impl<T: Change> Job for BodyJob<T> {
    fn takes(&self) -> bool {
        T::TAKES
    }

    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.told = Some(self.change.make(transaction)?);
        Ok(())
    }

    fn done(self: Box<Self>, _: &Shared, _: &Connection) {
        if let Some(told) = self.told {
            // Who does not wait any more has lost the answer, and nothing else.
            let _ = self.reply.send(Ok(told));
        }
    }

    fn failed(self: Box<Self>, _: &Shared, why: &str) {
        let _ = self.reply.send(Err(why.to_owned()));
    }
}

/// Promises an upload.
pub(crate) struct Promise(pub(crate) String);

impl Change for Promise {
    type Answer = ();

    fn make(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        insert(transaction, &self.0, BodyState::Promised).map(|_| ())
    }
}

/// Begins to write a body; its row's number.
pub(crate) struct Begin(pub(crate) String);

impl Change for Begin {
    type Answer = i64;

    fn make(&self, transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
        insert(transaction, &self.0, BodyState::Open)
    }
}

fn insert(transaction: &Transaction<'_>, reference: &str, state: BodyState) -> rusqlite::Result<i64> {
    let sql = "INSERT INTO bodies (reference, bytes, pieces, sum, state, at) VALUES (?1, 0, 0, 0, ?2, ?3) RETURNING no";
    transaction.prepare(sql)?.query_row(params![reference, state as i64, transaction.now], |row| row.get(0))
}

/// Writes a piece.
pub(crate) struct WritePiece(pub(crate) PieceRow);

impl Change for WritePiece {
    type Answer = ();

    fn make(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let Self(piece) = self;
        transaction
            .prepare("INSERT INTO body_pieces (no, size, bytes, sum) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![piece.no, piece.size, piece.bytes, piece.sum()])?;
        Ok(())
    }
}

/// What came of a body's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finished {
    /// It can be read.
    Whole,
    /// It was there before; what was written goes again.
    There,
    /// Nothing was promised; what was written goes again.
    NotPromised,
}

/// Ends the writing of a body.
pub(crate) struct Finish {
    pub(crate) row: BodyRow,
    /// Whether it is an upload, which has to be promised.
    pub(crate) promised: bool,
}

impl Change for Finish {
    type Answer = Finished;

    fn make(&self, transaction: &Transaction<'_>) -> rusqlite::Result<Finished> {
        let Self { row, promised } = self;
        let finished = match state(transaction, &row.reference)? {
            Some(BodyState::Whole) => Finished::There,
            Some(_) => Finished::Whole,
            None if *promised => Finished::NotPromised,
            None => Finished::Whole,
        };
        if finished != Finished::Whole {
            drop_row(transaction, row.no)?;
            return Ok(finished);
        }
        let promise = "DELETE FROM bodies WHERE reference = ?1 AND state IN (0, 2) AND state = 0";
        transaction.prepare(promise)?.execute([&row.reference])?;
        let whole =
            "UPDATE bodies SET bytes = ?2, pieces = ?3, sum = ?4, state = 2, at = ?5 WHERE no = ?1 AND state = 1";
        let values = params![row.no, row.bytes, row.pieces, row.sum(), transaction.now];
        // Its row is there, unless it was written for a whole day.
        let written = transaction.prepare(whole)?.execute(values)? > 0;
        Ok(if written { Finished::Whole } else { Finished::NotPromised })
    }
}

/// How far a reference has come: promised or whole, the only two that a reference can be at once.
pub(crate) fn state(transaction: &Transaction<'_>, reference: &str) -> rusqlite::Result<Option<BodyState>> {
    let found: Option<i64> = transaction
        .prepare("SELECT state FROM bodies WHERE reference = ?1 AND state IN (0, 2)")?
        .query_row([reference], |row| row.get(0))
        .optional()?;
    Ok(found.map(|state| if state == BodyState::Whole as i64 { BodyState::Whole } else { BodyState::Promised }))
}

/// Gives up a body that was not written to its end.
pub(crate) struct GiveUp(pub(crate) i64);

impl Change for GiveUp {
    type Answer = ();
    const TAKES: bool = false;

    fn make(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        drop_row(transaction, self.0)
    }
}

/// The body's pieces are deleted later.
fn drop_row(transaction: &Transaction<'_>, no: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE bodies SET state = ?2, message = NULL, at = 0 WHERE no = ?1 AND state <> 2";
    transaction.prepare(sql)?.execute([no, BodyState::Going as i64])?;
    Ok(())
}

/// Whether a message can have a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It has.
    Granted,
    /// There is no such body.
    Missing,
    /// Another message has it.
    Taken,
}

/// Whether the message of this id can have the body; where it can, nobody has it until it is given.
pub(crate) fn claim(transaction: &Transaction<'_>, reference: &str, id: &str) -> rusqlite::Result<Claim> {
    let found: Option<(i64, Option<i64>)> = transaction
        .prepare("SELECT no, message FROM bodies WHERE reference = ?1 AND state IN (0, 2) AND state = 2")?
        .query_row([reference], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((no, owner)) = found else { return Ok(Claim::Missing) };
    if let Some(owner) = owner {
        // The same message may come again, and an owner's row may have been lost in a damaged store.
        let same = transaction.standing(id)?.is_some_and(|known| known.no == owner);
        if !same && transaction.prepare("SELECT 1 FROM messages WHERE no = ?1")?.exists([owner])? {
            return Ok(Claim::Taken);
        }
    }
    transaction.prepare("UPDATE bodies SET message = NULL, at = ?2 WHERE no = ?1")?.execute([no, transaction.now])?;
    Ok(Claim::Granted)
}

/// Gives the body that was claimed to the message of this id, wherever that stands now.
pub(crate) fn give(transaction: &Transaction<'_>, reference: &str, id: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE bodies SET message = (SELECT no FROM messages WHERE id = ?2)
        WHERE reference = ?1 AND state IN (0, 2) AND state = 2";
    transaction.prepare(sql)?.execute(params![reference, IdValue(id.to_owned())])?;
    Ok(())
}

/// The message goes, and its body with it.
pub(crate) fn release(transaction: &Transaction<'_>, message: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE bodies SET state = ?2, message = NULL, at = 0 WHERE message = ?1";
    transaction.prepare(sql)?.execute([message, BodyState::Going as i64])?;
    Ok(())
}

/// Pieces deleted in a step: some megabytes.
const STEP: i64 = 8;

/// One step of deleting what no message has.
pub(crate) struct Sweep {
    /// Promises and uploads from before this go.
    pub(crate) before: Millis,
    /// Told how many rows went.
    pub(crate) reply: Sender<usize>,
    gone: usize,
}

impl Sweep {
    pub(crate) fn new(before: Millis, reply: Sender<usize>) -> Box<Self> {
        Box::new(Self { before, reply, gone: 0 })
    }
}

impl Job for Sweep {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.gone = 0;
        let old: Option<i64> = transaction
            .prepare("SELECT no FROM bodies WHERE message IS NULL AND at < ?1 ORDER BY at LIMIT 1")?
            .query_row([self.before], |row| row.get(0))
            .optional()?;
        let Some(no) = old else { return Ok(()) };
        let going = "UPDATE bodies SET state = ?2, at = 0 WHERE no = ?1 AND state <> ?2";
        transaction.prepare(going)?.execute([no, BodyState::Going as i64])?;
        let numbers = PieceRow::numbers(no);
        let pieces = transaction
            .prepare(
                "DELETE FROM body_pieces WHERE no IN (SELECT no FROM body_pieces WHERE no >= ?1 AND no < ?2 LIMIT ?3)",
            )?
            .execute([numbers.start, numbers.end, STEP])?;
        self.gone = pieces;
        if pieces == 0 {
            self.gone = transaction.prepare("DELETE FROM bodies WHERE no = ?1")?.execute([no])?;
        }
        Ok(())
    }

    fn done(self: Box<Self>, _: &Shared, _: &Connection) {
        let _ = self.reply.send(self.gone);
    }

    fn failed(self: Box<Self>, _: &Shared, _: &str) {}
}
