//! Copying the store while it is used.

use std::fs::File;
use std::path::Path;

use rusqlite::Connection;

use crate::look::{Look, LookError};

/// Copies a snapshot into a new file, whole and on the disk. Its size in bytes.
pub(crate) fn copy(connection: &Connection, to: &Path) -> Look<u64> {
    let failed = |error: std::io::Error| LookError::Refused(format!("{}: {error}", to.display()));
    if to.exists() {
        return Err(LookError::Refused(format!("{} exists; a backup overwrites nothing", to.display())));
    }
    let Some(text) = to.to_str() else {
        return Err(LookError::Refused(format!("{} is not UTF-8", to.display())));
    };
    // A reader may not write; this writes into the copy alone.
    connection.execute_batch("PRAGMA query_only = OFF")?;
    // Into another name first: a file under the name that was asked for is whole.
    let unfinished = format!("{text}.unfinished");
    let _ = std::fs::remove_file(&unfinished);
    let copied = connection.execute("VACUUM INTO ?1", [&unfinished]);
    if let Err(error) = copied {
        let _ = std::fs::remove_file(&unfinished);
        return Err(error.into());
    }
    File::open(&unfinished).and_then(|file| file.sync_all()).map_err(failed)?;
    std::fs::rename(&unfinished, to).map_err(failed)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    std::fs::metadata(to).map(|file| file.len()).map_err(failed)
}
