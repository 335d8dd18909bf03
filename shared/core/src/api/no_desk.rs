//! The desk of a deployment that has none. It can't exist, so nothing of what it would answer is built in.

use std::path::Path;
use std::time::Duration;

use crate::dead_letter::DeadLetter;
use crate::filter::{DeadLetterFilter, Listed, MessageFilter, Page, Whose};
use crate::ledger::MessageRecord;
use crate::pause::{Pause, PauseScope};
use crate::ports::{
    Backup, Buried, CancelCount, Cancelled, DeadLetters, DeskError, Entry, Ledger, Pauses, QueueRecord, Queues,
    Replayed, Vitals,
};

/// No desk: for a function that is open to producers.
#[derive(Debug, Clone, Copy)]
pub enum NoDesk {}

type Done<T> = Result<T, DeskError>;

impl Ledger for NoDesk {
    async fn message(&self, _: &str, _: &Whose, _: Duration) -> Done<Option<MessageRecord>> {
        match *self {}
    }
    async fn messages(&self, _: &MessageFilter, _: &Page) -> Done<Listed<MessageRecord>> {
        match *self {}
    }
    async fn cancel(&self, _: &str, _: &Whose) -> Done<Cancelled> {
        match *self {}
    }
    async fn cancel_all(&self, _: &MessageFilter, _: bool) -> Done<CancelCount> {
        match *self {}
    }
}

impl DeadLetters for NoDesk {
    async fn dead_letter(&self, _: &str, _: Option<u32>, _: &Whose) -> Done<Option<Buried>> {
        match *self {}
    }
    async fn dead_letters(&self, _: &DeadLetterFilter, _: &Page) -> Done<Listed<Buried>> {
        match *self {}
    }
    async fn for_replay(&self, _: &DeadLetterFilter, _: &Page) -> Done<Listed<Buried>> {
        match *self {}
    }
    async fn count(&self, _: &DeadLetterFilter) -> Done<u64> {
        match *self {}
    }
    async fn replay(&self, _: &DeadLetter, _: &Entry) -> Done<Replayed> {
        match *self {}
    }
    async fn delete(&self, _: &str, _: u32, _: &Whose) -> Done<bool> {
        match *self {}
    }
}

impl Queues for NoDesk {
    async fn queues(&self) -> Done<Vec<QueueRecord>> {
        match *self {}
    }
}

impl Pauses for NoDesk {
    async fn pause(&self, _: &PauseScope) -> Done<(Pause, bool)> {
        match *self {}
    }
    async fn pauses(&self) -> Done<Vec<Pause>> {
        match *self {}
    }
    async fn resume(&self, _: &str) -> Done<bool> {
        match *self {}
    }
}

impl Vitals for NoDesk {
    fn checks(&self) -> Vec<(&'static str, Option<String>)> {
        match *self {}
    }
    fn metrics(&self) -> Option<String> {
        match *self {}
    }
}

impl Backup for NoDesk {
    async fn backup(&self, _: &Path) -> Done<u64> {
        match *self {}
    }
}
