//! The full check of a store: what is damaged, and what is out of balance.

mod bodies;
mod held;

use std::path::Path;

use chaski_core::ledger::MessageState;
use rusqlite::{Connection, OpenFlags, Row};

use crate::finds::{FIND_COLUMNS, find_keys, found_up_to};
use crate::folder::DATABASE;
use crate::row::{
    ATTEMPT_COLUMNS, AttemptRow, ENTRY_COLUMNS, EntryRow, LETTER_COLUMNS, LISTING_COLUMNS, LetterRow, ListingRow,
    readable, state_number,
};
use crate::schema;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where: a table and a row, or the file.
    pub place: String,
    /// What.
    pub detail: String,
}

/// What an examination found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows that were read, by table.
    pub rows: Vec<(&'static str, u64)>,
    /// What is wrong. Empty for a store that is well.
    pub findings: Vec<Finding>,
}

/// Findings of one kind that are named one by one.
const NAMED: usize = 1_000;

impl Report {
    fn find(&mut self, place: impl Into<String>, detail: impl Into<String>) {
        if self.findings.len() < NAMED {
            self.findings.push(Finding { place: place.into(), detail: detail.into() });
        }
    }
}

/// Examines the store in a folder, whether a process has it open or not; changes nothing. Reads all of it.
///
/// # Errors
/// There is no database, or it can't be opened at all; for a person.
pub fn examine(folder: &Path, progress: &mut dyn FnMut(&str)) -> Result<Report, String> {
    let path = folder.join(DATABASE);
    if !path.exists() {
        return Err(format!("there is no store in {}", folder.display()));
    }
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        connection.execute_batch("PRAGMA cell_size_check = ON; BEGIN")?;
        Ok(connection)
    };
    let connection = open().map_err(|error| format!("the store can't be opened: {error}"))?;
    let application = connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0));
    if application.is_ok_and(|application| (application ^ schema::APPLICATION_ID).count_ones() > 2) {
        return Err(format!("{} is no store of Chaski", path.display()));
    }
    let mut report = Report::default();
    progress("structure");
    structure(&connection, &mut report);
    progress("entries");
    rows(&connection, &mut report, "entries", ENTRY_COLUMNS, 0, &|row| Ok(EntryRow::read(row)?.1));
    progress("messages");
    rows(&connection, &mut report, "messages", LISTING_COLUMNS, 0, &|row| Ok(ListingRow::read(row)?.1));
    progress("dead_letters");
    let letters = format!("{LETTER_COLUMNS}, no");
    rows(&connection, &mut report, "dead_letters", &letters, 21, &|row| Ok(LetterRow::read(row)?.1));
    progress("attempts");
    rows(&connection, &mut report, "attempts of message", ATTEMPT_COLUMNS, 0, &|row| Ok(AttemptRow::read(row)?.1));
    progress("bodies");
    bodies::examine(&connection, &mut report);
    progress("balance");
    balance(&connection, &mut report);
    if let Err(error) = held::examine(&connection, &mut report) {
        report.find("entries", format!("what is held can't be examined: {error}"));
    }
    if let Err(error) = finds(&connection, &mut report) {
        report.find("finds", format!("can't be compared: {error}"));
    }
    Ok(report)
}

/// The look-ups of messages against their rows, up to where the look-ups reach.
fn finds(connection: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    let up_to = found_up_to(connection)?;
    let mut there = connection.prepare("SELECT 1 FROM finds WHERE key = ?1 AND message = ?2")?;
    let mut statement = connection.prepare(&format!("SELECT {FIND_COLUMNS}, no FROM messages WHERE no <= ?1"))?;
    let mut rows = statement.query([up_to])?;
    while let Some(row) = rows.next()? {
        let no: i64 = row.get(4)?;
        // One that can't be read was named with the rows.
        for key in readable(find_keys(row))?.unwrap_or_default() {
            if !there.exists([key, no])? {
                report.find(format!("messages {no}"), "is not found by what it says");
                break;
            }
        }
    }
    Ok(())
}

/// The file as SQLite sees it: pages, order, look-ups against rows.
fn structure(connection: &Connection, report: &mut Report) {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0));
    if version.as_ref().is_ok_and(|version| *version != schema::VERSION) {
        report.find("file", format!("has the format {version:?}, this version writes {}", schema::VERSION));
    }
    let check = || -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare(&format!("PRAGMA integrity_check({NAMED})"))?;
        statement.query_map([], |row| row.get::<_, String>(0))?.collect()
    };
    match check() {
        Ok(lines) => lines.into_iter().filter(|line| line != "ok").for_each(|line| report.find("file", line)),
        Err(error) => report.find("file", error.to_string()),
    }
    if !schema::is_whole(connection).unwrap_or(false) {
        report.find("file", "lacks a table or a look-up");
    }
}

/// Every row's checksum. `number` is the column by which a row is named.
fn rows(
    connection: &Connection,
    report: &mut Report,
    table: &'static str,
    columns: &str,
    number: usize,
    whole: &dyn Fn(&Row<'_>) -> rusqlite::Result<bool>,
) {
    let mut count = 0;
    let name = table.split(' ').next().unwrap_or(table);
    let mut read = |report: &mut Report| -> rusqlite::Result<()> {
        let mut statement = connection.prepare(&format!("SELECT {columns} FROM {name} NOT INDEXED"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            count += 1;
            let place = || format!("{table} {}", row.get::<_, i64>(number).unwrap_or_default());
            match whole(row) {
                Ok(true) => {}
                Ok(false) => report.find(place(), "does not match its checksum"),
                Err(error) => report.find(place(), format!("can't be read: {error}")),
            }
        }
        Ok(())
    };
    if let Err(error) = read(report) {
        report.find(table, format!("reading ended: {error}"));
    }
    report.rows.push((name, count));
}

/// accepted = pending + ended: every message that is not at its end has its entry, every entry its message, and
/// the depths are what a count says.
fn balance(connection: &Connection, report: &mut Report) {
    let ends =
        MessageState::ALL.into_iter().filter(|state| state.is_end()).map(|state| state_number(state).to_string());
    let ends = ends.collect::<Vec<_>>().join(", ");
    let checks = [
        (
            "messages",
            "waits for an entry that is not there",
            format!(
                "SELECT no FROM messages WHERE state NOT IN ({ends})
                 AND NOT EXISTS (SELECT 1 FROM entries WHERE entries.seq = messages.entry)"
            ),
        ),
        (
            "entries",
            "belongs to a message that is not there",
            "SELECT seq FROM entries WHERE message IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.no = entries.message)"
                .to_owned(),
        ),
        (
            "messages",
            "is dead, and its dead letter is not there",
            "SELECT no FROM messages WHERE letter IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE dead_letters.no = messages.letter)"
                .to_owned(),
        ),
        (
            "queues",
            "has another depth than its entries count",
            "SELECT no FROM queues WHERE depth <> (SELECT count(*) FROM entries WHERE entries.queue = queues.no)"
                .to_owned(),
        ),
        (
            "entries",
            "stands in a queue that is not there",
            "SELECT seq FROM entries WHERE NOT EXISTS (SELECT 1 FROM queues WHERE queues.no = entries.queue)"
                .to_owned(),
        ),
    ];
    for (table, detail, sql) in checks {
        let find = |report: &mut Report| -> rusqlite::Result<()> {
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                report.find(format!("{table} {}", row.get::<_, i64>(0)?), detail);
            }
            Ok(())
        };
        if let Err(error) = find(report) {
            report.find(table, format!("can't be balanced: {error}"));
        }
    }
}
