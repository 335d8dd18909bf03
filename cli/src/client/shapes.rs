//! The API's JSON, as far as a person is shown it. Fields that are not here are no concern of the tables; `--json`
//! prints what came. What a server may leave out has a default, so that versions can be mixed.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    #[serde(default)]
    pub(crate) next_cursor: Option<String>,
}

/// What `POST /messages` answers.
#[derive(Debug, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) queue: String,
    #[serde(default)]
    pub(crate) duplicate: bool,
    #[serde(default)]
    pub(crate) warnings: Vec<Value>,
}

/// What `POST /messages/batch` answers; the items as they came.
#[derive(Debug, Deserialize)]
pub(crate) struct BatchAnswer {
    pub(crate) items: Vec<Box<RawValue>>,
}

/// A message and where it stands.
#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    pub(crate) id: String,
    #[serde(default = "first")]
    pub(crate) generation: u32,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) cancelling: bool,
    #[serde(default)]
    pub(crate) tenant: String,
    pub(crate) producer: Option<String>,
    pub(crate) subject: String,
    pub(crate) client: Option<String>,
    #[serde(default)]
    pub(crate) labels: Vec<String>,
    #[serde(default)]
    pub(crate) route: String,
    pub(crate) queue: Option<String>,
    pub(crate) target: Option<String>,
    #[serde(default)]
    pub(crate) received_at: String,
    pub(crate) next_due: Option<String>,
    pub(crate) ordering: Option<String>,
    pub(crate) expires_at: Option<String>,
    pub(crate) ended_at: Option<String>,
    #[serde(default)]
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) body: Option<KeptBody>,
    pub(crate) answer: Option<TargetAnswer>,
    pub(crate) error: Option<Fault>,
}

/// A body that is kept beside the queue.
#[derive(Debug, Deserialize)]
pub(crate) struct KeptBody {
    pub(crate) body_ref: String,
    pub(crate) bytes: u64,
}

impl Message {
    /// Whether nothing more will happen to it.
    pub(crate) fn is_at_its_end(&self) -> bool {
        matches!(self.state.as_str(), "delivered" | "dead" | "cancelled" | "expired")
    }
}

/// One attempt.
#[derive(Debug, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) n: u32,
    #[serde(default)]
    pub(crate) at: String,
    #[serde(default)]
    pub(crate) tier: String,
    #[serde(default)]
    pub(crate) outcome: String,
    pub(crate) status: Option<u16>,
    #[serde(default)]
    pub(crate) duration_ms: u64,
    #[serde(default)]
    pub(crate) version: String,
}

/// The beginning of the target's last answer.
#[derive(Debug, Deserialize)]
pub(crate) struct TargetAnswer {
    pub(crate) status: u16,
    pub(crate) body: Option<String>,
    pub(crate) body_base64: Option<String>,
    #[serde(default)]
    pub(crate) truncated: bool,
}

/// What an attempt failed with.
#[derive(Debug, Deserialize)]
pub(crate) struct Fault {
    pub(crate) class: String,
    pub(crate) status: Option<u16>,
    #[serde(default)]
    pub(crate) detail: String,
    #[serde(default)]
    pub(crate) at: String,
}

/// A message given up.
#[derive(Debug, Deserialize)]
pub(crate) struct DeadLetter {
    pub(crate) id: String,
    #[serde(default = "first")]
    pub(crate) generation: u32,
    #[serde(default)]
    pub(crate) tenant: String,
    pub(crate) producer: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) client: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) received_at: Option<String>,
    pub(crate) error: Faults,
    #[serde(default)]
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) message: Option<Box<RawValue>>,
    pub(crate) message_base64: Option<String>,
    pub(crate) response: Option<String>,
    pub(crate) response_base64: Option<String>,
    #[serde(default)]
    pub(crate) died_at: String,
    pub(crate) replayed_at: Option<String>,
}

/// The first error, whose class chose the policy, and the last.
#[derive(Debug, Deserialize)]
pub(crate) struct Faults {
    pub(crate) first: Fault,
    pub(crate) last: Fault,
}

/// One queue of a route, or a tier.
#[derive(Debug, Deserialize)]
pub(crate) struct Queue {
    pub(crate) queue: String,
    pub(crate) route: Option<String>,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) depth: u64,
    #[serde(default)]
    pub(crate) in_flight: u64,
    #[serde(default)]
    pub(crate) delayed: u64,
    pub(crate) oldest_age_ms: Option<u64>,
    /// A tier's delay, where the server names it.
    pub(crate) delay_ms: Option<u64>,
    pub(crate) in_per_second: Option<f64>,
    pub(crate) out_per_second: Option<f64>,
    pub(crate) failed_per_second: Option<f64>,
}

/// A pause.
#[derive(Debug, Deserialize)]
pub(crate) struct Pause {
    pub(crate) id: String,
    pub(crate) scope: Scope,
    #[serde(default)]
    pub(crate) created_at: String,
}

/// What a pause holds: one field but for `tenant`, which goes with a subject.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scope {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) all: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<String>,
}

impl Scope {
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The same, with the empty tenant left out as in no tenant.
    pub(crate) fn normal(mut self) -> Self {
        self.tenant = self.tenant.filter(|tenant| !tenant.is_empty());
        self
    }
}

/// What a cancelled message is.
#[derive(Debug, Deserialize)]
pub(crate) struct Cancelled {
    pub(crate) id: String,
    pub(crate) state: String,
}

/// How many messages a cancellation met.
#[derive(Debug, Deserialize)]
pub(crate) struct CancelledAll {
    /// `None` where it is not known.
    pub(crate) matched: Option<u64>,
    #[serde(default)]
    pub(crate) cancelled: u64,
    #[serde(default)]
    pub(crate) cancelling: u64,
}

/// How many dead letters a replay met.
#[derive(Debug, Deserialize)]
pub(crate) struct Counted {
    pub(crate) matched: u64,
    #[serde(default)]
    pub(crate) replayed: u64,
}

/// A copy of the store.
#[derive(Debug, Deserialize)]
pub(crate) struct BackupTaken {
    pub(crate) to: String,
    pub(crate) bytes: u64,
}

const fn first() -> u32 {
    1
}

/// Where a body is uploaded to.
#[derive(Debug, Deserialize)]
pub(crate) struct BodyPromise {
    /// What a message names it by.
    pub(crate) body_ref: String,
    pub(crate) upload: UploadAddress,
}

/// An address that takes a body once.
#[derive(Debug, Deserialize)]
pub(crate) struct UploadAddress {
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) headers: std::collections::BTreeMap<String, String>,
}
