//! What a stack knows beside its queues, in one small table: what operators ordered, which heads wait for the end of a
//! pause, what strict lines remember of theirs, what waits for its time, and who may go to a target now.
//!
//! Everything here fails open: where the table does not answer, delivery goes on.

mod backoff;
mod breaker;
mod cell;
mod flow;
mod held;
mod keys;
mod known;
mod line;
mod row;
mod sequence;
mod share;
mod table;
mod wait;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chaski_core::breaker::Sign;
use chaski_core::envelope::Meta;
use chaski_core::flow::{FlowLimits, HostLimits};
use chaski_core::orders::Orders;
use chaski_core::outcome::Outcome;
use chaski_core::ports::{Admission, Ask, Chance, Clock, Control, DeskError, Leased};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tracing::warn;

use backoff::Spread;
use breaker::Breakers;
use flow::Flows;
use known::Known;

pub use held::Held;
pub use keys::HELD_PARTITIONS;
pub use known::ORDERS_AGE;
pub use table::{ControlTable, HeldStart};
pub use wait::{Kept, WaitKey};

/// A paused head is hidden so long: SQS allows 12 h from its receive, of which a function may have used some.
const HIDDEN: Duration = Duration::from_secs(12 * 3_600 - 15 * 60);
/// The same where it could not be remembered, so that a resume won't find it: that must show it within a minute.
const HIDDEN_UNREMEMBERED: Duration = Duration::from_secs(60);
/// The same where its pause ended while it was being remembered.
const HIDDEN_NO_MORE: Duration = Duration::from_secs(1);
/// Remembering a head, both calls together: it must not use up the function's time.
const REMEMBERING: Duration = Duration::from_secs(3);
/// Asking for what is known of a strict message, before its attempt.
const RECALLING: Duration = Duration::from_millis(500);
/// Of ten bytes of chance those that name a process: no two that live at once share them.
const NAME_BYTES: usize = 6;
/// Cancellations that may stand at once: every process reads all of them every second.
pub const MARKS: usize = 1_000;

/// The consumers' side of the control table, which is shared by all entries of a process.
#[derive(Debug)]
pub struct AwsControl<C> {
    /// None where the stack has none.
    table: Option<ControlTable>,
    clock: C,
    known: Known,
    /// Whether the last head could not be remembered, which is told once.
    forgetful: AtomicBool,
    /// Whether strict messages are counted, each for one write.
    counts: bool,
    flows: Flows,
    breakers: Breakers,
    /// Whether hosts that keep failing are given pauses.
    breaks: bool,
    /// What single hosts may be called with.
    hosts: HostLimits,
    spread: Spread,
}

impl<C: Clock> AwsControl<C> {
    /// Over this table; without one nothing is ordered, and nothing is limited. The process takes a name by chance.
    #[must_use]
    pub fn new(table: Option<ControlTable>, clock: C, chance: &impl Chance) -> Self {
        let me: String = chance.ten_bytes().iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Self {
            table,
            clock,
            known: Known::default(),
            forgetful: AtomicBool::new(false),
            counts: false,
            flows: Flows::new(&me),
            breakers: Breakers::new(&me),
            breaks: true,
            hosts: HostLimits::default(),
            spread: Spread::new(me),
        }
    }

    /// Whether hosts that keep failing are given pauses: `targets.breaker`.
    #[must_use]
    pub fn breaking(self, breaks: bool) -> Self {
        Self { breaks, ..self }
    }

    /// What single hosts may be called with: `targets.hosts`.
    #[must_use]
    pub fn limiting(self, hosts: HostLimits) -> Self {
        Self { hosts, ..self }
    }

    /// Whether the strict messages of each line are counted: `aws.sequence`.
    #[must_use]
    pub fn counting(self, counts: bool) -> Self {
        Self { counts, ..self }
    }

    /// Begins an attempt, or says after which time there may be something for it at the earliest.
    async fn begin(&self, table: &ControlTable, ask: Ask<'_>) -> Result<(), Duration> {
        let host = breaker::At { table, clock: &self.clock, known: &self.known, host: ask.host };
        if let Some(span) = self.breakers.closed_for(&host).filter(|_| self.breaks) {
            return Err(span);
        }
        let shares = self.shares(&ask);
        let mut begun = Ok(());
        let mut passed = Vec::with_capacity(shares.len());
        for (scope, limits) in shares {
            let need = flow::need(limits, ask.accepted_at, ask.timeout);
            begun = self.flows.begin(table, &self.clock, &scope, &need, ask.patience).await;
            if begun.is_err() {
                break;
            }
            passed.push(scope);
        }
        if begun.is_ok() && self.breaks {
            begun = self.breakers.begin(&host).await;
        }
        if begun.is_err() {
            passed.iter().for_each(|scope| self.flows.undo(&self.clock, scope));
        }
        begun
    }

