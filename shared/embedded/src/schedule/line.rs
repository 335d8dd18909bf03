//! One line: the entries of a group of a queue.

use std::collections::VecDeque;

use super::lease::Token;
use crate::row::EntryRow;

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Its head may be attempted.
    Ready,
    /// Its head is at work; the head is not among the entries.
    Leased(Token),
    /// It waits at a gate.
    Parked,
    /// Its head was given back, and waits.
    Hidden,
    /// Its next entries are being read.
    Loading,
    /// Its entries are being changed in the file.
    Frozen,
}

/// A line that is held in memory.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) place: Place,
    /// Its first entries, in order.
    pub(super) entries: VecDeque<EntryRow>,
    /// Whether the file holds more of it than is here.
    pub(super) more: bool,
    /// How often its head was leased.
    pub(super) receives: u32,
    /// The last of its entries that was ever here.
    last: i64,
}

/// What a line takes of memory beside its entries, roughly, with its places in the maps.
const LINE_BYTES: usize = 200;
/// What an entry takes beside its body, roughly.
const ENTRY_BYTES: usize = 250;

impl Line {
    pub(super) fn new(entries: Vec<EntryRow>, more: bool) -> Self {
        let last = entries.last().map_or(i64::MIN, |entry| entry.seq);
        Self { place: Place::Ready, entries: entries.into(), more, receives: 0, last }
    }

    /// Whether the entry is here, or was: the loader may have read it before the writer could tell of it.
    pub(super) fn has_had(&self, entry: &EntryRow) -> bool {
        entry.seq <= self.last
    }

    /// Adds an entry behind the others; what it takes of memory.
    pub(super) fn push(&mut self, entry: EntryRow) -> usize {
        let room = Self::room_of(&entry);
        self.last = self.last.max(entry.seq);
        self.entries.push_back(entry);
        room
    }

    /// Lets the entries go, which are in the file; what they took of memory.
    pub(super) fn clear(&mut self) -> usize {
        self.more = true;
        self.entries.drain(..).map(|entry| Self::room_of(&entry)).sum()
    }

    /// Lets all but the first entry go, which are in the file; what they took of memory.
    pub(super) fn keep_head(&mut self) -> usize {
        self.more |= self.entries.len() > 1;
        let behind = 1.min(self.entries.len());
        self.entries.drain(behind..).map(|entry| Self::room_of(&entry)).sum()
    }

    pub(super) fn room(&self) -> usize {
        LINE_BYTES + self.entries.iter().map(Self::room_of).sum::<usize>()
    }

    pub(super) fn room_of(entry: &EntryRow) -> usize {
        ENTRY_BYTES + entry.body.len()
    }
}
