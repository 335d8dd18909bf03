//! A batch of leased entries: the groups side by side, each group in line.
//!
//! What is not settled goes back, and with it the rest of its group, so that what goes back is always a
//! suffix of the group. It is made visible before the batch is answered: a subject must not sleep until its
//! lease ends.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tracing::warn;

use super::Dispatcher;
use super::attempt::Handled;
use crate::ports::{Bodies, Clock, Control, Leased, Settle, SettleError, Target};

/// What a settlement and giving back the rest need, at the end of a batch's time. A settlement's calls end
/// within nine seconds.
pub const SETTLE_RESERVE: Duration = Duration::from_secs(10);

/// How long an entry is hidden whose settlement did not come through, or whose handling panicked: the first
/// time, and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// A head that has to wait for at least that long goes back at once, with a call of its own: at the end of the batch,
/// behind a slow neighbour, it would be hidden too late, and even after a resume has shown it. Shorter waits share a
/// call.
const LONG_WAIT: Duration = Duration::from_secs(10);

/// What goes back of a group, with the time for which it is hidden.
type GoesBack<'a> = Vec<(&'a Leased, Duration)>;

/// How a group ended.
enum Ended<'a> {
    /// This is still to be given back, with that of the other groups.
    Open(GoesBack<'a>),
    /// This went back already.
    Back(GoesBack<'a>),
}

impl<'a> Ended<'a> {
    fn back(&self) -> &GoesBack<'a> {
        let (Self::Open(back) | Self::Back(back)) = self;
        back
    }

    fn open(&self) -> &[(&'a Leased, Duration)] {
        match self {
            Self::Open(back) => back,
            Self::Back(_) => &[],
        }
    }
}

impl<T: Target, S: Settle, C: Clock, K: Control, B: Bodies> Dispatcher<T, S, C, K, B> {
    /// Handles a batch; `until` is the reading of the clock's `elapsed` at which the process is stopped. The
    /// entry ids of what goes back, in the order received.
    pub async fn run(&self, entries: &[Leased], until: Duration) -> Vec<String> {
        let groups = group(entries);
        let ended: Vec<Ended<'_>> = join_all(groups.iter().map(|line| self.run_line(line, until))).await;
        self.control.rest().await;
        let open: GoesBack<'_> = ended.iter().flat_map(Ended::open).copied().collect();
        if !open.is_empty() {
            self.settle.give_back(&open).await;
        }
        let ids: HashSet<&str> =
            ended.iter().flat_map(Ended::back).map(|(leased, _)| leased.entry_id.as_str()).collect();
        entries.iter().map(|leased| &leased.entry_id).filter(|id| ids.contains(id.as_str())).cloned().collect()
    }

    async fn run_line<'a>(&self, line: &[&'a Leased], until: Duration) -> Ended<'a> {
        for (n, leased) in line.iter().enumerate() {
            let rest = line.get(n..).unwrap_or_default();
            if self.clock.elapsed() + SETTLE_RESERVE > until {
                return Ended::Open(back(rest, Duration::ZERO));
            }
            match self.settled(leased, until).await {
                Ok(Handled::Settled) => self.panics.forget(leased),
                Ok(Handled::Waits(span)) if span >= LONG_WAIT => {
                    let back = back(rest, span);
                    self.settle.give_back(&back).await;
                    return Ended::Back(back);
                }
                Ok(Handled::Waits(span)) => return Ended::Open(back(rest, span)),
                Err(_) => return Ended::Open(back(rest, back_off(leased.receives))),
            }
        }
        Ended::Open(Vec::new())
    }

    /// Handles one entry. A failure is told here, once.
    async fn settled(&self, leased: &Leased, until: Duration) -> Result<Handled, SettleError> {
        let queue = leased.queue.to_string();
        let told = match AssertUnwindSafe(self.handle(leased, until)).catch_unwind().await {
            Ok(settled) => settled,
            // Telling of a panic may panic again: whatever caused the first is still there.
            Err(_) => AssertUnwindSafe(self.after_panic(leased)).catch_unwind().await.unwrap_or_else(|_| Err(twice())),
        };
        if let Err(failure) = &told {
            warn!(event.action = "returned", chaski.entry = leased.entry_id, chaski.queue = queue, "{failure}");
        }
        told
    }

    /// A panic is an attempt that ended `internal`; after the last one the entry is given up.
    async fn after_panic(&self, leased: &Leased) -> Result<Handled, SettleError> {
        let last = self.panics.count(leased);
        self.note_panic(leased);
        if last { self.bury_panicked(leased).await } else { Err(SettleError("its handling panicked".to_owned())) }
    }
}

fn twice() -> SettleError {
    SettleError("its handling panicked, and so did the note of it".to_owned())
}

/// The head waits, and its followers stand behind it: hidden or not, they can't overtake it.
fn back<'a>(rest: &[&'a Leased], head: Duration) -> GoesBack<'a> {
    rest.iter().enumerate().map(|(n, leased)| (*leased, if n == 0 { head } else { Duration::ZERO })).collect()
}

fn back_off(receives: u32) -> Duration {
    let (first, most) = BACK_OFF;
    first.saturating_mul(1 << receives.saturating_sub(1).min(8)).min(most)
}

/// The groups of a batch in the order of their heads, each in the order received.
fn group(entries: &[Leased]) -> Vec<Vec<&Leased>> {
    let mut lines: Vec<Vec<&Leased>> = Vec::new();
    for leased in entries {
        let same = |line: &&mut Vec<&Leased>| {
            line.first().is_some_and(|head| head.group == leased.group && head.queue == leased.queue)
        };
        match lines.iter_mut().find(same) {
            Some(line) => line.push(leased),
            None => lines.push(vec![leased]),
        }
    }
    lines
}
