//! The limits of a flow, without its key.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::wish::{Flow, PER_DEFAULT};
use crate::time::{format_span, parse_span};

/// What a flow limits; at least one of the two is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FlowLimits {
    /// Attempts that may begin in each `per`.
    pub rate: Option<u32>,
    /// What `rate` is counted in.
    pub per: Duration,
    /// Attempts that may run at once.
    pub parallelism: Option<u32>,
}

impl FlowLimits {
    /// From one attempt's begin to the next at that rate, in nanoseconds; none without a rate.
    pub(super) fn interval_ns(&self) -> Option<i64> {
        let rate = u128::from(self.rate?.max(1));
        Some(i64::try_from(self.per.as_nanos().div_ceil(rate)).unwrap_or(i64::MAX))
    }
}

/// `10/1s 2`, with `-` for a limit that is not there.
impl std::fmt::Display for FlowLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.rate {
            Some(rate) => write!(f, "{rate}/{} ", format_span(self.per))?,
            None => f.write_str("- ")?,
        }
        match self.parallelism {
            Some(slots) => write!(f, "{slots}"),
            None => f.write_str("-"),
        }
    }
}

impl FlowLimits {
    /// Reads what its `Display` wrote; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (rate, slots) = text.split_once(' ')?;
        let (rate, per) = match rate {
            "-" => (None, None),
            both => {
                let (rate, per) = both.split_once('/')?;
                (Some(rate.parse().ok()?), Some(parse_span(per).ok()?))
            }
        };
        let parallelism = match slots {
            "-" => None,
            slots => Some(slots.parse().ok()?),
        };
        let limits = Self { rate, per: per.unwrap_or(PER_DEFAULT), parallelism };
        // The same bounds as where they are taken in.
        Flow::new("-", rate, per, parallelism).ok().map(|_| limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_read_what_they_write() {
        for text in ["10/1s 2", "3/90500ms -", "- 1", "1000000/7d 10000"] {
            assert_eq!(FlowLimits::parse(text).map(|limits| limits.to_string()).as_deref(), Some(text));
        }
        for wrong in ["", "-", "- -", "10 2", "0/1s -", "10/1s 2 ", "1/10ms -", "x/1s 1"] {
            assert_eq!(FlowLimits::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_interval_never_lets_more_through() {
        let limits = |rate, ms| FlowLimits { rate: Some(rate), per: Duration::from_millis(ms), parallelism: None };
        assert_eq!(limits(10, 1_000).interval_ns(), Some(100_000_000));
        assert_eq!(limits(3, 1_000).interval_ns(), Some(333_333_334));
        assert_eq!(limits(1_000_000, 1_000).interval_ns(), Some(1_000));
        assert_eq!(limits(1, 7 * 86_400_000).interval_ns(), Some(604_800_000_000_000));
    }
}
