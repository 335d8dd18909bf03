//! Whether a folder's database is a store of this version, before anything is written to it.

use std::io::Read;

use rusqlite::Connection;

use super::open::Trouble;
use crate::error::OpenError;
use crate::folder::Folder;
use crate::schema;

/// How every SQLite file begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// How every journal of SQLite's begins.
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
/// Every file of SQLite's is of whole pages, of this size here.
const PAGE: u64 = 4_096;
/// So many bits of the store's name may be flipped, and it still is its own.
const FLIPPED: u32 = 2;

/// Looks at the file without opening it as a database. Whether there is none yet.
pub(crate) fn identify(folder: &Folder) -> Result<bool, Trouble> {
    let path = folder.database();
    let unusable = |error| Trouble::Refused(Folder::unusable(folder.path(), &error));
    let size = match std::fs::metadata(&path) {
        Ok(file) => file.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(unusable(error)),
    };
    if size == 0 {
        return if folder.was_store() { Err(Trouble::Refused(OpenError::Gone(path))) } else { Ok(true) };
    }
    if !folder.was_store() && was_being_made(folder) {
        return Ok(true);
    }
    let mut begins = Vec::new();
    let file = std::fs::File::open(&path).map_err(unusable)?;
    file.take(16).read_to_end(&mut begins).map_err(unusable)?;
    // Where a store was, whole pages with another beginning are a damaged one.
    if begins != MAGIC && !(folder.was_store() && size % PAGE == 0) {
        return Err(Trouble::Refused(OpenError::Foreign(path)));
    }
    Ok(false)
}

/// Whether the power went while the database was made: a journal says that it was empty before, and is rolled back
/// with the first look at it. So nothing of anybody's is in there, however it looks.
fn was_being_made(folder: &Folder) -> bool {
    let mut begins = [0; 20];
    let read = std::fs::File::open(folder.journal()).and_then(|mut journal| journal.read_exact(&mut begins));
    // Behind the name: the records' count, a random number, and the pages that the database had (SQLite's file format,
    // section 3).
    read.is_ok() && begins.starts_with(&JOURNAL_MAGIC) && begins.ends_with(&[0; 4])
}

/// Looks at the database: whose it is, and whether it has all its tables.
pub(crate) fn check(connection: &Connection, folder: &Folder) -> Result<(), Trouble> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let differ = (application ^ schema::APPLICATION_ID).count_ones();
    if differ > if folder.was_store() { FLIPPED } else { 0 } {
        return Err(Trouble::Refused(OpenError::Foreign(folder.database())));
    }
    if version > schema::VERSION {
        let folder = folder.path().to_owned();
        return Err(Trouble::Refused(OpenError::Later { folder, found: version, known: schema::VERSION }));
    }
    let is_whole = schema::is_whole(connection)?;
    // With this version's tables it is the number that is damaged.
    if (1..schema::VERSION).contains(&version) && !is_whole {
        let folder = folder.path().to_owned();
        return Err(Trouble::Refused(OpenError::Earlier { folder, found: version, known: schema::VERSION }));
    }
    if differ > 0 || version < schema::VERSION || !is_whole {
        return Err(Trouble::Database(damaged()));
    }
    Ok(())
}

/// The error of a file that is damaged in a way that SQLite does not see.
fn damaged() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), None)
}
