//! Writing to SQS, and what a function may still do with what it received.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchOutput;
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, SendMessageBatchRequestEntry};
use chaski_core::ports::{Clock, DeskError, Enqueue, EnqueueError, Entry, Leased, Taken};
use chaski_core::queue::QueueName;
use chaski_core::time::Timestamp;
use futures_util::future::join_all;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;

use crate::failure::{describe, is_the_entrys_fault};
use crate::lanes::{Call, Fate, Lanes};
use crate::queue_url::{QueuePrefix, is_fifo};

/// All calls of [`Enqueue::enqueue_all`] together; the port promises 25 s.
const ALL: Duration = Duration::from_secs(24);
/// Making entries visible again, all calls together: a comfort must not use up the function's time.
const GIVE_BACK: Duration = Duration::from_millis(1_500);
/// How long a queue can hide one entry from the beginning (SQS).
const DELAY_SECONDS: i32 = 900;
/// Entries of one call that changes visibilities (SQS).
pub const VISIBILITY_ENTRIES: usize = 10;

/// The queues of one stack. Entries carry no message attributes: everything a reader needs stands in
/// the envelope, and attributes would count to the size.
#[derive(Debug, Clone)]
pub struct SqsQueues {
    client: Client,
    prefix: QueuePrefix,
    clock: Now,
    /// All calls of one [`Enqueue::enqueue_all`] together.
    all: Duration,
}

impl SqsQueues {
    /// The queues whose URLs begin with `prefix`. By the clock it is known how long an entry has still to wait.
    #[must_use]
    pub fn new(client: Client, prefix: QueuePrefix, clock: impl Clock + 'static) -> Self {
        Self { client, prefix, clock: Now(Arc::new(clock)), all: ALL }
    }

    /// Now, by the clock of these queues.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.0.now()
    }

    /// For how many seconds the queue itself is to hide an entry. A wait that is longer than it can begins at once:
    /// whoever reads the entry finds it a longer one.
    fn delay(&self, entry: &Entry) -> Option<i32> {
        let wait = whole_seconds(entry.due?.since(self.now()));
        (entry.queue == QueueName::Wake && wait <= DELAY_SECONDS).then_some(wait)
    }

    /// The same queues, with less time for a call of many, where something else takes its share of what the port
    /// promises.
    #[must_use]
    pub fn leaving(self, share: Duration) -> Self {
        Self { all: self.all.saturating_sub(share), ..self }
    }

    /// What the queues' URLs begin with.
    #[must_use]
    pub fn prefix(&self) -> &QueuePrefix {
        &self.prefix
    }

    /// Sends the lanes of one queue, a call after the other. A call that fails as a whole has been tried for
    /// as long as one may wait for a queue, so the rest is given up with it.
    async fn send(&self, queue: &QueueName, mut lanes: Lanes<'_>, until: Instant) -> Vec<(usize, Fate)> {
        let url = self.prefix.url(queue);
        while let Some(call) = lanes.next_call() {
            match timeout_at(until, self.send_call(&url, &call)).await {
                Ok(Ok(fates)) => lanes.told(call, fates),
                Ok(Err(error)) => {
                    let fates = call.entries().map(|_| Err(error.clone())).collect();
                    lanes.told(call, fates);
                    lanes.give_up("the queue did not take an earlier call");
                }
                Err(_) => {
                    lanes.told(call, Vec::new());
                    lanes.give_up("there was no time left");
                }
            }
        }
        lanes.fates()
    }

    async fn send_call(&self, url: &str, call: &Call<'_>) -> Result<Vec<Fate>, EnqueueError> {
        let entries = call.entries().enumerate().map(|(n, entry)| {
            let line = is_fifo(&entry.queue);
            SendMessageBatchRequestEntry::builder()
                .id(n.to_string())
                .message_body(&entry.body)
                .set_message_group_id(line.then(|| entry.group.clone()))
                .set_message_deduplication_id(line.then(|| entry.dedup.clone()))
                .set_delay_seconds(self.delay(entry))
                .build()
        });
        let entries: Vec<_> =
            entries.collect::<Result<_, _>>().map_err(|error| EnqueueError::Refused(error.to_string()))?;
        let sent = self.client.send_message_batch().queue_url(url).set_entries(Some(entries)).send().await;
        match sent {
            Ok(answer) => Ok((0..call.entries().len()).map(|n| fate(&answer, &n.to_string())).collect()),
            Err(error) => Err(EnqueueError::Unavailable(describe(&error))),
        }
    }

    /// Changes the visibility of entries of one queue, in their order, in tens.
    async fn hide(&self, queue: &QueueName, entries: &[(&Leased, Duration)]) {
        for ten in entries.chunks(VISIBILITY_ENTRIES) {
            let changes = ten.iter().enumerate().map(|(n, (leased, delay))| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(n.to_string())
                    .receipt_handle(&leased.handle)
                    .visibility_timeout(whole_seconds(*delay))
                    .build()
            });
            let Ok(changes) = changes.collect::<Result<Vec<_>, _>>() else {
                continue;
            };
            let call = self.client.change_message_visibility_batch().queue_url(self.prefix.url(queue));
            let troubles = match call.set_entries(Some(changes)).send().await {
                Ok(answer) => answer.failed().iter().map(|failed| failed.code().to_owned()).collect(),
                Err(error) => vec![describe(&error)],
            };
            for trouble in troubles {
                warn!(event.action = "not_given_back", chaski.queue = %queue, "an entry stays hidden until its lease ends: {trouble}");
            }
        }
    }

    /// Makes what was hidden visible at once: at most [`VISIBILITY_ENTRIES`] of one queue, by their receipt handles.
    /// A handle that is not the entry's last one changes nothing: the entry was seen since.
    ///
    /// # Errors
    /// The queue does not answer, or the caller may not.
    pub async fn show(&self, queue: &QueueName, handles: &[&str]) -> Result<(), DeskError> {
        let changes = handles.iter().enumerate().map(|(n, handle)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(n.to_string());
            entry.receipt_handle(*handle).visibility_timeout(0).build()
        });
        let changes =
            changes.collect::<Result<Vec<_>, _>>().map_err(|error| DeskError::Unavailable(error.to_string()))?;
        let call = self.client.change_message_visibility_batch().queue_url(self.prefix.url(queue));
        call.set_entries(Some(changes)).send().await.map(drop).map_err(|error| {
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
            DeskError::Platform {
                denied: code.contains("AccessDenied"),
                words: format!("the queue {queue}: {}", describe(&error)),
            }
        })
    }

    /// Makes entries visible again, each after its delay; see `Settle::give_back`.
    pub async fn give_back(&self, entries: &[(&Leased, Duration)]) {
        let queues = by_queue(entries.iter().map(|(leased, _)| &leased.queue));
        let all = queues.into_iter().map(|(queue, places)| async move {
            let its: Vec<_> = places.into_iter().filter_map(|place| entries.get(place).copied()).collect();
            self.hide(queue, &its).await;
        });
        if timeout(GIVE_BACK, join_all(all)).await.is_err() {
            warn!(
                event.action = "not_given_back",
                "entries stay hidden until their lease ends: there was no time left"
            );
        }
    }
}

