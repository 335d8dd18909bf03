//! The thread that keeps the house: it writes the look-ups of messages, folds the log into the file, deletes what
//! its retention is over for, and gives free pages back to the disk. All in small steps, between which the writer
//! goes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chaski_core::settings::RetentionSettings;
use rusqlite::{Connection, params};

use crate::finds;
use crate::look::Readers;
use crate::schedule::Millis;
use crate::store::{Shared, UPLOAD, millis};
use crate::writer::{Desk, DropPages, Fold, Index, LookForRoom, PURGE_ROWS, Purge, Sweep, is_damage};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// The log is folded in when it is larger.
const LOG_BYTES: u64 = 32 * 1_024 * 1_024;
/// Between two passes of the retention.
const PURGE: Duration = Duration::from_secs(10);
/// And at least so many times what the last one took.
const PURGE_PART: u32 = 20;
/// Messages whose time is over; a dead one has the time of its dead letter.
const MESSAGES: &str =
    "SELECT no FROM messages WHERE no > ?1 AND ended_at < ?2 AND letter IS NULL ORDER BY no LIMIT ?3";
/// Dead letters whose time is over.
const LETTERS: &str = "SELECT no FROM dead_letters WHERE no > ?1 AND died_at < ?2 ORDER BY no LIMIT ?3";
/// The look-ups are written when so many messages are not in them …
const TAIL: i64 = 20_000;
/// … or when some are not and it is quiet: fewer than this came since the last look.
const QUIET: i64 = 200;
/// Messages taken into the look-ups at once, and keys written in a step at most.
const INDEX_MESSAGES: usize = 20_000;
const INDEX_STEP: usize = 1_000;
/// Pages given back in a step.
const PAGES: u32 = 256;
/// Pages that may lie free, as a part of the file: new rows use them.
const FREE_PART: i64 = 10;

pub(crate) fn start(
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    desk: Desk,
    retention: RetentionSettings,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("store-keeper".to_owned()).spawn(move || {
        let log = readers.log();
        let connection = match readers.connect_to_fold() {
            Ok(connection) => connection,
            Err(error) => return shared.fail(&format!("the store can't be read: {error}"), is_damage(&error)),
        };
        let mut keeper = Keeper { shared: &shared, connection, desk, retention, log, tail: 0 };
        if let Err(error) = keeper.run() {
            shared.fail(&format!("reading failed: {error}"), is_damage(&error));
        }
    })
}

struct Keeper<'a> {
    shared: &'a Arc<Shared>,
    connection: Connection,
    desk: Desk,
    retention: RetentionSettings,
    log: PathBuf,
    /// How many messages were not in the look-ups at the last look.
    tail: i64,
}

