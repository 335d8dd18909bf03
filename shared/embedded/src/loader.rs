//! The thread that brings lines from the file into the schedule, and lets the time pass there.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Row};
use tracing::warn;

use crate::look::Readers;
use crate::row::{ENTRY_COLUMNS, EntryRow, readable};
use crate::schedule::{LINE_ENTRIES, Millis, Offer, Passed, Wants};
use crate::store::Shared;
use crate::writer::{Desk, SetAside, is_damage};

/// Nothing is waited for longer: a miss of a wake-up would cost this much.
const MOST: Duration = Duration::from_secs(5);
/// Lines looked at before the schedule is looked at again.
const ROUND_STEP: usize = 512;
/// Entries that fell due, looked at in one step.
const DUE_STEP: i64 = 256;
/// Between two looks for what fell due: what comes together is read from the same pages.
const GATHER: Duration = Duration::from_millis(5);
/// Between two rounds over all lines that nothing asked for. Such a round heals whatever was missed.
const ROUND_ANYWAY: Millis = 5 * 60 * 1_000;
/// Bodies of one line that are read at once, beyond the first.
const LINE_BYTES: usize = 64 * 1_024;

pub(crate) fn start(shared: Arc<Shared>, readers: Arc<Readers>, desk: Desk) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("store-loader".to_owned()).spawn(move || {
        let connection = match readers.connect() {
            Ok(connection) => connection,
            Err(error) => return shared.fail(&format!("the store can't be read: {error}"), is_damage(&error)),
        };
        let last_round = shared.clock.now();
        let mut loader = Loader {
            shared: &shared,
            connection,
            desk,
            round: None,
            due: (0, 0),
            looked: None,
            last_round,
            aside: Aside::default(),
        };
        if let Err(error) = loader.run() {
            shared.fail(&format!("reading failed: {error}"), is_damage(&error));
        }
    })
}

struct Loader<'a> {
    shared: &'a Arc<Shared>,
    connection: Connection,
    desk: Desk,
    /// The round over all lines: the line looked at last.
    round: Option<i64>,
    /// The entry that fell due last, by its time and its place.
    due: (Millis, i64),
    /// When that was looked for last.
    looked: Option<Instant>,
    last_round: Millis,
    aside: Aside,
}

/// Damaged entries that were met, and the lines to be read anew when they are out of the way.
#[derive(Default)]
struct Aside {
    entries: Vec<i64>,
    lines: Vec<i64>,
}

impl Aside {
    /// What was met in the place of an entry of that line.
    fn note(&mut self, met: &Read, line: i64) {
        let (Read::Whole(EntryRow { seq, .. }) | Read::Damaged(seq)) = met;
        self.entries.push(*seq);
        self.lines.push(line);
    }
}

/// A row as it was read.
enum Read {
    Whole(EntryRow),
    Damaged(i64),
}

