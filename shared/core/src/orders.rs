//! What operators ordered, as a home that is many processes reads it: pauses, and marks of what is cancelled.
//! Pure: whether one meets a message follows from what is listed of it, its queue, and the time.

use crate::filter::{MessageFilter, TargetFilter};
use crate::identity;
use crate::ledger::Listing;
use crate::pause::{Pause, PauseScope};
use crate::queue::QueueName;
use crate::time::Timestamp;

/// Which messages a mark cancels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelWhat {
    /// The message of this id.
    Message(String),
    /// All that fit. A state is not known where marks are read, and does not narrow.
    Fitting(MessageFilter),
}

/// A cancellation that stands until every message that it means has been met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelMark {
    /// The same for the same [`CancelWhat`].
    pub id: String,
    /// Which messages.
    pub what: CancelWhat,
    /// Of them those that were accepted, or sent again, then or before.
    pub cut_off: Timestamp,
    /// The mark ends then; what is met later is delivered.
    pub until: Timestamp,
}

/// What is to be done with a message whose attempt is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order<'a> {
    /// The attempt may be made.
    Go,
    /// It waits, and no attempt is counted. Others may hold it as well; when this one ends they are asked anew.
    Paused(&'a Pause),
    /// It is at its end, without an attempt.
    Cancelled(&'a CancelMark),
}

/// All that is ordered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orders {
    /// What is held back.
    pub pauses: Vec<Pause>,
    /// What is cancelled.
    pub marks: Vec<CancelMark>,
}

impl Orders {
    /// Whether nothing is ordered, so that no message has to be looked at.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pauses.is_empty() && self.marks.is_empty()
    }

    /// What is to be done with a message in this queue that was accepted, or sent again, at `accepted_at`. Who is
    /// cancelled does not wait for the end of a pause. A pause holds attempts only: what is to be buried is.
    #[must_use]
    pub fn order(&self, listing: &Listing, queue: &QueueName, accepted_at: Timestamp, now: Timestamp) -> Order<'_> {
        if let Some(mark) = self.marks.iter().find(|mark| mark.meets(listing, accepted_at, now)) {
            return Order::Cancelled(mark);
        }
        self.pauses.iter().find(|pause| pause.scope.holds(listing, queue)).map_or(Order::Go, Order::Paused)
    }

    /// Whether a pause holds every attempt of this queue.
    #[must_use]
    pub fn holds_whole(&self, queue: &QueueName) -> bool {
        self.pauses.iter().any(|pause| pause.scope.holds_whole(queue))
    }
}

impl CancelMark {
    /// A mark, known by what it cancels: the same again takes the place of the first one.
    #[must_use]
    pub fn new(what: CancelWhat, cut_off: Timestamp, until: Timestamp) -> Self {
        Self { id: what.id(), what, cut_off, until }
    }

    fn meets(&self, listing: &Listing, accepted_at: Timestamp, now: Timestamp) -> bool {
        accepted_at <= self.cut_off
            && now < self.until
            && match &self.what {
                CancelWhat::Message(id) => listing.id == *id,
                CancelWhat::Fitting(filter) => filter.fits(listing, accepted_at),
            }
    }
}

impl CancelWhat {
    fn id(&self) -> String {
        match self {
            Self::Message(id) => identity::named_id(&["cancel", id]),
            Self::Fitting(filter) => {
                let own = |text: &Option<String>| text.as_ref().map_or_else(String::new, |text| format!("={text}"));
                let target = match &filter.target {
                    None => String::new(),
                    Some(TargetFilter::Host(host)) => format!("host {host}"),
                    Some(TargetFilter::Prefix { prefix, .. }) => format!("prefix {prefix}"),
                };
                let time = |at: Option<Timestamp>| at.map_or_else(String::new, |at| at.to_string());
                identity::named_id(&[
                    "cancel all",
                    &own(&filter.whose.tenant),
                    &own(&filter.whose.producer),
                    &own(&filter.subject),
                    &own(&filter.client),
                    &own(&filter.label),
                    &target,
                    &time(filter.from),
                    &time(filter.to),
                ])
            }
        }
    }
}

impl PauseScope {
    /// The scope as a kind, a value and a tenant; what is not said is empty.
    #[must_use]
    pub fn parts(&self) -> (&'static str, &str, &str) {
        match self {
            Self::All => ("all", "", ""),
            Self::Queue(queue) => ("queue", queue, ""),
            Self::Route(route) => ("route", route, ""),
            Self::Subject { tenant, subject } => ("subject", subject, tenant),
            Self::Target(host) => ("target", host, ""),
        }
    }

    /// The scope of those parts; `None` where the kind is not known.
    #[must_use]
    pub fn of_parts(kind: &str, value: String, tenant: String) -> Option<Self> {
        match kind {
            "all" => Some(Self::All),
            "queue" => Some(Self::Queue(value)),
            "route" => Some(Self::Route(value)),
            "subject" => Some(Self::Subject { tenant, subject: value }),
            "target" => Some(Self::Target(value)),
            _ => None,
        }
    }

    /// The id of a pause of this scope, where no two pauses have the same scope.
    #[must_use]
    pub fn id(&self) -> String {
        let (kind, value, tenant) = self.parts();
        identity::named_id(&["pause", kind, value, tenant])
    }

    fn holds(&self, listing: &Listing, queue: &QueueName) -> bool {
        makes_attempts(queue)
            && match self {
                Self::All => true,
                Self::Queue(name) => queue.to_string() == *name,
                Self::Route(route) => listing.route == *route,
                Self::Subject { tenant, subject } => listing.tenant == *tenant && listing.subject == *subject,
                Self::Target(host) => listing.target_host.as_deref() == Some(host),
            }
    }

    fn holds_whole(&self, queue: &QueueName) -> bool {
        makes_attempts(queue)
            && match self {
                Self::All => true,
                Self::Queue(name) => queue.to_string() == *name,
                Self::Route(name) => matches!(queue, QueueName::Shard { route, .. } if route == name),
                Self::Subject { .. } | Self::Target(_) => false,
            }
    }
}

/// Whether what is done with an entry of this queue is an attempt.
const fn makes_attempts(queue: &QueueName) -> bool {
    matches!(queue, QueueName::Shard { .. } | QueueName::Tier(_))
}

#[cfg(test)]
mod tests;
