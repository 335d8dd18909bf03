//! The checks of what a producer asks for beside its request; each notes what it finds and goes on.

use std::time::Duration;

use serde_json::value::RawValue;

use super::accept::Rules;
use super::check::{self, Mistakes};
use super::options::{self, Options};
use crate::flow::Flow;
use crate::json::{self, Fields, Items};
use crate::limits;
use crate::route::Ordering;
use crate::time::{Timestamp, format_span};

/// What was asked for, with its times reckoned.
pub(super) struct Asked {
    pub(super) options: Options,
    /// Not to be attempted before; later than now.
    pub(super) not_before: Option<Timestamp>,
    /// Not to be attempted from then on.
    pub(super) expires_at: Option<Timestamp>,
    /// Pointers of fields outside the contract.
    pub(super) unknown: Vec<String>,
}

/// Checks and takes the options.
pub(super) fn asked(fields: &mut Fields<'_>, rules: Rules<'_>, mistakes: &mut Mistakes) -> Asked {
    let mut unknown = Vec::new();
    if let Some(raw) = fields.get("ordering") {
        let given = mistakes.typed::<String>("/ordering", raw, "relaxed or strict");
        if given.is_some_and(|text| Ordering::parse(&text).is_none()) {
            mistakes.wrong("/ordering", "must be relaxed or strict");
        }
    }
    let not_before = not_before(fields, rules.now, mistakes);
    let expires_at = expires_at(fields, rules.now, not_before, mistakes);
    own("", fields, rules, mistakes, &mut unknown);
    for name in ["callback", "failure_callback"] {
        if let Some(raw) = fields.get(name) {
            callback(&json::join("", name), raw, rules, mistakes, &mut unknown);
        }
    }
    if let Some(raw) = fields.get("flow") {
        flow(raw, mistakes, &mut unknown);
    }
    let options = Options::read(fields);
    if options.bytes() > limits::OPTIONS_BYTES {
        let detail = format!("has {} bytes of options; at most {} are taken", options.bytes(), limits::OPTIONS_BYTES);
        mistakes.too_large("", detail);
    }
    Asked { options, not_before, expires_at, unknown }
}

/// `timeout` and `retry`, which a message has, and a callback of its own too.
fn own(at: &str, fields: &Fields<'_>, rules: Rules<'_>, mistakes: &mut Mistakes, unknown: &mut Vec<String>) {
    if let Some(raw) = fields.get("timeout") {
        let at = json::join(at, "timeout");
        let bounds = Duration::from_millis(limits::TIMEOUT_MIN_MS)..=rules.max_timeout;
        if span(&at, raw, mistakes).is_some_and(|timeout| !bounds.contains(&timeout)) {
            let most = format_span(rules.max_timeout);
            mistakes.wrong(&at, format!("must be from {} ms to {most} (http.max_timeout)", limits::TIMEOUT_MIN_MS));
        }
    }
    if let Some(raw) = fields.get("retry") {
        retry(&json::join(at, "retry"), raw, mistakes, unknown);
    }
}

fn span(at: &str, raw: &RawValue, mistakes: &mut Mistakes) -> Option<Duration> {
    options::span(raw).map_err(|detail| mistakes.wrong(at, detail)).ok()
}

fn time(at: &str, raw: &RawValue, mistakes: &mut Mistakes) -> Option<Timestamp> {
    let time = options::time(raw);
    if time.is_none() {
        mistakes.wrong(at, "must be a time of RFC 3339, like 2026-12-01T09:00:00Z");
    }
    time
}

fn not_before(fields: &Fields<'_>, now: Timestamp, mistakes: &mut Mistakes) -> Option<Timestamp> {
    let (at, time) = match (fields.get("delay"), fields.get("not_before")) {
        (None, None) => return None,
        (Some(_), Some(_)) => {
            mistakes.wrong("/not_before", "can't stand beside delay");
            return None;
        }
        (Some(raw), None) => ("/delay", now.plus(span("/delay", raw, mistakes)?)),
        (None, Some(raw)) => ("/not_before", time("/not_before", raw, mistakes)?),
    };
    if time.since(now) > limits::DELAY {
        mistakes.wrong(at, format!("is more than {} ahead", format_span(limits::DELAY)));
    }
    // A time in the past is now.
    (time > now).then_some(time)
}

