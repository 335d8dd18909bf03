//! The core's ports over the store.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use chaski_core::breaker::{Sign, Turn};
use chaski_core::dead_letter::DeadLetter;
use chaski_core::filter::{DeadLetterFilter, Listed, MessageFilter, Page, Whose};
use chaski_core::ledger::MessageRecord;
use chaski_core::pause::{Pause, PauseScope};
use chaski_core::ports::{
    Backup, Beside, Buried, CancelCount, Cancelled, DeadLetters, DeskError, Enqueue, EnqueueError, Entry, Leased,
    Ledger, Pauses, QueueRecord, Queues, Replayed, Settle, SettleError, Settlement, Taken,
};
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinError;
use tracing::{info, warn};
use uuid::Builder;

use super::Store;
use super::clock::millis;
use crate::backup;
use crate::look::{self, Look, LookError};
use crate::schedule::Token;
use crate::writer::{Cancel, Delete, Enqueued, Hold, Release, Replay, SettleJob};

/// A producer is answered within this time, whatever the disk does.
const TAKE: Duration = Duration::from_secs(9);
/// Messages of one call that are written at once. The processor that reads envelopes and the one that writes rows
/// share a call from about twice this size on, and its memory is bounded.
const PIECE: usize = 500;
/// Messages that one step of a cancellation changes.
const CANCEL_STEP: usize = 500;

impl Enqueue for Store {
    const PIECE: usize = PIECE;

    async fn enqueue(&self, entry: Entry) -> Result<Taken, EnqueueError> {
        let mut fates = self.enqueue_all(vec![entry]).await;
        fates.pop().unwrap_or_else(|| Err(EnqueueError::Unavailable("its fate was not told".to_owned())))
    }

    async fn enqueue_all(&self, entries: Vec<Entry>) -> Vec<Result<Taken, EnqueueError>> {
        let count = entries.len();
        let refused = |why: &str| vec![Err(EnqueueError::Unavailable(why.to_owned())); count];
        if let Err(why) = self.is_taking()
            && self.shared().failure.borrow().is_some()
        {
            return refused(&why);
        }
        let (job, told) = Enqueued::new(entries);
        self.hand_in(job);
        match tokio::time::timeout(TAKE, told).await {
            Ok(Ok(fates)) => fates,
            Ok(Err(_)) => refused("the store has ended"),
            Err(_) => refused("the disk took too long"),
        }
    }
}

impl Settle for Store {
    async fn settle(&self, leased: &Leased, settlement: &Settlement, beside: Beside<'_>) -> Result<(), SettleError> {
        let sign = beside.attempt.and_then(Sign::of);
        let now = self.shared().clock.now();
        let begun = |token| Some((token, self.shared().schedule().begin_settling(token, sign, now)?));
        let Some((token, (held, turn))) = token(leased).and_then(begun) else {
            return Err(SettleError("its lease has run out".to_owned()));
        };
        tell_turn(turn, held.host.as_deref());
        let (job, told) = SettleJob::new(token, held, leased, settlement.clone(), beside);
        self.hand_in(job);
        told.await.unwrap_or_else(|_| Err(SettleError("the store has ended".to_owned())))
    }

    async fn give_back(&self, entries: &[(&Leased, Duration)]) {
        let now = self.shared().clock.now();
        for (leased, delay) in entries {
            if let Some(token) = token(leased) {
                self.shared().schedule().give_back(token, now + millis(*delay), now);
            }
        }
        self.shared().settled();
        // Slots are free again, maybe for lines that wait at a gate.
        self.shared().ready.notify_waiters();
        self.shared().wake_loader();
    }
}

/// An operator hears when a host's attempts begin to wait, and when that is over.
fn tell_turn(turn: Option<Turn>, host: Option<&str>) {
    match turn {
        None => {}
        Some(Turn::Opened(until)) => warn!(
            event.action = "breaker_opened",
            chaski.target_host = host,
            "the host keeps failing: its attempts wait, for now until {until}"
        ),
        Some(Turn::Closed) => {
            info!(
                event.action = "breaker_closed",
                chaski.target_host = host,
                "the host answers again: nothing waits for it"
            );
        }
    }
}