impl Loader<'_> {
    fn run(&mut self) -> rusqlite::Result<()> {
        while !self.shared.is_closing() {
            let wants = self.wait();
            let now = self.shared.clock.now();
            let looks = self.looks_for_due(now);
            self.begin(wants.round);
            // One snapshot: with each new one SQLite forgets the pages that it has read.
            self.connection.prepare_cached("BEGIN")?.execute([])?;
            self.lap(wants, looks, now)?;
            self.connection.prepare_cached("ROLLBACK")?.execute([])?;
            self.shared.schedule().end_reading();
            self.set_damaged_aside();
            self.shared.ready.notify_waiters();
        }
        Ok(())
    }

    /// From here on changes note themselves. A round begins before its snapshot: a line that is spilled between the two
    /// is not met in it.
    fn begin(&mut self, round: bool) {
        let mut schedule = self.shared.schedule();
        if round && self.round.is_none() {
            schedule.begin_round();
            self.round = Some(i64::MIN);
        }
        schedule.begin_reading();
    }

    /// Whether what fell due is looked for. What is written from here on notes itself: the snapshot is later than this.
    fn looks_for_due(&mut self, now: Millis) -> bool {
        let fallen = self.shared.next_due().is_some_and(|due| due <= now) && self.shared.schedule().has_room();
        let looks = fallen && self.rests().is_zero();
        if looks {
            self.looked = Some(Instant::now());
            self.shared.forget_due();
        }
        looks
    }

    fn lap(&mut self, wants: Wants, looks: bool, now: Millis) -> rusqlite::Result<()> {
        for line in wants.lines {
            self.load(line, now)?;
        }
        if wants.round {
            self.go_round(now)?;
        }
        if looks {
            self.take_due(now)?;
        }
        Ok(())
    }

    /// For how long nothing is looked for that fell due.
    fn rests(&self) -> Duration {
        self.looked.map_or(Duration::ZERO, |looked| GATHER.saturating_sub(looked.elapsed()))
    }

    /// Waits until there is something to read.
    fn wait(&mut self) -> Wants {
        let mut schedule = self.shared.schedule();
        loop {
            let now = self.shared.clock.now();
            let Passed { ran_out, opened } = schedule.pass_time(now);
            if opened {
                self.shared.ready.notify_waiters();
            }
            if ran_out > 0 {
                warn!(
                    event.action = "leases_ran_out",
                    leases = ran_out,
                    "leases ran out; their entries are seen again"
                );
            }
            if now - self.last_round > ROUND_ANYWAY {
                self.last_round = now;
                schedule.owe_round();
            }
            let wants = schedule.wants();
            let due = self.shared.next_due();
            let rests = self.rests();
            let fallen = due.is_some_and(|due| due <= now) && schedule.has_room();
            let falls_due = fallen && rests.is_zero();
            if !wants.lines.is_empty() || wants.round || falls_due || ran_out > 0 || self.shared.is_closing() {
                return wants;
            }
            let next = due.filter(|due| *due > now).into_iter().chain(schedule.next_event()).min();
            let span = next.map_or(MOST, |at| Duration::from_millis(u64::try_from(at - now).unwrap_or(0)));
            let span = if fallen { rests } else { span };
            schedule = self.shared.wait_for_work(schedule, span.min(MOST).max(Duration::from_millis(1)));
        }
    }

    /// Reads a line's first entries, and offers them.
    fn load(&mut self, line: i64, now: Millis) -> rusqlite::Result<Offer> {
        let (entries, more) = self.read_line(line, now)?;
        Ok(self.shared.schedule().offer(line, entries, more, now))
    }

    /// The line's first entries, to the first that has to wait; and whether there may be others.
    fn read_line(&mut self, line: i64, now: Millis) -> rusqlite::Result<(Vec<EntryRow>, bool)> {
        let sql = format!("SELECT {ENTRY_COLUMNS} FROM entries WHERE line = ?1 ORDER BY seq");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([line])?;
        let mut entries: Vec<EntryRow> = Vec::new();
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            if entries.len() >= LINE_ENTRIES || (bytes > LINE_BYTES && !entries.is_empty()) {
                return Ok((entries, true));
            }
            match read(row)? {
                Read::Whole(entry) if entry.line == line => {
                    bytes += entry.body.len();
                    // What is not due, or has to wait at a gate, is read with its followers when its time comes.
                    let waits = entry.due.is_some_and(|due| due > now)
                        || entries.is_empty() && !self.shared.schedule().is_open(&entry, now);
                    entries.push(entry);
                    if waits {
                        return Ok((entries, true));
                    }
                }
                // What stands behind a damaged entry waits until that is out of the way.
                other => {
                    self.aside.note(&other, line);
                    return Ok((entries, true));
                }
            }
        }
        Ok((entries, false))
    }

    /// Goes on with the round over all lines, as long as there is room.
    fn go_round(&mut self, now: Millis) -> rusqlite::Result<()> {
        let Some(mut at) = self.round else { return Ok(()) };
        self.last_round = now;
        for _ in 0..ROUND_STEP {
            if !self.shared.schedule().goes_round() {
                break;
            }
            let Some(line) = self.next_line(at)? else {
                self.shared.schedule().end_round();
                self.round = None;
                return Ok(());
            };
            if !self.shared.schedule().has(line) && self.is_worth(line, now)? {
                self.load(line, now)?;
            }
            at = line;
        }
        self.round = Some(at);
        Ok(())
    }

    /// The first line behind `at`, from the look-up alone.
    fn next_line(&self, at: i64) -> rusqlite::Result<Option<i64>> {
        let sql = "SELECT line FROM entries INDEXED BY entries_line WHERE line > ?1 ORDER BY line LIMIT 1";
        self.connection.prepare_cached(sql)?.query_row([at], |row| row.get(0)).optional()
    }

    /// Whether the line's head may be taken in now.
    fn is_worth(&mut self, line: i64, now: Millis) -> rusqlite::Result<bool> {
        let sql =
            format!("SELECT {ENTRY_COLUMNS} FROM entries INDEXED BY entries_line WHERE line = ?1 ORDER BY seq LIMIT 1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([line])?;
        match rows.next()?.map(read).transpose()? {
            // It has gone meanwhile.
            None => Ok(false),
            Some(Read::Whole(head)) if head.line == line => Ok(self.shared.schedule().would_take(&head, now)),
            Some(other) => {
                self.aside.note(&other, line);
                Ok(false)
            }
        }
    }

    /// Brings in the lines whose entries have fallen due.
    fn take_due(&mut self, now: Millis) -> rusqlite::Result<()> {
        let fallen: Vec<(i64, i64, i64)> = {
            let sql = "SELECT due, seq, line FROM entries WHERE due IS NOT NULL AND (due, seq) > (?1, ?2) ORDER BY due, seq LIMIT ?3";
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement
                .query_map([self.due.0, self.due.1, DUE_STEP], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<_>>()?
        };
        for (due, seq, line) in fallen.iter().copied() {
            if due > now {
                self.shared.note_due(due);
                return Ok(());
            }
            // Most of what falls due at once stands behind something that is here.
            if !self.shared.schedule().goes_its_way(line) && self.load(line, now)? == Offer::Full {
                self.shared.note_due(due);
                return Ok(());
            }
            self.due = (due, seq);
        }
        // There may be more.
        if fallen.len() >= usize::try_from(DUE_STEP).unwrap_or(usize::MAX) {
            self.shared.note_due(self.due.0);
        }
        Ok(())
    }

    fn set_damaged_aside(&mut self) {
        let Aside { entries, lines } = std::mem::take(&mut self.aside);
        if !entries.is_empty() {
            self.desk.hand_in(SetAside::new(entries, lines), self.shared);
        }
    }
}

/// Reads a row; one whose values are of another kind, or are not what was written, is damaged.
fn read(row: &Row<'_>) -> rusqlite::Result<Read> {
    Ok(match readable(EntryRow::read(row))? {
        Some((entry, true)) => Read::Whole(entry),
        Some((entry, false)) => Read::Damaged(entry.seq),
        None => Read::Damaged(row.get(0)?),
    })
}
