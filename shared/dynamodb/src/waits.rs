//! Messages whose time is further away than a queue can delay: the envelope is kept in the control table, and a one-time
//! schedule writes a reference to it into `wake` when its time has come.

use std::time::Duration;

use chaski_aws::{CALL, SqsQueues};
use chaski_core::ports::{Entry, Leased, SettleError};
use chaski_core::queue::QueueName;
use chaski_core::time::Timestamp;
use chaski_signed::{OneTime, Scheduler};
use futures_util::future::join_all;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::control::{ControlTable, Kept, WaitKey};

/// A reference whose envelope could not be read is hidden so long: the table may be back then.
const UNREAD_HIDDEN: Duration = Duration::from_secs(30);
/// Letting go of what has moved on: it goes by its time otherwise.
const RELEASE: Duration = Duration::from_secs(1);

/// Where schedules are made, and what they may do.
#[derive(Debug, Clone)]
pub struct Schedules {
    /// EventBridge Scheduler.
    pub scheduler: Scheduler,
    /// The stack's own group of schedules.
    pub group: String,
    /// The ARN of the role in whose name a schedule writes to `wake`.
    pub role: String,
    /// The ARN of the queue `wake`.
    pub wake: String,
    /// The ARN of the queue `wake-net`.
    pub net: String,
}

/// Long waits of one stack.
#[derive(Debug, Clone)]
pub struct Waits {
    table: ControlTable,
    schedules: Schedules,
}

/// What the entries of a batch stand for.
#[derive(Debug, Default)]
pub struct Fetched {
    /// The entries with their envelopes, in the order received.
    pub entries: Vec<Leased>,
    /// The entry ids of references whose envelope could not be read: they go back.
    pub back: Vec<String>,
}

impl Waits {
    /// Envelopes in this table, references by these schedules.
    #[must_use]
    pub fn new(table: ControlTable, schedules: Schedules) -> Self {
        Self { table, schedules }
    }

    /// Keeps an entry until its time. `Ok` means that it is durable, and that it will be seen then.
    ///
    /// # Errors
    /// It is not known to be both.
    pub(crate) async fn keep(&self, entry: &Entry, due: Timestamp) -> Result<(), SettleError> {
        let no_key = || SettleError("what waits is no envelope with an id".to_owned());
        let key = WaitKey::of(entry).ok_or_else(no_key)?;
        // The envelope first: a reference never comes before it.
        self.table.put_wait(&key, &entry.body, due).await.map_err(|error| SettleError(error.to_string()))?;
        let Schedules { scheduler, group, role, wake, net } = &self.schedules;
        let text = key.reference();
        let schedule = OneTime { name: key.step(), group, at: due, queue: wake, text: &text, net, role };
        scheduler.create(schedule).await.map_err(|error| SettleError(format!("EventBridge Scheduler: {error}")))
    }

    /// Lets an envelope go that has moved on, best effort.
    pub(crate) async fn release(&self, kept_at: &str) {
        let Some(key) = WaitKey::parse(kept_at) else { return };
        match timeout(RELEASE, self.table.delete_wait(&key)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(event.action = "not_released", "{kept_at} stays until its time: {error}"),
            Err(_) => debug!(event.action = "not_released", "{kept_at} stays until its time: no answer in time"),
        }
    }

    /// Brings the envelopes of references. One whose message has moved on, or was cancelled, is left out: it may go.
    pub async fn fetch(&self, queues: &SqsQueues, entries: Vec<Leased>) -> Fetched {
        let mut fetched = Fetched::default();
        let mut unread = Vec::new();
        for (leased, kept) in join_all(entries.into_iter().map(|leased| self.fetch_one(leased))).await {
            match kept {
                Ok(true) => fetched.entries.push(leased),
                Ok(false) => {}
                Err(()) => unread.push(leased),
            }
        }
        let back: Vec<(&Leased, Duration)> = unread.iter().map(|leased| (leased, UNREAD_HIDDEN)).collect();
        if !back.is_empty() {
            queues.give_back(&back).await;
        }
        fetched.back = unread.into_iter().map(|leased| leased.entry_id).collect();
        fetched
    }

    /// The entry with its envelope, and whether there is something to do.
    async fn fetch_one(&self, mut leased: Leased) -> (Leased, Result<bool, ()>) {
        if !matches!(leased.queue, QueueName::Wake | QueueName::WakeNet) {
            return (leased, Ok(true));
        }
        let Some(key) = WaitKey::of_reference(&leased.body) else { return (leased, Ok(true)) };
        let why = match timeout(CALL, self.table.wait(&key)).await {
            Ok(Ok(Kept::Envelope(envelope))) => {
                leased.body = envelope;
                leased.kept_at = Some(key.to_string());
                return (leased, Ok(true));
            }
            // It is buried as it is, and the row stays for a while.
            Ok(Ok(Kept::Damaged)) => {
                warn!(event.action = "wait_damaged", "what waits at {key} can't be read");
                return (leased, Ok(true));
            }
            Ok(Ok(Kept::Nothing)) => {
                debug!(event.action = "moved_on", "what waited at {key} has moved on");
                return (leased, Ok(false));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        warn!(event.action = "returned", chaski.entry = leased.entry_id, "what waits at {key} is not known: {why}");
        (leased, Err(()))
    }
}
