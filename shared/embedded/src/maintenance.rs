//! The thread that keeps the house: it writes the look-ups of messages, folds the log into the file, deletes what
//! its retention is over for, and gives free pages back to the disk. All in small steps, between which the writer
//! goes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chaski_core::settings::RetentionSettings;
use rusqlite::Connection;

use crate::finds;
use crate::look::Readers;
use crate::schedule::Millis;
use crate::store::{Shared, millis};
use crate::writer::{Desk, DropPages, Fold, Index, Progress, Purge, is_damage};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// The log is folded in when it is larger.
const LOG_BYTES: u64 = 32 * 1_024 * 1_024;
/// Between two passes of the retention.
const PURGE: Duration = Duration::from_secs(10);
/// The look-ups are written when so many messages are not in them …
const TAIL: i64 = 20_000;
/// … or when some are not and it is quiet: fewer than this came since the last look.
const QUIET: i64 = 200;
/// Messages taken into the look-ups at once, and keys written in a step.
const INDEX_MESSAGES: usize = 50_000;
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
        keeper.run();
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
    fn run(&mut self) {
        let mut purged: Option<Instant> = None;
        while !self.shared.is_closing() {
            if std::fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_BYTES) {
                self.fold();
            }
            if self.shared.is_taking().is_ok() && self.index().is_none() {
                return;
            }
            if purged.is_none_or(|at| at.elapsed() >= PURGE) && self.shared.is_taking().is_ok() {
                if self.purge().is_none() {
                    return;
                }
                purged = Some(Instant::now());
            }
            std::thread::park_timeout(LOOK);
        }
    }

    /// Folds the log into the file: most of it beside the writer, and the rest, which came meanwhile, within it, so
    /// that the log begins anew.
    fn fold(&self) {
        // A failure shows in the writer, whose log it is; here it only means that the log grows on.
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        self.desk.hand_in(Box::new(Fold), self.shared);
    }

    /// Writes the look-ups of the tail, if it is long or nothing else is to be done; `None` when the store has ended.
    fn index(&mut self) -> Option<()> {
        let tail = self.read(finds::tail_length)?;
        let quiet = tail > 0 && tail - self.tail < QUIET;
        self.tail = tail;
        if tail < TAIL && !quiet {
            return Some(());
        }
        let (keys, last) = self.read(|connection| finds::tail(connection, INDEX_MESSAGES))?;
        let mut steps = keys.chunks(INDEX_STEP).peekable();
        while let Some(step) = steps.next() {
            let began = Instant::now();
            let up_to = last.filter(|_| steps.peek().is_none());
            let (reply, told) = channel();
            self.desk.hand_in(Box::new(Index { keys: step.to_vec(), up_to, reply }), self.shared);
            told.recv().ok()?;
            if self.shared.is_closing() {
                return None;
            }
            std::thread::park_timeout(began.elapsed());
        }
        Some(())
    }

    /// Reads; `None` when the store has ended, or ends with this.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Option<T> {
        match read(&self.connection) {
            Ok(read) => Some(read),
            Err(error) => {
                self.shared.fail(&format!("reading failed: {error}"), is_damage(&error));
                None
            }
        }
    }

    /// One pass of the retention; `None` when the store has ended.
    fn purge(&self) -> Option<()> {
        let mut progress = Progress::default();
        let mut deleted = 0;
        while !progress.through && !self.shared.is_closing() {
            let began = Instant::now();
            let (reply, told) = channel();
            let now = self.shared.clock.now();
            let before = |span: Duration| -> Millis { now - millis(span) };
            let purge = Purge {
                from: progress,
                ended_before: self.retention.delivered.map(before),
                died_before: self.retention.dead.map(before),
                moved_before: before(self.retention.keys),
                reply,
            };
            self.desk.hand_in(Box::new(purge), self.shared);
            progress = told.recv().ok()?;
            deleted += progress.deleted;
            // The others have at least as much of the writer's time.
            if progress.deleted > 0 {
                std::thread::park_timeout(began.elapsed());
            }
        }
        if deleted > 0 {
            self.give_back_pages()?;
        }
        Some(())
    }

    fn give_back_pages(&self) -> Option<()> {
        let number = |pragma: &str| self.connection.query_row(pragma, [], |row| row.get::<_, i64>(0)).ok();
        loop {
            let (free, all) = (number("PRAGMA freelist_count")?, number("PRAGMA page_count")?);
            if free <= all / FREE_PART || self.shared.is_closing() {
                return Some(());
            }
            let began = Instant::now();
            let (reply, told) = channel();
            self.desk.hand_in(DropPages::new(PAGES, reply), self.shared);
            told.recv().ok()?;
            if std::fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_BYTES) {
                self.fold();
            }
            std::thread::park_timeout(began.elapsed());
        }
    }
}
