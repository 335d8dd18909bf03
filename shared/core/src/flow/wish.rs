//! What a message says of the flow that it belongs to.

use std::time::Duration;

use super::limits::FlowLimits;
use crate::limits;
use crate::time::format_span;

/// A free key whose messages, of whatever subject, share limits. What exceeds them waits: it is never dropped, and no
/// wait is an attempt. Keys of different tenants never meet.
///
/// At least one of `rate` and `parallelism` is there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Flow {
    /// What the messages share: 1 to 128 bytes without control characters.
    pub key: String,
    /// Attempts that may begin in each `per`; as fast as may be without it.
    pub rate: Option<u32>,
    /// What `rate` is counted in, 1 s to 7 d.
    pub per: Duration,
    /// Attempts that may run at once; as many as may be without it.
    pub parallelism: Option<u32>,
}

/// What is wrong with one field of a flow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {detail}")]
pub struct FlowError {
    /// The field's name: `key`, `rate`, `per` or `parallelism`; empty for the flow as a whole.
    pub field: &'static str,
    /// For a person, to stand behind the name.
    pub detail: String,
}

/// What `rate` is counted in where a message does not say.
pub const PER_DEFAULT: Duration = Duration::from_secs(1);

impl Flow {
    /// Checks every field; `per` is [`PER_DEFAULT`] if it is not given.
    ///
    /// # Errors
    /// All that is wrong, a field at a time.
    pub fn new(
        key: impl Into<String>,
        rate: Option<u32>,
        per: Option<Duration>,
        parallelism: Option<u32>,
    ) -> Result<Self, Vec<FlowError>> {
        let key = key.into();
        let mut wrong = Vec::new();
        let mut note = |field, detail: String| wrong.push(FlowError { field, detail });
        if key.is_empty() || key.len() > limits::FLOW_KEY_BYTES || key.chars().any(char::is_control) {
            note("key", format!("must be 1 to {} bytes without control characters", limits::FLOW_KEY_BYTES));
        }
        if rate.is_some_and(|rate| !(1..=limits::FLOW_RATE).contains(&rate)) {
            note("rate", format!("must be a whole number from 1 to {}", limits::FLOW_RATE));
        }
        if per.is_some_and(|per| !(limits::FLOW_PER_MIN..=limits::FLOW_PER).contains(&per)) {
            let [least, most] = [limits::FLOW_PER_MIN, limits::FLOW_PER].map(format_span);
            note("per", format!("must be a span of time from {least} to {most}"));
        } else if per.is_some() && rate.is_none() {
            note("per", "needs a rate beside it".to_owned());
        }
        if parallelism.is_some_and(|slots| !(1..=limits::FLOW_PARALLELISM).contains(&slots)) {
            note("parallelism", format!("must be a whole number from 1 to {}", limits::FLOW_PARALLELISM));
        }
        if rate.is_none() && parallelism.is_none() {
            note("", "needs a rate or a parallelism".to_owned());
        }
        if wrong.is_empty() { Ok(Self { key, rate, per: per.unwrap_or(PER_DEFAULT), parallelism }) } else { Err(wrong) }
    }

    /// Its limits, without the key.
    #[must_use]
    pub fn limits(&self) -> FlowLimits {
        FlowLimits { rate: self.rate, per: self.per, parallelism: self.parallelism }
    }

    /// What shares the limits: the key within its tenant. Neither holds the control character between them.
    #[must_use]
    pub fn scope(&self, tenant: &str) -> String {
        format!("{tenant}\t{}", self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(flow: Result<Flow, Vec<FlowError>>) -> Vec<&'static str> {
        flow.map_or_else(|wrong| wrong.iter().map(|error| error.field).collect(), |_| Vec::new())
    }

    #[test]
    fn every_bound_is_exact_and_every_wrong_field_is_named() {
        let s = Duration::from_secs;
        assert!(fields(Flow::new("k", Some(1), None, None)).is_empty());
        assert!(fields(Flow::new("é".repeat(64), Some(1_000_000), Some(s(7 * 86_400)), Some(10_000))).is_empty());
        assert_eq!(fields(Flow::new("k".repeat(129), Some(1), None, None)), ["key"]);
        assert_eq!(fields(Flow::new("a\nb", None, None, Some(1))), ["key"]);
        assert_eq!(fields(Flow::new("k", None, None, None)), [""]);
        assert_eq!(fields(Flow::new("k", None, Some(s(1)), Some(1))), ["per"]);
        let wrong = Flow::new("", Some(0), Some(Duration::from_millis(999)), Some(10_001));
        assert_eq!(fields(wrong), ["key", "rate", "per", "parallelism"]);
        assert_eq!(
            fields(Flow::new("k", Some(1_000_001), Some(s(7 * 86_400 + 1)), Some(0))),
            ["rate", "per", "parallelism"]
        );
    }

    #[test]
    fn keys_of_two_tenants_never_meet() {
        let flow = |key: &str| Flow::new(key, Some(1), None, None).unwrap();
        assert_ne!(flow("b").scope("a"), flow("a").scope("b"));
        assert_ne!(flow("b/c").scope("a"), flow("c").scope("a/b"));
        assert_eq!(flow("crm").limits(), FlowLimits { rate: Some(1), per: PER_DEFAULT, parallelism: None });
    }
}
