//! Strict lines: what is held stands at the head, and no line is behind the number that its head has.

use chaski_core::envelope::Envelope;
use rusqlite::Connection;

use super::Report;
use crate::row::{ENTRY_COLUMNS, EntryRow, readable};

/// Entries with a time of their own in queues where only what failed and holds up its line has one.
const HELD: &str = "due IS NOT NULL AND queue IN (SELECT no FROM queues WHERE name NOT IN
    ('retry-fast', 'retry-medium', 'retry-slow', 'wake', 'wake-net', 'last-net'))";

pub(super) fn examine(connection: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    let sql = format!("SELECT {ENTRY_COLUMNS} FROM entries NOT INDEXED WHERE {HELD}");
    let mut before = connection.prepare("SELECT 1 FROM entries WHERE line = ?1 AND seq < ?2")?;
    let mut state = connection.prepare("SELECT 1 FROM messages WHERE no = ?1 AND state = 2")?;
    let mut count = connection.prepare("SELECT 1 FROM sequences WHERE grp = ?1 AND n >= ?2")?;
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        // One that is damaged was named with the rows.
        let Some((entry, true)) = readable(EntryRow::read(row))? else { continue };
        let place = format!("entries {}", entry.seq);
        if before.exists([entry.line, entry.seq])? {
            report.find(&place, "is held, and is not the first of its line");
        }
        if let Some(message) = entry.message
            && !state.exists([message])?
        {
            report.find(&place, "is held, and its message is not retrying");
        }
        let sequence = Envelope::read(&entry.body).ok().and_then(|envelope| envelope.meta?.sequence);
        if let Some(sequence) = sequence
            && !count.exists(rusqlite::params![entry.group, i64::try_from(sequence).unwrap_or(i64::MAX)])?
        {
            report.find(&place, format!("has the number {sequence}, to which its line has not come"));
        }
    }
    let mut counted = connection.prepare("SELECT grp FROM sequences WHERE n < 1")?;
    let mut rows = counted.query([])?;
    while let Some(row) = rows.next()? {
        let group: String = row.get(0)?;
        report.find(format!("sequences {group}"), "counts to less than 1");
    }
    Ok(())
}
