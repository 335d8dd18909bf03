//! Saving what can be read of a damaged database into a new one. The damaged file is kept beside it.

use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags};
use tracing::{error, warn};

use crate::folder::Folder;
use crate::schema;
use crate::store::connect;

/// Tables by what a damaged page costs: rows are read in pieces by their numbers, so that the rest is found behind
/// a damaged place.
const NUMBERED: [(&str, &str); 4] = [("queues", "no"), ("messages", "no"), ("entries", "seq"), ("dead_letters", "no")];
/// Tables without numbers, which are read from both ends.
const OTHERS: [&str; 4] = ["store", "attempts", "moves", "pauses"];

/// Makes a new database of what can be read, and puts it in the damaged one's place.
pub(crate) fn salvage(folder: &Folder, vfs: Option<&str>) -> rusqlite::Result<()> {
    let damaged = folder.database();
    let fresh = damaged.with_extension("salvaged");
    remove_with_log(&fresh);
    let target = connect(&fresh, vfs, OpenFlags::default())?;
    schema::create(&target)?;
    let lost = match connect(&damaged, vfs, OpenFlags::default()) {
        Ok(source) => copy_all(&source, &target)?,
        Err(error) => {
            error!(event.action = "salvage", "nothing of the database can be read: {error}");
            0
        }
    };
    balance(&target)?;
    // The kept file's own log has been read with it; the new one stands on no log.
    target.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA synchronous = FULL; VACUUM;")?;
    drop(target);
    let stamp = std::fs::metadata(&damaged).and_then(|file| file.modified()).ok();
    let stamp = stamp.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |at| at.as_secs());
    let kept = damaged.with_extension(format!("damaged-{stamp}"));
    let io = |error: std::io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
    std::fs::File::open(&fresh).and_then(|file| file.sync_all()).map_err(io)?;
    std::fs::rename(&damaged, &kept).map_err(io)?;
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::rename(with_ending(&damaged, ending), with_ending(&kept, ending));
    }
    std::fs::rename(&fresh, &damaged).map_err(io)?;
    remove_with_log(&fresh);
    let _ = std::fs::remove_file(folder.damaged());
    std::fs::File::open(folder.path()).and_then(|file| file.sync_all()).map_err(io)?;
    warn!(
        event.action = "salvaged",
        places = lost,
        "what could be read was saved; the damaged database is kept as {}",
        kept.display()
    );
    Ok(())
}

fn with_ending(path: &std::path::Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn remove_with_log(path: &std::path::Path) {
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(with_ending(path, ending));
    }
}

/// Copies every table; how many places could not be read.
fn copy_all(source: &Connection, target: &Connection) -> rusqlite::Result<u64> {
    let mut lost = 0;
    target.execute_batch("BEGIN")?;
    for (table, key) in NUMBERED {
        lost += copy_numbered(source, target, table, key)?;
    }
    for table in OTHERS {
        for order in ["", "ORDER BY 1 DESC"] {
            if copy_rows(source, target, table, &format!("SELECT * FROM {table} {order}"))?.1 {
                break;
            }
            lost += 1;
            error!(event.action = "salvage", "a part of the table {table} can't be read");
        }
    }
    target.execute_batch("COMMIT")?;
    Ok(lost)
}

/// Copies a table by the numbers of its rows: behind a place that can't be read the next row that can is looked for,
/// with steps that double.
fn copy_numbered(source: &Connection, target: &Connection, table: &str, key: &str) -> rusqlite::Result<u64> {
    let mut from = i64::MIN;
    let mut step: i64 = 1;
    let mut lost = 0;
    loop {
        let sql = format!("SELECT * FROM {table} NOT INDEXED WHERE {key} >= {from} ORDER BY {key}");
        let (last, whole) = copy_rows(source, target, table, &sql)?;
        if whole {
            return Ok(lost);
        }
        if let Some(last) = last {
            from = last.saturating_add(1);
            step = 1;
        } else {
            if from == i64::MIN {
                from = 0;
            }
            from = from.saturating_add(step);
            step = step.saturating_mul(2);
        }
        if step == 1 || step == 2 {
            lost += 1;
            error!(event.action = "salvage", "the table {table} can't be read from number {from} on");
        }
        if from == i64::MAX || step > 1 << 40 {
            return Ok(lost);
        }
    }
}

/// Copies rows until one can't be read: the first value of the last one, and whether all were.
fn copy_rows(
    source: &Connection,
    target: &Connection,
    table: &str,
    sql: &str,
) -> rusqlite::Result<(Option<i64>, bool)> {
    let mut last = None;
    let Ok(mut select) = source.prepare(sql) else { return Ok((None, false)) };
    let columns = select.column_count();
    let marks = vec!["?"; columns].join(", ");
    let mut insert = target.prepare_cached(&format!("INSERT OR IGNORE INTO {table} VALUES ({marks})"))?;
    let Ok(mut rows) = select.query([]) else { return Ok((None, false)) };
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => return Ok((last, true)),
            Err(_) => return Ok((last, false)),
        };
        last = row.get(0).ok().or(last);
        let values: Vec<rusqlite::types::Value> = (0..columns).map_while(|column| row.get(column).ok()).collect();
        if values.len() == columns {
            // A value of another kind than its column's is refused: that row is damaged beyond use.
            let _ = insert.execute(rusqlite::params_from_iter(values));
        }
    }
}

/// Makes the saved rows fit each other: depths are counted, and a message whose entry is lost is dead.
fn balance(target: &Connection) -> rusqlite::Result<()> {
    target.execute_batch(
        "BEGIN;
         DELETE FROM store WHERE key = 'found_up_to';
         UPDATE queues SET depth = (SELECT count(*) FROM entries WHERE entries.queue = queues.no);
         UPDATE messages SET state = 4, entry = NULL, ended_at = received_at,
             error = json_object('class', 'internal', 'detail', 'its entry was lost in a damaged store',
                 'at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
             WHERE state NOT IN (3, 4, 5, 6) AND NOT EXISTS (SELECT 1 FROM entries WHERE entries.seq = messages.entry);
         COMMIT;",
    )
}
