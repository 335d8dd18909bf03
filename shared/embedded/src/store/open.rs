//! Opening a store: its folder, its file, what a crash has left, and its threads.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chaski_core::ports::Clock;
use chaski_core::queue::{QueueName, Tier};
use chaski_core::settings::{Durability, RetentionSettings};
use rusqlite::{Connection, OpenFlags, OptionalExtension, ffi};
use tokio::sync::Semaphore;
use tracing::warn;
use uuid::Builder;

use super::clock::millis;
use super::identity::{check, identify};
use super::shared::{Parts, pause_set};
use super::{Inner, Options, Shared, StoreClock};
use crate::error::OpenError;
use crate::folder::Folder;
use crate::look::{Readers, read_pauses};
use crate::queues::QueueTable;
use crate::schedule::{Limits, PauseSet, Schedule};
use crate::writer::{Reserve, is_damage};
use crate::{loader, maintenance, salvage, schema, writer};

/// Looks at once; others wait for their turn.
const LOOKS: usize = 8;
/// Attempts that ask for their line's number at once: each looks for some microseconds.
const COUNTS: usize = 2;
/// Pieces of bodies that are read or packed at once: each is some hundred KiB in several places, and more of them make
/// no body faster.
const PIECES: usize = 2;
/// What the writer keeps of the file in memory, in KiB.
const WRITER_CACHE_KIB: i64 = 8 * 1_024;

pub(super) fn open(options: Options, clock: Arc<dyn Clock>) -> Result<Inner, OpenError> {
    let folder = Folder::lock(&options.data)?;
    let database =
        |error: rusqlite::Error| OpenError::Database { folder: options.data.clone(), detail: error.to_string() };
    salvage::finish_what_was_begun(&folder).map_err(|error| Folder::unusable(&options.data, &error))?;
    if folder.damaged().exists() {
        salvage::salvage(&folder, options.vfs.as_deref()).map_err(database)?;
    }
    let clock = StoreClock::start(clock);
    let prepared = match prepare(&folder, &options, clock.now()) {
        Err(Trouble::Database(error)) if is_damage(&error) => {
            warn!(event.action = "salvage", "the database is damaged ({error}); what can be read is saved");
            salvage::salvage(&folder, options.vfs.as_deref()).map_err(database)?;
            prepare(&folder, &options, clock.now())
        }
        prepared => prepared,
    };
    let (connection, known) = prepared.map_err(|trouble| match trouble {
        Trouble::Refused(error) => error,
        Trouble::Database(error) => database(error),
    })?;
    let _ = folder.note_store();
    start(folder, connection, known, &options, clock)
        .map_err(|error| OpenError::Database { folder: options.data.clone(), detail: error.to_string() })
}

/// What is read of the file before any thread is: damage there is met while it can be salvaged.
struct Known {
    queues: QueueTable,
    pauses: PauseSet,
    /// The next number that no message and no entry has.
    next: i64,
    store_id: String,
    remembers: bool,
}

/// Why a file is not opened as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// It is not this version's to open.
    #[error(transparent)]
    Refused(OpenError),
    /// The database's words.
    #[error(transparent)]
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// A connection to a file of this version; made where there is none.
fn prepare(folder: &Folder, options: &Options, now: i64) -> Result<(Connection, Known), Trouble> {
    let is_new = options.vfs.is_none() && identify(folder)?;
    let connection = connect(&folder.database(), options.vfs.as_deref(), OpenFlags::default())?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // Where a VFS of tests has its files is not known here.
    if is_new || options.vfs.is_some() && !has_tables(&connection)? {
        schema::create(&connection)?;
    }
    check(&connection, folder)?;
    let synchronous = match options.durability {
        Durability::Fsync => "FULL",
        Durability::Os => "OFF",
    };
    use_log(&connection)?;
    // The log is folded in by the maintenance, beside the writer; then it is cut, or it would be folded all the time.
    connection.execute_batch(&format!(
        "PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = 0;
         PRAGMA cell_size_check = ON; PRAGMA cache_size = -{WRITER_CACHE_KIB}; PRAGMA temp_store = MEMORY;
         PRAGMA journal_size_limit = 16777216;"
    ))?;
    connection.set_prepared_statement_cache_capacity(128);
    let queues = QueueTable::open(&connection, &options.routes)?;
    tame_dues(&connection, options, &queues, now)?;
    let pauses = read_pauses(&connection)?;
    let known = Known {
        pauses: pause_set(&queues, pauses.iter().map(|pause| &pause.scope)),
        queues,
        next: next_number(&connection)?,
        store_id: store_id(&connection, now)?,
        remembers: remembers(&connection, options)?,
    };
    Ok((connection, known))
}

/// Turns to the write-ahead log, and makes sure of it: with a journal instead, what was answered could be rolled back
/// after a loss of power.
fn use_log(connection: &Connection) -> rusqlite::Result<()> {
    {
        // The file is changed when the statement has come to its end, behind the row that says "wal".
        let mut turn = connection.prepare("PRAGMA journal_mode = WAL")?;
        let mut rows = turn.query([])?;
        while rows.next()?.is_some() {}
    }
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode == "wal" {
        return Ok(());
    }
    let why = format!("the write-ahead log can't be used, the journal's mode stays {mode:?}");
    Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), Some(why)))
}

fn has_tables(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare("SELECT 1 FROM sqlite_schema")?.exists([])
}

