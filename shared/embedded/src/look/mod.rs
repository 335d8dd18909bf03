//! Looking at the store, beside the writer: each look is one snapshot.

mod bodies;
mod clause;
mod letters;
mod messages;
mod pauses;
#[cfg(test)]
mod plans;
mod queues;
mod sequences;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};

use bodies::body_of;
pub(crate) use bodies::{Found as FoundBody, body, piece};
pub(crate) use letters::{count_letters, letter, letters, letters_for_replay};
pub(crate) use messages::{message, messages, open_messages};
pub(crate) use pauses::read_pauses;
pub(crate) use queues::queues;
pub(crate) use sequences::last_sequence;

use crate::row::is_unreadable;
use crate::store::Shared;
use crate::writer::is_damage;

/// Why nothing was found.
#[derive(Debug)]
pub(crate) enum LookError {
    /// The cursor is none that the list gave.
    Cursor,
    /// What was asked for can't be done, and the caller is told why.
    Refused(String),
    /// The database's words.
    Failed(String),
}

/// What a look comes to.
pub(crate) type Look<T> = Result<T, LookError>;

impl From<rusqlite::Error> for LookError {
    fn from(error: rusqlite::Error) -> Self {
        // Whether the file is damaged is told by the text, which SQLite does not change; the store is not ended
        // by a look alone, but for that.
        Self::Failed(if is_damage(&error) && !is_unreadable(&error) {
            format!("{DAMAGED}{error}")
        } else {
            error.to_string()
        })
    }
}

/// Begins the words of a look that met damage.
const DAMAGED: &str = "the database is damaged: ";
/// Connections kept open for the next look.
const KEPT: usize = 2;
/// What each keeps of the file in memory, in KiB.
const CACHE_KIB: i64 = 1_024;

/// Connections that only read.
pub(crate) struct Readers {
    database: PathBuf,
    vfs: Option<String>,
    kept: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(database: PathBuf, vfs: Option<String>) -> Self {
        Self { database, vfs, kept: Mutex::default() }
    }

    /// A connection of one's own.
    pub(crate) fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = crate::store::connect(&self.database, self.vfs.as_deref(), flags)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.execute_batch(&format!(
            "PRAGMA query_only = ON; PRAGMA cell_size_check = ON; PRAGMA cache_size = -{CACHE_KIB};"
        ))?;
        Ok(connection)
    }

    /// A connection that can fold the log into the file.
    pub(crate) fn connect_to_fold(&self) -> rusqlite::Result<Connection> {
        let connection = crate::store::connect(&self.database, self.vfs.as_deref(), OpenFlags::default())?;
        connection.execute_batch(&format!("PRAGMA synchronous = FULL; PRAGMA cache_size = -{CACHE_KIB};"))?;
        Ok(connection)
    }

    /// The log's file.
    pub(crate) fn log(&self) -> PathBuf {
        let mut path = self.database.clone().into_os_string();
        path.push("-wal");
        path.into()
    }

    /// Looks once.
    pub(crate) fn look<T>(&self, shared: &Shared, look: impl FnOnce(&Connection) -> Look<T>) -> Look<T> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match kept {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let found = snapshot(&connection, look);
        if let Err(LookError::Failed(why)) = &found
            && why.starts_with(DAMAGED)
        {
            shared.fail(&format!("a look at the store failed: {why}"), true);
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT && connection.is_autocommit() {
            kept.push(connection);
        }
        found
    }

    /// Closes what is kept open.
    pub(crate) fn close(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Whatever is read in one look belongs together.
fn snapshot<T>(connection: &Connection, look: impl FnOnce(&Connection) -> Look<T>) -> Look<T> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let found = look(connection);
    // Nothing was written; a connection where this fails is not kept.
    let _ = connection.execute_batch("ROLLBACK");
    found
}
