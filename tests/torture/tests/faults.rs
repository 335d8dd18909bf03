//! The disk fails: at the k-th sync, write, read or cut of a store's life, once or from then on. The store says so and
//! ends, or never needed it; what was answered is there, in the files as they are and after a loss of power.
//! `CHASKI_FAULTS` sets how many places of each kind are tried, `CHASKI_SEED` repeats the work.

#![expect(clippy::print_stdout, reason = "what a run has looked at is worth a line")]

use std::sync::Arc;
use std::time::Duration;

use chaski_core::ports::Enqueue;
use chaski_torture::{
    Book, Event, Fault, Image, Mark, Op, Plan, Run, Tracer, Work, block_on, check, entry, number, register, scratch,
    seed,
};
use fastrand::Rng;
use rusqlite::ffi::{SQLITE_IOERR_FSYNC, SQLITE_IOERR_READ, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE};

/// Places of each kind, by default.
const FAULTS: u64 = 30;
/// Rounds of work.
const ROUNDS: usize = 12;
/// Images of a loss of power behind each fault.
const IMAGES: usize = 4;

/// How a life with a fault has ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct End {
    hit: bool,
    /// What somebody was told.
    said: Option<String>,
}

/// A store's life with a fault in it, and what is left.
async fn life(seed: u64, fault: Option<Fault>) -> (End, Arc<Tracer>) {
    let folder = scratch();
    let tracer = Tracer::new(&Image::default());
    let vfs = register(&tracer);
    tracer.set_fault(fault);
    let said = match Work::open(folder.path(), &vfs, &tracer, Rng::with_seed(seed), |_| ()) {
        Err(error) => Some(error.to_string()),
        Ok(mut work) => {
            let said = work_until_it_ends(&mut work).await;
            if let (Some(said), Some(store)) = (&said, &work.store)
                && fault.is_some_and(|fault| fault.op != Op::Read)
            {
                // Nobody knows what is on the disk: nothing is taken any more, and the process is told to end.
                let taken = store.enqueue(entry("late", "late", 1, 0)).await;
                assert!(taken.is_err(), "taken after {said}");
                let told = tokio::time::timeout(Duration::from_secs(60), store.failed()).await;
                assert!(told.is_ok(), "nobody was told that the store has ended: {said}");
                assert!(store.is_taking().is_err());
            }
            work.close();
            said
        }
    };
    let hit = tracer.was_hit();
    tracer.set_fault(None);
    // The process has ended, the machine has not.
    let mut book = Book::default();
    for event in tracer.events() {
        if let Event::Mark(mark) = event {
            book.note(&mark);
        }
    }
    assert_eq!(check(&folder.path().join("data"), &book, true).await, [""; 0], "{fault:?}, said: {said:?}");
    (End { hit, said }, tracer)
}

async fn work_until_it_ends(work: &mut Work) -> Option<String> {
    for _ in 0..ROUNDS {
        if let Err(said) = work.round().await {
            return Some(said);
        }
    }
    None
}

/// Tries places of a kind, from the first to the last; how many were hit, and how many of those were told of.
fn try_all(op: Op, code: i32) -> (usize, usize) {
    let seed = seed();
    let (end, tracer) = block_on(life(seed, None));
    assert_eq!(end, End::default());
    let (places, tries) = (tracer.count(op).max(1), number("CHASKI_FAULTS").unwrap_or(FAULTS));
    let tries = tries.min(2 * places);
    let (mut hit, mut told) = (0, 0);
    for try_ in 0..tries {
        let fault = Fault { op, nth: try_ * places / tries, lasting: try_ % 2 == 1, code };
        let (end, tracer) = block_on(life(seed, Some(fault)));
        if !end.hit {
            continue;
        }
        hit += 1;
        if let Some(said) = end.said {
            told += 1;
            let clear = ["disk I/O error", "full"].iter().any(|words| said.contains(words));
            assert!(clear, "{fault:?} is told as: {said}");
        }
        let events = tracer.events();
        let from = events.iter().position(|event| matches!(event, Event::Mark(Mark::Failed))).unwrap();
        let run = Run { start: Image::default(), book: Book::default(), events };
        let spent = run.check(Plan { images: IMAGES, seed: seed + try_, at_syncs: false, from }, None);
        assert!(spent.bad.is_empty(), "CHASKI_SEED={seed} {fault:?}: {:?}", spent.bad);
    }
    println!("{op:?}: {places} places, {tries} tried, {hit} hit, {told} told, {} images", hit * IMAGES);
    assert!(hit > 0, "no fault was hit");
    (hit, told)
}

#[test]
fn a_failed_sync_ends_the_store_and_nothing_that_was_answered_is_lost() {
    let (hit, told) = try_all(Op::Sync, SQLITE_IOERR_FSYNC);
    assert!(told * 2 > hit, "most syncs are of what somebody waits for");
}

/// Found here: SQLite turns to the log at the end of a statement whose row says "wal" before. When the sync of that
/// failed nobody had read so far, and the store went on with a journal, whose removal is not synced: what was answered
/// then was rolled back after a loss of power.
#[test]
fn a_store_whose_log_can_not_be_made_is_not_opened() {
    let seed = seed();
    let mut refused = 0;
    for nth in 0..9 {
        let (end, tracer) =
            block_on(life(seed, Some(Fault { op: Op::Sync, nth, lasting: false, code: SQLITE_IOERR_FSYNC })));
        assert!(end.hit);
        let is_open = |event: &Event| matches!(event, Event::Mark(Mark::Opened));
        let events = tracer.events();
        refused += usize::from(!events.iter().any(is_open));
        let run = Run { start: Image::default(), book: Book::default(), events };
        let spent = run.check(Plan { images: 20, seed: seed + nth, at_syncs: true, from: 0 }, None);
        assert!(spent.bad.is_empty(), "CHASKI_SEED={seed} sync {nth}: {:?}", spent.bad);
    }
    assert!(refused > 4, "of the syncs of a first start {refused} were told of");
}

#[test]
fn a_failed_write_ends_the_store_and_nothing_that_was_answered_is_lost() {
    let (hit, told) = try_all(Op::Write, SQLITE_IOERR_WRITE);
    assert!(told * 2 > hit, "most writes are of what somebody waits for");
}

#[test]
fn a_failed_read_is_told_and_nothing_is_lost() {
    let (_, told) = try_all(Op::Read, SQLITE_IOERR_READ);
    assert!(told > 0);
}

#[test]
fn a_failed_cut_of_a_file_loses_nothing() {
    try_all(Op::Truncate, SQLITE_IOERR_TRUNCATE);
}
