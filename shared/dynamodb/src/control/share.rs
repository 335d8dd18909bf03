//! What one process holds of a flow's limits: what it was given, and what it has begun. A value without a clock and
//! without a table.

use std::collections::VecDeque;
use std::time::Duration;

use chaski_core::flow::{Ask, FlowLimits, Granted, Ledger};
use chaski_core::time::Timestamp;

/// Slots are kept so much longer than an attempt may last: within it they serve one attempt after the other.
const LEASE: Duration = Duration::from_secs(10);
/// An attempt whose end nobody told is over so long after its deadline: its handling panicked.
const OVERTIME: Duration = Duration::from_secs(2);
/// Who did not get all that it asked for asks again after this time at the earliest, whatever comes meanwhile.
const PATIENCE: Duration = Duration::from_millis(250);
/// Attempts begun in a second from which on it is taken that more will come …
const BUSY: usize = 4;
/// … namely this part of them in the next one. What is taken too much is lost to the others for a second.
const FORESEEN_PART: usize = 2;
/// Attempts that one slot may serve in a second, as far as permits are taken for them; what is left of those goes back
/// with the slot.
const REUSED: u32 = 10;
/// What is begun in it counts as the pace.
const PACE: Duration = Duration::from_secs(1);

/// What an attempt needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    pub(super) limits: FlowLimits,
    pub(super) accepted_at: Timestamp,
    pub(super) timeout: Duration,
}

/// What is to be done with an attempt that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It begins, and is counted.
    Go,
    /// There is nothing before that time.
    Wait(Duration),
    /// It needs a slot in which another attempt of this process runs.
    Busy,
    /// The ledger has to be asked.
    Ask,
}

#[derive(Debug, Default)]
pub(super) struct Share {
    /// The limits in force, as far as it is known.
    limits: Option<(FlowLimits, Timestamp)>,
    permits: u32,
    /// They hold from when they were given; a clock that went back ends them.
    permits_from: Timestamp,
    permits_until: Timestamp,
    slots: u32,
    slots_until: Timestamp,
    /// Slots that are not used any more, and that the ledger does not know of yet.
    unused: u32,
    /// When each attempt that runs is over at the latest.
    running: Vec<Timestamp>,
    begun: VecDeque<Timestamp>,
    /// The ledger is not asked before …
    asks_at: Timestamp,
    /// … and has nothing before, as it said.
    nothing_before: Timestamp,
}

impl Share {
    /// Begins an attempt if it may begin.
    pub(super) fn next(&mut self, now: Timestamp, need: &Need) -> Next {
        let next = self.peek(now, need);
        if let (Next::Go, Some((limits, _))) = (next, self.limits) {
            self.begin(now, need, &limits);
        }
        next
    }

    /// The same, and nothing begins.
    pub(super) fn peek(&mut self, now: Timestamp, need: &Need) -> Next {
        self.running.retain(|end| *end > now);
        let named_later = |(limits, at): (FlowLimits, Timestamp)| need.accepted_at > at && need.limits != limits;
        let Some((limits, _)) = self.limits.filter(|known| !named_later(*known)) else {
            return self.ask_or(now, self.wait(now));
        };
        let permit = limits.rate.is_none() || self.has_permits(now);
        let slot = limits.parallelism.is_none() || self.idle(now, need.timeout) > 0;
        match (permit, slot) {
            (true, true) => Next::Go,
            (true, false) if !self.running.is_empty() && self.covers(now, need.timeout) => self.ask_or(now, Next::Busy),
            _ => self.ask_or(now, self.wait(now)),
        }
    }

    /// An attempt begins that the ledger could not be asked for.
    pub(super) fn begin_unasked(&mut self, now: Timestamp, need: &Need) {
        self.running.push(now.plus(need.timeout).plus(OVERTIME));
    }

    /// An attempt ended.
    pub(super) fn end(&mut self, now: Timestamp) {
        self.running.retain(|end| *end > now);
        self.running.pop();
    }

    /// One that began did not begin after all.
    pub(super) fn undo(&mut self, now: Timestamp) {
        self.end(now);
        self.begun.pop_back();
        if self.limits.is_some_and(|(limits, _)| limits.rate.is_some()) && self.has_permits(now) {
            self.permits = self.permits.saturating_add(1);
        }
    }