/// Opens the file, through a VFS of tests where one is named.
pub(crate) fn connect(path: &Path, vfs: Option<&str>, flags: OpenFlags) -> rusqlite::Result<Connection> {
    match vfs {
        None => Connection::open_with_flags(path, flags),
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs),
    }
}

fn start(
    folder: Folder,
    connection: Connection,
    known: Known,
    options: &Options,
    clock: StoreClock,
) -> std::io::Result<Inner> {
    let Known { queues, pauses, next, store_id, remembers } = known;
    let shared = Arc::new(Shared::new(Parts {
        schedule: Schedule::new(limits(options, &queues), pauses),
        clock,
        queues,
        routes: options.routes.clone(),
        tiers: options.tiers,
        keys: options.retention.keys,
        remembers,
        store_id,
        damage_mark: folder.damaged(),
    }));
    let readers = Arc::new(Readers::new(folder.database(), options.vfs.clone()));
    let reserve = Reserve::open(folder.reserve(), &shared);
    let (desk, writing) = writer::start(connection, next, reserve, shared.clone())?;
    let loading = loader::start(shared.clone(), readers.clone(), desk.clone())?;
    let keeping = maintenance::start(shared.clone(), readers.clone(), desk.clone(), options.retention)?;
    Ok(Inner {
        shared,
        readers,
        looks: Semaphore::new(LOOKS),
        counts: Semaphore::new(COUNTS),
        pieces: Semaphore::new(PIECES),
        desk: Mutex::new(Some(desk)),
        threads: Mutex::new(vec![loading, keeping, writing]),
        folder: Mutex::new(Some(folder)),
    })
}

fn limits(options: &Options, queues: &QueueTable) -> Limits {
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let passing = [QueueName::Wake, QueueName::WakeNet, QueueName::LastNet];
    let limited = options.routes.iter().filter(|route| route.concurrency > 0);
    Limits {
        total: count(options.limits.concurrency),
        per_host: count(options.limits.per_host),
        routes: limited.map(|route| (route.name.clone(), count(route.concurrency))).collect(),
        lease: millis(options.lease),
        tiers: Tier::ALL.into_iter().filter_map(|tier| queues.number(&QueueName::Tier(tier))).collect(),
        passing: passing.iter().filter_map(|name| queues.number(name)).collect(),
        breaker: options.breaker,
        hosts: options.hosts.clone(),
    }
}

/// Whether a message may be forgotten before its key is, now or when the store was open before.
fn remembers(connection: &Connection, options: &Options) -> rusqlite::Result<bool> {
    let RetentionSettings { delivered, dead, keys } = options.retention;
    let short = [delivered, dead].into_iter().flatten().any(|kept| kept < keys);
    Ok(short || connection.prepare("SELECT 1 FROM moves LIMIT 1")?.exists([])?)
}

/// No entry of a tier waits longer than the tier's delay from now on: its delay may have been made shorter, and
/// the wall clock may have been set back while no process ran.
fn tame_dues(connection: &Connection, options: &Options, queues: &QueueTable, now: i64) -> rusqlite::Result<()> {
    // One change, and one sync, however many there are; it is rolled back where it can't be finished.
    let change = connection.unchecked_transaction()?;
    for tier in Tier::ALL {
        let most = now + millis(options.tiers.of(tier)) / 10 * 11 + 1;
        let Some(queue) = queues.number(&QueueName::Tier(tier)) else { continue };
        let late: Vec<i64> = connection
            .prepare("SELECT seq FROM entries INDEXED BY entries_due WHERE due > ?1 AND queue = ?2")?
            .query_map([most, queue], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for seq in late {
            let sql = format!("SELECT {} FROM entries WHERE seq = ?1", crate::row::ENTRY_COLUMNS);
            let read = connection.prepare_cached(&sql)?.query_row([seq], crate::row::EntryRow::read).optional()?;
            // A damaged one is left to the loader, which sets it aside.
            if let Some((mut row, true)) = read {
                row.due = Some(most);
                let sum = row.sum();
                connection
                    .prepare_cached("UPDATE entries SET due = ?2, sum = ?3 WHERE seq = ?1")?
                    .execute([seq, most, sum])?;
            }
        }
    }
    change.commit()
}

/// The next number that no message and no entry has.
fn next_number(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row(
        "SELECT max(1, 1 + coalesce((SELECT max(seq) FROM entries), 0), 1 + coalesce((SELECT max(no) FROM messages), 0),
             1 + coalesce((SELECT max(accepted_no) FROM dead_letters), 0),
             coalesce((SELECT CAST(value AS INTEGER) FROM store WHERE key = 'next'), 0))",
        [],
        |row| row.get(0),
    )
}

/// What sets the ids of this store's entries apart from any other store's; made once.
fn store_id(connection: &Connection, now: i64) -> rusqlite::Result<String> {
    let known: Option<String> =
        connection.query_row("SELECT value FROM store WHERE key = 'id'", [], |row| row.get(0)).optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    let chance: Vec<u8> = connection.query_row("SELECT randomblob(10)", [], |row| row.get(0))?;
    let chance = chance.first_chunk().copied().unwrap_or_default();
    let id = Builder::from_unix_timestamp_millis(u64::try_from(now).unwrap_or(0), &chance).into_uuid();
    let id = id.simple().to_string();
    connection.execute("INSERT INTO store (key, value) VALUES ('id', ?1)", [&id])?;
    Ok(id)
}
