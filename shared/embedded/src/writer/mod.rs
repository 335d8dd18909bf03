//! The one thread that writes. It takes the jobs that have come together, does them in one transaction, and tells
//! their callers when that is on the disk: many producers share one sync.

mod bodies;
mod callback;
mod cancel;
mod damage;
mod enqueue;
mod full;
mod index;
mod pause;
mod purge;
mod replay;
mod settle;
mod transaction;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, ffi};
use tracing::error;

pub(crate) use bodies::{Begin, BodyJob, Change, Finish, Finished, GiveUp, Promise, Sweep, WritePiece};
pub(crate) use cancel::Cancel;
pub(crate) use damage::SetAside;
pub(crate) use enqueue::Enqueued;
pub(crate) use full::{LookForRoom, Reserve};
pub(crate) use index::Index;
pub(crate) use pause::{Hold, Release};
pub(crate) use purge::{DropPages, Fold, PURGE_ROWS, Purge};
pub(crate) use replay::{Delete, Replay};
pub(crate) use settle::SettleJob;
pub(crate) use transaction::{Numbers, Transaction};

use crate::row::is_unreadable;
use crate::store::Shared;

/// One change, with the caller who waits for it.
pub(crate) trait Job: Send {
    /// Whether it only takes something new in, which a full disk refuses.
    fn takes(&self) -> bool {
        false
    }

    /// Whether it may stand behind others for a while: what failed waits in a tier for seconds anyway.
    fn yields(&self) -> bool {
        false
    }

    /// Makes the change, in the transaction that is open. May be called again after a rollback.
    ///
    /// # Errors
    /// The database's; the whole transaction is rolled back.
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()>;

    /// The change is durable.
    fn done(self: Box<Self>, shared: &Shared, connection: &Connection);

    /// There was no change.
    fn failed(self: Box<Self>, shared: &Shared, why: &str);
}

/// Where a caller is told what came of a job; an error is for a person.
pub(crate) type Told<T> = tokio::sync::oneshot::Receiver<Result<T, String>>;

/// Jobs of one transaction, at most: what a caller waits for is bounded.
const JOBS: usize = 1_024;
/// Of those, jobs that yield, while producers are there: however many messages to a dead target come back, a producer
/// waits for no more of them than this.
const YIELDING: usize = 2;
/// Producers are there when one came within this time: between two of its messages it reads an answer.
const THERE: Duration = Duration::from_millis(20);
/// What upkeep takes of a transaction, at most; or as long as the last one's commit took, if that was longer, so that
/// a slow disk does not make it endless.
const SPARE: Duration = Duration::from_micros(300);

/// Where jobs are handed in. The writer ends when the last of these is gone.
#[derive(Clone)]
pub(crate) struct Desk(Sender<Box<dyn Job>>);

impl Desk {
    /// Hands a job in. When the writer has ended the job is told so.
    pub(crate) fn hand_in(&self, job: Box<dyn Job>, shared: &Shared) {
        if let Err(refused) = self.0.send(job) {
            refused.0.failed(shared, "the store is closed");
        }
    }
}

/// Starts the writer.
pub(crate) fn start(
    connection: Connection,
    next: i64,
    reserve: Reserve,
    shared: Arc<Shared>,
) -> std::io::Result<(Desk, JoinHandle<()>)> {
    let (sender, jobs) = channel();
    let writer =
        Writer { connection, numbers: Numbers { next, noted: 0 }, spare: SPARE, reserve, shared, failed: None };
    let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run(&jobs))?;
    Ok((Desk(sender), thread))
}

struct Writer {
    connection: Connection,
    numbers: Numbers,
    spare: Duration,
    reserve: Reserve,
    shared: Arc<Shared>,
    /// Why nothing is written any more.
    failed: Option<String>,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Box<dyn Job>>) {
        let mut waiting = Waiting::default();
        while let Some(batch) = waiting.collect(jobs, Instant::now) {
            self.write(batch);
        }
        // The last one out folds the log into the file; a failure costs the next start a moment and no data.
        if self.failed.is_none() {
            let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        }
    }

    fn write(&mut self, mut batch: Vec<Box<dyn Job>>) {
        if let Some(why) = &self.failed {
            batch.into_iter().for_each(|job| job.failed(&self.shared, why));
            return;
        }
        if self.reserve.is_used() {
            batch = self.refuse_what_takes(batch);
        }
        match self.commit(&mut batch) {
            Ok(()) => {}
            Err(error) if is_full(&error) && self.reserve.release(&self.shared) => {
                batch = self.refuse_what_takes(batch);
                if let Err(error) = self.commit(&mut batch) {
                    return self.fail(batch, &error);
                }
            }
            Err(error) => return self.fail(batch, &error),
        }
        batch.into_iter().for_each(|job| job.done(&self.shared, &self.connection));
        self.shared.ready.notify_waiters();
        self.reserve.restore(&self.shared);
    }

    fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut transaction = Transaction::begin(&self.connection, &self.shared, self.numbers, self.spare)?;
        let applied = batch.iter_mut().try_for_each(|job| job.apply(&mut transaction));
        let began = Instant::now();
        let committed = applied.and_then(|()| transaction.commit());
        self.spare = SPARE.max(began.elapsed());
        match committed {
            Ok(numbers) => {
                self.numbers = numbers;
                Ok(())
            }
            Err(error) => {
                // SQLite may have rolled back by itself, and then this fails.
                let _ = self.connection.execute_batch("ROLLBACK");
                Err(error)
            }
        }
    }

    fn refuse_what_takes(&self, batch: Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        let (refused, kept): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| job.takes());
        refused.into_iter().for_each(|job| job.failed(&self.shared, full::REASON));
        kept
    }

    /// A write or a sync failed: nobody knows what is on the disk, so nothing more is written, and the process ends.
    fn fail(&mut self, batch: Vec<Box<dyn Job>>, error: &rusqlite::Error) {
        let why = format!("writing failed: {error}");
        error!(event.action = "store_failed", "{why}");
        batch.into_iter().for_each(|job| job.failed(&self.shared, &why));
        self.shared.fail(&why, is_damage(error));
        self.failed = Some(why);
    }
}

