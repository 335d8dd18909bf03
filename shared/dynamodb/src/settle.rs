//! Ending leases on AWS.

use std::time::Duration;

use chaski_aws::SqsQueues;
use chaski_core::ledger::AttemptReport;
use chaski_core::ports::{Enqueue, Leased, Settle, SettleError, Settlement};

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
}

impl Settle for AwsSettle {
    async fn settle(&self, _: &Leased, settlement: &Settlement, _: Option<&AttemptReport>) -> Result<(), SettleError> {
        match settlement {
            Settlement::Done => Ok(()),
            Settlement::Retry(entry) => {
                self.queues.enqueue(entry.clone()).await.map(|_| ()).map_err(|error| SettleError(error.to_string()))
            }
            Settlement::Bury(letter) => self.dead_letters.put(letter).await,
        }
    }

    async fn give_back(&self, entries: &[(&Leased, Duration)]) {
        self.queues.give_back(entries).await;
    }
}
