//! A target host that keeps failing is given a pause that grows. What waits for it is delayed and never dropped, and no
//! wait is an attempt. A value without a clock; a home keeps one for each host that fails.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ledger::AttemptReport;
use crate::outcome::{DELIVERED, ErrorClass, Outcome};
use crate::time::Timestamp;

/// Failures in a row that open it. Fewer are bad luck: of a host that fails one in ten, twenty in a row come once in
/// 10^20.
const RUN: u32 = 20;
/// How long the run lasts at least: what fails within a moment, like a restart behind a proxy, is left to the retries.
const RUN_LEAST: Duration = Duration::from_secs(1);
/// … and at most, or it begins anew: a host that gets fewer than two requests a second needs no protection.
const RUN_MOST: Duration = Duration::from_secs(10);
/// The first pause; each one after it is twice as long …
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// … and none is longer, so that a host that is well again is noticed within it.
const PAUSE_MOST: Duration = Duration::from_secs(30);
/// Probes are this part of what would have come in the pause, at least one. A tenth is what a failing host may get;
/// half of that is kept for what failed until it opened.
const PROBES_PART: u64 = 20;
/// What a host may ask for by `Retry-After` at most; a single answer must not stop it for hours.
const ASKED_MOST: Duration = Duration::from_secs(60);
/// An open one that nobody has asked for so long after its pause is forgotten: nothing waits for it.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// What an attempt says of its target's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It answers, if only that it does not want the message.
    Alive,
    /// No answer, or one that says that it can't.
    Failing,
    /// It asks to be left alone for so long.
    Asks(Duration),
}

impl Sign {
    /// Of an attempt; none of one that did not reach the host.
    #[must_use]
    pub fn of(report: &AttemptReport) -> Option<Self> {
        let outcome = report.record.outcome.as_str();
        if outcome == DELIVERED {
            return Some(Self::Alive);
        }
        Self::of_failure(ErrorClass::parse(outcome)?, report.retry_after)
    }

    /// Of an attempt's outcome; none of one that did not reach the host.
    #[must_use]
    pub fn of_outcome(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Delivered => Some(Self::Alive),
            Outcome::Failed(failure) => Self::of_failure(failure.class, failure.retry_after),
        }
    }

    fn of_failure(class: ErrorClass, retry_after: Option<Duration>) -> Option<Self> {
        match class {
            ErrorClass::Http4xx | ErrorClass::Gone | ErrorClass::Rejected => Some(Self::Alive),
            ErrorClass::Connection | ErrorClass::Timeout | ErrorClass::Http5xx => Some(Self::Failing),
            ErrorClass::Throttled => match retry_after {
                Some(span) if !span.is_zero() => Some(Self::Asks(span)),
                _ => Some(Self::Failing),
            },
            ErrorClass::Blocked
            | ErrorClass::Undecodable
            | ErrorClass::NoMeta
            | ErrorClass::Expired
            | ErrorClass::Stuck
            | ErrorClass::Internal
            | ErrorClass::LastNet => None,
        }
    }
}

/// What a sign has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It opened: attempts wait until then.
    Opened(Timestamp),
    /// It closed: everything flows.
    Closed,
}

/// The breaker of one host. A new one is closed, and lets everything through.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "kept::Kept", into = "kept::Kept")]
pub struct Breaker {
    /// Failures in a row, and when the first of them was.
    run: u32,
    since: Timestamp,
    open: Option<Open>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Open {
    /// When the next probes may go.
    until: Timestamp,
    /// The pause that ends then.
    pause: Duration,
    /// Probes of the last burst that are left.
    left: u32,
    /// The steady rate: so many attempts …
    attempts: u32,
    /// … in so long.
    span: Duration,
}

impl Open {
    /// Probes after a pause.
    fn burst(&self) -> u32 {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let missed = u64::from(self.attempts).saturating_mul(millis(self.pause)) / millis(self.span).max(1);
        u32::try_from(missed / PROBES_PART).unwrap_or(u32::MAX).max(1)
    }
}

impl Breaker {
    /// Whether attempts wait for its pauses.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// When an attempt may begin; none if it may begin now.
    #[must_use]
    pub fn opens_at(&self, now: Timestamp) -> Option<Timestamp> {
        let open = self.open.as_ref()?;
        (open.left == 0 && now < open.until).then_some(open.until)
    }

    /// An attempt begins; a probe, where it is open.
    pub fn begin(&mut self, now: Timestamp) {
        let Some(open) = &mut self.open else { return };
        if now >= open.until {
            open.left = open.burst();
            open.pause = (open.pause * 2).min(PAUSE_MOST);
            open.until = now.plus(open.pause);
        }
        open.left = open.left.saturating_sub(1);
    }

    /// Takes all probes that may go now, for one of several processes; how many, until the next ones may go.
    pub fn take_probes(&mut self, now: Timestamp) -> u32 {
        if self.open.is_none() || self.opens_at(now).is_some() {
            return 0;
        }
        self.begin(now);
        self.open.as_mut().map_or(0, |open| std::mem::take(&mut open.left).saturating_add(1))
    }

    /// An attempt ended. What that changed, if it did.
    pub fn note(&mut self, sign: Sign, now: Timestamp) -> Option<Turn> {
        if sign == Sign::Alive {
            let was_open = self.open.is_some();
            *self = Self::default();
            return was_open.then_some(Turn::Closed);
        }
        if self.run == 0 || now.since(self.since) > RUN_MOST {
            self.run = 0;
            self.since = now;
        }
        self.run = self.run.saturating_add(1);
        let lasted = now.since(self.since);
        if let Sign::Asks(span) = sign {
            return self.leave_alone(span.min(ASKED_MOST), lasted, now);
        }
        if self.open.is_some() || self.run < RUN || lasted < RUN_LEAST {
            return None;
        }
        Some(self.open_for(PAUSE_FIRST, lasted, now))
    }

    /// Until when it knows something that a new one would not, if nothing happens.
    #[must_use]
    pub fn idle_at(&self) -> Timestamp {
        match &self.open {
            Some(open) => open.until.plus(FORGOTTEN),
            None if self.run == 0 => Timestamp::default(),
            None => self.since.plus(RUN_MOST),
        }
    }

    fn leave_alone(&mut self, span: Duration, lasted: Duration, now: Timestamp) -> Option<Turn> {
        let Some(open) = &mut self.open else { return Some(self.open_for(span, lasted, now)) };
        open.until = open.until.max(now.plus(span));
        open.left = 0;
        None
    }

    fn open_for(&mut self, pause: Duration, lasted: Duration, now: Timestamp) -> Turn {
        let until = now.plus(pause);
        let span = lasted.max(RUN_LEAST);
        self.open = Some(Open { until, pause, left: 0, attempts: self.run, span });
        Turn::Opened(until)
    }
}

mod kept;
#[cfg(test)]
mod tests;
