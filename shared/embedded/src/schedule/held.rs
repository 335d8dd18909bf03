//! Lines whose head failed, and holds them up until it is due. They stand in the file alone; here is known which
//! they are, and of many no more than that there are others: what is written behind such a head must not pass it.

use std::collections::HashSet;

use super::{Millis, Schedule, Token};
use crate::row::EntryRow;

/// Lines that are known each, at most: half a mebibyte. With more of them every line that is not here may be held.
const KNOWN: usize = 50_000;

/// Lines that may stand in the file with a head that is held.
#[derive(Debug, Default)]
pub(super) struct HeldLines {
    lines: HashSet<i64>,
    /// Whether there may be others.
    others: bool,
    /// Whether there were too many since the round over all lines began.
    others_again: bool,
}

impl HeldLines {
    /// What the file holds is not known before the first round over it.
    pub(super) fn unknown() -> Self {
        Self { others: true, ..Self::default() }
    }

    pub(super) fn may_have(&self, line: i64) -> bool {
        self.others || self.lines.contains(&line)
    }

    /// A line stands in the file alone, with a head that is not due.
    fn note(&mut self, line: i64) {
        if self.lines.len() < KNOWN {
            self.lines.insert(line);
        } else if !self.lines.contains(&line) {
            self.others = true;
            self.others_again = true;
        }
    }

    /// The line is in memory.
    pub(super) fn forget(&mut self, line: i64) {
        self.lines.remove(&line);
    }

    pub(super) fn begin_round(&mut self) {
        self.others_again = false;
    }

    /// A round is done: what was not met in it, and not noted since, is not in the file.
    pub(super) fn end_round(&mut self) {
        self.others = self.others_again;
        if self.lines.is_empty() {
            self.lines.shrink_to_fit();
        }
    }
}

impl Schedule {
    /// A line stands in the file alone, with a head that is not due. In a tier, and where messages wait for their
    /// time, that is every entry's case: what is written behind one waits for a time of its own.
    pub(super) fn note_held(&mut self, queue: i64, line: i64) {
        if !self.limits.tiers.contains(&queue) && !self.limits.passing.contains(&queue) {
            self.held.note(line);
        }
    }

    /// The head stays where it is until `due`, and its line behind it. It was changed in the file.
    pub(crate) fn hold(&mut self, token: Token, due: Millis, now: Millis) {
        let Some(lease) = self.leases.remove(&token) else { return };
        self.leave(&lease.gates, now);
        self.touch(lease.line);
        if let Some(line) = self.lines.get_mut(&lease.line) {
            line.receives = 0;
        }
        if due <= now || self.changing.contains(&lease.line) {
            self.ask(lease.line);
        } else {
            self.drop_line(lease.line);
            self.note_held(lease.queue, lease.line);
        }
    }

    /// Whether the line is not here, and may stand in the file with a head that is held.
    pub(crate) fn may_be_held(&self, line: i64) -> bool {
        !self.lines.contains_key(&line) && self.held.may_have(line)
    }

    /// An entry was written behind a head that is held. Its line comes in with that head.
    pub(crate) fn add_behind_held(&mut self, entry: EntryRow, now: Millis) {
        if self.lines.contains_key(&entry.line) {
            return self.add(entry, true, now);
        }
        self.touch(entry.line);
        self.note_held(entry.queue, entry.line);
    }
}

#[cfg(test)]
mod tests;
