//! What the store knows beside its queues: the numbers of strict lines. Pauses, cancellations and what a line
//! remembers it honours itself.

use std::sync::Arc;
use std::time::Duration;

use chaski_core::envelope::Meta;
use chaski_core::orders::Orders;
use chaski_core::outcome::Outcome;
use chaski_core::ports::{Admission, Ask, Control, Leased, NoControl};

use super::Store;
use crate::look;

impl Control for Store {
    async fn orders(&self) -> Arc<Orders> {
        NoControl.orders().await
    }

    async fn hold_paused(&self, leased: &Leased, pause: &str) -> Duration {
        NoControl.hold_paused(leased, pause).await
    }

    async fn recall(&self, leased: &Leased, id: &str, generation: u32) -> Option<Meta> {
        NoControl.recall(leased, id, generation).await
    }

    /// The number behind the last one that was settled. It becomes durable with the first settlement behind the
    /// attempt; the line has one entry at work, so nobody else is given it meanwhile.
    async fn sequence(&self, leased: &Leased, _: &str, _: u32) -> Option<u64> {
        let group = leased.group.clone();
        let look = move |connection: &rusqlite::Connection| look::last_sequence(connection, &group);
        // Not in the line of those who look: lists take their time, and an attempt waits for this.
        let last = self.look_in(&self.inner.counts, look).await.ok()?;
        last.checked_add(1)
    }

    async fn admit(&self, ask: Ask<'_>) -> Admission {
        NoControl.admit(ask).await
    }

    async fn report(&self, ask: Ask<'_>, outcome: &Outcome) {
        NoControl.report(ask, outcome).await;
    }
}
