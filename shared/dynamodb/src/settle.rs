//! Ending leases on AWS.

use std::time::Duration;

use chaski_aws::SqsQueues;
use chaski_core::ports::{Beside, Enqueue, Entry, Leased, Settle, SettleError, Settlement};

use crate::dead_letters::DeadLetters;

/// Settles what a function was pushed. The lease itself is ended by Lambda, which deletes whatever the
/// function's answer does not name as failed; here only the effect is made durable before that.
#[derive(Debug, Clone)]
pub struct AwsSettle {
    queues: SqsQueues,
    dead_letters: DeadLetters,
}

impl AwsSettle {
    /// Retries go to these queues, and what is given up into this table.
    #[must_use]
    pub fn new(queues: SqsQueues, dead_letters: DeadLetters) -> Self {
        Self { queues, dead_letters }
    }

    async fn send(&self, entry: &Entry) -> Result<(), SettleError> {
        self.queues.enqueue(entry.clone()).await.map(|_| ()).map_err(|error| SettleError(error.to_string()))
    }
}

impl Settle for AwsSettle {
    const ROUNDS_TO_TIERS: bool = true;

    async fn settle(&self, _: &Leased, settlement: &Settlement, beside: Beside<'_>) -> Result<(), SettleError> {
        if let Some(callback) = beside.callback {
            self.send(callback).await?;
        }
        match settlement {
            Settlement::Done | Settlement::End(_, None) => Ok(()),
            Settlement::Move(entry) => self.send(entry).await,
            Settlement::Bury(letter) | Settlement::End(_, Some(letter)) => self.dead_letters.put(letter).await,
            // The entry is hidden where it stands.
            Settlement::Hold(_) => Ok(()),
        }
    }

    async fn give_back(&self, entries: &[(&Leased, Duration)]) {
        self.queues.give_back(entries).await;
    }
}
