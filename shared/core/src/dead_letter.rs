//! A message given up: the record that keeps it whole, with its error and its history.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::history::{AttemptRecord, ErrorRecord};
use crate::identity;
use crate::limits;
use crate::time::Timestamp;

/// Partitions of one day, and of one target host: a partition of DynamoDB takes 1,000 write units a second.
const WRITE_SHARDS: u8 = 16;

/// The record of a message given up. An absent value is left out of every store.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The message's id; the queue's id of the entry where the envelope has none.
    pub id: String,
    /// From 1; replay makes the next one.
    pub generation: u32,
    /// The producer's tenant; the empty one by default.
    pub tenant: String,
    /// Who posted it, where it is known.
    pub producer: Option<String>,
    /// The queue's sequence number of the first entry, where it is known.
    pub order: Option<String>,
    /// The subject, where the envelope could be read.
    pub subject: Option<String>,
    /// The client, named by the envelope or found in the subject.
    pub client: Option<String>,
    /// The target without user info, query and fragment.
    pub target: Option<String>,
    /// The target's host.
    pub target_host: Option<String>,
    /// When the message was accepted, where it is known.
    pub received_at: Option<Timestamp>,
    /// The first error of this generation.
    pub first_error: ErrorRecord,
    /// The error that ended it.
    pub last_error: ErrorRecord,
    /// The history of the attempts.
    pub attempts: Vec<AttemptRecord>,
    /// The whole envelope as JSON text, or the raw bytes of an entry that could not be read.
    pub message: Vec<u8>,
    /// The target's last answer, where there was one: its first 16 KiB, redacted.
    pub response: Option<Vec<u8>>,
    /// When the queue entry of the last attempt was sent; the record's place in the table.
    pub entry_sent_at: Timestamp,
    /// When it was given up.
    pub died_at: Timestamp,
}

impl DeadLetter {
    /// Partition key: the entry's day and a shard from the id, `2026-12-01#07`.
    #[must_use]
    pub fn date_key(&self) -> String {
        format!("{}#{:02}", self.entry_sent_at.date(), write_shard(&self.id))
    }

    /// Sort key: the entry's time, the id and the generation. The same at every redelivery of the same
    /// entry, so that burying twice is one record.
    #[must_use]
    pub fn time_key(&self) -> String {
        format!("{}#{}#{}", self.entry_sent_at, self.id, self.generation)
    }

    /// Hash key of the look-up by id.
    #[must_use]
    pub fn id_digest(&self) -> String {
        identity::digest(&[self.id.as_bytes()])
    }

    /// Hash key of the look-up by subject.
    #[must_use]
    pub fn subject_digest(&self) -> Option<String> {
        self.subject.as_ref().map(|subject| identity::digest(&[self.tenant.as_bytes(), subject.as_bytes()]))
    }

    /// Hash key of the look-up by target: the host's digest, `#`, and a shard from the id.
    #[must_use]
    pub fn target_digest(&self) -> Option<String> {
        let host = self.target_host.as_ref()?;
        Some(format!("{}#{:02}", identity::digest(&[host.as_bytes()]), write_shard(&self.id)))
    }

    /// The message as it is stored: gzip above [`limits::DEAD_LETTER_PLAIN_BYTES`], plain below.
    #[must_use]
    pub fn stored_message(&self) -> Vec<u8> {
        if self.message.len() <= limits::DEAD_LETTER_PLAIN_BYTES {
            return self.message.clone();
        }
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        // Writing to a vector can't fail; were it ever to, the plain text is as true as the packed one.
        match gzip.write_all(&self.message).and_then(|()| gzip.finish()) {
            Ok(packed) => packed,
            Err(_) => self.message.clone(),
        }
    }
}

/// Reads what [`DeadLetter::stored_message`] wrote. A JSON text never begins with gzip's two magic bytes.
///
/// # Errors
/// The gzip stream is damaged.
pub fn read_stored_message(stored: &[u8]) -> std::io::Result<Vec<u8>> {
    if !stored.starts_with(&[0x1f, 0x8b]) {
        return Ok(stored.to_vec());
    }
    let mut text = Vec::new();
    GzDecoder::new(stored).read_to_end(&mut text)?;
    Ok(text)
}

fn write_shard(id: &str) -> u8 {
    Sha256::digest(id.as_bytes()).first().map_or(0, |byte| byte % WRITE_SHARDS)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn letter(id: &str, message: Vec<u8>) -> DeadLetter {
        let error = ErrorRecord::new("http_5xx", Some(500), "the target answered 500", Timestamp::from_millis(1));
        DeadLetter {
            id: id.to_owned(),
            generation: 1,
            tenant: String::new(),
            producer: None,
            order: None,
            subject: Some("s".to_owned()),
            client: None,
            target: Some("https://example.org/hook".to_owned()),
            target_host: Some("example.org".to_owned()),
            received_at: None,
            first_error: error.clone(),
            last_error: error,
            attempts: Vec::new(),
            message,
            response: None,
            entry_sent_at: Timestamp::from_millis(1_796_115_600_123),
            died_at: Timestamp::from_millis(1_796_115_700_000),
        }
    }

    #[test]
    fn ten_thousand_failures_in_one_millisecond_are_ten_thousand_records() {
        let keys: std::collections::HashSet<_> = (0..10_000)
            .map(|n| letter(&format!("id-{n}"), Vec::new()))
            .map(|letter| (letter.date_key(), letter.time_key()))
            .collect();
        assert_eq!(keys.len(), 10_000);
    }

    #[test]
    fn keys_come_from_the_entry_and_not_from_the_clock() {
        let mut one = letter("a", Vec::new());
        let (date, time) = (one.date_key(), one.time_key());
        one.died_at = Timestamp::from_millis(1_900_000_000_000);
        assert_eq!((one.date_key(), one.time_key()), (date.clone(), time.clone()));
        assert!(date.starts_with("2026-12-01#"), "{date}");
        assert_eq!(time, "2026-12-01T09:00:00.123Z#a#1");
    }

    #[test]
    fn a_stored_message_reads_back_on_both_sides_of_the_limit() {
        for size in [0, limits::DEAD_LETTER_PLAIN_BYTES, limits::DEAD_LETTER_PLAIN_BYTES + 1] {
            let letter = letter("a", vec![b'x'; size]);
            let stored = letter.stored_message();
            assert_eq!(stored.starts_with(&[0x1f, 0x8b]), size > limits::DEAD_LETTER_PLAIN_BYTES);
            assert_eq!(read_stored_message(&stored).unwrap(), letter.message);
        }
    }
}