impl Keeper<'_> {
    fn run(&mut self) -> rusqlite::Result<()> {
        let mut purged: Option<(Instant, Duration)> = None;
        while !self.shared.is_closing() {
            if std::fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_BYTES) {
                self.fold();
            }
            if self.shared.is_taking().is_err() {
                self.desk.hand_in(Box::new(LookForRoom), self.shared);
            }
            if self.shared.is_taking().is_ok() && self.index()?.is_none() {
                return Ok(());
            }
            // Looking through a large ledger takes no more than a part of the time.
            let is_time = purged.is_none_or(|(at, took)| at.elapsed() >= PURGE.max(took * PURGE_PART));
            if is_time && self.shared.is_taking().is_ok() {
                let began = Instant::now();
                if self.purge()?.is_none() || self.sweep().is_none() {
                    return Ok(());
                }
                purged = Some((Instant::now(), began.elapsed()));
            }
            std::thread::park_timeout(LOOK);
        }
        Ok(())
    }

    /// Folds the log into the file: most of it beside the writer, and the rest, which came meanwhile, within it, so
    /// that the log begins anew.
    fn fold(&self) {
        // A failure shows in the writer, whose log it is; here it only means that the log grows on.
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        self.desk.hand_in(Box::new(Fold), self.shared);
    }

    /// Writes the look-ups of the tail, if it is long or nothing else is to be done; `None` when the store has ended.
    fn index(&mut self) -> rusqlite::Result<Option<()>> {
        let tail = finds::tail_length(&self.connection)?;
        let quiet = tail > 0 && tail - self.tail < QUIET;
        self.tail = tail;
        if tail < TAIL && !quiet {
            return Ok(Some(()));
        }
        let (keys, last) = finds::tail(&self.connection, INDEX_MESSAGES)?;
        let mut left = keys.as_slice();
        while last.is_some() {
            let began = Instant::now();
            let step = left.get(..INDEX_STEP).unwrap_or(left);
            let up_to = last.filter(|_| step.len() == left.len());
            let (reply, told) = channel();
            self.desk.hand_in(Box::new(Index { keys: step.to_vec(), up_to, written: 0, reply }), self.shared);
            let written = told.recv();
            let (Ok(written), false) = (written, self.shared.is_closing()) else { return Ok(None) };
            left = left.get(written..).unwrap_or_default();
            if left.is_empty() {
                break;
            }
            std::thread::park_timeout(began.elapsed());
        }
        Ok(Some(()))
    }

    /// One pass of the retention; `None` when the store has ended. What is over is looked for beside the writer.
    fn purge(&self) -> rusqlite::Result<Option<()>> {
        let now = self.shared.clock.now();
        let before = |span: Option<Duration>| span.map_or(Millis::MIN, |span| now - millis(span));
        let (ended_before, died_before) = (before(self.retention.delivered), before(self.retention.dead));
        let (mut message, mut letter, mut deleted) = (i64::MIN, i64::MIN, 0);
        while !self.shared.is_closing() {
            let began = Instant::now();
            let (reply, told) = channel();
            let mut purge = Purge::new(ended_before, now - millis(self.retention.keys), reply);
            purge.messages = self.find(MESSAGES, message, ended_before)?;
            purge.letters = self.find(LETTERS, letter, died_before)?;
            message = purge.messages.last().copied().unwrap_or(message);
            letter = purge.letters.last().copied().unwrap_or(letter);
            let found = purge.messages.len().max(purge.letters.len());
            self.desk.hand_in(purge, self.shared);
            let Ok((gone, moves)) = told.recv() else { return Ok(None) };
            deleted += gone;
            if found.max(moves) < PURGE_ROWS {
                break;
            }
            // The others have at least as much of the writer's time.
            std::thread::park_timeout(began.elapsed());
        }
        if deleted > 0 {
            return self.give_back_pages();
        }
        Ok(Some(()))
    }

    /// Deletes bodies that no message has, piece by piece; `None` when the store has ended.
    fn sweep(&self) -> Option<()> {
        let before = self.shared.clock.now() - millis(UPLOAD);
        while !self.shared.is_closing() {
            let began = Instant::now();
            let (reply, told) = channel();
            self.desk.hand_in(Sweep::new(before, reply), self.shared);
            if told.recv().ok()? == 0 {
                return Some(());
            }
            if std::fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_BYTES) {
                self.fold();
            }
            std::thread::park_timeout(began.elapsed());
        }
        Some(())
    }

    fn find(&self, sql: &str, above: i64, before: Millis) -> rusqlite::Result<Vec<i64>> {
        if before == Millis::MIN {
            return Ok(Vec::new());
        }
        let mut query = self.connection.prepare_cached(sql)?;
        query.query_map(params![above, before, PURGE_ROWS], |row| row.get(0))?.collect()
    }

    fn give_back_pages(&self) -> rusqlite::Result<Option<()>> {
        let number = |pragma: &str| self.connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
        let mut given = false;
        while number("PRAGMA freelist_count")? > number("PRAGMA page_count")? / FREE_PART && !self.shared.is_closing() {
            let began = Instant::now();
            let (reply, told) = channel();
            self.desk.hand_in(DropPages::new(PAGES, reply), self.shared);
            if told.recv().is_err() {
                return Ok(None);
            }
            given = true;
            if std::fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_BYTES) {
                self.fold();
            }
            std::thread::park_timeout(began.elapsed());
        }
        if given {
            // The file itself becomes shorter when the log is folded into it.
            self.fold();
        }
        Ok(Some(()))
    }
}
