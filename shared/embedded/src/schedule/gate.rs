//! Gates: how many attempts may be made at once to one host, and of one route.

use std::collections::{HashMap, VecDeque};

use super::{Name, PARKED_LOW};
use crate::row::EntryRow;

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Gate {
    /// Attempts of a route.
    Route(Name),
    /// Attempts to a host.
    Host(Name),
}

impl Gate {
    /// The gates that an entry has to pass.
    pub(super) fn of(entry: &EntryRow) -> [Option<Self>; 2] {
        [entry.route.clone().map(Self::Route), entry.host.clone().map(Self::Host)]
    }
}

#[derive(Debug, Default)]
struct State {
    inside: usize,
    parked: VecDeque<i64>,
    /// Whether lines of this gate were spilled.
    spilled: bool,
    /// Whether that happened since the round over all lines began.
    spilled_again: bool,
}

impl State {
    fn is_hungry(&self) -> bool {
        self.spilled && self.parked.len() < PARKED_LOW
    }

    fn is_empty(&self) -> bool {
        self.inside == 0 && self.parked.is_empty() && !self.spilled
    }
}

/// All gates that somebody is in or waits at.
#[derive(Debug)]
pub(super) struct Gates {
    per_host: usize,
    routes: HashMap<String, usize>,
    states: HashMap<Gate, State>,
    /// Gates with spilled lines and few parked ones.
    hungry: usize,
}

impl Gates {
    pub(super) fn new(per_host: usize, routes: HashMap<String, usize>) -> Self {
        Self { per_host, routes, states: HashMap::new(), hungry: 0 }
    }

    fn limit(&self, gate: &Gate) -> Option<usize> {
        match gate {
            Gate::Host(_) => Some(self.per_host),
            Gate::Route(name) => self.routes.get(&**name).copied(),
        }
    }

    pub(super) fn open(&self, gate: &Gate) -> bool {
        let inside = self.states.get(gate).map_or(0, |state| state.inside);
        self.limit(gate).is_none_or(|limit| inside < limit)
    }

    pub(super) fn enter(&mut self, gate: &Gate) {
        self.change(gate, |state| state.inside += 1);
    }

    pub(super) fn leave(&mut self, gate: &Gate) {
        self.change(gate, |state| state.inside = state.inside.saturating_sub(1));
    }

    /// Parks a line at a gate; `false` when the gate has no place for it. `places` is how many it may have.
    pub(super) fn park(&mut self, gate: &Gate, line: i64, places: usize) -> bool {
        let parked = !self.crowded(gate, places);
        self.change(gate, |state| {
            if parked {
                state.parked.push_back(line);
            } else {
                state.spilled = true;
                state.spilled_again = true;
            }
        });
        parked
    }

    /// The next line that waits at the gate, if the gate is open.
    pub(super) fn unpark(&mut self, gate: &Gate) -> Option<i64> {
        if !self.open(gate) {
            return None;
        }
        let mut line = None;
        self.change(gate, |state| line = state.parked.pop_front());
        line
    }

    /// Whether so many lines are parked at the gate.
    pub(super) fn crowded(&self, gate: &Gate, places: usize) -> bool {
        self.states.get(gate).is_some_and(|state| state.parked.len() >= places)
    }

    /// A line of this gate stands in the file alone.
    pub(super) fn note_spilled(&mut self, gate: &Gate) {
        self.change(gate, |state| {
            state.spilled = true;
            state.spilled_again = true;
        });
    }

    /// Whether some gate has spilled lines and could take some.
    pub(super) fn hungry(&self) -> bool {
        self.hungry > 0
    }

    /// A round over all lines begins.
    pub(super) fn begin_round(&mut self) {
        self.states.values_mut().for_each(|state| state.spilled_again = false);
    }

    /// A round is done: what was not met in it is not in the file.
    pub(super) fn end_round(&mut self) {
        self.states.values_mut().for_each(|state| state.spilled = state.spilled_again);
        self.states.retain(|_, state| !state.is_empty());
        self.hungry = self.states.values().filter(|state| state.is_hungry()).count();
    }

    fn change(&mut self, gate: &Gate, change: impl FnOnce(&mut State)) {
        if !self.states.contains_key(gate) {
            self.states.insert(gate.clone(), State::default());
        }
        let Some(state) = self.states.get_mut(gate) else { return };
        let before = state.is_hungry();
        change(state);
        let after = state.is_hungry();
        let empty = state.is_empty();
        match (before, after) {
            (false, true) => self.hungry += 1,
            (true, false) => self.hungry = self.hungry.saturating_sub(1),
            _ => {}
        }
        if empty {
            self.states.remove(gate);
        }
    }
}