    /// Asks the ledger for as many attempts as `wants`, and for some that are foreseen. The share is to be taken when
    /// the ledger was written.
    pub(super) fn ask(
        &mut self,
        ledger: &mut Ledger,
        now: Timestamp,
        (me, wants): (&str, u32),
        need: &Need,
    ) -> Result<Taken, Duration> {
        if !self.covers(now, need.timeout) {
            // No attempt can begin in them: they are asked for anew.
            let idle = self.slots.saturating_sub(self.runs());
            self.slots = self.slots.saturating_sub(idle);
            self.unused = self.unused.saturating_add(idle);
        }
        let left = if self.has_permits(now) { self.permits } else { 0 };
        let unused = self.unused;
        ledger.give_back(now, me, left, unused);
        let later = ledger.limits().filter(|(_, at)| *at > need.accepted_at);
        let parallel = later.map_or(need.limits, |(limits, _)| limits).parallelism.is_some();
        let idle = self.slots.saturating_sub(self.runs());
        let ask = Ask {
            me,
            permits: wants,
            slots: if parallel { wants.saturating_sub(idle) } else { 0 },
            hold: need.timeout + LEASE,
            limits: need.limits,
            accepted_at: need.accepted_at,
        };
        let first = ledger.grant(now, &ask);
        let (permits, slots) = match first {
            Granted::Share(share) => (share.permits, share.slots),
            Granted::Wait(_) => (0, 0),
        };
        let missing = wants.saturating_sub(permits);
        let more = if parallel {
            // One slot serves several, one after the other.
            missing.saturating_add(self.foreseen(now)).min(REUSED.saturating_mul(self.slots.saturating_add(slots)))
        } else if missing == 0 {
            self.foreseen(now)
        } else {
            0
        };
        let second = (more > 0).then(|| ledger.grant(now, &Ask { permits: more, slots: 0, ..ask }));
        let permits = match second {
            Some(Granted::Share(share)) => permits.saturating_add(share.permits),
            _ => permits,
        };
        match (first, second) {
            (_, Some(Granted::Share(share))) | (Granted::Share(share), _) => {
                let until = (share.permits_until, share.slots_until);
                Ok(Taken { permits, slots, unused, until, all: permits >= wants && slots >= ask.slots })
            }
            (Granted::Wait(span), _) => Err(span),
        }
    }

    /// Takes what was asked for, now that the ledger says so.
    pub(super) fn take(&mut self, now: Timestamp, taken: &Taken, ledger: &Ledger) {
        self.limits = ledger.limits();
        self.permits = taken.permits;
        self.permits_from = now;
        self.permits_until = taken.until.0;
        self.slots_until = taken.until.1.max(self.slots_until);
        self.slots = self.slots.saturating_add(taken.slots);
        self.unused = self.unused.saturating_sub(taken.unused);
        self.asks_at = if taken.all { now } else { now.plus(PATIENCE) };
        self.nothing_before = self.asks_at;
    }

    /// There is nothing for so long. The ledger is asked no sooner.
    pub(super) fn refused(&mut self, now: Timestamp, ledger: &Ledger, span: Duration) {
        self.limits = ledger.limits().or(self.limits);
        // Other limits may be named, or something be given back.
        self.asks_at = now.plus(PATIENCE);
        self.nothing_before = now.plus(span);
    }

    /// Whether it holds slots that nothing runs in.
    pub(super) fn holds_idle(&self, now: Timestamp) -> bool {
        let running = self.running.iter().filter(|end| **end > now).count();
        self.unused > 0 || usize::try_from(self.slots).unwrap_or(usize::MAX) > running
    }

    /// Takes out what nothing runs in, to be given back: permits and slots.
    pub(super) fn take_idle(&mut self, now: Timestamp) -> (u32, u32) {
        self.running.retain(|end| *end > now);
        let permits = if self.has_permits(now) { self.permits } else { 0 };
        self.permits = 0;
        let idle = self.slots.saturating_sub(self.runs());
        self.slots = self.slots.saturating_sub(idle);
        (permits, idle.saturating_add(std::mem::take(&mut self.unused)))
    }

    /// Whether it says nothing any more that a new one would not.
    pub(super) fn is_quiet(&self, now: Timestamp) -> bool {
        !self.holds_idle(now) && self.running.is_empty() && now >= self.permits_until.max(self.asks_at)
    }

    fn begin(&mut self, now: Timestamp, need: &Need, limits: &FlowLimits) {
        if limits.rate.is_some() {
            self.permits = self.permits.saturating_sub(1);
        }
        self.running.push(now.plus(need.timeout).plus(OVERTIME));
        self.begun.push_back(now);
        while self.begun.front().is_some_and(|at| now.since(*at) > PACE) {
            self.begun.pop_front();
        }
    }

    fn wait(&self, now: Timestamp) -> Next {
        Next::Wait(self.nothing_before.max(self.asks_at).since(now))
    }

    fn ask_or(&self, now: Timestamp, otherwise: Next) -> Next {
        if now < self.asks_at { otherwise } else { Next::Ask }
    }

    fn has_permits(&self, now: Timestamp) -> bool {
        self.permits > 0 && (self.permits_from..self.permits_until).contains(&now)
    }

    /// Slots in which an attempt of this length may begin.
    fn idle(&self, now: Timestamp, timeout: Duration) -> u32 {
        if self.covers(now, timeout) { self.slots.saturating_sub(self.runs()) } else { 0 }
    }

    fn covers(&self, now: Timestamp, timeout: Duration) -> bool {
        now.plus(timeout) <= self.slots_until
    }

    fn runs(&self) -> u32 {
        u32::try_from(self.running.len()).unwrap_or(u32::MAX)
    }

    fn foreseen(&self, now: Timestamp) -> u32 {
        let pace = self.begun.iter().filter(|at| now.since(**at) <= PACE).count();
        if pace < BUSY { 0 } else { u32::try_from(pace / FORESEEN_PART).unwrap_or(u32::MAX) }
    }
}

/// What was asked for, and is had when the ledger was written.
#[derive(Debug)]
pub(super) struct Taken {
    permits: u32,
    slots: u32,
    unused: u32,
    until: (Timestamp, Timestamp),
    /// Whether it was all that was wanted.
    all: bool,
}
