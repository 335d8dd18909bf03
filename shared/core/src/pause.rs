//! Pauses: what is held back, while accepting goes on.

use crate::time::Timestamp;

/// What a pause holds back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PauseScope {
    /// Every delivery.
    All,
    /// A queue, by its short name.
    Queue(String),
    /// A route, by its name: first attempts and retries of its messages.
    Route(String),
    /// A subject of a tenant.
    Subject {
        /// The tenant.
        tenant: String,
        /// The subject.
        subject: String,
    },
    /// A target host, in lower case.
    Target(String),
}

/// A pause that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// By which it is ended.
    pub id: String,
    /// What it holds back.
    pub scope: PauseScope,
    /// Since when.
    pub created_at: Timestamp,
}
