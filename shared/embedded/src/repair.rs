//! Mending a store that no process has open.

use std::path::Path;

use rusqlite::OpenFlags;

use crate::doctor::{Report, examine};
use crate::folder::Folder;
use crate::salvage::{self, balance};
use crate::store::{Trouble, check, connect, identify};
use crate::writer::is_damage;

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// Whether the file was damaged so that what could be read was saved into a new one; the damaged one is kept.
    pub salvaged: bool,
    /// What is still not as it should be: rows that do not match their checksums. A damaged entry is set aside as a
    /// dead letter when the store is opened.
    pub left: Report,
}

/// Builds the look-ups anew from the rows and counts the depths; where the file is damaged, saves what can be read
/// into a new one and keeps the damaged one beside it.
///
/// # Errors
/// A process has the store open, there is none, or nothing of it can be read; for a person. Nothing has changed.
pub fn repair(folder: &Path, progress: &mut dyn FnMut(&str)) -> Result<Repaired, String> {
    if !folder.is_dir() {
        return Err(format!("there is no store in {}", folder.display()));
    }
    let locked = Folder::lock(folder).map_err(|error| error.to_string())?;
    salvage::finish_what_was_begun(&locked).map_err(|error| error.to_string())?;
    progress("look-ups");
    let salvaged = locked.damaged().exists() || !rebuilt(&locked)?;
    if salvaged {
        progress("salvage");
        salvage::salvage(&locked, None).map_err(|error| format!("the store can't be repaired: {error}"))?;
    }
    drop(locked);
    examine(folder, progress).map(|left| Repaired { salvaged, left })
}

/// Whether the look-ups could be built anew in the file as it is.
fn rebuilt(folder: &Folder) -> Result<bool, String> {
    if identify(folder).map_err(|trouble| trouble.to_string())? {
        return Err(format!("there is no store in {}", folder.path().display()));
    }
    let rebuild = || -> Result<bool, Trouble> {
        let connection = connect(&folder.database(), None, OpenFlags::default())?;
        check(&connection, folder)?;
        connection.execute_batch("PRAGMA cell_size_check = ON; REINDEX;")?;
        balance(&connection)?;
        let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        Ok(found == "ok")
    };
    match rebuild() {
        Ok(whole) => Ok(whole),
        // Not this version's to change.
        Err(Trouble::Refused(error)) => Err(error.to_string()),
        Err(Trouble::Database(error)) if is_damage(&error) => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}
