//! What an operator does at a home: look at messages, dead letters and queues, cancel, replay, pause.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use super::Entry;
use crate::dead_letter::DeadLetter;
use crate::filter::{DeadLetterFilter, Listed, MessageFilter, Page, Whose};
use crate::ledger::MessageRecord;
use crate::pause::{Pause, PauseScope};
use crate::queue::QueueName;
use crate::time::Timestamp;

/// Why an operator's call was not done. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// The store does not answer now.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// The cursor is none that this list gave.
    #[error("the cursor is none that this list gave")]
    Cursor,
    /// It can't be done as it was asked for; the text says why, for the person who asked.
    #[error("{0}")]
    Refused(String),
    /// This home can't do it at all; the text says what can instead.
    #[error("{0}")]
    NotServed(String),
    /// The platform that the caller works on with rights of its own did not do it: the caller may know why.
    #[error("{words}")]
    Platform {
        /// Whether the caller lacks the rights.
        denied: bool,
        /// The platform's words, for the person who asked.
        words: String,
    },
}

/// What came of a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It will never be attempted (again).
    Now,
    /// An attempt runs, or may; unless one delivers it, it is cancelled with the attempt's end, or instead of the
    /// next one.
    Cancelling,
    /// It was at its end already.
    Ended,
    /// There is no such message.
    Unknown,
}

/// How many messages a cancellation met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CancelCount {
    /// Not at their end, and fitting the filter. `None` where no ledger counts: each is cancelled when its attempt
    /// is due, and the two below are none.
    pub matched: Option<u64>,
    /// Of them, cancelled.
    pub cancelled: u64,
    /// Of them, cancelled with the end of the attempt that runs.
    pub cancelling: u64,
}

/// The ledger of messages and attempts.
pub trait Ledger: Send + Sync {
    /// One message, where it is among those of `whose`. Is it not at its end, its end is waited for,
    /// at most so long; the record then is that of the end or of the moment.
    fn message(
        &self,
        id: &str,
        whose: &Whose,
        wait: Duration,
    ) -> impl Future<Output = Result<Option<MessageRecord>, DeskError>> + Send;

    /// Messages, the newest first, without their answers.
    fn messages(
        &self,
        filter: &MessageFilter,
        page: &Page,
    ) -> impl Future<Output = Result<Listed<MessageRecord>, DeskError>> + Send;

    /// Cancels one message; durable when it is answered.
    fn cancel(&self, id: &str, whose: &Whose) -> impl Future<Output = Result<Cancelled, DeskError>> + Send;

    /// Cancels all that fit and are not at their end, or counts them only. [`DeskError::NotServed`] where they
    /// are to be counted and no ledger can.
    fn cancel_all(
        &self,
        filter: &MessageFilter,
        dry_run: bool,
    ) -> impl Future<Output = Result<CancelCount, DeskError>> + Send;
}

/// A dead letter in its store.
#[derive(Debug, Clone, PartialEq)]
pub struct Buried {
    /// The record.
    pub letter: DeadLetter,
    /// When it was sent again.
    pub replayed_at: Option<Timestamp>,
}

/// What came of sending a dead letter again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    /// The next generation stands at the end of its line; durable.
    Sent,
    /// It was sent again before.
    Already,
    /// There is no such dead letter.
    Unknown,
}

/// The dead letters.
pub trait DeadLetters: Send + Sync {
    /// One record, where it is among those of `whose`; the newest generation, unless one is named.
    fn dead_letter(
        &self,
        id: &str,
        generation: Option<u32>,
        whose: &Whose,
    ) -> impl Future<Output = Result<Option<Buried>, DeskError>> + Send;

    /// Records, the newest first, without their messages and responses.
    fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        page: &Page,
    ) -> impl Future<Output = Result<Listed<Buried>, DeskError>> + Send;

    /// Whole records that were not replayed, in the order in which their messages were accepted. A cursor
    /// stays good while records before it are replayed: none is left out, and none comes twice.
    fn for_replay(
        &self,
        filter: &DeadLetterFilter,
        page: &Page,
    ) -> impl Future<Output = Result<Listed<Buried>, DeskError>> + Send;

    /// How many records fit.
    fn count(&self, filter: &DeadLetterFilter) -> impl Future<Output = Result<u64, DeskError>> + Send;

    /// Marks the record as replayed, on the condition that it is not, and puts the entry at the end of its
    /// line; a mark without an entry does not stay. Durable when it is answered.
    fn replay(&self, letter: &DeadLetter, entry: &Entry) -> impl Future<Output = Result<Replayed, DeskError>> + Send;

    /// Deletes a record; whether there was one.
    fn delete(&self, id: &str, generation: u32, whose: &Whose) -> impl Future<Output = Result<bool, DeskError>> + Send;
}

/// What a queue holds and how it moves.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueRecord {
    /// Which queue.
    pub queue: QueueName,
    /// Whether a pause holds all of it.
    pub paused: bool,
    /// All entries: waiting, in flight and delayed.
    pub depth: u64,
    /// Of them, at work.
    pub in_flight: u64,
    /// Of them, not due yet.
    pub delayed: u64,
    /// How long the oldest one has been there.
    pub oldest_age: Option<Duration>,
    /// A tier's delay.
    pub delay: Option<Duration>,
    /// Entries that came in, left, and failed, each a second over the last minute, where the home counts them.
    pub rates: Option<[f64; 3]>,
}

/// The queues.
pub trait Queues: Send + Sync {
    /// Every queue of the deployment, shards first, then tiers.
    fn queues(&self) -> impl Future<Output = Result<Vec<QueueRecord>, DeskError>> + Send;
}

/// The pauses.
pub trait Pauses: Send + Sync {
    /// Holds a scope back; the pause, and whether it is new. No attempt begins in the scope once it is answered.
    fn pause(&self, scope: &PauseScope) -> impl Future<Output = Result<(Pause, bool), DeskError>> + Send;

    /// What is held back.
    fn pauses(&self) -> impl Future<Output = Result<Vec<Pause>, DeskError>> + Send;

    /// Ends a pause; whether there was one.
    fn resume(&self, id: &str) -> impl Future<Output = Result<bool, DeskError>> + Send;
}

/// What a process says of itself.
pub trait Vitals: Send + Sync {
    /// Each check by name, and what is wrong with it, if anything is.
    fn checks(&self) -> Vec<(&'static str, Option<String>)>;

    /// What is counted, in Prometheus' text format; `None` where nothing is.
    fn metrics(&self) -> impl Future<Output = Option<String>> + Send;
}

/// Copying the store while it is used.
pub trait Backup: Send + Sync {
    /// Writes a whole copy to a new file; its size in bytes once it is synced. [`DeskError::Refused`] where
    /// there is a file already, or none can be made.
    fn backup(&self, to: &Path) -> impl Future<Output = Result<u64, DeskError>> + Send;
}

/// Everything that an operator can ask of a home.
pub trait Desk: Ledger + DeadLetters + Queues + Pauses + Vitals + Backup {}

impl<T: Ledger + DeadLetters + Queues + Pauses + Vitals + Backup> Desk for T {}