    /// What the attempt shares limits with others in: its message's flow, and its host where that has some.
    fn shares(&self, ask: &Ask<'_>) -> Vec<(String, FlowLimits)> {
        let flow = ask.flow.map(|flow| (flow.scope(ask.tenant), flow.limits()));
        let host = self.hosts.of(ask.host).map(|limits| (HostLimits::scope(ask.host), limits));
        flow.into_iter().chain(host).collect()
    }

    async fn remember(&self, table: &ControlTable, leased: &Leased, pause: &str) -> Result<bool, DeskError> {
        table.put_held(&Held::new(leased, pause, self.clock.now().plus(HIDDEN))).await?;
        table.stands(pause).await
    }

    fn forgot(&self, why: &str) -> Duration {
        if !self.forgetful.swap(true, Ordering::Relaxed) {
            warn!(
                event.action = "not_held",
                "a paused line is looked at every minute, its head can't be remembered: {why}"
            );
        }
        HIDDEN_UNREMEMBERED
    }
}

/// What the table answered of a message; why it did not is told.
fn told<T>(action: &str, id: &str, answer: Result<Result<Option<T>, DeskError>, Elapsed>) -> Option<T> {
    let why = match answer {
        Ok(Ok(found)) => return found,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the control table took too long".to_owned(),
    };
    warn!(event.action = action, chaski.id = id, "a strict message goes on from what its entry says: {why}");
    None
}

impl<C: Clock> Control for AwsControl<C> {
    async fn orders(&self) -> Arc<Orders> {
        match &self.table {
            Some(table) => self.known.orders(table, &self.clock).await,
            None => Arc::default(),
        }
    }

    /// A pause that ended while the head was remembered holds nothing: whoever ends one looks for heads after it is
    /// gone, and here it is looked for after the head is there, so one of the two sees the other.
    async fn hold_paused(&self, leased: &Leased, pause: &str) -> Duration {
        let Some(table) = &self.table else { return HIDDEN_UNREMEMBERED };
        match timeout(REMEMBERING, self.remember(table, leased, pause)).await {
            Ok(Ok(stands)) => {
                self.forgetful.store(false, Ordering::Relaxed);
                if stands {
                    return HIDDEN;
                }
                self.known.forget().await;
                HIDDEN_NO_MORE
            }
            Ok(Err(error)) => self.forgot(&error.to_string()),
            Err(_) => self.forgot("the control table took too long"),
        }
    }

    /// Where the table does not answer the attempt goes on from what the entry says: delivery does not stop with it.
    async fn recall(&self, _: &Leased, id: &str, generation: u32) -> Option<Meta> {
        let table = self.table.as_ref()?;
        told("not_recalled", id, timeout(RECALLING, table.line(id, generation)).await)
    }

    async fn sequence(&self, leased: &Leased, id: &str, generation: u32) -> Option<u64> {
        let table = self.table.as_ref().filter(|_| self.counts)?;
        told("not_counted", id, timeout(RECALLING, table.number(&leased.group, id, generation)).await)
    }

    /// What has to wait is hidden for longer each time, so that it is received only so often.
    async fn admit(&self, ask: Ask<'_>) -> Admission {
        let Some(table) = &self.table else { return Admission::Go };
        match self.begin(table, ask).await {
            Ok(()) => Admission::Go,
            Err(least) => Admission::Wait(backoff::wait(ask.receives, least, &self.spread)),
        }
    }

    async fn report(&self, ask: Ask<'_>, outcome: &Outcome) {
        let Some(table) = &self.table else { return };
        for (scope, _) in self.shares(&ask) {
            self.flows.end(&self.clock, &scope);
        }
        if let Some(sign) = Sign::of_outcome(outcome).filter(|_| self.breaks) {
            let host = breaker::At { table, clock: &self.clock, known: &self.known, host: ask.host };
            self.breakers.report(&host, sign).await;
        }
    }

    async fn rest(&self) {
        if let Some(table) = &self.table {
            self.flows.rest(table, &self.clock).await;
        }
    }
}

#[cfg(test)]
mod tests;
