//! What a home knows beside its queues: what operators ordered, what strict lines remember, who may go to a target now.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::Leased;
use crate::envelope::Meta;
use crate::flow::Flow;
use crate::orders::Orders;
use crate::outcome::Outcome;
use crate::time::Timestamp;

/// Who asks to go to a target.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The target's host, in lower case.
    pub host: &'a str,
    /// The tenant whose free key it is.
    pub tenant: &'a str,
    /// The limits that the message named.
    pub flow: Option<&'a Flow>,
    /// Attempts of this generation before this one.
    pub attempts: u32,
    /// How often the entry was received.
    pub receives: u32,
    /// When the message was accepted, or sent again: of a flow's limits the last ones named are in force.
    pub accepted_at: Timestamp,
    /// How long the attempt may take.
    pub timeout: Duration,
    /// How long the answer may take.
    pub patience: Duration,
}

/// Whether an attempt may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Now. The attempt's outcome is to be told.
    Go,
    /// Not now: ask again after this time. No attempt is counted.
    Wait(Duration),
}

/// What is known beside the queues. Everything here is a comfort that fails open: a home that can't ask goes on
/// delivering.
pub trait Control: Send + Sync {
    /// What operators ordered, as it was known at most a second ago.
    fn orders(&self) -> impl Future<Output = Arc<Orders>> + Send;

    /// Remembers that this head is held by a pause, so that a resume finds it; for how long to hide it.
    fn hold_paused(&self, leased: &Leased, pause: &str) -> impl Future<Output = Duration> + Send;

    /// What a [`Hold`](super::Hold) of this message remembered, where its entry could not be changed.
    fn recall(&self, leased: &Leased, id: &str, generation: u32) -> impl Future<Output = Option<Meta>> + Send;

    /// The number of a strict message among those of its line that were attempted, from 1 and without gaps; the same
    /// when it is asked again before the line moves on. `None` where none is counted.
    fn sequence(&self, leased: &Leased, id: &str, generation: u32) -> impl Future<Output = Option<u64>> + Send;

    /// Whether an attempt may be made now.
    fn admit(&self, ask: Ask<'_>) -> impl Future<Output = Admission> + Send;

    /// How an attempt ended that was admitted.
    fn report(&self, ask: Ask<'_>, outcome: &Outcome) -> impl Future<Output = ()> + Send;

    /// A batch is at its end: the process may be stopped for long, and what it holds for attempts to come goes back.
    /// Ends within a second.
    fn rest(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// A home whose queues know all of this themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoControl;

impl Control for NoControl {
    async fn orders(&self) -> Arc<Orders> {
        Arc::default()
    }

    async fn hold_paused(&self, _: &Leased, _: &str) -> Duration {
        Duration::ZERO
    }

    async fn recall(&self, _: &Leased, _: &str, _: u32) -> Option<Meta> {
        None
    }

    async fn sequence(&self, _: &Leased, _: &str, _: u32) -> Option<u64> {
        None
    }

    async fn admit(&self, _: Ask<'_>) -> Admission {
        Admission::Go
    }

    async fn report(&self, _: Ask<'_>, _: &Outcome) {}
}
