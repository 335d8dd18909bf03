//! A record as it is read back from the table.

use aws_sdk_dynamodb::types::AttributeValue;
use chaski_core::dead_letter::DeadLetter;
use chaski_core::history::{AttemptRecord, ErrorRecord};
use chaski_core::time::Timestamp;

use crate::item::{DATE, GENERATION, ID, Item, PARTS, TIMESTAMP};

/// When the record was sent again; and, as long as that is not certain, that it is being sent.
pub(crate) const REPLAYED_AT: &str = "replayed_at";
pub(crate) const SENDING: &str = "replay_sending";
/// What an item has that is a record, and an item that is a part of one has not.
pub(crate) const ID_DIGEST: &str = "id_digest";

/// The attributes of a record without its message and response.
pub(crate) const SHORT: [&str; 20] = [
    DATE,
    TIMESTAMP,
    ID,
    GENERATION,
    ID_DIGEST,
    "tenant",
    "producer",
    "order",
    "subject",
    "client",
    "target",
    "target_host",
    "received_at",
    "error",
    "attempts",
    "died_at",
    "created_at",
    PARTS,
    REPLAYED_AT,
    SENDING,
];

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The sort key: the entry's time, the id and the generation.
    pub timestamp: String,
    /// The partition key: the entry's day and a shard.
    pub date: String,
}

impl Key {
    /// Of a letter.
    #[must_use]
    pub fn of(letter: &DeadLetter) -> Self {
        Self { timestamp: crate::item::sort_key(letter), date: letter.date_key() }
    }

    pub(crate) fn read(item: &Item) -> Option<Self> {
        Some(Self { timestamp: text(item, TIMESTAMP)?, date: text(item, DATE)? })
    }

    pub(crate) fn item(&self) -> Item {
        let values = [(DATE, &self.date), (TIMESTAMP, &self.timestamp)];
        values.map(|(name, value)| (name.to_owned(), AttributeValue::S(value.clone()))).into()
    }

    /// The generation that ends the sort key.
    #[must_use]
    pub fn generation(&self) -> Option<u32> {
        self.timestamp.rsplit('#').next()?.parse().ok()
    }
}

/// A record of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Where it stands.
    pub key: Key,
    /// What it keeps. In a list without its message and response.
    pub letter: DeadLetter,
    /// When it was sent again, or began to be.
    pub replayed_at: Option<Timestamp>,
    /// Whether it is not certain yet that the queue took it.
    pub sending: bool,
    /// The sort keys of the items that hold its message, where one did not.
    pub(crate) parts: Vec<String>,
}

impl Record {
    /// Reads an item; `None` where it is no record.
    pub(crate) fn read(item: &Item) -> Option<Self> {
        item.get(ID_DIGEST)?;
        let key = Key::read(item)?;
        let errors = item.get("error").and_then(map);
        let error = |name: &str| errors.and_then(|errors| errors.get(name)).and_then(map).map(read_error);
        let last_error = error("last")?;
        let attempts = item.get("attempts").and_then(|value| value.as_l().ok()).map_or(&[][..], Vec::as_slice);
        let parts = item.get(PARTS).and_then(|value| value.as_l().ok()).map_or(&[][..], Vec::as_slice);
        let letter = DeadLetter {
            id: text(item, ID)?,
            generation: number(item, GENERATION)?,
            tenant: text(item, "tenant").unwrap_or_default(),
            producer: text(item, "producer"),
            order: text(item, "order"),
            subject: text(item, "subject"),
            client: text(item, "client"),
            target: text(item, "target"),
            target_host: text(item, "target_host"),
            received_at: time(item, "received_at"),
            first_error: error("first").unwrap_or_else(|| last_error.clone()),
            last_error,
            attempts: attempts.iter().filter_map(map).map(read_attempt).collect(),
            message: Vec::new(),
            response: item.get("response").and_then(blob),
            entry_sent_at: Timestamp::parse(key.timestamp.split('#').next()?)?,
            died_at: time(item, "died_at").unwrap_or_default(),
        };
        Some(Self {
            letter,
            replayed_at: time(item, REPLAYED_AT),
            sending: item.contains_key(SENDING),
            parts: parts.iter().filter_map(|part| part.as_s().ok().cloned()).collect(),
            key,
        })
    }
}

fn read_error(item: &Item) -> ErrorRecord {
    let (class, detail) = (text(item, "class").unwrap_or_default(), text(item, "detail").unwrap_or_default());
    ErrorRecord::new(&class, number(item, "status"), &detail, time(item, "at").unwrap_or_default())
}

fn read_attempt(item: &Item) -> AttemptRecord {
    AttemptRecord {
        n: number(item, "n").unwrap_or_default(),
        at: time(item, "at").unwrap_or_default(),
        tier: text(item, "tier").unwrap_or_default(),
        outcome: text(item, "outcome").unwrap_or_default(),
        status: number(item, "status"),
        duration_ms: number(item, "duration_ms").unwrap_or_default(),
        extra: chaski_core::json::Extra::default(),
    }
}

fn map(value: &AttributeValue) -> Option<&Item> {
    value.as_m().ok()
}

pub(crate) fn blob(value: &AttributeValue) -> Option<Vec<u8>> {
    value.as_b().ok().map(|blob| blob.as_ref().to_vec())
}

fn text(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

fn number<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn time(item: &Item, name: &str) -> Option<Timestamp> {
    Timestamp::parse(item.get(name)?.as_s().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letters::tests::letter;
    use crate::item;

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let mut letter = letter("a", Vec::new());
        letter.producer = Some("crm".to_owned());
        letter.order = Some("18849496460467696128".to_owned());
        letter.response = Some(b"no".to_vec());
        letter.received_at = Some(Timestamp::from_millis(1_796_115_000_000));
        letter.attempts = vec![AttemptRecord {
            n: 1,
            at: Timestamp::from_millis(5),
            tier: "messages-1".to_owned(),
            outcome: "http_5xx".to_owned(),
            status: Some(503),
            duration_ms: 7,
            extra: chaski_core::json::Extra::default(),
        }];
        let items = item::items(&letter);
        let record = Record::read(items.last().unwrap()).unwrap();
        assert_eq!(record.letter, letter);
        assert_eq!(record.key, Key::of(&letter));
        assert_eq!((record.key.generation(), record.replayed_at, record.sending), (Some(1), None, false));
    }

    #[test]
    fn a_part_is_no_record() {
        let items = item::items(&letter("a", crate::dead_letters::tests::noise(900_000)));
        let read: Vec<bool> = items.iter().map(|item| Record::read(item).is_some()).collect();
        assert_eq!(read, [false, false, false, true]);
    }
}
