//! Finding messages by subject, client, host and label.
//!
//! Written with each message, these look-ups would cost more than the message: every one of their rows is on a page
//! of its own. So they are written later, sorted, some thousand at a time; messages that are not in them yet (the
//! tail) are read one by one by whoever looks.

use rusqlite::{Connection, OptionalExtension, Row};
use sha2::{Digest, Sha256};

use crate::row::{readable, text_if};

/// What messages are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Find {
    Subject,
    Client,
    Host,
    Label,
}

impl Find {
    /// The key that stands for a text. Another text with the same one (2^-64) is told apart by the row itself.
    pub(crate) fn key(self, text: &str) -> i64 {
        let kind = match self {
            Self::Subject => b's',
            Self::Client => b'c',
            Self::Host => b'h',
            Self::Label => b'l',
        };
        let digest = Sha256::new().chain_update([kind, 0]).chain_update(text).finalize();
        digest.first_chunk().map_or(0, |first| i64::from_le_bytes(*first))
    }
}

/// The columns that [`find_keys`] reads.
pub(crate) const FIND_COLUMNS: &str = "subject, client, host, labels";

/// All keys of a message.
pub(crate) fn find_keys(row: &Row<'_>) -> rusqlite::Result<Vec<i64>> {
    // A damaged text is found by whatever it reads as.
    let text = |column: usize| text_if(row, column);
    let mut keys = Vec::new();
    keys.extend(text(0)?.map(|subject| Find::Subject.key(&subject)));
    keys.extend(text(1)?.map(|client| Find::Client.key(&client)));
    keys.extend(text(2)?.map(|host| Find::Host.key(&host)));
    let labels: Vec<String> = text(3)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    keys.extend(labels.iter().map(|label| Find::Label.key(label)));
    Ok(keys)
}

/// The last message that is in the look-ups; those behind it are the tail.
pub(crate) fn found_up_to(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT CAST(value AS INTEGER) FROM store WHERE key = 'found_up_to'")?
        .query_row([], |row| row.get(0))
        .optional()
        .map(Option::unwrap_or_default)
}

/// Keys, each with its message.
pub(crate) type Keys = Vec<(i64, i64)>;

/// Keys of the tail's first messages, sorted; and the last message that they are of.
pub(crate) fn tail(connection: &Connection, messages: usize) -> rusqlite::Result<(Keys, Option<i64>)> {
    let from = found_up_to(connection)?;
    let sql = format!("SELECT {FIND_COLUMNS}, no FROM messages WHERE no > ?1 ORDER BY no LIMIT ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([from, i64::try_from(messages).unwrap_or(i64::MAX)])?;
    let (mut found, mut last) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        let no = row.get(4)?;
        last = Some(no);
        found.extend(readable(find_keys(row))?.into_iter().flatten().map(|key| (key, no)));
    }
    found.sort_unstable();
    Ok((found, last))
}

/// How long the tail is, at most.
pub(crate) fn tail_length(connection: &Connection) -> rusqlite::Result<i64> {
    let last: Option<i64> =
        connection.prepare_cached("SELECT max(no) FROM messages")?.query_row([], |row| row.get(0))?;
    Ok(last.unwrap_or(0) - found_up_to(connection)?)
}
