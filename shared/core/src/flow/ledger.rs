//! A flow's limits, shared between processes that do not see each other.
//!
//! Its home keeps one such value a key, and changes it on the condition that nobody else has meanwhile. A process asks
//! it for permits (attempts that may begin) for about a second ahead, and for slots (attempts that may run at once)
//! for as long as its attempts may last, so that no attempt costs a write of its own. What a process that died has
//! taken comes free by itself. A key that nobody uses has nothing to say, and its row may go ([`Ledger::idle_at`]).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limiter::{nanos, span_ns};
use super::limits::FlowLimits;
use crate::time::Timestamp;

/// How far ahead permits are given.
const AHEAD: Duration = Duration::from_secs(1);
/// Who gets nothing asks again after this time at the earliest: more often would be a look for each permit.
const PATIENCE: Duration = Duration::from_millis(250);
/// How far apart the clocks of two processes may be: another's slots are free only so long after their end.
const CLOCKS: Duration = Duration::from_secs(2);
/// Processes that may hold slots of one key: the row has to stay small. The others wait.
const HOLDERS: usize = 256;

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// The limits in force, and when the message that named them was accepted (milliseconds since 1970).
    limits: Option<(FlowLimits, i64)>,
    /// Up to when permits were given, in nanoseconds since 1970.
    given_to_ns: i64,
    /// Slots by who holds them.
    holders: Vec<Holder>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    name: String,
    slots: u32,
    /// Milliseconds since 1970.
    until_ms: i64,
}

/// What a process asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask<'a> {
    /// Its name, which no other process has.
    pub me: &'a str,
    /// Attempts that it would begin soon.
    pub permits: u32,
    /// Slots that it needs besides those that it holds.
    pub slots: u32,
    /// How long an attempt of it may last: all its slots are kept for that long from now on.
    pub hold: Duration,
    /// The limits that its message names …
    pub limits: FlowLimits,
    /// … and when that was accepted: the last one's are in force.
    pub accepted_at: Timestamp,
}

/// What a process got. It begins at most so many attempts, and runs no more of them at once than it has slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Attempts that may begin before `permits_until`. What is not used is lost, unless it is given back.
    pub permits: u32,
    /// When the permits run out.
    pub permits_until: Timestamp,
    /// Slots besides those that it held.
    pub slots: u32,
    /// When all its slots run out: an attempt that may last longer must not begin in one.
    pub slots_until: Timestamp,
}

/// The answer to an [`Ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granted {
    /// A share; the ledger has to be written before it is used.
    Share(Share),
    /// Nothing for now: asked again after this time there may be something. The ledger need not be written.
    Wait(Duration),
}

impl Ledger {
    /// Takes a share for a process.
    pub fn grant(&mut self, now: Timestamp, ask: &Ask<'_>) -> Granted {
        let limits = self.in_force(ask);
        let mut after = self.clone();
        after.limits = Some(limits);
        after.holders.retain(|holder| now < Timestamp::from_millis(holder.until_ms).plus(CLOCKS));
        let limits = limits.0;
        let (free_slots, slots_in) = after.free_slots(now, &limits, ask);
        let slots = ask.slots.min(free_slots);
        // Those that it held already and that nothing runs in.
        let own = ask.permits.saturating_sub(ask.slots);
        let most = if limits.parallelism.is_some() { ask.permits.min(slots.saturating_add(own)) } else { ask.permits };
        let (permits, permits_in) = after.take_permits(now, &limits, most);
        // A slot without a permit would be kept from others for nothing.
        let slots = slots.min(permits.saturating_sub(own.min(permits)));
        if permits == 0 {
            return Granted::Wait(if most == 0 { slots_in } else { permits_in }.max(PATIENCE));
        }
        let slots_until = now.plus(ask.hold);
        if limits.parallelism.is_some() {
            after.hold(ask.me, slots, slots_until);
        }
        *self = after;
        Granted::Share(Share { permits, permits_until: now.plus(AHEAD), slots, slots_until })
    }

