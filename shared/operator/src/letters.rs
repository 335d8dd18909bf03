//! The dead letters of a stack, as the core asks for them.

use chaski_core::dead_letter::DeadLetter;
use chaski_core::envelope::{Body, Envelope};
use chaski_core::filter::{DeadLetterFilter, ErrorFilter, Listed, Page, Whose};
use chaski_core::identity;
use chaski_core::ports::{BodyError, Buried, Clock, DeadLetters, DeskError, Enqueue, Entry, Replayed};
use chaski_core::time::Timestamp;
use chaski_dynamodb::{Key, Marked, Record, SENDING_HOLDS};
use chaski_signed::S3Bodies;
use futures_util::future::try_join_all;

use crate::desk::StackDesk;
use crate::snapshot::Snapshot;

/// Records that are read whole side by side.
const READ_AT_ONCE: usize = 10;

impl<C: Clock> StackDesk<C> {
    /// The record of a message, whole; the newest generation, unless one is named.
    pub(crate) async fn record(
        &self,
        id: &str,
        generation: Option<u32>,
        whose: &Whose,
    ) -> Result<Option<Record>, DeskError> {
        let mut keys = self.records.find(&identity::digest(&[id.as_bytes()])).await?;
        keys.retain(|key| generation.is_none() || key.generation() == generation);
        // What the index names may be deleted by now: then the one before it is the newest.
        keys.sort_by_key(|key| std::cmp::Reverse((key.generation(), key.timestamp.clone())));
        for key in keys {
            let record = self.records.get(&key).await?;
            if let Some(record) = record.filter(|record| record.letter.id == id && is_of(&record.letter, whose)) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// When the record was sent again. One whose sender ended on the way was not.
    fn replayed_at(&self, record: &Record) -> Option<Timestamp> {
        let lost = |at: &Timestamp| record.sending && self.clock.now().since(*at) > SENDING_HOLDS;
        record.replayed_at.filter(|at| !lost(at))
    }

    pub(crate) fn buried(&self, record: Record) -> Buried {
        Buried { replayed_at: self.replayed_at(&record), letter: record.letter }
    }

    fn fits(&self, record: &Record, filter: &DeadLetterFilter) -> bool {
        fits(&record.letter, filter) && self.replayed_at(record).is_some() == filter.replayed
    }

    /// All that fit, noted for a replay.
    async fn note(&self, filter: &DeadLetterFilter) -> Result<usize, DeskError> {
        let mut snapshot = Snapshot::new(filter);
        let now = self.clock.now();
        let take = |record: Record| {
            if self.fits(&record, filter) {
                snapshot.add(record);
            }
            true
        };
        self.records.walk(filter, self.tenants.as_deref(), None, now, take).await?;
        snapshot.sort();
        let count = snapshot.len();
        *self.noted() = Some(snapshot);
        Ok(count)
    }

    /// The keys of a page of what was noted for this very filter.
    fn page_of_noted(&self, filter: &DeadLetterFilter, from: usize, limit: usize) -> Option<(Vec<Key>, usize)> {
        let noted = self.noted();
        let snapshot = noted.as_ref().filter(|noted| noted.filter == *filter)?;
        Some((snapshot.page(from, limit), snapshot.len()))
    }

    async fn send(&self, key: &Key, entry: &Entry, marked_at: Timestamp) -> Result<Replayed, DeskError> {
        let revived = match self.revived(entry).await {
            Ok(revived) => revived,
            Err(error) => {
                self.records.release(key, marked_at).await?;
                return Err(error);
            }
        };
        if let Err(error) = self.queues.enqueue(revived).await {
            self.records.release(key, marked_at).await?;
            return Err(DeskError::Platform {
                denied: error.to_string().contains("AccessDenied"),
                words: error.to_string(),
            });
        }
        // An error here leaves the letter to be sent twice, which the queue knows for five minutes.
        self.records.confirm(key, marked_at).await?;
        Ok(Replayed::Sent)
    }
}

impl<C: Clock> StackDesk<C> {
    /// The entry with its body where a message's on its way is kept: the dead letter's own stays with it.
    async fn revived(&self, entry: &Entry) -> Result<Entry, DeskError> {
        let Ok(mut envelope) = Envelope::read(&entry.body) else { return Ok(entry.clone()) };
        let Body::Aside(aside) = &mut envelope.message.body else { return Ok(entry.clone()) };
        let (id, generation) =
            envelope.meta.as_ref().map(|meta| (meta.id.clone(), meta.generation)).unwrap_or_default();
        aside.reference = self.bodies()?.revive(&aside.reference, &id, generation).await.map_err(of_body)?;
        Ok(Entry { body: envelope.to_wire(), ..entry.clone() })
    }

    /// Deletes the body that goes with a dead letter. Before the record: what fails here can be done again.
    async fn forget_body(&self, letter: &DeadLetter) -> Result<(), DeskError> {
        let envelope = std::str::from_utf8(&letter.message).ok().and_then(|text| Envelope::read(text).ok());
        match envelope.map(|envelope| envelope.message.body) {
            Some(Body::Aside(aside)) => self.bodies()?.forget(&aside.reference).await.map_err(of_body),
            _ => Ok(()),
        }
    }

    fn bodies(&self) -> Result<&S3Bodies<C>, DeskError> {
        self.bodies.as_ref().ok_or_else(|| DeskError::Refused("the stack names no bucket of bodies".to_owned()))
    }
}

/// Whether the operator lacks the rights stands in S3's words.
fn of_body(error: BodyError) -> DeskError {
    let words = error.to_string();
    match error {
        BodyError::Gone(_) => DeskError::Refused(words),
        _ => DeskError::Platform { denied: words.contains("AccessDenied"), words },
    }
}

impl<C: Clock> DeadLetters for StackDesk<C> {
    async fn dead_letter(&self, id: &str, generation: Option<u32>, whose: &Whose) -> Result<Option<Buried>, DeskError> {
        Ok(self.record(id, generation, whose).await?.map(|record| self.buried(record)))
    }

    async fn dead_letters(&self, filter: &DeadLetterFilter, page: &Page) -> Result<Listed<Buried>, DeskError> {
        let cursor = page.cursor.as_deref();
        if cursor.is_some_and(|cursor| cursor.split('#').next().and_then(Timestamp::parse).is_none()) {
            return Err(DeskError::Cursor);
        }
        let mut found: Vec<Record> = Vec::new();
        let mut more = false;
        let take = |record: Record| {
            if cursor.is_none_or(|cursor| record.key.timestamp.as_str() < cursor) && self.fits(&record, filter) {
                more = found.len() == page.limit;
                if !more {
                    found.push(record);
                }
            }
            !more
        };
        self.records.walk(filter, self.tenants.as_deref(), cursor, self.clock.now(), take).await?;
        let next_cursor = found.last().filter(|_| more).map(|record| record.key.timestamp.clone());
        Ok(Listed { items: found.into_iter().map(|record| self.buried(record)).collect(), next_cursor })
    }

    /// The cursor is a place among what was noted when the first page was asked for, or counted just before: a
    /// letter that died since then is not among it.
    async fn for_replay(&self, filter: &DeadLetterFilter, page: &Page) -> Result<Listed<Buried>, DeskError> {
        let mut from = match &page.cursor {
            Some(cursor) => cursor.parse().map_err(|_| DeskError::Cursor)?,
            None => 0,
        };
        if page.cursor.is_none() && self.page_of_noted(filter, 0, 0).is_none() {
            self.note(filter).await?;
        }
        loop {
            let (keys, all) = self.page_of_noted(filter, from, page.limit).ok_or(DeskError::Cursor)?;
            from += keys.len();
            let mut items = Vec::with_capacity(keys.len());
            for some in keys.chunks(READ_AT_ONCE) {
                let read = try_join_all(some.iter().map(|key| self.records.get(key))).await?;
                items.extend(read.into_iter().flatten().filter(|record| self.fits(record, filter)));
            }
            // An empty page is the end of a list; this one was replayed or deleted by somebody else.
            if !items.is_empty() || from >= all {
                let items = items.into_iter().map(|record| self.buried(record)).collect();
                return Ok(Listed { items, next_cursor: (from < all).then(|| from.to_string()) });
            }
        }
    }

    async fn count(&self, filter: &DeadLetterFilter) -> Result<u64, DeskError> {
        Ok(u64::try_from(self.note(filter).await?).unwrap_or(u64::MAX))
    }

    async fn replay(&self, letter: &DeadLetter, entry: &Entry) -> Result<Replayed, DeskError> {
        let (key, now) = (Key::of(letter), self.clock.now());
        match self.records.mark(&key, now).await? {
            Marked::Now => self.send(&key, entry, now).await,
            Marked::Before => Ok(Replayed::Already),
            Marked::Unknown => Ok(Replayed::Unknown),
        }
    }

    async fn delete(&self, id: &str, generation: u32, whose: &Whose) -> Result<bool, DeskError> {
        let Some(record) = self.record(id, Some(generation), whose).await? else { return Ok(false) };
        self.forget_body(&record.letter).await?;
        self.records.delete(&record).await?;
        Ok(true)
    }
}

fn is_of(letter: &DeadLetter, whose: &Whose) -> bool {
    whose.has(&letter.tenant, letter.producer.as_deref().unwrap_or_default())
}

/// All that a filter says but for the replay.
fn fits(letter: &DeadLetter, filter: &DeadLetterFilter) -> bool {
    let same = |wanted: &Option<String>, own: &Option<String>| wanted.is_none() || wanted == own;
    is_of(letter, &filter.whose)
        && same(&filter.subject, &letter.subject)
        && same(&filter.client, &letter.client)
        && filter
            .target
            .as_ref()
            .is_none_or(|target| target.fits(letter.target.as_deref(), letter.target_host.as_deref()))
        && match &filter.error {
            None => true,
            Some(ErrorFilter::Class(class)) => letter.last_error.class == *class,
            Some(ErrorFilter::Status(status)) => letter.last_error.status == Some(*status),
        }
        && filter.from.is_none_or(|from| letter.entry_sent_at >= from)
        && filter.to.is_none_or(|to| letter.entry_sent_at < to)
}

#[cfg(test)]
mod tests;