fn expires_at(
    fields: &Fields<'_>,
    now: Timestamp,
    not_before: Option<Timestamp>,
    mistakes: &mut Mistakes,
) -> Option<Timestamp> {
    let (at, time) = match (fields.get("expires_at"), fields.get("expires_in")) {
        (None, None) => return None,
        (Some(_), Some(_)) => {
            mistakes.wrong("/expires_in", "can't stand beside expires_at");
            return None;
        }
        (Some(raw), None) => ("/expires_at", time("/expires_at", raw, mistakes)?),
        (None, Some(raw)) => ("/expires_in", now.plus(span("/expires_in", raw, mistakes)?)),
    };
    if time <= now {
        mistakes.wrong(at, "is over already");
    } else if not_before.is_some_and(|begin| time <= begin) {
        mistakes.wrong(at, "is over before the message may be sent");
    }
    Some(time)
}

fn retry(at: &str, raw: &RawValue, mistakes: &mut Mistakes, unknown: &mut Vec<String>) {
    let Some(mut fields) = object(at, raw, mistakes) else { return };
    let bounds = 1..=limits::ATTEMPTS;
    if let Some(raw) = fields.take("max_attempts") {
        let at = json::join(at, "max_attempts");
        let count: Option<u32> = serde_json::from_str(raw.get()).ok();
        if count.is_none_or(|count| !bounds.contains(&count)) {
            mistakes.wrong(&at, format!("must be a whole number from 1 to {}", limits::ATTEMPTS));
        }
    }
    if let Some(raw) = fields.take("delays") {
        let at = json::join(at, "delays");
        let items = mistakes.typed::<Items<'_>>(&at, raw, "an array of spans").map_or_else(Vec::new, |items| items.0);
        let most = usize::try_from(limits::ATTEMPTS).unwrap_or(usize::MAX) - 1;
        if items.len() > most {
            mistakes.too_large(&at, format!("are {}; at most {most} are taken", items.len()));
        }
        for (n, raw) in items.into_iter().enumerate() {
            let at = json::join(&at, &n.to_string());
            if span(&at, raw, mistakes).is_some_and(|delay| delay > limits::DELAY) {
                mistakes.wrong(&at, format!("is more than {}", format_span(limits::DELAY)));
            }
        }
    }
    note_unknown(at, &fields, unknown);
}

fn callback(at: &str, raw: &RawValue, rules: Rules<'_>, mistakes: &mut Mistakes, unknown: &mut Vec<String>) {
    let Some(mut fields) = object(at, raw, mistakes) else { return };
    own(at, &fields, rules, mistakes, unknown);
    for name in ["body", "body_base64", "body_ref"] {
        if fields.take(name).is_some() {
            mistakes.wrong(&json::join(at, name), "can't be given: the outcome is the body");
        }
    }
    if check::message(at, raw, rules, mistakes).is_some() {
        for name in ["url", "method", "headers", "timeout", "retry"] {
            fields.take(name);
        }
        note_unknown(at, &fields, unknown);
    }
}

fn flow(raw: &RawValue, mistakes: &mut Mistakes, unknown: &mut Vec<String>) {
    let at = "/flow";
    let Some(mut fields) = object(at, raw, mistakes) else { return };
    let before = mistakes.0.len();
    let number = "a whole number";
    let key = fields.take("key").and_then(|raw| mistakes.typed::<String>("/flow/key", raw, "a string"));
    let rate = fields.take("rate").and_then(|raw| mistakes.typed::<u32>("/flow/rate", raw, number));
    let per = fields.take("per").and_then(|raw| span("/flow/per", raw, mistakes));
    let parallelism = fields.take("parallelism");
    let parallelism = parallelism.and_then(|raw| mistakes.typed::<u32>("/flow/parallelism", raw, number));
    note_unknown(at, &fields, unknown);
    if mistakes.0.len() > before {
        return;
    }
    let Some(key) = key else { return mistakes.wrong("/flow/key", "is missing") };
    for error in Flow::new(key, rate, per, parallelism).err().unwrap_or_default() {
        let at = if error.field.is_empty() { at.to_owned() } else { json::join(at, error.field) };
        mistakes.wrong(&at, error.detail);
    }
}

fn object<'a>(at: &str, raw: &'a RawValue, mistakes: &mut Mistakes) -> Option<Fields<'a>> {
    let fields = Fields::read(raw);
    match &fields {
        None => mistakes.wrong(at, "must be an object"),
        Some(fields) => {
            fields.duplicates().iter().for_each(|name| mistakes.wrong(&json::join(at, name), "stands more than once"));
        }
    }
    fields
}

fn note_unknown(at: &str, fields: &Fields<'_>, unknown: &mut Vec<String>) {
    unknown.extend(fields.iter().map(|(name, _)| json::join(at, name)));
}
