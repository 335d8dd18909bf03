//! The store's ports with what the process says of itself, as the one desk that the API asks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chaski_core::dead_letter::DeadLetter;
use chaski_core::filter::{DeadLetterFilter, Listed, MessageFilter, Page, Whose};
use chaski_core::ledger::MessageRecord;
use chaski_core::pause::{Pause, PauseScope};
use chaski_core::ports::{
    Backup, Buried, CancelCount, Cancelled, DeadLetters, DeskError, Entry, Ledger, Pauses, QueueRecord, Queues,
    Replayed, Vitals,
};
use chaski_embedded::Store;

use crate::beat::Beats;
use crate::ending::Ending;
use crate::metrics::Metrics;

/// The desk of this process.
pub(crate) struct Home {
    pub(crate) store: Store,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) beats: Beats,
    pub(crate) ending: Ending,
}

impl Vitals for Home {
    fn checks(&self) -> Vec<(&'static str, Option<String>)> {
        let store = ("store", self.store.is_taking().err());
        std::iter::once(store).chain(self.beats.checks()).collect()
    }

    async fn metrics(&self) -> Option<String> {
        let queues = self.store.queues().await.unwrap_or_default();
        Some(self.metrics.text(&queues, self.store.in_flight(), &self.store.pressure()))
    }
}

impl Ledger for Home {
    async fn message(&self, id: &str, whose: &Whose, wait: Duration) -> Result<Option<MessageRecord>, DeskError> {
        tokio::select! {
            told = self.store.message(id, whose, wait) => told,
            // Who waits for an end that this process will not see is told how things stand.
            () = self.ending.begun() => self.store.message(id, whose, Duration::ZERO).await,
        }
    }

    async fn messages(&self, filter: &MessageFilter, page: &Page) -> Result<Listed<MessageRecord>, DeskError> {
        self.store.messages(filter, page).await
    }

    async fn cancel(&self, id: &str, whose: &Whose) -> Result<Cancelled, DeskError> {
        self.store.cancel(id, whose).await
    }

    async fn cancel_all(&self, filter: &MessageFilter, dry_run: bool) -> Result<CancelCount, DeskError> {
        self.store.cancel_all(filter, dry_run).await
    }
}

impl DeadLetters for Home {
    async fn dead_letter(&self, id: &str, generation: Option<u32>, whose: &Whose) -> Result<Option<Buried>, DeskError> {
        self.store.dead_letter(id, generation, whose).await
    }

    async fn dead_letters(&self, filter: &DeadLetterFilter, page: &Page) -> Result<Listed<Buried>, DeskError> {
        self.store.dead_letters(filter, page).await
    }

    async fn for_replay(&self, filter: &DeadLetterFilter, page: &Page) -> Result<Listed<Buried>, DeskError> {
        self.store.for_replay(filter, page).await
    }

    async fn count(&self, filter: &DeadLetterFilter) -> Result<u64, DeskError> {
        self.store.count(filter).await
    }

    async fn replay(&self, letter: &DeadLetter, entry: &Entry) -> Result<Replayed, DeskError> {
        self.store.replay(letter, entry).await
    }

    async fn delete(&self, id: &str, generation: u32, whose: &Whose) -> Result<bool, DeskError> {
        self.store.delete(id, generation, whose).await
    }
}

impl Queues for Home {
    async fn queues(&self) -> Result<Vec<QueueRecord>, DeskError> {
        self.store.queues().await
    }
}

impl Pauses for Home {
    async fn pause(&self, scope: &PauseScope) -> Result<(Pause, bool), DeskError> {
        self.store.pause(scope).await
    }

    async fn pauses(&self) -> Result<Vec<Pause>, DeskError> {
        self.store.pauses().await
    }

    async fn resume(&self, id: &str) -> Result<bool, DeskError> {
        self.store.resume(id).await
    }
}

impl Backup for Home {
    async fn backup(&self, to: &Path) -> Result<u64, DeskError> {
        self.store.backup(to).await
    }
}
