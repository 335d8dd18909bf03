//! The notes of one traced folder, and the faults that are to come.

use std::collections::HashMap;
use std::os::raw::c_int;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::Image;
use crate::trace::{Event, FileId, Mark};

/// What can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Reading from a file.
    Read,
    /// Writing to one; a failed write has written its first half.
    Write,
    /// Syncing one.
    Sync,
    /// Cutting one.
    Truncate,
}

/// A fault that is to come.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// What fails.
    pub op: Op,
    /// Which one, from 0 on, counted since the fault was set.
    pub nth: u64,
    /// All from there on fail, not that one only.
    pub lasting: bool,
    /// SQLite's code for it.
    pub code: c_int,
}

#[derive(Default)]
struct Notes {
    events: Vec<Event>,
    names: HashMap<String, FileId>,
    files: usize,
    fault: Option<Fault>,
    counts: HashMap<Op, u64>,
    hit: bool,
    failures: HashMap<FileId, u64>,
}

/// The notes of one traced folder.
#[derive(Default)]
pub struct Tracer {
    notes: Mutex<Notes>,
    /// Syncs do nothing, and say that all is well.
    lies: bool,
}

impl Tracer {
    /// For a folder that holds these files, all on the disk.
    #[must_use]
    pub fn new(start: &Image) -> Arc<Self> {
        Self::with(start, false)
    }

    /// For a disk that says that all is synced, and syncs nothing.
    #[must_use]
    pub fn of_a_disk_that_lies() -> Arc<Self> {
        Self::with(&Image::default(), true)
    }

    fn with(start: &Image, lies: bool) -> Arc<Self> {
        let names: HashMap<_, _> = start.files.keys().cloned().zip(0..).collect();
        let files = names.len();
        Arc::new(Self { notes: Mutex::new(Notes { names, files, ..Notes::default() }), lies })
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what somebody says.
    pub fn mark(&self, mark: Mark) {
        self.notes().events.push(Event::Mark(mark));
    }

    /// Sets the fault that is to come, counted from here on; none ends one that lasts.
    pub fn set_fault(&self, fault: Option<Fault>) {
        let mut notes = self.notes();
        if fault.is_some() {
            notes.counts.clear();
        }
        notes.fault = fault;
    }

    /// Whether the fault has come.
    #[must_use]
    pub fn was_hit(&self) -> bool {
        self.notes().hit
    }

    /// How often that was done since a fault was set, or since the beginning.
    #[must_use]
    pub fn count(&self, op: Op) -> u64 {
        self.notes().counts.get(&op).copied().unwrap_or(0)
    }

    /// All that was noted so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.notes().events.clone()
    }

    /// Whether the file is one of the store's, which alone are noted.
    pub(crate) fn is_noted(name: &str) -> bool {
        matches!(name, "chaski.db" | "chaski.db-wal" | "chaski.db-journal")
    }

    /// A file was opened, and made where there was none.
    pub(crate) fn opened(&self, name: &str) -> FileId {
        let mut notes = self.notes();
        if let Some(file) = notes.names.get(name) {
            return *file;
        }
        let file = notes.files;
        notes.files += 1;
        notes.names.insert(name.to_owned(), file);
        notes.events.push(Event::Create { name: name.to_owned(), file });
        file
    }

    /// A file was removed, and the folder synced, if that was asked for.
    pub(crate) fn removed(&self, name: &str, synced: bool) {
        let mut notes = self.notes();
        if notes.names.remove(name).is_some() {
            notes.events.push(Event::Remove { name: name.to_owned() });
        }
        if synced && !self.lies {
            let before = notes.events.len();
            notes.events.push(Event::SyncFolder { before });
        }
    }

    /// Counts, and says how it is to fail.
    pub(crate) fn fails(&self, op: Op) -> Option<c_int> {
        let mut notes = self.notes();
        let count = notes.counts.entry(op).or_default();
        let nth = *count;
        *count += 1;
        let fault = notes.fault?;
        let is_it = fault.op == op && (nth == fault.nth || fault.lasting && nth > fault.nth);
        if is_it && !notes.hit {
            notes.hit = true;
            notes.events.push(Event::Mark(Mark::Failed));
        }
        is_it.then_some(fault.code)
    }

    /// Writes, and notes it, in one: the order of the notes is the order of the writes.
    pub(crate) fn write(&self, file: FileId, at: usize, bytes: &[u8], write: impl FnOnce() -> c_int) -> c_int {
        let mut notes = self.notes();
        notes.events.push(Event::Write { file, at, bytes: bytes.into() });
        write()
    }

    /// Cuts, and notes it.
    pub(crate) fn truncate(&self, file: FileId, size: usize, cut: impl FnOnce() -> c_int) -> c_int {
        let mut notes = self.notes();
        notes.events.push(Event::Truncate { file, size });
        cut()
    }

    /// Where the trace stands now.
    pub(crate) fn position(&self) -> usize {
        self.notes().events.len()
    }

    /// A sync has ended that began there; the folder's with it, if that was its part.
    pub(crate) fn synced(&self, file: FileId, before: usize, folder: bool) {
        if self.lies {
            return;
        }
        let mut notes = self.notes();
        notes.events.push(Event::Sync { file, before });
        if folder {
            notes.events.push(Event::SyncFolder { before });
        }
    }

    /// A sync has failed that began there; how many of this file have now.
    pub(crate) fn not_synced(&self, file: FileId, before: usize) -> u64 {
        let mut notes = self.notes();
        notes.events.push(Event::SyncFailed { file, before });
        let failures = notes.failures.entry(file).or_default();
        *failures += 1;
        *failures
    }

    /// How many syncs of the file have failed.
    pub(crate) fn failures(&self, file: FileId) -> u64 {
        self.notes().failures.get(&file).copied().unwrap_or(0)
    }
}