fn token(leased: &Leased) -> Option<Token> {
    leased.handle.parse().ok()
}

impl Ledger for Store {
    async fn message(&self, id: &str, whose: &Whose, wait: Duration) -> Result<Option<MessageRecord>, DeskError> {
        let find = async || {
            let (id, whose, busy) = (id.to_owned(), whose.clone(), self.in_flight_messages());
            self.look(move |connection| look::message(connection, &id, &whose, &busy)).await
        };
        let Some((no, record)) = find().await? else { return Ok(None) };
        if record.state.is_end() || wait.is_zero() {
            return Ok(Some(record));
        }
        let waiting = self.shared().ends.wait_for(no);
        let ended = waiting.end().notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        // It may have ended before it was waited for.
        let mut found = find().await?;
        if found.as_ref().is_some_and(|(_, record)| !record.state.is_end()) {
            let _ = tokio::time::timeout(wait, ended).await;
            found = find().await?;
        }
        Ok(found.map(|(_, record)| record))
    }

    async fn messages(&self, filter: &MessageFilter, page: &Page) -> Result<Listed<MessageRecord>, DeskError> {
        let (filter, page, busy) = (filter.clone(), page.clone(), self.in_flight_messages());
        self.look(move |connection| look::messages(connection, &filter, &page, &busy)).await
    }

    async fn cancel(&self, id: &str, whose: &Whose) -> Result<Cancelled, DeskError> {
        let (id, whose) = (id.to_owned(), whose.clone());
        let found = self.look(move |connection| look::message(connection, &id, &whose, &HashSet::new())).await?;
        let Some((no, _)) = found else { return Ok(Cancelled::Unknown) };
        Ok(self.cancel_step(vec![no]).await?.first().copied().unwrap_or(Cancelled::Unknown))
    }

    async fn cancel_all(&self, filter: &MessageFilter, dry_run: bool) -> Result<CancelCount, DeskError> {
        let (mut matched, mut count) = (0, CancelCount::default());
        let mut below = i64::MAX;
        loop {
            let (filter, busy) = (filter.clone(), self.in_flight_messages());
            let step: Vec<i64> = self
                .look(move |connection| look::open_messages(connection, &filter, &busy, below, CANCEL_STEP))
                .await?;
            let Some(last) = step.last().copied() else { return Ok(CancelCount { matched: Some(matched), ..count }) };
            below = last;
            matched += u64::try_from(step.len()).unwrap_or(0);
            if !dry_run {
                for fate in self.cancel_step(step).await? {
                    count.cancelled += u64::from(fate == Cancelled::Now);
                    count.cancelling += u64::from(fate == Cancelled::Cancelling);
                }
            }
        }
    }
}

impl DeadLetters for Store {
    async fn dead_letter(&self, id: &str, generation: Option<u32>, whose: &Whose) -> Result<Option<Buried>, DeskError> {
        let (id, whose) = (id.to_owned(), whose.clone());
        self.look(move |connection| look::letter(connection, &id, generation, &whose)).await
    }

    async fn dead_letters(&self, filter: &DeadLetterFilter, page: &Page) -> Result<Listed<Buried>, DeskError> {
        let (filter, page) = (filter.clone(), page.clone());
        self.look(move |connection| look::letters(connection, &filter, &page)).await
    }

    async fn for_replay(&self, filter: &DeadLetterFilter, page: &Page) -> Result<Listed<Buried>, DeskError> {
        let (filter, page) = (filter.clone(), page.clone());
        self.look(move |connection| look::letters_for_replay(connection, &filter, &page)).await
    }

    async fn count(&self, filter: &DeadLetterFilter) -> Result<u64, DeskError> {
        let filter = filter.clone();
        self.look(move |connection| look::count_letters(connection, &filter)).await
    }

    async fn replay(&self, letter: &DeadLetter, entry: &Entry) -> Result<Replayed, DeskError> {
        let (job, told) = Replay::new(letter, entry.clone());
        self.hand_in(job);
        answer(told).await?.map_err(DeskError::Refused)
    }

