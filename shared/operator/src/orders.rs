//! What an operator orders on a stack: pauses and cancellations, which the consumers read in the control table.

use std::collections::BTreeMap;
use std::time::Duration;

use chaski_aws::VISIBILITY_ENTRIES;
use chaski_core::filter::{MessageFilter, Whose};
use chaski_core::orders::{CancelMark, CancelWhat};
use chaski_core::pause::{Pause, PauseScope};
use chaski_core::ports::{CancelCount, Cancelled, Clock, DeskError, Pauses};
use chaski_core::queue::QueueName;
use chaski_dynamodb::{ControlTable, HELD_PARTITIONS, Held, MARKS, ORDERS_AGE};
use futures_util::future::try_join_all;
use tokio::time::sleep;

use crate::desk::{NO_LEDGER, StackDesk};

/// An order is in force when every consumer has read it: the age of what they know, and a call's way.
const IN_FORCE: Duration = ORDERS_AGE.saturating_add(Duration::from_millis(500));
/// After it heads are shown a second time: a consumer may have hidden one just after it was shown first.
const LATE: Duration = Duration::from_secs(2);
/// A mark stands so long: SQS keeps a message for 14 days, so that every one that was accepted before has been met.
/// (Not one whose own time comes later. That is met by its id, whose row goes at once.)
const MARK_STANDS: Duration = Duration::from_secs(15 * 24 * 3_600);
/// Calls of one partition's heads that go side by side.
const SIDE_BY_SIDE: usize = 8;

const NO_CONTROL: &str = "the stack has no control table, by which pauses and cancellations reach its functions: deploy \
                          this version (`make deploy`)";

impl<C: Clock> StackDesk<C> {
    fn control(&self) -> Result<&ControlTable, DeskError> {
        self.control.as_ref().ok_or_else(|| DeskError::NotServed(NO_CONTROL.to_owned()))
    }

    /// Whether a message waits, was delivered or never was is not known, so every id but a dead letter's may be
    /// cancelled.
    pub(crate) async fn cancel_one(&self, id: &str, whose: &Whose) -> Result<Cancelled, DeskError> {
        let control = self.control()?;
        if let Some(record) = self.record(id, None, whose).await?
            && self.buried(record).replayed_at.is_none()
        {
            return Ok(Cancelled::Ended);
        }
        // A message's tenant is not known here: a caller who has one may only name messages by it.
        if *whose != Whose::default() {
            return Err(DeskError::NotServed(NO_LEDGER.to_owned()));
        }
        // The mark first: who moves the message from where it waits meanwhile meets it.
        self.mark(CancelWhat::Message(id.to_owned())).await?;
        control.delete_waits(id).await?;
        Ok(Cancelled::Cancelling)
    }

    pub(crate) async fn cancel_fitting(&self, filter: &MessageFilter, dry_run: bool) -> Result<CancelCount, DeskError> {
        if dry_run {
            let words = format!("how many messages fit is not known before they are cancelled: {NO_LEDGER}");
            return Err(DeskError::NotServed(words));
        }
        if filter.state.is_some() {
            return Err(DeskError::NotServed(format!("messages can't be told apart by their state: {NO_LEDGER}")));
        }
        self.mark(CancelWhat::Fitting(filter.clone())).await?;
        Ok(CancelCount { matched: None, ..CancelCount::default() })
    }

    async fn mark(&self, what: CancelWhat) -> Result<(), DeskError> {
        let control = self.control()?;
        let now = self.clock.now();
        let mark = CancelMark::new(what, now, now.plus(MARK_STANDS));
        let mut standing = control.orders().await?.0.marks;
        // DynamoDB deletes late what has ended.
        standing.retain(|other| other.until > now && other.id != mark.id);
        if standing.len() >= MARKS {
            let first = standing.iter().map(|mark| mark.until).min().unwrap_or(now);
            return Err(DeskError::Refused(format!(
                "{MARKS} cancellations stand already, and functions read no more of them; the first ends at {first}: \
                 cancel by subject, client, label or target what belongs together"
            )));
        }
        control.put_mark(&mark).await
    }

    /// Shows every head that a pause holds; how many. Where `forget` is said they are not held any more.
    async fn show_held(&self, control: &ControlTable, pause: &str, forget: bool) -> Result<usize, DeskError> {
        let shown = (0..HELD_PARTITIONS).map(|partition| self.show_partition(control, partition, pause, forget));
        Ok(try_join_all(shown).await?.into_iter().sum())
    }

    async fn show_partition(
        &self,
        control: &ControlTable,
        partition: u8,
        pause: &str,
        forget: bool,
    ) -> Result<usize, DeskError> {
        let (mut shown, mut start) = (0, None);
        loop {
            let (page, next) = control.held_page(partition, pause, start).await?;
            for some in calls(&page).chunks(SIDE_BY_SIDE) {
                try_join_all(some.iter().map(|(queue, handles)| self.queues.show(queue, handles))).await?;
            }
            if forget {
                for some in page.chunks(SIDE_BY_SIDE) {
                    try_join_all(some.iter().map(|held| control.delete_held(held))).await?;
                }
            }
            shown += page.len();
            start = next;
            if start.is_none() {
                return Ok(shown);
            }
        }
    }
}

/// The receipt handles of heads, as many a call as SQS takes.
fn calls(held: &[Held]) -> Vec<(&QueueName, Vec<&str>)> {
    let mut queues: BTreeMap<&QueueName, Vec<&str>> = BTreeMap::new();
    for held in held {
        queues.entry(&held.queue).or_default().push(&held.handle);
    }
    let tens = |(queue, handles): (_, Vec<_>)| {
        handles.chunks(VISIBILITY_ENTRIES).map(|ten| (queue, ten.to_vec())).collect::<Vec<_>>()
    };
    queues.into_iter().flat_map(tens).collect()
}

impl<C: Clock> Pauses for StackDesk<C> {
    /// Answers when every consumer that can read the control table knows of it.
    async fn pause(&self, scope: &PauseScope) -> Result<(Pause, bool), DeskError> {
        let control = self.control()?;
        let pause = Pause { id: scope.id(), scope: scope.clone(), created_at: self.clock.now() };
        let known = control.put_pause(&pause).await?;
        sleep(IN_FORCE).await;
        Ok(known.map_or((pause, true), |known| (known, false)))
    }

    async fn pauses(&self) -> Result<Vec<Pause>, DeskError> {
        Ok(self.control()?.orders().await?.0.pauses)
    }

    /// Heads that wait are shown at once, those that could not be remembered within a minute. A resume that was cut
    /// short is finished by doing it again.
    async fn resume(&self, id: &str) -> Result<bool, DeskError> {
        let control = self.control()?;
        let ended = control.delete_pause(id).await?;
        let again = |error: DeskError| match error {
            DeskError::Platform { denied, words } => DeskError::Platform {
                denied,
                words: format!(
                    "the pause is ended, but not all that it held is shown yet: resume {id} again ({words})"
                ),
            },
            other => other,
        };
        let held = self.show_held(control, id, false).await.map_err(again)?;
        if ended || held > 0 {
            sleep(LATE).await;
            self.show_held(control, id, true).await.map_err(again)?;
        }
        Ok(ended || held > 0)
    }
}

#[cfg(test)]
mod tests;
