//! What becomes of a message after a failed attempt: again, when and where, or never.

use std::time::Duration;

use super::Dispatcher;
use super::bury;
use super::task::Task;
use crate::limits;
use crate::outcome::Failure;
use crate::ports::{Answer, Bodies, Clock, Control, Entry, Hold, Settle, Settlement, Target};
use crate::queue::QueueName;
use crate::retry::{FirstError, Verdict};
use crate::time::Timestamp;

impl<T: Target, S: Settle, C: Clock, K: Control, B: Bodies> Dispatcher<T, S, C, K, B> {
    pub(super) fn judge(
        &self,
        task: &mut Task<'_>,
        failure: &Failure,
        answer: Option<&Answer>,
        now: Timestamp,
    ) -> Settlement {
        let first = task.first_error().unwrap_or(FirstError { class: failure.class, status: failure.status });
        let (retry, tiers) = (&self.settings.retry, &self.settings.tiers);
        let own = task.envelope.options.retry.as_ref();
        let again = match retry.decide(tiers, own, first, failure, task.meta.attempts) {
            Verdict::Bury => None,
            verdict if task.is_strict() => Some(self.hold(task, verdict, now)),
            verdict => Some(Settlement::Move(self.retry_entry(task, verdict, now))),
        };
        if let Some(settlement) = again.filter(is_short_enough) {
            return settlement;
        }
        task.meta.next_due = None;
        Settlement::Bury(Box::new(bury::letter(task, failure, answer, now)))
    }

    /// How long a verdict lets the message wait.
    fn wait(&self, verdict: Verdict) -> Duration {
        match verdict {
            Verdict::Bury => Duration::ZERO,
            Verdict::Retry(tier) => self.settings.tiers.of(tier),
            Verdict::RetryAfter(wait) => wait,
        }
    }

    fn hold(&self, task: &mut Task<'_>, verdict: Verdict, now: Timestamp) -> Settlement {
        let next = now.plus(self.wait(verdict));
        // Who expires before its next attempt lets its line go on then.
        let due = task.meta.expires_at.map_or(next, |expires| next.min(expires));
        task.meta.next_due = Some(due);
        task.meta.hop = 0;
        Settlement::Hold(Box::new(Hold { envelope: task.whole(), due }))
    }

    fn retry_entry(&self, task: &mut Task<'_>, verdict: Verdict, now: Timestamp) -> Entry {
        let (tiers, wait) = (&self.settings.tiers, self.wait(verdict));
        let tier = match verdict {
            Verdict::Retry(tier) => Some(tier),
            _ if S::ROUNDS_TO_TIERS && wait <= tiers.slow => Some(tiers.covering(wait)),
            _ => None,
        };
        let due = now.plus(tier.map_or(wait, |tier| tiers.of(tier)));
        task.meta.next_due = Some(due);
        task.meta.hop = 0;
        match tier {
            Some(tier) => task.entry(QueueName::Tier(tier), None),
            None => task.entry(QueueName::Wake, Some(due)),
        }
    }
}

/// What came past the ingress may be too long to be sent again with its history.
fn is_short_enough(settlement: &Settlement) -> bool {
    match settlement {
        Settlement::Move(entry) => entry.body.len() <= limits::ENQUEUE_CALL_BYTES,
        _ => true,
    }
}
