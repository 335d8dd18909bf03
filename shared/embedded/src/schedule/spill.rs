//! Lines that stand in the file alone, and how they come in.

use std::collections::HashSet;

use super::gate::GateSet;
use super::line::Place;
use super::{Millis, ROOM_BYTES, Schedule};
use crate::row::EntryRow;

/// What became of a line that the loader offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It is here now, or needs nothing.
    Taken,
    /// There is no room; the round goes on later.
    Full,
}

impl Schedule {
    /// A line with something due stands in the file alone from now on.
    pub(super) fn spill(&mut self, gates: GateSet) {
        self.mark_spilled();
        match gates.into_iter().flatten().last() {
            Some(gate) => self.gates.note_spilled(&gate),
            None => self.round_owed = true,
        }
    }

    /// Whether lines have to be brought in from the file.
    pub(crate) fn wants_round(&self) -> bool {
        self.round_owed || self.round_runs || self.gates.hungry()
    }

    /// Whether lines have to be brought in, and there is room for some.
    pub(crate) fn goes_round(&self) -> bool {
        self.has_room() && self.wants_round()
    }

    /// Asks for a round.
    pub(crate) fn owe_round(&mut self) {
        self.round_owed = true;
    }

    /// The loader begins to read: what changes from now on is not to be taken from what it read.
    pub(crate) fn begin_reading(&mut self) {
        self.touched = Some(HashSet::new());
    }

    /// The loader has given all that it read.
    pub(crate) fn end_reading(&mut self) {
        self.touched = None;
    }

    /// A round over all lines begins.
    pub(crate) fn begin_round(&mut self) {
        self.round_runs = std::mem::take(&mut self.round_owed);
        self.spilled_again = false;
        self.held.begin_round();
        self.gates.begin_round();
    }

    /// The round is done: what it did not meet is not in the file.
    pub(crate) fn end_round(&mut self) {
        self.round_runs = false;
        self.spilled = self.spilled_again;
        self.held.end_round();
        self.gates.end_round();
    }

    /// Whether the round may go on: there is room for more.
    pub(crate) fn has_room(&self) -> bool {
        self.room_used < ROOM_BYTES / 4 * 3 && !self.pauses.all
    }

    /// Whether a line is worth being read by the loader's round: not here, not held back, not in front of a gate
    /// that has no place. What is not taken stays in the file.
    pub(crate) fn would_take(&mut self, head: &EntryRow, now: Millis) -> bool {
        if self.lines.contains_key(&head.line) {
            return false;
        }
        if head.due.is_some_and(|due| due > now) {
            self.note_held(head.queue, head.line);
            return false;
        }
        if self.is_paused(head) {
            self.mark_spilled();
            return false;
        }
        let places = self.places();
        if let Some(gate) = self.gates_of(head).into_iter().flatten().find(|gate| self.gates.crowded(gate, places)) {
            self.gates.note_spilled(&gate);
            self.mark_spilled();
            return false;
        }
        true
    }

    /// Whether the line is here.
    pub(crate) fn has(&self, id: i64) -> bool {
        self.lines.contains_key(&id)
    }

    /// Whether an attempt of the entry may be made as far as its gates go: what is behind it is not needed before.
    pub(crate) fn is_open(&self, entry: &EntryRow, now: Millis) -> bool {
        self.closed(&self.gates_of(entry), entry, now).is_none()
    }

    /// Whether the line is here, and nothing of it is waited for: an offer would change nothing.
    pub(crate) fn goes_its_way(&self, id: i64) -> bool {
        self.lines.get(&id).is_some_and(|line| line.place != Place::Loading)
    }

    /// Takes a line's first entries as the loader read them; `more` tells whether the file holds others.
    pub(crate) fn offer(&mut self, id: i64, entries: Vec<EntryRow>, more: bool, now: Millis) -> Offer {
        let stale = self.touched.as_ref().is_some_and(|touched| touched.contains(&id));
        let loading = self.lines.get(&id).map(|line| line.place == Place::Loading);
        let due = entries.first().is_some_and(|head| head.due.is_none_or(|due| due <= now));
        let waits = entries.first().filter(|_| !due).map(|head| head.queue);
        match loading {
            // It is here and goes its own way.
            Some(false) => {}
            Some(true) if stale => self.ask(id),
            // It was empty when it was read, and something was written since; nothing that was read by then is it.
            Some(true) if entries.is_empty() && self.lines.get(&id).is_some_and(|line| line.more) => {
                self.touch(id);
                self.ask(id);
            }
            Some(true) if !due => {
                self.drop_line(id);
                waits.into_iter().for_each(|queue| self.note_held(queue, id));
            }
            Some(true) => {
                let Some(line) = self.lines.get_mut(&id) else { return Offer::Taken };
                line.more |= more;
                line.place = Place::Ready;
                self.room_used += entries.into_iter().map(|entry| line.push(entry)).sum::<usize>();
                self.ready.push_back(id);
            }
            None if stale => {
                self.insert_empty(id);
                self.ask(id);
            }
            None if !due => waits.into_iter().for_each(|queue| self.note_held(queue, id)),
            None if self.room_used >= ROOM_BYTES => {
                self.mark_spilled();
                return Offer::Full;
            }
            None => self.insert(id, entries, more),
        }
        Offer::Taken
    }

    /// Takes the line's entries out of memory while they are changed in the file. One at work stays so; what comes
    /// after it is not read before the change is done.
    pub(crate) fn freeze(&mut self, id: i64) {
        self.touch(id);
        self.hand_on(id);
        self.changing.insert(id);
        if !self.lines.contains_key(&id) {
            self.insert_empty(id);
        }
        if let Some(line) = self.lines.get_mut(&id) {
            self.room_used = self.room_used.saturating_sub(line.clear());
            if !matches!(line.place, Place::Leased(_)) {
                line.place = Place::Frozen;
            }
        }
    }

    /// The change is done: the line is read anew.
    pub(crate) fn thaw(&mut self, id: i64) {
        self.touch(id);
        self.changing.remove(&id);
        if self.lines.get(&id).is_some_and(|line| line.place == Place::Frozen) {
            self.ask(id);
        }
    }

    /// Has a line read anew, when nobody works at it any more.
    pub(crate) fn refresh(&mut self, id: i64) {
        self.freeze(id);
        self.thaw(id);
    }
}
