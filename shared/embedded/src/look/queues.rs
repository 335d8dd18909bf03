//! The queues: depths, ages, rates.

use std::collections::HashMap;
use std::time::Duration;

use chaski_core::ports::QueueRecord;
use rusqlite::{Connection, OptionalExtension};

use super::Look;
use crate::row::EntryRow;
use crate::schedule::Millis;
use crate::store::Shared;

/// Every queue.
pub(crate) fn queues(connection: &Connection, shared: &Shared) -> Look<Vec<QueueRecord>> {
    let now = shared.clock.now();
    let (in_flight, paused) = {
        let schedule = shared.schedule();
        (schedule.in_flight_by_queue(), schedule.pauses().clone())
    };
    let delayed = delayed(connection, now)?;
    let oldest = oldest_entries(connection)?;
    let mut records = Vec::new();
    for no in shared.queues.all() {
        let Some(queue) = shared.queues.name(*no) else { continue };
        let depth: i64 =
            connection.prepare_cached("SELECT depth FROM queues WHERE no = ?1")?.query_row([no], |row| row.get(0))?;
        let oldest = match oldest.get(no) {
            Some(at) => Some(*at),
            None if depth > 0 => oldest_of(connection, *no)?,
            None => None,
        };
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        records.push(QueueRecord {
            queue: queue.clone(),
            paused: paused.all || paused.queues.contains(no),
            depth: count(depth),
            in_flight: in_flight.get(no).copied().unwrap_or(0),
            delayed: count(delayed.get(no).copied().unwrap_or(0)),
            oldest_age: oldest.map(|at| Duration::from_millis(count(now - at))),
            delay: shared.delay(queue),
            rates: Some(shared.rates.of(*no, now)),
        });
    }
    Ok(records)
}

/// Entries that are not due yet, by queue.
fn delayed(connection: &Connection, now: Millis) -> rusqlite::Result<HashMap<i64, i64>> {
    // Counted here: grouped by SQLite, every entry would be read in the order of queues.
    let mut query = connection.prepare_cached("SELECT queue FROM entries INDEXED BY entries_due WHERE due > ?1")?;
    let mut rows = query.query([now])?;
    let mut counts = HashMap::new();
    while let Some(row) = rows.next()? {
        *counts.entry(row.get(0)?).or_default() += 1;
    }
    Ok(counts)
}

/// Entries looked at from the oldest on; a queue that is not among them has its lines looked through.
const OLDEST: i64 = 5_000;

/// When the oldest entry of each queue was written, for the queues of the oldest entries.
fn oldest_entries(connection: &Connection) -> rusqlite::Result<HashMap<i64, i64>> {
    let mut oldest = HashMap::new();
    let mut statement = connection.prepare_cached("SELECT queue, sent_at FROM entries ORDER BY seq LIMIT ?1")?;
    let mut rows = statement.query([OLDEST])?;
    while let Some(row) = rows.next()? {
        oldest.entry(row.get(0)?).or_insert(row.get(1)?);
    }
    Ok(oldest)
}

/// The same for one queue, by its lines.
fn oldest_of(connection: &Connection, queue: i64) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT sent_at FROM entries WHERE seq = (SELECT min(seq) FROM entries INDEXED BY entries_line
        WHERE line >= ?1 AND line < ?2)";
    let lines = [EntryRow::first_line(queue), EntryRow::first_line(queue + 1)];
    connection.prepare_cached(sql)?.query_row(lines, |row| row.get(0)).optional()
}
