//! Whose turn it is at a gate.

use super::gate::{Door, Gate, GateSet, KINDS};
use super::line::Place;
use super::{Limits, Millis, PARKED, PARKED_SHORT, ROOM_BYTES, Schedule};
use crate::row::EntryRow;

/// How targets are protected at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pressure {
    /// Hosts that have failed so often in a row that their attempts wait.
    pub open_breakers: usize,
    /// How often a line had to wait since the start, by what for: `host`, `late_host`, `late`, `route`, `flow`.
    pub waits: Vec<(&'static str, u64)>,
}

impl Limits {
    /// The gates that the entry has to pass; none where no attempt is made.
    pub(super) fn gates_of(&self, entry: &EntryRow) -> GateSet {
        if self.passing.contains(&entry.queue) {
            return GateSet::default();
        }
        // A strict message's retry stays in its shard, until it is due.
        Gate::of(entry, self.tiers.contains(&entry.queue) || entry.due.is_some())
    }
}

impl Schedule {
    /// The gates that the entry has to pass.
    pub(super) fn gates_of(&self, entry: &EntryRow) -> GateSet {
        self.limits.gates_of(entry)
    }

    /// The first gate that does not let the entry through, of those that it has to pass.
    pub(super) fn closed(&self, gates: &GateSet, entry: &EntryRow, now: Millis) -> Option<Gate> {
        gates.iter().flatten().find(|gate| self.gates.door(gate, Some(entry), now) != Door::Open).cloned()
    }

    /// Parks a line at a gate that its head can't pass.
    pub(super) fn park(&mut self, id: i64, gates: &GateSet, closed: &Gate, now: Millis) {
        let places = self.places();
        let Some(line) = self.lines.get_mut(&id) else { return };
        let Some(head) = line.entries.front() else { return };
        if self.gates.park(closed, head, places) {
            line.place = Place::Parked;
            self.room_used = self.room_used.saturating_sub(line.keep_head());
        } else {
            self.drop_line(id);
            self.mark_spilled();
        }
        // A turn that this line was given, at a gate that it could have passed, is the next one's; but for one that
        // would wait here too.
        let waits_too = |gate: &Gate| *closed == Gate::Late && matches!(gate, Gate::LateHost(_));
        gates.iter().flatten().filter(|gate| !waits_too(gate)).for_each(|gate| self.serve(gate, now));
    }

    /// How many lines may be parked at a gate: few, when memory is short.
    pub(super) fn places(&self) -> usize {
        if self.room_used < ROOM_BYTES / 2 { PARKED } else { PARKED_SHORT }
    }

    /// Gives the next line that is parked at a gate its turn, at once if the gate is open, or when it opens. With each
    /// that passes the next one is served, so whoever has a turn and does not use it has to hand it on.
    pub(super) fn serve(&mut self, gate: &Gate, now: Millis) {
        if !self.gates.has_parked(gate) {
            return;
        }
        match self.gates.door(gate, None, now) {
            Door::Full => {}
            Door::Until(at) => self.gates.set_timer(gate, at),
            Door::Open => self.wake(gate),
        }
    }

    fn wake(&mut self, gate: &Gate) {
        while let Some(id) = self.gates.unpark(gate) {
            if let Some(line) = self.lines.get_mut(&id).filter(|line| line.place == Place::Parked) {
                line.place = Place::Ready;
                self.ready.push_front(id);
                return;
            }
        }
    }

    /// An entry passes its gates.
    pub(super) fn enter(&mut self, gates: &GateSet, entry: &EntryRow, now: Millis) {
        for gate in gates.iter().flatten() {
            if self.gates.enter(gate, entry, now) {
                self.serve(gate, now);
            }
        }
    }

    /// An entry leaves its gates.
    pub(super) fn leave(&mut self, gates: &GateSet, now: Millis) {
        gates.iter().flatten().for_each(|gate| self.gates.leave(gate));
        // Who is served last is tried first: one that waits for everybody's slots goes before one that waits for this
        // host's, or a few hosts with much to do would hand them to each other for ever.
        gates.iter().rev().flatten().for_each(|gate| self.serve(gate, now));
    }

    /// A line that may have had its turn is taken away: others get that.
    pub(super) fn hand_on(&mut self, id: i64) {
        let head = self.lines.get(&id).filter(|line| matches!(line.place, Place::Ready | Place::Parked));
        if let Some(gates) = head.and_then(|line| line.entries.front()).map(|head| self.gates_of(head)) {
            self.handed_on.extend(gates.into_iter().flatten().filter(|gate| self.gates.has_parked(gate)));
        }
    }

    /// Serves the gates whose time has come; whether some had.
    pub(super) fn open_gates(&mut self, now: Millis) -> bool {
        let mut opened = false;
        while let Some(gate) = self.gates.due(now) {
            self.serve(&gate, now);
            opened = true;
        }
        self.gates.forget(now);
        opened
    }

    /// Whether the loader has to look at the time again.
    pub(crate) fn is_alarmed(&self) -> bool {
        self.gates.is_alarmed()
    }

    /// How targets are protected at the moment.
    pub(crate) fn pressure(&self) -> Pressure {
        Pressure {
            open_breakers: self.gates.open_breakers(),
            waits: KINDS.into_iter().zip(self.gates.waits()).collect(),
        }
    }
}
