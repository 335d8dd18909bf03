//! The file's tables. `FORMAT.md` tells what each column means.

use std::collections::HashSet;

use rusqlite::Connection;

/// What SQLite's header names the file as: "Chsk".
pub(crate) const APPLICATION_ID: i32 = 0x4368_736b;
/// Raised with each change of the tables; a store of a later version is not opened.
pub(crate) const VERSION: i32 = 2;

/// The tables, with the look-ups of the message's and the dead letter's lists. Look-ups can be built anew from
/// the rows at any time (`chaski doctor --repair`). What is large stands last: the rest is read without it.
pub(crate) const TABLES: &str = "
CREATE TABLE store (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE queues (
    no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, depth INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE entries (
    seq INTEGER PRIMARY KEY, line INTEGER NOT NULL, queue INTEGER NOT NULL, message INTEGER, due INTEGER,
    sent_at INTEGER NOT NULL, grp TEXT NOT NULL, host TEXT, route TEXT, flow TEXT, body TEXT NOT NULL,
    sum INTEGER NOT NULL
) STRICT;

CREATE TABLE messages (
    no INTEGER PRIMARY KEY, id ANY NOT NULL, generation INTEGER NOT NULL, tenant TEXT NOT NULL,
    producer TEXT NOT NULL, subject TEXT NOT NULL, client TEXT, labels TEXT, route TEXT NOT NULL, target TEXT,
    host TEXT, received_at INTEGER NOT NULL, sum INTEGER NOT NULL,
    state INTEGER NOT NULL, entry INTEGER, letter INTEGER, cancelling INTEGER NOT NULL DEFAULT 0, ended_at INTEGER,
    answer_status INTEGER, answer_truncated INTEGER, error TEXT, answer BLOB
) STRICT;

CREATE TABLE finds (key INTEGER NOT NULL, message INTEGER NOT NULL, PRIMARY KEY (key, message)) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
    message INTEGER NOT NULL, generation INTEGER NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL,
    tier TEXT NOT NULL, outcome TEXT NOT NULL, status INTEGER, duration_ms INTEGER NOT NULL, version TEXT NOT NULL,
    sum INTEGER NOT NULL, PRIMARY KEY (message, generation, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letters (
    no INTEGER PRIMARY KEY, id TEXT NOT NULL, generation INTEGER NOT NULL, tenant TEXT NOT NULL, producer TEXT,
    ord TEXT, subject TEXT, client TEXT, target TEXT, host TEXT, received_at INTEGER, entry_sent_at INTEGER NOT NULL,
    died_at INTEGER NOT NULL, damaged INTEGER NOT NULL DEFAULT 0, sum INTEGER NOT NULL, accepted_no INTEGER NOT NULL,
    replayed_at INTEGER, class TEXT NOT NULL, status INTEGER, first_error TEXT NOT NULL, last_error TEXT NOT NULL,
    attempts TEXT NOT NULL, response BLOB, message BLOB NOT NULL
) STRICT;

CREATE TABLE moves (dedup TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE sequences (grp TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE bodies (
    no INTEGER PRIMARY KEY, reference TEXT NOT NULL, bytes INTEGER NOT NULL, pieces INTEGER NOT NULL,
    sum INTEGER NOT NULL, state INTEGER NOT NULL, message INTEGER, at INTEGER NOT NULL
) STRICT;

CREATE TABLE body_pieces (
    no INTEGER PRIMARY KEY, size INTEGER NOT NULL, sum INTEGER NOT NULL, bytes BLOB NOT NULL
) STRICT;

CREATE TABLE pauses (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, value TEXT NOT NULL, tenant TEXT NOT NULL, created_at INTEGER NOT NULL,
    UNIQUE (kind, value, tenant)
) STRICT, WITHOUT ROWID;
";

/// The look-ups.
pub(crate) const LOOK_UPS: &str = "
CREATE INDEX entries_line ON entries (line, seq);
CREATE INDEX entries_due ON entries (due, seq, queue) WHERE due IS NOT NULL;
CREATE UNIQUE INDEX messages_id ON messages (id);
CREATE INDEX messages_state ON messages (state, no) WHERE state IN (2, 4, 5, 6);
CREATE UNIQUE INDEX dead_letters_id ON dead_letters (id, generation, entry_sent_at);
CREATE INDEX dead_letters_time ON dead_letters (entry_sent_at, no);
CREATE INDEX dead_letters_order ON dead_letters (accepted_no, no);
CREATE INDEX dead_letters_subject ON dead_letters (subject, entry_sent_at, no) WHERE subject IS NOT NULL;
CREATE INDEX dead_letters_host ON dead_letters (host, entry_sent_at, no) WHERE host IS NOT NULL;
CREATE INDEX moves_at ON moves (at);
CREATE UNIQUE INDEX bodies_reference ON bodies (reference) WHERE state IN (0, 2);
CREATE INDEX bodies_message ON bodies (message) WHERE message IS NOT NULL;
CREATE INDEX bodies_loose ON bodies (at) WHERE message IS NULL;
";

/// Whether the file has all the tables and look-ups, as they are made. What somebody has added does not count.
pub(crate) fn is_whole(connection: &Connection) -> rusqlite::Result<bool> {
    let model = Connection::open_in_memory()?;
    create(&model)?;
    let made = |connection: &Connection| -> rusqlite::Result<HashSet<(String, String)>> {
        let mut query = connection.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    Ok(made(&model)?.is_subset(&made(connection)?))
}

/// Makes the tables in an empty file.
pub(crate) fn create(connection: &Connection) -> rusqlite::Result<()> {
    // One transaction, that of `auto_vacuum` with it, which would else leave a database without tables when the power
    // goes behind it. (An immediate one would have made the first page, and fixed that setting, before.)
    connection.execute_batch(&format!(
        "BEGIN; PRAGMA auto_vacuum = INCREMENTAL; {TABLES} {LOOK_UPS} PRAGMA application_id = {APPLICATION_ID}; \
         PRAGMA user_version = {VERSION}; COMMIT;"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_made_and_a_missing_one_is_seen() {
        let connection = Connection::open_in_memory().unwrap();
        create(&connection).unwrap();
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, VERSION);
        let vacuum: i32 = connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0)).unwrap();
        assert_eq!(vacuum, 2, "incremental");
        assert!(is_whole(&connection).unwrap());
        connection.execute_batch("CREATE TABLE theirs (a)").unwrap();
        assert!(is_whole(&connection).unwrap());
        connection.execute_batch("DROP INDEX entries_line").unwrap();
        assert!(!is_whole(&connection).unwrap());
    }

    #[test]
    fn every_store_s_tables_stand_at_the_same_pages() {
        // What a salvage of a damaged first page stands on.
        let folder = tempfile::tempdir().unwrap();
        let made = Connection::open(folder.path().join("made")).unwrap();
        create(&made).unwrap();
        let copy = folder.path().join("copy");
        made.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        let roots = |connection: &Connection| -> Vec<(String, i64)> {
            let mut query = connection.prepare("SELECT name, rootpage FROM sqlite_schema ORDER BY name").unwrap();
            query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
        };
        assert_eq!(roots(&Connection::open(copy).unwrap()), roots(&made));
    }
}
