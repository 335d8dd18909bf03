//! What an attempt ended as: delivered, or an error class. The classes are the contract's.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use crate::ports::{Answer, CallError};
use crate::time::Timestamp;

/// Why a message was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorClass {
    /// 101, 3xx, and any 4xx but those that have a class of their own.
    Http4xx,
    /// 500 to 999, but those that have a class of their own.
    Http5xx,
    /// The deadline passed at any point, a slow body included.
    Timeout,
    /// Refused, reset, DNS, TLS, and every breach of the protocol.
    Connection,
    /// 429, or 503 with a `Retry-After` that can be read.
    Throttled,
    /// 410.
    Gone,
    /// 489, or the answer's header `Chaski-No-Retry: true`.
    Rejected,
    /// The target is not allowed.
    Blocked,
    /// The entry can't be read as an envelope. No attempt was made.
    Undecodable,
    /// An envelope without `meta` in a tier. No attempt was made.
    NoMeta,
    /// Its time was over before it could be delivered. No attempt was made then.
    Expired,
    /// It was received so often without coming to an end that its queue was about to give it up.
    Stuck,
    /// Handling it panicked three times.
    Internal,
    /// The queue gave it up: it was received too often. No attempt was made.
    LastNet,
}

impl ErrorClass {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Http4xx,
        Self::Http5xx,
        Self::Timeout,
        Self::Connection,
        Self::Throttled,
        Self::Gone,
        Self::Rejected,
        Self::Blocked,
        Self::Undecodable,
        Self::NoMeta,
        Self::Expired,
        Self::Stuck,
        Self::Internal,
        Self::LastNet,
    ];

    /// As it is written in settings, records and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http4xx => "http_4xx",
            Self::Http5xx => "http_5xx",
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Throttled => "throttled",
            Self::Gone => "gone",
            Self::Rejected => "rejected",
            Self::Blocked => "blocked",
            Self::Undecodable => "undecodable",
            Self::NoMeta => "no_meta",
            Self::Expired => "expired",
            Self::Stuck => "stuck",
            Self::Internal => "internal",
            Self::LastNet => "last_net",
        }
    }

    /// The class of that name; `None` for one that another version may know.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// Whether a message may be tried again after such an error, as far as its policy goes.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(self, Self::Http4xx | Self::Http5xx | Self::Timeout | Self::Connection | Self::Throttled)
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `delivered`, as it is written in records and logs.
pub const DELIVERED: &str = "delivered";

/// What an attempt ended as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The target answered 200 to 299.
    Delivered,
    /// It did not.
    Failed(Failure),
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class that a policy is chosen by.
    pub class: ErrorClass,
    /// The target's answer, where there was one.
    pub status: Option<u16>,
    /// For a person.
    pub detail: String,
    /// How long the target asks to be left alone. Given with [`ErrorClass::Throttled`] only.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure without an answer.
    #[must_use]
    pub fn without_answer(class: ErrorClass, detail: impl Into<String>) -> Self {
        Self { class, status: None, detail: detail.into(), retry_after: None }
    }
}

impl Outcome {
    /// Judges what a call gave. `now` is what an HTTP date in `Retry-After` is measured against.
    #[must_use]
    pub fn of(call: &Result<Answer, CallError>, now: Timestamp) -> Self {
        let failure = match call {
            Ok(answer) if (200..300).contains(&answer.status) => return Self::Delivered,
            Ok(answer) => of_answer(answer, now),
            Err(CallError::Timeout(detail)) => Failure::without_answer(ErrorClass::Timeout, detail),
            Err(CallError::Connection(detail)) => Failure::without_answer(ErrorClass::Connection, detail),
            Err(CallError::Blocked(detail)) => Failure::without_answer(ErrorClass::Blocked, detail),
        };
        Self::Failed(failure)
    }

    /// `delivered` or the class's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Delivered => DELIVERED,
            Self::Failed(failure) => failure.class.name(),
        }
    }
}

fn of_answer(answer: &Answer, now: Timestamp) -> Failure {
    let header = |name| answer.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim());
    let retry_after = header("retry-after").and_then(|value| read_retry_after(value, now));
    let no_retry = header("chaski-no-retry").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let class = match answer.status {
        _ if no_retry => ErrorClass::Rejected,
        410 => ErrorClass::Gone,
        489 => ErrorClass::Rejected,
        429 => ErrorClass::Throttled,
        503 if retry_after.is_some() => ErrorClass::Throttled,
        500.. => ErrorClass::Http5xx,
        _ => ErrorClass::Http4xx,
    };
    Failure {
        class,
        status: Some(answer.status),
        detail: format!("the target answered {}", answer.status),
        retry_after: retry_after.filter(|_| class == ErrorClass::Throttled),
    }
}

/// Reads `Retry-After`: seconds, or an HTTP date. Negative, past or unreadable counts as absent; a number
/// too large for the type is simply very long.
fn read_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let at = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let now = Duration::from_millis(u64::try_from(now.millis()).ok()?);
    at.checked_sub(now).filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class_of(status: u16, headers: &[(&str, &str)]) -> Option<ErrorClass> {
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let answer = Answer { status, headers, ..Answer::default() };
        match Outcome::of(&Ok(answer), Timestamp::from_millis(784_111_777_000)) {
            Outcome::Delivered => None,
            Outcome::Failed(failure) => Some(failure.class),
        }
    }

    #[test]
    fn every_status_has_its_class() {
        for status in 200..300 {
            assert_eq!(class_of(status, &[]), None);
        }
        for status in [101, 300, 301, 308, 399, 400, 401, 404, 409, 428, 430, 451, 488, 490, 499] {
            assert_eq!(class_of(status, &[]), Some(ErrorClass::Http4xx), "{status}");
        }
        for status in [500, 501, 502, 503, 504, 599, 600, 999] {
            assert_eq!(class_of(status, &[]), Some(ErrorClass::Http5xx), "{status}");
        }
        assert_eq!(class_of(410, &[]), Some(ErrorClass::Gone));
        assert_eq!(class_of(429, &[]), Some(ErrorClass::Throttled));
        assert_eq!(class_of(489, &[]), Some(ErrorClass::Rejected));
        assert_eq!(class_of(500, &[("chaski-no-retry", "true")]), Some(ErrorClass::Rejected));
        assert_eq!(class_of(500, &[("chaski-no-retry", "no")]), Some(ErrorClass::Http5xx));
        assert_eq!(class_of(204, &[("chaski-no-retry", "true")]), None);
    }

    #[test]
    fn retry_after_counts_only_when_it_can_be_read() {
        let now = Timestamp::from_millis(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT
        for (value, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            ("1000000000", Some(1_000_000_000)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(read_retry_after(value, now), seconds.map(Duration::from_secs), "{value}");
            let expected = if seconds.is_some() { ErrorClass::Throttled } else { ErrorClass::Http5xx };
            assert_eq!(class_of(503, &[("retry-after", value)]), Some(expected), "{value}");
        }
    }

    #[test]
    fn names_read_what_they_write() {
        for class in ErrorClass::ALL {
            assert_eq!(ErrorClass::parse(class.name()), Some(class));
        }
    }
}
