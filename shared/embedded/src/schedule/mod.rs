//! What may be attempted next, in memory and bounded; the file is its truth.
//!
//! A line is one group of one queue, and only its head may be at work. Lines that have something due stand in the
//! order in which they were served last (one that was idle: in which it came), so that a line with 50,000 entries
//! takes its turn like one with a single entry. A line whose gate (its target's host, its route, its flow) is full, or
//! opens later, is parked at that gate and takes nobody's slot.
//!
//! Lines that memory has no room for are spilled: they stand in the file alone, and the loader brings them in when
//! there is room, going round all lines. Entries that are not due yet are never here; a line whose head is one (a
//! strict message that failed, and is held) comes in at its head's time.

mod gate;
mod gates;
mod held;
mod lease;
mod line;
mod pauses;
mod spill;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use chaski_core::flow::HostLimits;

use crate::row::EntryRow;
use gate::Gate;
use gates::Gates;
use held::HeldLines;
pub(crate) use lease::{Held, Token};
use line::{Line, Place};
pub(crate) use pauses::PauseSet;
pub(crate) use spill::Offer;
pub use turns::Pressure;

/// Milliseconds since 1970 of the store's own clock, which never jumps.
pub(crate) type Millis = i64;

/// What bodies and lines may take of memory, roughly.
const ROOM_BYTES: usize = 6 * 1_024 * 1_024;
/// Lines parked at one gate, each with its head alone; more are spilled, so that a hanging host can't fill the memory.
const PARKED: usize = 1_024;
/// The same when half of the memory is taken.
const PARKED_SHORT: usize = 16;
/// A gate with spilled lines asks for more when so few are parked.
const PARKED_LOW: usize = 8;
/// Entries of one line held at once; the others are read when they are next.
pub(crate) const LINE_ENTRIES: usize = 16;

/// Attempts at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limits {
    /// In all.
    pub(crate) total: usize,
    /// To one host.
    pub(crate) per_host: usize,
    /// Of one route; one that is not here has no limit of its own.
    pub(crate) routes: HashMap<String, usize>,
    /// How long a lease lasts.
    pub(crate) lease: Millis,
    /// The queues of retries, by their numbers.
    pub(crate) tiers: HashSet<i64>,
    /// Those whose entries are moved or buried without an attempt.
    pub(crate) passing: HashSet<i64>,
    /// Whether a host that keeps failing is given pauses.
    pub(crate) breaker: bool,
    /// What single hosts may be called with.
    pub(crate) hosts: HostLimits,
}

/// What passed with the time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Leases that ran out.
    pub(crate) ran_out: usize,
    /// Whether a gate has opened.
    pub(crate) opened: bool,
}

/// What the loader is asked to read.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    /// Lines whose next entries are in the file only.
    pub(crate) lines: Vec<i64>,
    /// Whether to go round the spilled lines.
    pub(crate) round: bool,
}

#[derive(Debug)]
pub(crate) struct Schedule {
    limits: Limits,
    pauses: PauseSet,
    lines: HashMap<i64, Line>,
    /// Lines with something due, the least recently served first.
    ready: VecDeque<i64>,
    /// Lines that were given back, by when they may be tried again.
    hidden: BTreeSet<(Millis, i64)>,
    gates: Gates,
    /// Gates at which somebody may have a turn that nobody uses.
    handed_on: Vec<Gate>,
    leases: HashMap<Token, Held>,
    next_token: Token,
    /// Leases by when they run out.
    expiry: BTreeSet<(Millis, Token)>,
    room_used: usize,
    /// Lines whose next entries have to be read.
    reload: Vec<i64>,
    /// Whether lines may stand in the file that are not here though something of them is due.
    spilled: bool,
    /// Whether one was spilled since the round over all lines began.
    spilled_again: bool,
    /// Lines that stand in the file alone, with a head that is held until its time.
    held: HeldLines,
    /// Whether a round over all lines is owed: at the start, and after a pause ended.
    round_owed: bool,
    /// Whether a round runs that was owed, and has to go to its end.
    round_runs: bool,
    /// Lines whose entries are being changed in the file.
    changing: HashSet<i64>,
    /// Lines that changed while the loader was reading.
    touched: Option<HashSet<i64>>,
    stopped: bool,
}