/// The clock, which has nothing to print.
#[derive(Clone)]
struct Now(Arc<dyn Clock>);

impl fmt::Debug for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Now")
    }
}

impl Enqueue for SqsQueues {
    async fn enqueue(&self, entry: Entry) -> Result<Taken, EnqueueError> {
        let (line, delay) = (is_fifo(&entry.queue), self.delay(&entry));
        let call = self.client.send_message().queue_url(self.prefix.url(&entry.queue)).message_body(entry.body);
        let call = call
            .set_message_group_id(line.then_some(entry.group))
            .set_message_deduplication_id(line.then_some(entry.dedup));
        let sent = call.set_delay_seconds(delay).send().await;
        match sent {
            // A 200 without an id may come from anything that speaks HTTP.
            Ok(answer) if answer.message_id().is_none_or(str::is_empty) => {
                Err(EnqueueError::Unavailable("the queue's answer names no message".to_owned()))
            }
            Ok(_) => Ok(Taken::New),
            Err(error) => {
                let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
                let words = describe(&error);
                Err(refusal(code.unwrap_or_default(), words))
            }
        }
    }

    async fn enqueue_all(&self, entries: Vec<Entry>) -> Vec<Result<Taken, EnqueueError>> {
        let until = Instant::now() + self.all;
        let queues = by_queue(entries.iter().map(|entry| &entry.queue)).into_iter().map(|(queue, places)| {
            let its = places.into_iter().filter_map(|place| Some((place, entries.get(place)?)));
            self.send(queue, Lanes::new(its), until)
        });
        let mut told: Vec<(usize, Fate)> = join_all(queues).await.concat();
        told.sort_by_key(|(place, _)| *place);
        told.into_iter().map(|(_, fate)| fate).collect()
    }
}

/// The places of each queue's entries, in their order.
fn by_queue<'a>(queues: impl Iterator<Item = &'a QueueName>) -> Vec<(&'a QueueName, Vec<usize>)> {
    let mut found: Vec<(&QueueName, Vec<usize>)> = Vec::new();
    for (place, queue) in queues.enumerate() {
        match found.iter_mut().find(|(known, _)| *known == queue) {
            Some((_, places)) => places.push(place),
            None => found.push((queue, vec![place])),
        }
    }
    found
}

/// What an answer says of one entry. One that stands in neither list was not taken, and so was one in both.
fn fate(answer: &SendMessageBatchOutput, id: &str) -> Fate {
    if let Some(failed) = answer.failed().iter().find(|failed| failed.id() == id) {
        let words = format!("{}: {}", failed.code(), failed.message().unwrap_or("no words"));
        return Err(refusal(failed.code(), words));
    }
    if answer.successful().iter().any(|taken| taken.id() == id) {
        return Ok(Taken::New);
    }
    Err(EnqueueError::Unavailable("the queue's answer does not name it".to_owned()))
}

/// Why an entry was not taken, by the service's code.
fn refusal(code: &str, words: String) -> EnqueueError {
    if is_the_entrys_fault(code) { EnqueueError::Refused(words) } else { EnqueueError::Unavailable(words) }
}

/// Never less than was asked for: 5.2 s are 6.
fn whole_seconds(delay: Duration) -> i32 {
    i32::try_from(delay.as_millis().div_ceil(1_000)).unwrap_or(i32::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
