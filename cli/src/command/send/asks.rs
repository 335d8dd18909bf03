//! What a message can ask for beside its request, as options of the command line and fields of the envelope.

use std::time::Duration;

use chaski_core::flow::Flow;
use chaski_core::limits;
use chaski_core::time::{Timestamp, format_span, parse_span};
use clap::{Args, ValueEnum};
use serde::Serialize;

/// Times, retries, order, callbacks, limits. A text of time goes as it is written: the server reckons with it.
#[derive(Debug, Args, Serialize)]
pub(super) struct Asks {
    /// Not before this time from now: 90s, 2h, 20d
    #[arg(long, value_name = "TIME", requires = "url", conflicts_with = "not_before", value_parser = span)]
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<String>,
    /// Not before: 2026-12-01T09:00:00Z
    #[arg(long, value_name = "WHEN", requires = "url", value_parser = time)]
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    /// Not sent any more after this time from now
    #[arg(long, value_name = "TIME", requires = "url", value_parser = span)]
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<String>,
    /// How long one attempt may take
    #[arg(long, value_name = "TIME", requires = "url", value_parser = span)]
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[command(flatten)]
    #[serde(skip_serializing_if = "Retry::is_none")]
    retry: Retry,
    /// Whether the subject's next message waits until this one is at its end; the route's where it is not given
    #[arg(long, value_name = "ORDERING", requires = "url")]
    #[serde(skip_serializing_if = "Option::is_none")]
    ordering: Option<Ordering>,
    /// Who is told of the delivery
    #[arg(long, value_name = "URL", requires = "url", value_parser = Callback::read)]
    #[serde(skip_serializing_if = "Option::is_none")]
    callback: Option<Callback>,
    /// Who is told of another end: dead, expired, cancelled
    #[arg(long, value_name = "URL", requires = "url", value_parser = Callback::read)]
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_callback: Option<Callback>,
    /// Limits that all messages of a key share, KEY=RATE/TIME,PARALLELISM or a part: crm=10/1s,2 is ten requests a second
    /// and two at once
    #[arg(long, value_name = "KEY=LIMITS", requires = "url", value_parser = Limits::read)]
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<Limits>,
}

/// The arguments' names, for who conflicts with them.
pub(super) const NAMES: [&str; 10] = [
    "delay",
    "not_before",
    "expires_in",
    "timeout",
    "max_attempts",
    "retry_delays",
    "ordering",
    "callback",
    "failure_callback",
    "flow",
];

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Ordering {
    Relaxed,
    Strict,
}

#[derive(Debug, Args, Serialize)]
struct Retry {
    /// Requests in all, the first one included; 1 is no retry
    #[arg(long, value_name = "COUNT", requires = "url", value_parser = count)]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    /// The wait before each retry, the last one repeats: 10s,1m,10m
    #[arg(long, value_name = "TIMES", requires = "url", value_parser = span, value_delimiter = ',')]
    #[serde(rename = "delays", skip_serializing_if = "Vec::is_empty")]
    retry_delays: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Callback {
    url: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Limits {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallelism: Option<u32>,
}

impl Retry {
    fn is_none(&self) -> bool {
        self.max_attempts.is_none() && self.retry_delays.is_empty()
    }
}

impl Callback {
    /// What the URL may be the server says.
    fn read(url: &str) -> Result<Self, String> {
        if url.is_empty() { Err("it takes a URL".to_owned()) } else { Ok(Self { url: url.to_owned() }) }
    }
}

impl Limits {
    /// Reads `KEY[=RATE[/TIME]][,PARALLELISM]`; a key may hold the signs itself, as long as limits stand behind it.
    fn read(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u32>().ok();
        let (rest, parallelism) = match text.rsplit_once(',').and_then(|(rest, slots)| Some((rest, number(slots)?))) {
            Some((rest, slots)) => (rest, Some(slots)),
            None => (text, None),
        };
        let (key, rate, per) = match rest.rsplit_once('=').and_then(|(key, rate)| Some((key, rate_of(rate)?))) {
            Some((key, (rate, per))) => (key, Some(rate), per),
            None => (rest, None, None),
        };
        let flow = Flow::new(key, rate, per, parallelism).map_err(|wrong| {
            let wrong: Vec<String> = wrong.iter().map(|error| error.to_string().trim().to_owned()).collect();
            format!("{}; it takes the form KEY[=RATE[/TIME]][,PARALLELISM]", wrong.join(", "))
        })?;
        Ok(Self { key: flow.key, rate, per: per.map(format_span), parallelism })
    }
}

/// `10`, or `10/1m`.
fn rate_of(text: &str) -> Option<(u32, Option<Duration>)> {
    match text.split_once('/') {
        None => Some((text.parse().ok()?, None)),
        Some((rate, per)) => Some((rate.parse().ok()?, Some(parse_span(per).ok()?))),
    }
}

fn count(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| (1..=limits::ATTEMPTS).contains(count));
    count.ok_or_else(|| format!("it takes a whole number from 1 to {}", limits::ATTEMPTS))
}

fn span(text: &str) -> Result<String, String> {
    parse_span(text).map(|_| text.to_owned())
}

fn time(text: &str) -> Result<String, String> {
    let known = Timestamp::parse(text).map(|_| text.to_owned());
    known.ok_or_else(|| "it takes a time of RFC 3339, like 2026-12-01T09:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_read_from_its_end() {
        let limits = |key: &str, rate, per: Option<&str>, parallelism| {
            Ok(Limits { key: key.to_owned(), rate, per: per.map(str::to_owned), parallelism })
        };
        assert_eq!(Limits::read("crm=10/1s,2"), limits("crm", Some(10), Some("1s"), Some(2)));
        assert_eq!(Limits::read("crm=10"), limits("crm", Some(10), None, None));
        assert_eq!(Limits::read("crm,2"), limits("crm", None, None, Some(2)));
        assert_eq!(Limits::read("a=b,c=3/90s"), limits("a=b,c", Some(3), Some("90s"), None));
        for wrong in ["", "crm", "crm=0", "crm=10/", "crm=10/8d", "=10", "crm,0"] {
            assert!(Limits::read(wrong).is_err(), "{wrong} was read");
        }
    }
}
