//! What a home with a ledger knows of a message: its state, its attempts, its target's last answer.

use std::fmt;
use std::time::Duration;

use crate::envelope::{Envelope, Meta};
use crate::flow::Flow;
use crate::history::{AttemptRecord, ErrorRecord};
use crate::ports::KeptBody;
use crate::route::Ordering;
use crate::shown_target::shown_target_of;
use crate::time::Timestamp;

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// Accepted; no attempt of this generation was made.
    Pending,
    /// An attempt runs.
    Delivering,
    /// An attempt failed; the next one waits in a tier.
    Retrying,
    /// The target took it.
    Delivered,
    /// Given up; there is a dead letter.
    Dead,
    /// Cancelled before it was delivered.
    Cancelled,
    /// Its time was over before it was delivered.
    Expired,
}

impl MessageState {
    /// All of them, from the first to the last.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Delivering, Self::Retrying, Self::Delivered, Self::Dead, Self::Cancelled, Self::Expired];

    /// As it is written: `pending`, `delivering`, …
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivering => "delivering",
            Self::Retrying => "retrying",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing will happen to the message any more, short of a replay.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Delivered | Self::Dead | Self::Cancelled | Self::Expired)
    }
}

impl fmt::Display for MessageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is listed of a message from its acceptance on, and found by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The message's id; empty where the envelope has none, and the queue's own id of the entry stands in.
    pub id: String,
    /// From 1.
    pub generation: u32,
    /// Whose line it stands in.
    pub tenant: String,
    /// Who posted it; empty for callers that the platform let in.
    pub producer: String,
    /// Its line.
    pub subject: String,
    /// The client, named by the envelope or found in the subject.
    pub client: Option<String>,
    /// Free words to find it by.
    pub labels: Vec<String>,
    /// Its route's name.
    pub route: String,
    /// The target without user info, query and fragment.
    pub target: Option<String>,
    /// The target's host.
    pub target_host: Option<String>,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// The flow that its attempts belong to, for a home that keeps the flow beside the entry. Not listed.
    pub flow: Option<Flow>,
    /// Its body, where that is kept beside the queue.
    pub body: Option<KeptBody>,
}

impl Listing {
    /// Of an envelope and its `meta`, with the client that was found for it. `now` stands in where the
    /// envelope does not say when it was accepted.
    #[must_use]
    pub fn of(envelope: &Envelope, meta: &Meta, client: Option<String>, now: Timestamp) -> Self {
        Self::with_target(envelope, meta, client, now, shown_target_of(&envelope.message.url))
    }

    /// The same, with the shown target and its host, where they are known already.
    pub(crate) fn with_target(
        envelope: &Envelope,
        meta: &Meta,
        client: Option<String>,
        now: Timestamp,
        shown: Option<(String, String)>,
    ) -> Self {
        let (target, target_host) = shown.unzip();
        Self {
            id: meta.id.clone(),
            generation: meta.generation,
            tenant: meta.tenant.clone(),
            producer: meta.producer.clone(),
            subject: envelope.subject.clone(),
            client,
            labels: envelope.labels.clone(),
            route: meta.route.clone().unwrap_or_default(),
            target,
            target_host,
            received_at: meta.received_at.unwrap_or(now),
            flow: envelope.options.flow.clone(),
            body: KeptBody::of(&envelope.message.body),
        }
    }
}

/// One attempt that was made, for the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptReport {
    /// The attempt, as it stands in the history.
    pub record: AttemptRecord,
    /// What the target answered, where it did; redacted.
    pub answer: Option<KeptAnswer>,
    /// What went wrong, unless it was delivered.
    pub error: Option<ErrorRecord>,
    /// From acceptance to delivery in milliseconds, where it was delivered.
    pub delay_ms: Option<u64>,
    /// How long the target asked to be left alone, where it did and the attempt was throttled.
    pub retry_after: Option<Duration>,
}

/// The beginning of a target's answer, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// 100 to 999.
    pub status: u16,
    /// At most [`crate::limits::ANSWER_BYTES`] of the answer, less what was redacted.
    pub body: Vec<u8>,
    /// Whether the target had more to say.
    pub truncated: bool,
}

/// All that is known of one message.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageRecord {
    /// What it was listed as.
    pub listing: Listing,
    /// Where it stands.
    pub state: MessageState,
    /// Whether it is to be cancelled as soon as the attempt that runs has failed.
    pub cancelling: bool,
    /// The short name of the queue that it waits in; none at its end.
    pub queue: Option<String>,
    /// When the next attempt is due, where it waits for that.
    pub next_due: Option<Timestamp>,
    /// What it asked for its line, where it did not leave that to its route. Not told in lists.
    pub ordering: Option<Ordering>,
    /// When it ends unless it is delivered before. Not told in lists.
    pub expires_at: Option<Timestamp>,
    /// When it came to its end.
    pub ended_at: Option<Timestamp>,
    /// The attempts of this generation, each with the version of Chaski that made it.
    pub attempts: Vec<(AttemptRecord, String)>,
    /// The target's last answer.
    pub answer: Option<KeptAnswer>,
    /// The last error.
    pub error: Option<ErrorRecord>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_known_by_their_names() {
        for state in MessageState::ALL {
            assert_eq!(MessageState::parse(state.name()), Some(state));
        }
        assert_eq!(MessageState::parse("lost"), None);
        assert_eq!(MessageState::ALL.iter().filter(|state| state.is_end()).count(), 4);
    }
}
