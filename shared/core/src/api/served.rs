//! What a deployment serves, as data: the function open to producers does not even name the rest, so that nothing
//! of it is built in.

use super::routes::{OPERATORS, Route};
use super::{batch, openapi};

/// What a deployment serves.
#[derive(Debug)]
pub(super) struct Served {
    /// The operators' calls, besides the producers'.
    pub(super) operators: &'static [Route],
    /// The links of `/` to them, by name.
    pub(super) links: &'static [(&'static str, &'static str)],
    /// The OpenAPI document; its argument is whether producers are known by their keys.
    pub(super) document: fn(bool) -> String,
    /// The longest answer to a batch that is given whole.
    pub(super) batch_answer_bytes: usize,
}

/// The producers' calls, as events of Lambda.
pub(super) static PRODUCERS_ONLY: Served = Served {
    operators: &[],
    links: &[],
    document: openapi::of_producers,
    batch_answer_bytes: batch::EVENT_ANSWER_BYTES,
};

/// All calls, over a desk.
pub(super) static EVERYTHING: Served = Served {
    operators: &OPERATORS,
    links: &[("dead_letters", "/dead-letters"), ("queues", "/queues"), ("pauses", "/pauses"), ("metrics", "/metrics")],
    document: openapi::of_everything,
    batch_answer_bytes: usize::MAX,
};

impl Served {
    /// Whether operators are served too.
    pub(super) const fn operators_too(&self) -> bool {
        !self.operators.is_empty()
    }
}