impl Schedule {
    /// An empty one, that owes a round over the file.
    pub(crate) fn new(limits: Limits, pauses: PauseSet) -> Self {
        Self {
            gates: Gates::new(&limits),
            handed_on: Vec::new(),
            limits,
            pauses,
            lines: HashMap::new(),
            ready: VecDeque::new(),
            hidden: BTreeSet::new(),
            leases: HashMap::new(),
            next_token: 1,
            expiry: BTreeSet::new(),
            room_used: 0,
            reload: Vec::new(),
            spilled: true,
            spilled_again: false,
            held: HeldLines::unknown(),
            round_owed: true,
            round_runs: false,
            changing: HashSet::new(),
            touched: None,
            stopped: false,
        }
    }

    /// Nothing is leased from now on.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    /// How many entries are at work.
    pub(crate) fn in_flight(&self) -> usize {
        self.leases.len()
    }

    /// Whether the line is here, so that what came before an entry of it needs no look into the file.
    pub(crate) fn knows(&self, line: i64) -> bool {
        self.lines.contains_key(&line) || !(self.spilled || self.held.may_have(line))
    }

    /// An entry was written. `behind` tells whether the file holds earlier ones of its line, where the line is not
    /// here.
    pub(crate) fn add(&mut self, entry: EntryRow, behind: bool, now: Millis) {
        let id = entry.line;
        let later = entry.due.is_some_and(|due| due > now);
        if let Some(line) = self.lines.get_mut(&id) {
            let full = line.entries.len() >= LINE_ENTRIES || self.room_used >= ROOM_BYTES;
            if line.has_had(&entry) {
                // The loader met it first.
            } else if later || line.more || line.place == Place::Loading || full {
                // What the loader reads of a line is its beginning, and stays that: no need to read it again.
                line.more = true;
            } else {
                self.room_used += line.push(entry);
            }
        } else if later {
            // The file knows when it is due. What the loader is reading of the line may lack it.
            self.touch(id);
        } else if behind || self.room_used >= ROOM_BYTES {
            self.touch(id);
            self.spill(self.gates_of(&entry));
        } else {
            self.insert(id, vec![entry], false);
        }
    }

    fn insert(&mut self, id: i64, entries: Vec<EntryRow>, more: bool) {
        let line = Line::new(entries, more);
        self.room_used += line.room();
        self.held.forget(id);
        self.lines.insert(id, line);
        self.ready.push_back(id);
    }

    /// A line of which only the file knows what it holds; it has no turn before that is read.
    fn insert_empty(&mut self, id: i64) {
        let line = Line::new(Vec::new(), true);
        self.room_used += line.room();
        self.held.forget(id);
        self.lines.insert(id, line);
    }

    /// Leases the head of the line whose turn it is. Of one queue only, where one is named.
    pub(crate) fn lease(&mut self, now: Millis, queue: Option<i64>) -> Option<(Token, EntryRow)> {
        for gate in std::mem::take(&mut self.handed_on) {
            self.serve(&gate, now);
        }
        let mut passed = Vec::new();
        let mut found = None;
        while found.is_none() && !self.stopped && !self.pauses.all && self.leases.len() < self.limits.total {
            let Some(id) = self.ready.pop_front() else { break };
            let other = |line: &Line| queue.is_some_and(|queue| line.entries.front().is_none_or(|e| e.queue != queue));
            if self.lines.get(&id).is_some_and(other) {
                passed.push(id);
                continue;
            }
            found = self.try_line(id, now);
        }
        passed.into_iter().rev().for_each(|id| self.ready.push_front(id));
        found
    }

    fn try_line(&mut self, id: i64, now: Millis) -> Option<(Token, EntryRow)> {
        let line = self.lines.get(&id).filter(|line| line.place == Place::Ready)?;
        let head = line.entries.front()?;
        let gates = self.gates_of(head);
        if self.is_paused(head) {
            self.drop_line(id);
            self.mark_spilled();
            gates.iter().flatten().for_each(|gate| self.serve(gate, now));
            return None;
        }
        if let Some(closed) = self.closed(&gates, head, now) {
            self.park(id, &gates, &closed, now);
            return None;
        }
        let line = self.lines.get_mut(&id)?;
        let entry = line.entries.pop_front()?;
        line.receives += 1;
        let token = self.next_token;
        self.next_token += 1;
        line.place = Place::Leased(token);
        self.room_used = self.room_used.saturating_sub(Line::room_of(&entry));
        let expires = now + self.limits.lease;
        self.expiry.insert((expires, token));
        let held = Held::new(&entry, gates, expires, line.receives);
        self.enter(&held.gates, &entry, now);
        self.leases.insert(token, held);
        Some((token, entry))
    }

