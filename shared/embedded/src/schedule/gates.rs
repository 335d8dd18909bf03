//! All gates: who is in, who waits, and until when.

use std::collections::{BTreeSet, HashMap, VecDeque};

use chaski_core::breaker::{Breaker, Sign, Turn};
use chaski_core::flow::{FlowLimits, HostLimits, Limiter};
use chaski_core::time::Timestamp;

use super::gate::{Door, Gate, KINDS};
use super::{Limits, Millis, PARKED_LOW};
use crate::row::EntryRow;

/// Of a host's slots what retries may hold: old failures must not keep new messages waiting.
const LATE_PART_OF_HOST: (usize, usize) = (1, 2);
/// The same of all slots. More than of a host's, as the hosts of retries are others than those of new messages.
const LATE_PART: (usize, usize) = (3, 4);

/// What the messages of a flow's key share, or those to a host with limits of its own.
#[derive(Debug)]
struct Flow {
    limits: FlowLimits,
    /// Where the message that named the limits stands in the order of acceptance.
    named_by: i64,
    limiter: Limiter,
}

#[derive(Debug, Default)]
struct State {
    inside: usize,
    parked: VecDeque<i64>,
    /// Whether lines of this gate were spilled.
    spilled: bool,
    /// Whether that happened since the round over all lines began.
    spilled_again: bool,
    /// When it is looked at again, for those that are parked.
    timer: Option<Millis>,
    /// Whether it is noted when what follows says nothing any more.
    fades: bool,
    flow: Option<Box<Flow>>,
    breaker: Option<Box<Breaker>>,
}

impl State {
    fn is_hungry(&self) -> bool {
        self.spilled && self.parked.len() < PARKED_LOW
    }

    fn is_quiet(&self) -> bool {
        self.inside == 0 && self.parked.is_empty() && !self.spilled
    }

    /// Until when it knows something that a new one would not, though nobody is here.
    fn idle_at(&self) -> Option<Millis> {
        let flow = self.flow.as_ref().map(|flow| flow.limiter.idle_at().millis());
        flow.into_iter().chain(self.breaker.as_ref().map(|breaker| breaker.idle_at().millis())).max()
    }
}

/// Limits, and where what named them stands in the order of acceptance.
type Wish = (FlowLimits, i64);

/// All gates that somebody is in or waits at, or that remember something.
#[derive(Debug)]
pub(super) struct Gates {
    per_host: usize,
    late: usize,
    late_per_host: usize,
    hosts: HostLimits,
    routes: HashMap<String, usize>,
    states: HashMap<Gate, State>,
    /// Gates with spilled lines and few parked ones.
    hungry: usize,
    /// Gates by when they open for those that are parked.
    timers: BTreeSet<(Millis, Gate)>,
    /// Gates where nobody is, by when they have nothing to say any more.
    fading: BTreeSet<(Millis, Gate)>,
    /// Whether a timer was set that is the first.
    alarm: bool,
    /// How often a line had to wait at a gate, by the gate's kind.
    waits: [u64; KINDS.len()],
}

