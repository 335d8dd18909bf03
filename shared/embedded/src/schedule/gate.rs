//! A gate: what a line's head has to pass before it may be attempted.

use super::Name;
use crate::row::EntryRow;

/// What is counted, or has its time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Gate {
    /// Retries, of all that runs.
    Late,
    /// Attempts of a route.
    Route(Name),
    /// Attempts of a flow's key in its tenant: at once, and in a time.
    Flow(Name),
    /// Retries to a host, of all that runs there.
    LateHost(Name),
    /// Attempts to a host: at once, in a time where it has such a limit, and with the pauses of its breaker.
    Host(Name),
}

/// The gates that an entry has to pass, the one that most of its kind wait at last.
pub(super) type GateSet = [Option<Gate>; 5];

/// Kinds of gates by their number, as they are counted.
pub(super) const KINDS: [&str; 5] = ["late", "route", "flow", "late_host", "host"];

impl Gate {
    /// Those of an entry; `late` for a retry.
    pub(super) fn of(entry: &EntryRow, late: bool) -> GateSet {
        [
            late.then_some(Self::Late),
            entry.route.clone().map(Self::Route),
            entry.flow.as_ref().map(|flow| Self::Flow(flow.scope.clone())),
            entry.host.clone().filter(|_| late).map(Self::LateHost),
            entry.host.clone().map(Self::Host),
        ]
    }

    /// Its kind's place in [`KINDS`].
    pub(super) const fn kind(&self) -> usize {
        match self {
            Self::Late => 0,
            Self::Route(_) => 1,
            Self::Flow(_) => 2,
            Self::LateHost(_) => 3,
            Self::Host(_) => 4,
        }
    }
}

/// Whether a gate lets the next one through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Open,
    /// It opens by itself.
    Until(super::Millis),
    /// It opens when somebody leaves.
    Full,
}