    fn mark_spilled(&mut self) {
        self.spilled = true;
        self.spilled_again = true;
    }

    fn drop_line(&mut self, id: i64) {
        if let Some(line) = self.lines.remove(&id) {
            self.room_used = self.room_used.saturating_sub(line.room());
            self.touch(id);
        }
    }

    fn touch(&mut self, id: i64) {
        if let Some(touched) = &mut self.touched {
            touched.insert(id);
        }
    }

    /// The line's lease is over: its next entry has its turn, or is asked for.
    fn next_of(&mut self, id: i64, now: Millis) {
        self.touch(id);
        let crowded = self.spilled && self.room_used >= ROOM_BYTES;
        let Some(line) = self.lines.get_mut(&id) else { return };
        line.receives = 0;
        match line.entries.front() {
            // What is not due, or has to make room for lines that were never here, is found in the file again.
            Some(entry) if crowded || entry.due.is_some_and(|due| due > now) => {
                let (queue, later) = (entry.queue, entry.due.is_some_and(|due| due > now));
                let gates = self.limits.gates_of(entry);
                if crowded {
                    self.spill(gates);
                }
                self.drop_line(id);
                if later {
                    self.note_held(queue, id);
                }
            }
            Some(_) => {
                line.place = Place::Ready;
                self.ready.push_back(id);
            }
            None if line.more => self.ask(id),
            None => self.drop_line(id),
        }
    }

    /// Asks for the line's entries anew, from the file; not before a change of them is done.
    fn ask(&mut self, id: i64) {
        let changing = self.changing.contains(&id);
        if let Some(line) = self.lines.get_mut(&id) {
            self.room_used = self.room_used.saturating_sub(line.clear());
            if changing {
                line.place = Place::Frozen;
            } else {
                line.place = Place::Loading;
                // Whatever is written from here on says so.
                line.more = false;
                self.reload.push(id);
            }
        }
    }

    /// What there is to read, and why the loader is woken.
    pub(crate) fn wants(&mut self) -> Wants {
        let lines = std::mem::take(&mut self.reload);
        self.gates.take_alarm();
        Wants { lines, round: self.goes_round() }
    }

    /// Whether the loader has something to read.
    pub(crate) fn is_wanting(&self) -> bool {
        !self.reload.is_empty() || self.goes_round() || self.is_alarmed()
    }

    /// When something happens by itself: a hidden line comes back, a lease runs out, or a gate opens.
    pub(crate) fn next_event(&self) -> Option<Millis> {
        let hidden = self.hidden.first().map(|(at, _)| *at);
        let expiry = self.expiry.first().map(|(at, _)| *at);
        hidden.into_iter().chain(expiry).chain(self.gates.next_timer()).min()
    }

    /// Lets the time pass: shows what was hidden, takes back leases that ran out, serves gates that open.
    pub(crate) fn pass_time(&mut self, now: Millis) -> Passed {
        while let Some((at, id)) = self.hidden.first().copied().filter(|(at, _)| *at <= now) {
            self.hidden.remove(&(at, id));
            if self.lines.get(&id).is_some_and(|line| line.place == Place::Hidden) {
                self.ask(id);
            }
        }
        let mut ran_out = 0;
        while let Some((at, token)) = self.expiry.first().copied().filter(|(at, _)| *at <= now) {
            self.expiry.remove(&(at, token));
            if let Some(held) = self.leases.remove(&token) {
                ran_out += 1;
                self.leave(&held.gates, now);
                self.ask(held.line);
            }
        }
        Passed { ran_out, opened: self.open_gates(now) }
    }

    /// The messages that are at work.
    pub(crate) fn messages_in_flight(&self) -> HashSet<i64> {
        self.leases.values().filter_map(|held| held.message).collect()
    }

    /// Entries at work, by queue.
    pub(crate) fn in_flight_by_queue(&self) -> HashMap<i64, u64> {
        let mut counts = HashMap::new();
        for held in self.leases.values() {
            *counts.entry(held.queue).or_default() += 1;
        }
        counts
    }

    /// The pauses that are in force.
    pub(crate) fn pauses(&self) -> &PauseSet {
        &self.pauses
    }

    /// Changes what is held back. What a pause had sent to the file is brought in again.
    pub(crate) fn set_pauses(&mut self, pauses: PauseSet) {
        self.pauses = pauses;
        self.round_owed = true;
    }
}

/// A name that many entries share.
pub(crate) type Name = Arc<str>;