/// Jobs that let others pass.
#[derive(Default)]
struct Waiting {
    yielding: VecDeque<Box<dyn Job>>,
    /// When a producer was there last.
    there: Option<Instant>,
}

impl Waiting {
    /// What is to be done next, at least one job; those that yield are left for later while producers are there.
    /// `None` when nobody can hand in any more.
    fn collect(&mut self, jobs: &Receiver<Box<dyn Job>>, now: impl Fn() -> Instant) -> Option<Vec<Box<dyn Job>>> {
        let mut batch = Vec::new();
        let first = if self.yielding.is_empty() { jobs.recv().ok() } else { None };
        for job in first.into_iter().chain(jobs.try_iter()).take(JOBS - YIELDING) {
            if job.yields() {
                self.yielding.push_back(job);
            } else {
                batch.push(job);
            }
        }
        if batch.iter().any(|job| job.takes()) {
            self.there = Some(now());
        }
        let there = self.there.is_some_and(|last| now().duration_since(last) < THERE);
        let room = if there { YIELDING } else { JOBS - batch.len() };
        batch.extend(self.yielding.drain(..room.min(self.yielding.len())));
        (!batch.is_empty()).then_some(batch)
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Whether the error says that the file holds something else than what was written.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    // Only a row that was damaged before can be of another kind, or lack a value: what is written is neither.
    let row = [ffi::SQLITE_CONSTRAINT_DATATYPE, ffi::SQLITE_CONSTRAINT_NOTNULL];
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || error.sqlite_error().is_some_and(|error| row.contains(&error.extended_code))
        || is_unreadable(error)
}

#[cfg(test)]
mod tests {
    use std::iter::repeat_n;

    use super::*;

    /// A job that says only what it is.
    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Kind {
        Takes,
        Yields,
        Other,
    }
    impl Job for Kind {
        fn takes(&self) -> bool {
            *self == Self::Takes
        }
        fn yields(&self) -> bool {
            *self == Self::Yields
        }
        fn apply(&mut self, _: &mut Transaction<'_>) -> rusqlite::Result<()> {
            Ok(())
        }
        fn done(self: Box<Self>, _: &Shared, _: &Connection) {}
        fn failed(self: Box<Self>, _: &Shared, _: &str) {}
    }

    /// How many jobs each transaction has: that take, that yield, in all. Between two of them passes that time.
    fn transactions(jobs: impl IntoIterator<Item = Kind>, pass: Duration) -> Vec<(usize, usize, usize)> {
        let (sender, receiver) = channel::<Box<dyn Job>>();
        jobs.into_iter().for_each(|job| assert!(sender.send(Box::new(job)).is_ok()));
        drop(sender);
        let (mut waiting, mut now) = (Waiting::default(), Instant::now());
        let mut found = Vec::new();
        while let Some(batch) = waiting.collect(&receiver, || now) {
            now += pass;
            let count = |is: &dyn Fn(&dyn Job) -> bool| batch.iter().filter(|job| is(job.as_ref())).count();
            found.push((count(&|job| job.takes()), count(&|job| job.yields()), batch.len()));
        }
        found
    }

    #[test]
    fn what_failed_lets_what_is_new_pass_and_is_done_when_nothing_new_comes() {
        let storm = repeat_n(Kind::Yields, 100).chain(repeat_n(Kind::Takes, 30));
        let some = (0, YIELDING, YIELDING);
        let left = 100 - 3 * YIELDING;
        let told = transactions(storm, THERE / 3 + Duration::from_millis(1));
        assert_eq!(told, [(30, YIELDING, 30 + YIELDING), some, some, (0, left, left)]);
        let calm = repeat_n(Kind::Yields, 100).chain(repeat_n(Kind::Other, 30));
        assert_eq!(transactions(calm, Duration::ZERO), [(0, 100, 130)]);
    }

    #[test]
    fn a_transaction_is_bounded_and_nothing_is_left() {
        assert_eq!(transactions([], THERE), []);
        assert_eq!(transactions(repeat_n(Kind::Other, JOBS), THERE), [(0, 0, JOBS - YIELDING), (0, 0, YIELDING)]);
        let many = transactions(repeat_n(Kind::Yields, 2 * JOBS).chain([Kind::Other]), THERE);
        assert!(many.iter().all(|(_, _, all)| *all <= JOBS), "{many:?}");
        assert_eq!(many.iter().map(|(_, _, all)| all).sum::<usize>(), 2 * JOBS + 1);
    }
}
