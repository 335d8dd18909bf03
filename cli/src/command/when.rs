//! Points in time on the command line: a day, a time, or an age.

use std::str::FromStr;
use std::time::Duration;

use chaski_core::ports::Clock;
use chaski_core::time::{Timestamp, parse_span};
use chaski_system::SystemClock;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct When(Timestamp);

impl When {
    /// As the API takes it, in RFC 3339.
    pub(crate) fn rfc3339(self) -> String {
        self.0.to_string()
    }

    fn read(text: &str, now: Timestamp) -> Result<Self, String> {
        if let Some(at) = Timestamp::parse(text).or_else(|| Timestamp::parse(&format!("{text}T00:00:00Z"))) {
            return Ok(Self(at));
        }
        // A bare number could be a year as well as seconds.
        let age = if text.ends_with(|c: char| c.is_ascii_alphabetic()) { parse_span(text).ok() } else { None };
        let age = age.and_then(|age| i64::try_from(age.as_millis()).ok());
        age.map(|age| Self(Timestamp::from_millis(now.millis().saturating_sub(age)))).ok_or_else(|| {
            "it takes a day (2026-12-01), a time (2026-12-01T09:00:00Z), or how long ago (90s, 2h, 7d)".to_owned()
        })
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::read(text, now())
    }
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    SystemClock::start().now()
}

/// Reads a span of time, for the command line.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    parse_span(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_a_time_and_an_age_are_read() {
        let now = Timestamp::parse("2026-12-08T12:00:00Z").unwrap();
        let read = |text| When::read(text, now).map(When::rfc3339);
        assert_eq!(read("2026-12-01").as_deref(), Ok("2026-12-01T00:00:00.000Z"));
        assert_eq!(read("2026-12-01T10:00:00+01:00").as_deref(), Ok("2026-12-01T09:00:00.000Z"));
        assert_eq!(read("7d").as_deref(), Ok("2026-12-01T12:00:00.000Z"));
        assert_eq!(read("1h30m").as_deref(), Ok("2026-12-08T10:30:00.000Z"));
        for wrong in ["", "2026", "yesterday", "2026-13-01", "2h ago", "-2h", "09:00"] {
            assert!(read(wrong).is_err(), "{wrong} was read");
        }
    }
}
