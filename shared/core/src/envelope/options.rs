//! What a message asks for beside its request: order, time, retries, callbacks, limits.

use std::time::Duration;

use serde_json::value::RawValue;

use super::Message;
use super::wire::read_message;
use crate::flow::Flow;
use crate::json::{Extra, Fields, Items, Writer};
use crate::limits;
use crate::retry::OwnRetry;
use crate::route::Ordering;
use crate::time::{Timestamp, parse_span};

/// The fields of an envelope that are options, as the contract names them.
const NAMES: [&str; 10] = [
    "ordering",
    "delay",
    "not_before",
    "expires_at",
    "expires_in",
    "timeout",
    "retry",
    "callback",
    "failure_callback",
    "flow",
];

/// The options of a message. What is not given, or can't be read by this version, is `None`, and travels as it stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// `ordering`; its route's where there is none.
    pub ordering: Option<Ordering>,
    /// `timeout`: of a whole attempt.
    pub timeout: Option<Duration>,
    /// `retry`; the deployment's policies where there is none.
    pub retry: Option<OwnRetry>,
    /// `callback`: who is told of a delivery.
    pub callback: Option<Box<Callback>>,
    /// `failure_callback`: who is told of an end without one.
    pub failure_callback: Option<Box<Callback>>,
    /// `flow`: limits of a free key.
    pub flow: Option<Flow>,
    /// Every option as it was given.
    given: Extra,
}

/// A request that tells of an outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Callback {
    /// The request, without its body.
    pub message: Message,
    /// Its own `timeout` and `retry`.
    pub options: Options,
}

impl Options {
    /// Takes the options out of an envelope's fields; what can't be read is kept and not heeded, because behind the
    /// ingress there is nobody to tell.
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let mut options = Self::default();
        for name in NAMES {
            if let Some(raw) = fields.take(name) {
                options.keep(name, raw);
                options.heed(name, raw);
            }
        }
        options
    }

    /// Keeps an option as it was given.
    pub(super) fn keep(&mut self, name: &str, raw: &RawValue) {
        self.given.insert(name, raw.get());
    }

    fn heed(&mut self, name: &str, raw: &RawValue) {
        match name {
            "ordering" => self.ordering = text(raw).as_deref().and_then(Ordering::parse),
            "timeout" => self.timeout = span(raw).ok(),
            "retry" => self.retry = read_retry(raw),
            "callback" => self.callback = Callback::read(raw).map(Box::new),
            "failure_callback" => self.failure_callback = Callback::read(raw).map(Box::new),
            "flow" => self.flow = read_flow(raw),
            // Times were reckoned when the message was accepted, and stand in `meta`.
            _ => {}
        }
    }

    /// The options of a message that has no others than to be relaxed.
    pub(crate) fn relaxed(mut self) -> Self {
        self.ordering = Some(Ordering::Relaxed);
        self.given.insert("ordering", r#""relaxed""#);
        self
    }

    /// Bytes of all options, as they were given.
    pub(super) fn bytes(&self) -> usize {
        self.given.bytes()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        for name in NAMES {
            if let Some(json) = self.given.get(name) {
                writer.raw(name, json);
            }
        }
    }
}

impl Callback {
    fn read(raw: &RawValue) -> Option<Self> {
        let mut fields = Fields::read(raw)?;
        let options = Options::read(&mut fields);
        Some(Self { message: read_message(raw, None, None).ok()?, options })
    }
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// A span as a text (`90s`) or as a number of seconds.
///
/// # Errors
/// Says what it takes.
pub(super) fn span(raw: &RawValue) -> Result<Duration, String> {
    match text(raw) {
        Some(text) => parse_span(&text),
        None => parse_span(raw.get()),
    }
}

/// A point in time.
pub(super) fn time(raw: &RawValue) -> Option<Timestamp> {
    text(raw).as_deref().and_then(Timestamp::parse)
}

fn read_retry(raw: &RawValue) -> Option<OwnRetry> {
    let mut fields = Fields::read(raw)?;
    let delays: Vec<Duration> = match fields.take_as::<Items<'_>>("delays") {
        None => Vec::new(),
        Some(items) => items.0.into_iter().map_while(|raw| span(raw).ok()).collect(),
    };
    let max_attempts = fields.take_as::<u32>("max_attempts").map(|most| most.clamp(1, limits::ATTEMPTS));
    (max_attempts.is_some() || !delays.is_empty()).then_some(OwnRetry { max_attempts, delays })
}

fn read_flow(raw: &RawValue) -> Option<Flow> {
    let mut fields = Fields::read(raw)?;
    let per = fields.take("per").and_then(|raw| span(raw).ok());
    Flow::new(fields.take_as::<String>("key")?, fields.take_as("rate"), per, fields.take_as("parallelism")).ok()
}
