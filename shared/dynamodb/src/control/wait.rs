//! Envelopes whose time is further away than a queue can delay them: packed, one row a move, deleted when the message
//! has moved on.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use chaski_core::dead_letter::read_stored_message;
use chaski_core::envelope::Envelope;
use chaski_core::limits;
use chaski_core::ports::{DeskError, Entry};
use chaski_core::time::Timestamp;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::try_join_all;
use serde_json::Value;

use super::keys::{EXPIRES, PK, SK, wait};
use super::row::{seconds, text};
use super::table::ControlTable;
use crate::item::Item;

/// A row stays so long after its time, should nobody delete it: EventBridge Scheduler tries for a day, and what it
/// could not deliver stands in its queue for 14.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Packed bytes of one row; the rest of it is small.
const PART_BYTES: usize = limits::DEAD_LETTER_ITEM_BYTES - 10_000;

const ENVELOPE: &str = "envelope";
const PARTS: &str = "parts";
/// The one field of a reference.
const REFERENCE: &str = "wait";

/// Where a waiting envelope is kept: a message, its generation, and the move that is its next one. A move of its own
/// for each wait, so that deleting what has moved on never touches a later wait of the same message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitKey {
    id: String,
    generation: u32,
    /// The deduplication id of the entry that waits.
    step: String,
}

impl WaitKey {
    /// Of an entry that is to wait. `None` when its text is no envelope with an id.
    #[must_use]
    pub fn of(entry: &Entry) -> Option<Self> {
        let meta = Envelope::read(&entry.body).ok()?.meta?;
        Some(Self { id: meta.id, generation: meta.generation, step: entry.dedup.clone() })
    }

    /// Reads what is displayed.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let mut parts = key.split('#');
        let (id, generation, step) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        let whole = parts.next().is_none() && !id.is_empty() && !step.is_empty();
        whole.then(|| Self { id: id.to_owned(), generation, step: step.to_owned() })
    }

    /// The text of an entry that stands for the envelope: `{"wait":"<key>"}`.
    #[must_use]
    pub fn reference(&self) -> String {
        serde_json::json!({ REFERENCE: self.to_string() }).to_string()
    }

    /// Reads a reference. `None` for anything else, an envelope among it.
    #[must_use]
    pub fn of_reference(body: &str) -> Option<Self> {
        // An envelope may be large, and is no reference.
        if body.len() > REFERENCE_BYTES {
            return None;
        }
        let fields: serde_json::Map<String, Value> = serde_json::from_str(body).ok()?;
        let key = fields.get(REFERENCE).filter(|_| fields.len() == 1)?;
        Self::parse(key.as_str()?)
    }

    /// A name that no other move has: 43 characters that any service takes.
    #[must_use]
    pub fn step(&self) -> &str {
        &self.step
    }

    fn partition(&self) -> String {
        wait(&self.id)
    }

    fn sort_key(&self) -> String {
        format!("{}#{}", self.generation, self.step)
    }

    fn part_key(&self, n: usize) -> String {
        format!("{}#part-{n:02}", self.sort_key())
    }
}

/// An id is at most 255 bytes, each of which may be written as six.
const REFERENCE_BYTES: usize = 2_048;

impl fmt::Display for WaitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}#{}", self.id, self.generation, self.step)
    }
}

/// What is kept under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// The envelope's text.
    Envelope(String),
    /// Something that can't be read.
    Damaged,
    /// Nothing: it has moved on, or was cancelled.
    Nothing,
}

impl ControlTable {
    /// Keeps an envelope until its time. `Ok` means that it survives a crash; keeping the same twice is keeping it once.
    ///
    /// # Errors
    /// It is not known to be there.
    pub async fn put_wait(&self, key: &WaitKey, envelope: &str, due: Timestamp) -> Result<(), DeskError> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        // Writing to a vector does not fail.
        let packed = gzip.write_all(envelope.as_bytes()).and_then(|()| gzip.finish());
        let packed = packed.map_err(|error| DeskError::Unavailable(error.to_string()))?;
        let expires = due.plus(KEPT);
        let row = |sort_key: String, name: &str, value: AttributeValue| {
            let fields =
                [(PK, text(key.partition())), (SK, text(sort_key)), (name, value), (EXPIRES, seconds(expires))];
            fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Item>()
        };
        if packed.len() <= PART_BYTES {
            return self.put(row(key.sort_key(), ENVELOPE, AttributeValue::B(Blob::new(packed)))).await;
        }
        // The parts first: the row never names one that is not there.
        let parts = packed
            .chunks(PART_BYTES)
            .enumerate()
            .map(|(n, part)| self.put(row(key.part_key(n), ENVELOPE, AttributeValue::B(Blob::new(part.to_vec())))));
        let count = try_join_all(parts).await?.len();
        self.put(row(key.sort_key(), PARTS, AttributeValue::N(count.to_string()))).await
    }

    /// The envelope under a key.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn wait(&self, key: &WaitKey) -> Result<Kept, DeskError> {
        let Some(row) = self.row(&key.partition(), &key.sort_key()).await? else { return Ok(Kept::Nothing) };
        let mut packed = Vec::new();
        match parts(&row) {
            0 => packed.extend_from_slice(bytes(&row).unwrap_or_default()),
            count => {
                let keys: Vec<String> = (0..count).map(|n| key.part_key(n)).collect();
                let partition = key.partition();
                let found = try_join_all(keys.iter().map(|sort_key| self.row(&partition, sort_key))).await?;
                for part in &found {
                    let Some(bytes) = part.as_ref().and_then(bytes) else { return self.without_part(key).await };
                    packed.extend_from_slice(bytes);
                }
            }
        }
        let text = read_stored_message(&packed).ok().and_then(|text| String::from_utf8(text).ok());
        Ok(text.filter(|text| !text.is_empty()).map_or(Kept::Damaged, Kept::Envelope))
    }

    /// Parts are put before their row and deleted after it: where one lacks the row has just gone, or there is damage.
    async fn without_part(&self, key: &WaitKey) -> Result<Kept, DeskError> {
        let row = self.row(&key.partition(), &key.sort_key()).await?;
        Ok(row.map_or(Kept::Nothing, |_| Kept::Damaged))
    }

    /// Lets an envelope go that has moved on.
    ///
    /// # Errors
    /// It may be there still, and is deleted by its time.
    pub async fn delete_wait(&self, key: &WaitKey) -> Result<(), DeskError> {
        let partition = key.partition();
        let old = self.take_row(&partition, &key.sort_key()).await?;
        for n in 0..old.as_ref().map_or(0, parts) {
            self.take_row(&partition, &key.part_key(n)).await?;
        }
        Ok(())
    }
}

fn parts(row: &Item) -> usize {
    row.get(PARTS).and_then(|n| n.as_n().ok()).and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn bytes(row: &Item) -> Option<&[u8]> {
    row.get(ENVELOPE)?.as_b().ok().map(AsRef::as_ref)
}
