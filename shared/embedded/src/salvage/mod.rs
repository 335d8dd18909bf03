//! Saving what can be read of a damaged database into a new one. The damaged file is kept beside it.

mod copy;
mod graft;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use tracing::warn;

pub(crate) use copy::Copied;

use crate::folder::Folder;
use crate::schema;
use crate::store::connect;

/// Endings of the files that stand beside a database.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// Makes a new database of what can be read, and puts it in the damaged one's place.
///
/// # Errors
/// Nothing can be read, or the new one can't be written; the damaged one is as it was.
pub(crate) fn salvage(folder: &Folder, vfs: Option<&str>) -> rusqlite::Result<Copied> {
    let damaged = folder.database();
    let (unfinished, finished) = (damaged.with_extension("salvaging"), finished(folder));
    remove_all(&unfinished);
    let target = connect(&unfinished, vfs, OpenFlags::default())?;
    schema::create(&target)?;
    let copied = copy_from(&damaged, &target, &unfinished, vfs)?;
    if copied.rows == 0 {
        drop(target);
        remove_all(&unfinished);
        return Err(failed("nothing of the database can be read; restore a backup".to_owned()));
    }
    balance(&target)?;
    target.execute_batch("PRAGMA journal_mode = DELETE")?;
    drop(target);
    let put = || -> std::io::Result<PathBuf> {
        std::fs::File::open(&unfinished)?.sync_all()?;
        std::fs::rename(&unfinished, &finished)?;
        sync(folder.path())?;
        finish(folder)
    };
    let kept = put().map_err(|error| failed(error.to_string()))?;
    let Copied { rows, places } = copied;
    warn!(
        event.action = "salvaged",
        rows,
        places,
        "what could be read was saved; the damaged database is kept as {}",
        kept.display()
    );
    Ok(copied)
}

/// The whole new database, before it takes its place.
fn finished(folder: &Folder) -> PathBuf {
    folder.database().with_extension("salvaged")
}

/// Puts a whole new database in the damaged one's place, also after a kill in the middle of that.
///
/// # Errors
/// A file can't be renamed.
pub(crate) fn finish_what_was_begun(folder: &Folder) -> std::io::Result<()> {
    if finished(folder).exists() { finish(folder).map(|_| ()) } else { Ok(()) }
}

/// Each step may be done again. The damaged one's log goes first: it must not meet the new database.
fn finish(folder: &Folder) -> std::io::Result<PathBuf> {
    let damaged = folder.database();
    let kept = free_name(&damaged);
    for (from, to) in BESIDE.iter().map(|ending| (with_ending(&damaged, ending), with_ending(&kept, ending))) {
        if from.exists() {
            std::fs::rename(from, to)?;
        }
    }
    if damaged.exists() {
        std::fs::rename(&damaged, &kept)?;
    }
    std::fs::rename(finished(folder), &damaged)?;
    let _ = std::fs::remove_file(folder.damaged());
    sync(folder.path())?;
    Ok(kept)
}

/// `chaski.damaged-1`, or the next number that is free.
fn free_name(damaged: &Path) -> PathBuf {
    let mut n = 1;
    loop {
        let name = damaged.with_extension(format!("damaged-{n}"));
        if !name.exists() && BESIDE.iter().all(|ending| !with_ending(&name, ending).exists()) {
            return name;
        }
        n += 1;
    }
}

/// Copies from the database as it is, or, where it does not know its tables, with a new first page.
fn copy_from(damaged: &Path, target: &Connection, fresh: &Path, vfs: Option<&str>) -> rusqlite::Result<Copied> {
    if let Ok(source) = source(damaged, vfs)
        && schema::is_whole(&source).unwrap_or(false)
    {
        return copy::copy_all(&source, target);
    }
    let grafted = damaged.with_extension("grafted");
    remove_all(&grafted);
    let make = || -> std::io::Result<()> {
        std::fs::copy(damaged, &grafted)?;
        let log = with_ending(damaged, "-wal");
        if log.exists() {
            std::fs::copy(log, with_ending(&grafted, "-wal"))?;
        }
        graft::graft(fresh, &grafted)
    };
    make().map_err(|error| failed(error.to_string()))?;
    let copied = source(&grafted, vfs).and_then(|source| copy::copy_all(&source, target));
    remove_all(&grafted);
    copied
}

/// A connection that reads what there is, also of a file that is shorter than its header says.
fn source(path: &Path, vfs: Option<&str>) -> rusqlite::Result<Connection> {
    let source = connect(path, vfs, OpenFlags::default())?;
    source.execute_batch("PRAGMA writable_schema = ON; PRAGMA cell_size_check = ON;")?;
    Ok(source)
}

fn failed(why: String) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(why.into())
}

fn sync(folder: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn remove_all(path: &Path) {
    for ending in ["", "-journal"].iter().chain(&BESIDE) {
        let _ = std::fs::remove_file(with_ending(path, ending));
    }
}

/// Makes the saved rows fit each other: depths are counted, and a message whose entry is lost is dead.
pub(crate) fn balance(target: &Connection) -> rusqlite::Result<()> {
    target.execute_batch(
        "BEGIN;
         UPDATE queues SET depth = (SELECT count(*) FROM entries WHERE entries.queue = queues.no);
         UPDATE messages SET letter = NULL WHERE letter IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE dead_letters.no = messages.letter);
         UPDATE messages SET state = 4, entry = NULL, ended_at = received_at,
             error = json_object('class', 'internal', 'detail', 'its entry was lost in a damaged store',
                 'at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
             WHERE state NOT IN (3, 4, 5, 6) AND NOT EXISTS (SELECT 1 FROM entries WHERE entries.seq = messages.entry);
         UPDATE bodies SET message = NULL WHERE message IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.no = bodies.message)
             AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE accepted_no = bodies.message);
         DELETE FROM body_pieces WHERE NOT EXISTS (SELECT 1 FROM bodies WHERE bodies.no = body_pieces.no / 256);
         DELETE FROM finds;
         DELETE FROM store WHERE key = 'found_up_to';
         DELETE FROM attempts WHERE NOT EXISTS (SELECT 1 FROM messages WHERE messages.no = attempts.message);
         COMMIT;",
    )
}