    /// Gives back what is not needed: permits that were not used, and slots that nothing runs in.
    pub fn give_back(&mut self, now: Timestamp, me: &str, permits: u32, slots: u32) {
        if let Some(interval) = self.limits.and_then(|(limits, _)| limits.interval_ns()) {
            let back = interval.saturating_mul(i64::from(permits));
            // Not further back than to now: nobody gets more for having taken too much.
            self.given_to_ns = self.given_to_ns.saturating_sub(back).max(nanos(now).min(self.given_to_ns));
        }
        for holder in self.holders.iter_mut().filter(|holder| holder.name == me) {
            holder.slots = holder.slots.saturating_sub(slots);
        }
        self.holders.retain(|holder| holder.slots > 0);
    }

    /// When it says nothing any more that a new one would not say: its row may go then.
    #[must_use]
    pub fn idle_at(&self) -> Timestamp {
        let given = Timestamp::from_millis(self.given_to_ns.saturating_add(999_999) / 1_000_000);
        let held = self.holders.iter().map(|holder| Timestamp::from_millis(holder.until_ms).plus(CLOCKS)).max();
        held.map_or(given, |held| held.max(given))
    }

    /// The limits in force, and when the message that named them was accepted.
    #[must_use]
    pub fn limits(&self) -> Option<(FlowLimits, Timestamp)> {
        self.limits.map(|(limits, at)| (limits, Timestamp::from_millis(at)))
    }

    fn in_force(&self, ask: &Ask<'_>) -> (FlowLimits, i64) {
        let asked = (ask.limits, ask.accepted_at.millis());
        self.limits.filter(|(_, at)| *at > asked.1).unwrap_or(asked)
    }

    /// Slots that nobody holds; and when one may come free by itself, or be given back.
    fn free_slots(&self, now: Timestamp, limits: &FlowLimits, ask: &Ask<'_>) -> (u32, Duration) {
        let Some(parallelism) = limits.parallelism else { return (u32::MAX, Duration::ZERO) };
        let held = self.holders.iter().fold(0_u32, |sum, holder| sum.saturating_add(holder.slots));
        let crowded = self.holders.len() >= HOLDERS && !self.holders.iter().any(|holder| holder.name == ask.me);
        let free = if crowded { 0 } else { parallelism.saturating_sub(held) };
        let first = self.holders.iter().map(|holder| holder.until_ms).min();
        let until = first.map_or(Duration::ZERO, |at| Timestamp::from_millis(at).plus(CLOCKS).since(now));
        // Most slots are given back before they run out.
        (free, until.min(AHEAD))
    }

    /// Takes up to `most` permits; and when there may be the next one.
    fn take_permits(&mut self, now: Timestamp, limits: &FlowLimits, most: u32) -> (u32, Duration) {
        let Some(interval) = limits.interval_ns() else { return (most, Duration::ZERO) };
        let (now_ns, ahead) = (nanos(now), span_ns(AHEAD));
        // Other limits, or another clock, may have given up to anywhere: what these would not have given does not count.
        let furthest = now_ns.saturating_add(ahead.max(interval));
        let given_to = self.given_to_ns;
        let reset = given_to > furthest.saturating_add(span_ns(CLOCKS));
        let from = if reset { now_ns } else { given_to.clamp(now_ns, furthest) };
        let fit = now_ns.saturating_add(ahead).saturating_sub(from).max(0) / interval;
        // One that is rarer than what is given ahead is given when its turn has come.
        let fit = if from == now_ns { fit.max(1) } else { fit };
        let permits = most.min(u32::try_from(fit).unwrap_or(u32::MAX));
        let next_ns = if interval > ahead { from } else { from.saturating_add(interval).saturating_sub(ahead) };
        if permits > 0 {
            self.given_to_ns = from.saturating_add(interval.saturating_mul(i64::from(permits)));
        }
        let wait = u64::try_from(next_ns.saturating_sub(now_ns)).unwrap_or(0);
        (permits, Duration::from_millis(wait.div_ceil(1_000_000)))
    }

    fn hold(&mut self, me: &str, slots: u32, until: Timestamp) {
        match self.holders.iter_mut().find(|holder| holder.name == me) {
            Some(holder) => {
                holder.slots = holder.slots.saturating_add(slots);
                holder.until_ms = holder.until_ms.max(until.millis());
            }
            None if slots == 0 => {}
            None => self.holders.push(Holder { name: me.to_owned(), slots, until_ms: until.millis() }),
        }
    }
}

#[cfg(test)]
mod tests;
