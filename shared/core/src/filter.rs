//! What an operator looks for: filters over messages and dead letters, and pages of what is found.

use crate::ledger::{Listing, MessageState};
use crate::time::Timestamp;

/// Whose messages are looked at. `None` means anybody's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whose {
    /// Only this tenant's.
    pub tenant: Option<String>,
    /// Only this producer's.
    pub producer: Option<String>,
}

impl Whose {
    /// Whether a message of that tenant and producer is among them.
    #[must_use]
    pub fn has(&self, tenant: &str, producer: &str) -> bool {
        self.tenant.as_deref().is_none_or(|own| own == tenant)
            && self.producer.as_deref().is_none_or(|own| own == producer)
    }
}

/// A target, as it is asked for: a host, or the beginning of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetFilter {
    /// Messages to this host.
    Host(String),
    /// Messages whose shown target (scheme, host, port and path) begins with this; and the host in it.
    Prefix {
        /// As it was asked for.
        prefix: String,
        /// Its host, by which the messages are found.
        host: String,
    },
}

impl TargetFilter {
    /// Whether a target that is listed so is meant.
    #[must_use]
    pub fn fits(&self, target: Option<&str>, target_host: Option<&str>) -> bool {
        match self {
            Self::Host(host) => target_host == Some(host),
            Self::Prefix { prefix, .. } => target.is_some_and(|target| target.starts_with(prefix)),
        }
    }
}

/// An error, as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorFilter {
    /// The class of the last error, as it is written.
    Class(String),
    /// The target's last answer.
    Status(u16),
}

/// Which messages. What is `None` does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// Whose.
    pub whose: Whose,
    /// Of this subject.
    pub subject: Option<String>,
    /// Of this client.
    pub client: Option<String>,
    /// With this label.
    pub label: Option<String>,
    /// In this state.
    pub state: Option<MessageState>,
    /// To this target.
    pub target: Option<TargetFilter>,
    /// Accepted at this time or later.
    pub from: Option<Timestamp>,
    /// Accepted before this time.
    pub to: Option<Timestamp>,
}

impl MessageFilter {
    /// Whether a message that was accepted at that time fits, whatever its state.
    #[must_use]
    pub fn fits(&self, listing: &Listing, accepted_at: Timestamp) -> bool {
        self.whose.has(&listing.tenant, &listing.producer)
            && self.subject.as_ref().is_none_or(|subject| *subject == listing.subject)
            && (self.client.is_none() || self.client == listing.client)
            && self.label.as_ref().is_none_or(|label| listing.labels.contains(label))
            && self
                .target
                .as_ref()
                .is_none_or(|target| target.fits(listing.target.as_deref(), listing.target_host.as_deref()))
            && self.from.is_none_or(|from| accepted_at >= from)
            && self.to.is_none_or(|to| accepted_at < to)
    }
}

/// Which dead letters. What is `None` does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// Whose.
    pub whose: Whose,
    /// Of this subject.
    pub subject: Option<String>,
    /// Of this client.
    pub client: Option<String>,
    /// To this target.
    pub target: Option<TargetFilter>,
    /// Ended by this error.
    pub error: Option<ErrorFilter>,
    /// Of which the last attempt's entry was sent at this time or later (the record's `timestamp`).
    pub from: Option<Timestamp>,
    /// And before this time.
    pub to: Option<Timestamp>,
    /// Those that were replayed, instead of those that were not.
    pub replayed: bool,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// At most so many items.
    pub limit: usize,
    /// Where the page before ended, as that page said.
    pub cursor: Option<String>,
}

/// What was found, and where to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<T> {
    /// The items.
    pub items: Vec<T>,
    /// The cursor of the next page; none at the end.
    pub next_cursor: Option<String>,
}
