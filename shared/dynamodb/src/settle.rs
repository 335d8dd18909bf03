//! Ending leases on AWS.

use std::time::Duration;

use chaski_aws::{CALL, SqsQueues};
use chaski_core::envelope::Meta;
use chaski_core::ports::{Beside, Enqueue, Entry, Hold, Leased, Settle, SettleError, Settlement};
use chaski_core::queue::QueueName;
use tokio::time::timeout;
use tracing::debug;

use crate::control::ControlTable;
use crate::dead_letters::DeadLetters;
use crate::waits::Waits;

/// How long a message may be delayed in a queue (SQS).
const QUEUE_DELAY: Duration = Duration::from_secs(900);
/// Remembering what holds up a line: it waits for less where that takes longer.
const REMEMBERING: Duration = Duration::from_secs(1);
/// Forgetting it: the row goes by its time otherwise.
const FORGETTING: Duration = Duration::from_secs(1);

/// Settles what a function was pushed. The lease itself is ended by Lambda, which deletes whatever the
/// function's answer does not name as failed; here only the effect is made durable before that.
#[derive(Debug, Clone)]
pub struct AwsSettle {
    queues: SqsQueues,
    dead_letters: DeadLetters,
    control: Option<ControlTable>,
    waits: Option<Waits>,
}

impl AwsSettle {
    /// Retries go to these queues, and what is given up into this table.
    #[must_use]
    pub fn new(queues: SqsQueues, dead_letters: DeadLetters) -> Self {
        Self { queues, dead_letters, control: None, waits: None }
    }

    /// Strict lines remember their heads in this table. Without one they wait for the first tier's delay, and begin
    /// anew.
    #[must_use]
    pub fn remembering(self, control: Option<ControlTable>) -> Self {
        Self { control, ..self }
    }

    /// Waits that no queue can delay go by schedules. Without them they go to `wake`, and from there on in steps.
    #[must_use]
    pub fn scheduling(self, waits: Option<Waits>) -> Self {
        Self { waits, ..self }
    }

    async fn send(&self, entry: Entry) -> Result<(), SettleError> {
        self.queues.enqueue(entry).await.map(|_| ()).map_err(|error| SettleError(error.to_string()))
    }

    async fn carry(&self, leased: &Leased, entry: &Entry) -> Result<(), SettleError> {
        let soon = self.queues.now().plus(QUEUE_DELAY);
        let Some(due) = entry.due.filter(|due| *due > soon) else {
            return self.send(entry.clone()).await;
        };
        match &self.waits {
            Some(waits) => waits.keep(entry, due).await,
            // Whoever reads `wake` and has no schedules would else see it again at once.
            None if leased.queue == QueueName::Wake => self.send(Entry { due: Some(soon), ..entry.clone() }).await,
            None => self.send(entry.clone()).await,
        }
    }

    /// Remembers what holds up a line. The entry itself can't be changed, and is hidden when it is given back.
    async fn remember(&self, leased: &Leased, hold: &Hold) -> Result<(), SettleError> {
        let table = self.control.as_ref().ok_or_else(|| SettleError("there is no control table".to_owned()))?;
        let put = timeout(REMEMBERING, table.put_line(leased, hold)).await;
        let put = put.map_err(|_| SettleError("the control table took too long".to_owned()))?;
        put.map_err(|error| SettleError(error.to_string()))
    }

    /// What is done after the effect is durable: best effort, because what is left over goes by its time.
    async fn forget(&self, leased: &Leased, remembered: Option<&Meta>) {
        if let (Some(table), Some(meta)) = (&self.control, remembered) {
            let deleted = timeout(FORGETTING, table.delete_line(&meta.id, meta.generation)).await;
            if !matches!(deleted, Ok(Ok(()))) {
                debug!(
                    event.action = "not_forgotten",
                    chaski.id = meta.id,
                    "what a line remembers stays until its time"
                );
            }
        }
        if let (Some(waits), Some(kept_at)) = (&self.waits, &leased.kept_at) {
            waits.release(kept_at).await;
        }
    }

    async fn effect(
        &self,
        leased: &Leased,
        settlement: &Settlement,
        callback: Option<&Entry>,
    ) -> Result<(), SettleError> {
        if let Some(callback) = callback {
            self.send(callback.clone()).await?;
        }
        match settlement {
            Settlement::Done | Settlement::End(_, None) => Ok(()),
            Settlement::Move(entry) => self.carry(leased, entry).await,
            Settlement::Bury(letter) | Settlement::End(_, Some(letter)) => self.dead_letters.put(letter).await,
            Settlement::Hold(hold) => self.remember(leased, hold).await,
        }
    }
}

impl Settle for AwsSettle {
    const ROUNDS_TO_TIERS: bool = true;
    /// Of the 14 days of a queue, less a receive's 12 hours and a reserve.
    const KEEPS: Option<Duration> = Some(Duration::from_secs(13 * 24 * 3_600));

    async fn settle(&self, leased: &Leased, settlement: &Settlement, beside: Beside<'_>) -> Result<(), SettleError> {
        // Several calls must not take several times as long.
        let effect = timeout(CALL, self.effect(leased, settlement, beside.callback)).await;
        effect.unwrap_or_else(|_| Err(SettleError("there was no time left".to_owned())))?;
        if !matches!(settlement, Settlement::Hold(_)) {
            self.forget(leased, beside.remembered).await;
        }
        Ok(())
    }

    async fn give_back(&self, entries: &[(&Leased, Duration)]) {
        self.queues.give_back(entries).await;
    }
}