    async fn delete(&self, id: &str, generation: u32, whose: &Whose) -> Result<bool, DeskError> {
        if self.dead_letter(id, Some(generation), whose).await?.is_none() {
            return Ok(false);
        }
        let (job, told) = Delete::new(id.to_owned(), generation);
        self.hand_in(job);
        answer(told).await
    }
}

impl Queues for Store {
    async fn queues(&self) -> Result<Vec<QueueRecord>, DeskError> {
        let shared = self.shared().clone();
        self.look(move |connection| look::queues(connection, &shared)).await
    }
}

impl Pauses for Store {
    async fn pause(&self, scope: &PauseScope) -> Result<(Pause, bool), DeskError> {
        let chance: Vec<u8> =
            self.look(|connection| Ok(connection.query_row("SELECT randomblob(10)", [], |row| row.get(0))?)).await?;
        let now = u64::try_from(self.shared().clock.now()).unwrap_or(0);
        let chance = chance.first_chunk().copied().unwrap_or_default();
        let id = Builder::from_unix_timestamp_millis(now, &chance).into_uuid().to_string();
        let (job, told) = Hold::new(id, scope.clone());
        self.hand_in(job);
        answer(told).await
    }

    async fn pauses(&self) -> Result<Vec<Pause>, DeskError> {
        self.look(|connection| Ok(look::read_pauses(connection)?)).await
    }

    async fn resume(&self, id: &str) -> Result<bool, DeskError> {
        let (job, told) = Release::new(id.to_owned());
        self.hand_in(job);
        answer(told).await
    }
}

impl Backup for Store {
    /// Copies the store while it is used: a file that is whole and on the disk when this returns, and that is
    /// a store's database when it stands in a folder as [`crate::DATABASE`]. Its size in bytes.
    ///
    /// # Errors
    /// The file exists, or can't be written; or the store does not answer.
    async fn backup(&self, to: &Path) -> Result<u64, DeskError> {
        let (to, readers) = (to.to_owned(), self.inner.readers.clone());
        // A connection of its own: a copy takes its time, and a transaction that is open does not allow it.
        let copied = tokio::task::spawn_blocking(move || backup::copy(&readers.connect()?, &to)).await;
        answer_of(copied)
    }
}

impl Store {
    /// Cancels these messages; what came of each.
    async fn cancel_step(&self, messages: Vec<i64>) -> Result<Vec<Cancelled>, DeskError> {
        let (job, told) = Cancel::new(messages);
        self.hand_in(job);
        answer(told).await
    }

    fn in_flight_messages(&self) -> HashSet<i64> {
        self.shared().schedule().messages_in_flight()
    }

    /// Looks at a snapshot, beside the writer.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> Look<T> + Send + 'static,
    ) -> Result<T, DeskError> {
        self.look_in(&self.inner.looks, look).await
    }

    /// The same, when these turns have one.
    pub(super) async fn look_in<T: Send + 'static>(
        &self,
        turns: &Semaphore,
        look: impl FnOnce(&Connection) -> Look<T> + Send + 'static,
    ) -> Result<T, DeskError> {
        let (shared, readers) = (self.shared().clone(), self.inner.readers.clone());
        let turn = turns.acquire().await;
        let looked = tokio::task::spawn_blocking(move || readers.look(&shared, look)).await;
        drop(turn);
        answer_of(looked)
    }
}

fn answer_of<T>(looked: Result<Look<T>, JoinError>) -> Result<T, DeskError> {
    match looked {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(LookError::Cursor)) => Err(DeskError::Cursor),
        Ok(Err(LookError::Refused(why))) => Err(DeskError::Refused(why)),
        Ok(Err(LookError::Failed(why))) => Err(DeskError::Unavailable(why)),
        Err(error) => Err(DeskError::Unavailable(error.to_string())),
    }
}

pub(super) async fn answer<T>(told: oneshot::Receiver<Result<T, String>>) -> Result<T, DeskError> {
    match tokio::time::timeout(TAKE, told).await {
        Ok(Ok(answer)) => answer.map_err(DeskError::Unavailable),
        Ok(Err(_)) => Err(DeskError::Unavailable("the store has ended".to_owned())),
        Err(_) => Err(DeskError::Unavailable("the disk took too long".to_owned())),
    }
}
