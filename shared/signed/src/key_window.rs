//! Knowing idempotency keys for longer than a queue does.

use std::sync::Arc;
use std::time::Duration;

use chaski_core::identity;
use chaski_core::ledger::Listing;
use chaski_core::ports::{Clock, Enqueue, EnqueueError, Entry, Taken};
use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::key_rows::KeyRows;

/// Rows of one call that are read, or put, side by side.
const SIDE_BY_SIDE: usize = 16;
/// The rows of one call of many, all reads together, and then all puts together.
const ALL: Duration = Duration::from_secs(2);

/// Queues that know an idempotency key for a window of time: a message whose row is there is a duplicate, and is not
/// sent. The row is put *after* the queue took the message, so a repeat never hides a message that was not queued; a
/// crash between the two, or a row that can't be put, lets a later repeat through. A table that can't be asked within
/// 500 ms (2 s for all of a call of many) hides nothing either: the message is sent. Beyond those times a large call
/// has messages that only the queue's own window knows, and the log says how many.
/// Without a window nothing is asked and nothing is put.
///
/// A row is named by the message's id, which comes from the producer, the key and the content: the same key with
/// another body, and two producers with the same key, have rows of their own.
#[derive(Debug)]
pub struct KeyWindow<Q, C> {
    queues: Q,
    known: Option<Known<C>>,
}

/// What is known beside the queues.
#[derive(Debug)]
struct Known<C> {
    rows: KeyRows,
    window: Duration,
    clock: C,
}

impl<Q, C> KeyWindow<Q, C> {
    /// What a window adds to a call of many at most; the queues' own time must be shorter by that.
    pub const TIME: Duration = Duration::from_millis(2 * 2_000);

    /// The queues alone.
    #[must_use]
    pub fn off(queues: Q) -> Self {
        Self { queues, known: None }
    }

    /// With these rows, each of which holds for the window.
    #[must_use]
    pub fn new(queues: Q, rows: KeyRows, window: Duration, clock: C) -> Self {
        Self { queues, known: Some(Known { rows, window, clock }) }
    }
}

/// What is listed of an entry that came with a key; its id is the row's.
fn keyed(entry: &Entry) -> Option<Arc<Listing>> {
    entry.listing.clone().filter(|listing| identity::is_keyed(&listing.id))
}

impl<C: Clock> Known<C> {
    /// Which of these were taken before.
    async fn seen(&self, messages: &[Option<Arc<Listing>>]) -> Vec<bool> {
        let until = Instant::now() + ALL;
        let now = self.clock.now();
        let keyed = messages.iter().cloned().enumerate().filter_map(|(place, message)| Some((place, message?)));
        let reads = stream::iter(keyed.collect::<Vec<_>>());
        let reads = reads.map(|(place, message)| async move { (place, self.rows.has(&message.id, now).await) });
        let mut reads = reads.buffer_unordered(SIDE_BY_SIDE);
        let mut seen = vec![false; messages.len()];
        let mut trouble = Trouble::default();
        let mut left = messages.iter().flatten().count();
        while left > 0 {
            let Ok(Some((place, read))) = timeout_at(until, reads.next()).await else { break };
            left -= 1;
            match read {
                Ok(there) => seen.iter_mut().skip(place).take(1).for_each(|seen| *seen = there),
                Err(error) => trouble.note(&error),
            }
        }
        trouble.tell("key_not_read", "sent without looking for an earlier one", left);
        seen
    }

    /// Puts the rows of what its queue has taken.
    async fn keep(&self, messages: Vec<Arc<Listing>>) {
        let until = Instant::now() + ALL;
        let expires = self.clock.now().plus(self.window);
        let mut left = messages.len();
        let puts = stream::iter(messages).map(|message| async move { self.rows.put(&message.id, expires).await });
        let mut puts = puts.buffer_unordered(SIDE_BY_SIDE);
        let mut trouble = Trouble::default();
        while left > 0 {
            let Ok(Some(put)) = timeout_at(until, puts.next()).await else { break };
            left -= 1;
            if let Err(error) = put {
                trouble.note(&error);
            }
        }
        trouble.tell("key_not_kept", "known by the queue's own window alone", left);
    }
}

impl<Q: Enqueue, C: Clock> Enqueue for KeyWindow<Q, C> {
    const PIECE: usize = Q::PIECE;

    async fn enqueue(&self, entry: Entry) -> Result<Taken, EnqueueError> {
        let known = self.known.as_ref().and_then(|known| Some((known, keyed(&entry)?)));
        let Some((known, message)) = known else {
            return self.queues.enqueue(entry).await;
        };
        if Box::pin(known.seen(&[Some(message.clone())])).await == [true] {
            return Ok(Taken::Duplicate);
        }
        let taken = self.queues.enqueue(entry).await?;
        Box::pin(known.keep(vec![message])).await;
        Ok(taken)
    }

    async fn enqueue_all(&self, entries: Vec<Entry>) -> Vec<Result<Taken, EnqueueError>> {
        let Some(known) = &self.known else {
            return self.queues.enqueue_all(entries).await;
        };
        let messages: Vec<Option<Arc<Listing>>> = entries.iter().map(keyed).collect();
        let seen = Box::pin(known.seen(&messages)).await;
        let new: Vec<Entry> =
            entries.into_iter().zip(&seen).filter(|(_, seen)| !**seen).map(|(entry, _)| entry).collect();
        let taken = if new.is_empty() { Vec::new() } else { self.queues.enqueue_all(new).await };
        let mut taken = taken.into_iter();
        let untold = || Err(EnqueueError::Unavailable("its fate was not told".to_owned()));
        let fates: Vec<Result<Taken, EnqueueError>> = seen
            .iter()
            .map(|seen| if *seen { Ok(Taken::Duplicate) } else { taken.next().unwrap_or_else(untold) })
            .collect();
        let queued = messages.into_iter().zip(fates.iter().zip(seen));
        let queued = queued.filter_map(|(message, (fate, seen))| message.filter(|_| fate.is_ok() && !seen));
        Box::pin(known.keep(queued.collect())).await;
        fates
    }
}

/// What went wrong with some rows of a call, told in one line.
#[derive(Default)]
struct Trouble {
    rows: usize,
    first: Option<String>,
}

impl Trouble {
    fn note(&mut self, error: &crate::SignedError) {
        self.rows += 1;
        self.first.get_or_insert_with(|| error.to_string());
    }

    /// `left` are those that there was no time for.
    fn tell(self, action: &str, consequence: &str, left: usize) {
        let rows = self.rows + left;
        if rows > 0 {
            let why = self.first.as_deref().unwrap_or("there was no time left");
            warn!(event.action = action, chaski.count = rows, "messages with a key, {consequence}: {rows}: {why}");
        }
    }
}

#[cfg(test)]
mod tests;
