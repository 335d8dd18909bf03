//! Leases: an entry at work, and what ends that.

use chaski_core::breaker::{Sign, Turn};

use super::gate::{Gate, GateSet};
use super::line::Place;
use super::{Millis, Name, Schedule};
use crate::row::{EntryRow, FlowRow};
use std::sync::Arc;

/// What a lease is known by; never used twice in a process.
pub(crate) type Token = u64;

/// What is remembered of an entry at work.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) seq: i64,
    pub(crate) line: i64,
    pub(crate) queue: i64,
    pub(crate) message: Option<i64>,
    pub(crate) host: Option<Name>,
    pub(crate) route: Option<Name>,
    pub(crate) flow: Option<Arc<FlowRow>>,
    pub(crate) receives: u32,
    pub(super) gates: GateSet,
    expires: Millis,
    /// Whether its settlement is under way: it can't run out any more.
    settling: bool,
}

impl Held {
    pub(super) fn new(entry: &EntryRow, gates: GateSet, expires: Millis, receives: u32) -> Self {
        Self {
            seq: entry.seq,
            line: entry.line,
            queue: entry.queue,
            message: entry.message,
            host: entry.host.clone(),
            route: entry.route.clone(),
            flow: entry.flow.clone(),
            receives,
            gates,
            expires,
            settling: false,
        }
    }
}

impl Schedule {
    /// How often an entry at work was leased.
    pub(crate) fn receives(&self, token: Token) -> u32 {
        self.leases.get(&token).map_or(1, |held| held.receives)
    }

    /// Begins to settle a lease, with what its attempt says of the host. `None` when it has run out, or is being
    /// settled; beside the lease what changed for the host.
    pub(crate) fn begin_settling(
        &mut self,
        token: Token,
        sign: Option<Sign>,
        now: Millis,
    ) -> Option<(Held, Option<Turn>)> {
        let held = self.leases.get_mut(&token).filter(|held| !held.settling)?;
        held.settling = true;
        self.expiry.remove(&(held.expires, token));
        let held = held.clone();
        let turn = match (&held.host, sign.filter(|_| self.limits.breaker)) {
            (Some(host), Some(sign)) => {
                let gate = Gate::Host(host.clone());
                let turn = self.gates.tell(&gate, sign, now);
                self.serve(&gate, now);
                turn
            }
            _ => None,
        };
        Some((held, turn))
    }

    /// The settlement is durable; the line goes on.
    pub(crate) fn settled(&mut self, token: Token, now: Millis) {
        if let Some(held) = self.leases.remove(&token) {
            self.leave(&held.gates, now);
            self.next_of(held.line, now);
        }
    }

    /// The settlement did not come through; the lease goes on.
    pub(crate) fn not_settled(&mut self, token: Token) {
        if let Some(held) = self.leases.get_mut(&token) {
            held.settling = false;
            self.expiry.insert((held.expires, token));
        }
    }

    /// Ends a lease without an effect: the head is seen again at `visible`.
    pub(crate) fn give_back(&mut self, token: Token, visible: Millis, now: Millis) {
        let Some(held) = self.leases.remove(&token) else { return };
        self.expiry.remove(&(held.expires, token));
        self.leave(&held.gates, now);
        self.touch(held.line);
        if let Some(line) = self.lines.get_mut(&held.line) {
            self.room_used = self.room_used.saturating_sub(line.clear());
            line.place = Place::Hidden;
            self.hidden.insert((visible, held.line));
        }
    }

    /// Whether this entry is at work.
    pub(crate) fn is_leased(&self, line: i64, seq: i64) -> bool {
        let Some(Place::Leased(token)) = self.lines.get(&line).map(|line| line.place) else { return false };
        self.leases.get(&token).is_some_and(|held| held.seq == seq)
    }

    /// Shows everything that was given back at once.
    pub(crate) fn show_hidden(&mut self) -> usize {
        let hidden = std::mem::take(&mut self.hidden);
        hidden.iter().for_each(|(_, id)| self.ask(*id));
        hidden.len()
    }
}