impl Gates {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            per_host: limits.per_host,
            late: part(limits.total, LATE_PART),
            late_per_host: part(limits.per_host, LATE_PART_OF_HOST),
            hosts: limits.hosts.clone(),
            routes: limits.routes.clone(),
            states: HashMap::new(),
            hungry: 0,
            timers: BTreeSet::new(),
            fading: BTreeSet::new(),
            alarm: false,
            waits: [0; KINDS.len()],
        }
    }

    /// Whether the gate lets this entry through; one that is parked there, where none is named.
    pub(super) fn door(&self, gate: &Gate, entry: Option<&EntryRow>, now: Millis) -> Door {
        let state = self.states.get(gate);
        let inside = state.map_or(0, |state| state.inside);
        let below = |most: usize| if inside < most { Door::Open } else { Door::Full };
        let until = |at: Option<Timestamp>| at.map_or(Door::Open, |at| Door::Until(at.millis()));
        let time = Timestamp::from_millis(now);
        match gate {
            Gate::Late => below(self.late),
            Gate::LateHost(host) => below(self.late_per_host.min(self.late_slots(host))),
            Gate::Route(name) => self.routes.get(&**name).map_or(Door::Open, |most| below(*most)),
            Gate::Host(_) if inside >= self.per_host => Door::Full,
            Gate::Host(_) => match until(state.and_then(|state| state.breaker.as_ref()?.opens_at(time))) {
                Door::Open => self.limited(gate, entry, time),
                closed => closed,
            },
            Gate::Flow(_) => self.limited(gate, entry, time),
        }
    }

    /// The same, as far as its limits go.
    fn limited(&self, gate: &Gate, entry: Option<&EntryRow>, time: Timestamp) -> Door {
        let state = self.states.get(gate);
        let flow = state.and_then(|state| state.flow.as_deref());
        let known = flow.map(|flow| (flow.limits, flow.named_by));
        let Some((limits, _)) = newest(known, self.wish(gate, entry)) else { return Door::Open };
        let inside = state.map_or(0, |state| state.inside);
        if limits.parallelism.is_some_and(|most| inside >= slots(most)) {
            return Door::Full;
        }
        let opens = flow.and_then(|flow| flow.limiter.opens_at(time, &limits));
        opens.map_or(Door::Open, |at| Door::Until(at.millis()))
    }

    /// What limits the gate: what the entry says of its flow, or the settings of the host.
    fn wish(&self, gate: &Gate, entry: Option<&EntryRow>) -> Option<Wish> {
        match gate {
            Gate::Flow(_) => {
                let entry = entry?;
                entry.flow.as_ref().map(|flow| (flow.limits, entry.message.unwrap_or(entry.seq)))
            }
            Gate::Host(host) => Some((self.hosts.of(host)?, 0)),
            Gate::Late | Gate::Route(_) | Gate::LateHost(_) => None,
        }
    }

    /// What retries may hold of a host with a parallelism of its own.
    fn late_slots(&self, host: &str) -> usize {
        let own = self.hosts.of(host).and_then(|limits| limits.parallelism);
        own.map_or(usize::MAX, |most| part(slots(most), LATE_PART_OF_HOST))
    }

    /// Lets an entry in; whether others wait there.
    pub(super) fn enter(&mut self, gate: &Gate, entry: &EntryRow, now: Millis) -> bool {
        let (time, wish) = (Timestamp::from_millis(now), self.wish(gate, Some(entry)));
        self.change(gate, |state| {
            state.inside += 1;
            note_flow(state, wish);
            if let Some(flow) = &mut state.flow {
                flow.limiter.begin(time, &flow.limits);
            }
            if let Some(breaker) = &mut state.breaker {
                breaker.begin(time);
            }
            !state.parked.is_empty()
        })
    }

    pub(super) fn leave(&mut self, gate: &Gate) {
        self.change(gate, |state| state.inside = state.inside.saturating_sub(1));
    }

    /// What an attempt says of its host, and what that changes.
    pub(super) fn tell(&mut self, gate: &Gate, sign: Sign, now: Millis) -> Option<Turn> {
        if sign == Sign::Alive && self.states.get(gate).is_none_or(|state| state.breaker.is_none()) {
            return None;
        }
        self.change(gate, |state| {
            let mut breaker = state.breaker.take().unwrap_or_default();
            let turn = breaker.note(sign, Timestamp::from_millis(now));
            state.breaker = Some(breaker).filter(|breaker| **breaker != Breaker::default());
            turn
        })
    }

    /// Parks an entry's line at a gate; `false` when the gate has no place for it. `places` is how many it may have.
    pub(super) fn park(&mut self, gate: &Gate, entry: &EntryRow, places: usize) -> bool {
        if let Some(waits) = self.waits.get_mut(gate.kind()) {
            *waits += 1;
        }
        let (parked, wish) = (!self.crowded(gate, places), self.wish(gate, Some(entry)));
        self.change(gate, |state| {
            note_flow(state, wish);
            if parked {
                state.parked.push_back(entry.line);
            } else {
                state.spilled = true;
                state.spilled_again = true;
            }
        });
        parked
    }

    /// Takes the next line that waits at the gate.
    pub(super) fn unpark(&mut self, gate: &Gate) -> Option<i64> {
        if !self.has_parked(gate) {
            return None;
        }
        self.change(gate, |state| state.parked.pop_front())
    }

    /// Whether lines are parked at the gate.
    pub(super) fn has_parked(&self, gate: &Gate) -> bool {
        self.crowded(gate, 1)
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
        for (gate, state) in &mut self.states {
            state.spilled = state.spilled_again;
            fade(gate, state, &mut self.fading);
        }
        self.states.retain(|_, state| !state.is_quiet() || state.fades);
        self.hungry = self.states.values().filter(|state| state.is_hungry()).count();
    }

    /// Has the gate looked at again at that time.
    pub(super) fn set_timer(&mut self, gate: &Gate, at: Millis) {
        let Some(state) = self.states.get_mut(gate) else { return };
        if state.timer.is_some_and(|timer| timer <= at) {
            return;
        }
        if let Some(timer) = state.timer.replace(at) {
            self.timers.remove(&(timer, gate.clone()));
        }
        self.alarm |= self.timers.first().is_none_or(|(first, _)| at < *first);
        self.timers.insert((at, gate.clone()));
    }

    /// When the next gate is to be looked at.
    pub(super) fn next_timer(&self) -> Option<Millis> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Whether a timer was set that is the first, since that was asked last.
    pub(super) fn take_alarm(&mut self) -> bool {
        std::mem::take(&mut self.alarm)
    }

    /// Whether somebody has to be told of a timer.
    pub(super) fn is_alarmed(&self) -> bool {
        self.alarm
    }

    /// The next gate whose time has come.
    pub(super) fn due(&mut self, now: Millis) -> Option<Gate> {
        let (_, gate) = self.timers.first().filter(|(at, _)| *at <= now)?;
        let gate = gate.clone();
        self.timers.pop_first();
        if let Some(state) = self.states.get_mut(&gate) {
            state.timer = None;
        }
        Some(gate)
    }

    /// Forgets what says nothing any more.
    pub(super) fn forget(&mut self, now: Millis) {
        while let Some((_, gate)) = self.fading.first().filter(|(at, _)| *at <= now).cloned() {
            self.fading.pop_first();
            self.change(&gate, |state| {
                state.fades = false;
                if state.is_quiet() && state.idle_at().is_some_and(|at| at <= now) {
                    state.flow = None;
                    state.breaker = None;
                }
            });
        }
    }

    /// Hosts whose breaker is open.
    pub(super) fn open_breakers(&self) -> usize {
        self.states.values().filter(|state| state.breaker.as_ref().is_some_and(|breaker| breaker.is_open())).count()
    }

    /// How often a line had to wait, by the kind of the gate.
    pub(super) fn waits(&self) -> [u64; KINDS.len()] {
        self.waits
    }

    /// How many gates something is known of.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.states.len()
    }

    fn change<T>(&mut self, gate: &Gate, change: impl FnOnce(&mut State) -> T) -> T {
        if !self.states.contains_key(gate) {
            self.states.insert(gate.clone(), State::default());
        }
        let mut none = State::default();
        let state = self.states.get_mut(gate).unwrap_or(&mut none);
        let before = state.is_hungry();
        let changed = change(state);
        let after = state.is_hungry();
        fade(gate, state, &mut self.fading);
        let gone = state.is_quiet() && !state.fades;
        match (before, after) {
            (false, true) => self.hungry += 1,
            (true, false) => self.hungry = self.hungry.saturating_sub(1),
            _ => {}
        }
        if gone {
            self.states.remove(gate);
        }
        changed
    }
}

/// A part of so many, and one at least.
fn part(of: usize, (part, whole): (usize, usize)) -> usize {
    (of.saturating_mul(part) / whole).max(1)
}

fn slots(most: u32) -> usize {
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// The limits in force: those of the message that was accepted last.
fn newest(known: Option<Wish>, own: Option<Wish>) -> Option<Wish> {
    match (known, own) {
        (Some(known), Some(own)) => Some(if own.1 > known.1 { own } else { known }),
        (known, own) => known.or(own),
    }
}

fn note_flow(state: &mut State, wish: Option<Wish>) {
    let Some((limits, named_by)) = wish else { return };
    let flow = state.flow.get_or_insert_with(|| Box::new(Flow { limits, named_by, limiter: Limiter::default() }));
    if named_by > flow.named_by {
        (flow.limits, flow.named_by) = (limits, named_by);
    }
}

/// Notes a gate that nobody is at and that remembers something.
fn fade(gate: &Gate, state: &mut State, fading: &mut BTreeSet<(Millis, Gate)>) {
    if let Some(at) = state.idle_at().filter(|_| state.is_quiet() && !state.fades) {
        state.fades = true;
        fading.insert((at, gate.clone()));
    }
}
