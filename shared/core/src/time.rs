//! Points in time and spans, as they are written in envelopes, settings and records.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

/// The last millisecond of the year 9999, which is where RFC 3339 ends.
const LAST: i64 = 253_402_300_799_999;

impl Timestamp {
    /// From milliseconds since the epoch; clamped to the years 1970 to 9999.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(if millis < 0 {
            0
        } else if millis > LAST {
            LAST
        } else {
            millis
        })
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Later by `span`.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier`; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads RFC 3339, any offset. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok().map(Self::from_millis)
    }

    /// The day in UTC, `YYYY-MM-DD`.
    #[must_use]
    pub fn date(self) -> String {
        self.formatted(format_description!("[year]-[month]-[day]"))
    }

    fn formatted(self, shape: &[time::format_description::BorrowedFormatItem<'_>]) -> String {
        // Both steps can fail only outside the years that `from_millis` clamps to.
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|at| at.format(shape).ok())
            .unwrap_or_default()
    }
}

/// RFC 3339 in UTC with milliseconds, `2026-12-01T09:00:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            &self.formatted(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z")),
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a span: `500ms`, `90s`, `5m`, `2h`, `7d`, `1h30m`, or a number of seconds (`90`, `0.5`).
///
/// # Errors
/// Says what it takes, for a person.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "`{text}` is not a span of time; it takes forms like 500ms, 90s, 5m, 2h, 7d, 1h30m or a number of seconds"
        )
    };
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        let seconds: f64 = text.parse().map_err(|_| wrong())?;
        return Duration::try_from_secs_f64(seconds).map_err(|_| wrong());
    }
    let mut rest = text;
    let mut total_ms: u64 = 0;
    let mut last_unit_ms = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(letters);
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        // Units fall from left to right, each once: `30m1h` and `1s1s` are slips of the pen.
        if unit_ms >= last_unit_ms {
            return Err(wrong());
        }
        last_unit_ms = unit_ms;
        let count: u64 = number.parse().map_err(|_| wrong())?;
        total_ms = count.checked_mul(unit_ms).and_then(|ms| total_ms.checked_add(ms)).ok_or_else(wrong)?;
        rest = next;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_millis(total_ms)) }
}

/// Writes a span so that [`parse_span`] reads it back: the largest unit that divides it.
#[must_use]
pub fn format_span(span: Duration) -> String {
    let ms = span.as_millis();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if ms >= size && ms.is_multiple_of(size) {
            return format!("{}{unit}", ms / size);
        }
    }
    format!("{ms}ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_in_time_reads_what_it_writes() {
        let at = Timestamp::from_millis(1_796_115_600_123);
        assert_eq!(at.to_string(), "2026-12-01T09:00:00.123Z");
        assert_eq!(at.date(), "2026-12-01");
        assert_eq!(Timestamp::parse("2026-12-01T10:00:00.123+01:00"), Some(at));
        assert_eq!(Timestamp::parse("2026-12-01"), None);
        assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn spans_read_as_the_contract_writes_them() {
        let ms = |text| parse_span(text).map(|d| d.as_millis());
        assert_eq!(ms("500ms"), Ok(500));
        assert_eq!(ms("90s"), Ok(90_000));
        assert_eq!(ms("1h30m"), Ok(5_400_000));
        assert_eq!(ms("7d"), Ok(604_800_000));
        assert_eq!(ms("90"), Ok(90_000));
        assert_eq!(ms("0.5"), Ok(500));
        for wrong in ["", "s", "1x", "-1s", "1s1s", "30m1h", "1h 30m", "1e18", "99999999999999999999d", "."] {
            assert!(ms(wrong).is_err(), "{wrong} was read");
        }
        for text in ["500ms", "90s", "5m", "2h", "7d"] {
            assert_eq!(format_span(parse_span(text).unwrap()), if text == "90s" { "90s" } else { text });
        }
    }
}
