//! A producer's text becomes an envelope, or a refusal that names every bad field.

use std::time::Duration;

use url::Url;

use super::Envelope;
use super::ask::{self, Asked};
use super::check::{self, Checked, Mistakes};
use crate::guard::Guard;
use crate::json::{self, Extra, Fields};
use crate::limits;
use crate::problem::FieldError;
use crate::time::Timestamp;

/// What a deployment allows.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Which targets may be named.
    pub guard: &'a Guard,
    /// When it is posted; delays are counted from here.
    pub now: Timestamp,
    /// The longest `timeout` that may be asked for.
    pub max_timeout: Duration,
    /// Who posts: what it uploaded may be named by nobody else.
    pub producer: &'a str,
    /// The largest body that may stand in the envelope, as the target gets it.
    pub body_bytes: usize,
}

/// An envelope that may be taken, still without `meta`.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// The envelope.
    pub envelope: Envelope,
    /// Its target.
    pub url: Url,
    /// Not to be attempted before; later than now.
    pub not_before: Option<Timestamp>,
    /// Not to be attempted from then on.
    pub expires_at: Option<Timestamp>,
    /// What the producer should know, for a person.
    pub warnings: Vec<String>,
}

/// Reads one envelope of a producer. `key` is that of the header `Idempotency-Key`.
///
/// # Errors
/// Every mistake, each with its JSON pointer.
pub fn accept(text: &[u8], key: Option<&str>, rules: Rules<'_>) -> Result<Accepted, Vec<FieldError>> {
    let mut mistakes = Mistakes::default();
    let fields = whole(text, &mut mistakes);
    let accepted = fields.and_then(|fields| read(fields, key, rules, &mut mistakes));
    match accepted {
        Some(accepted) if mistakes.0.is_empty() => Ok(accepted),
        _ => Err(mistakes.0),
    }
}

/// Reads the text as one JSON object. What is wrong here hides everything else.
fn whole<'a>(text: &'a [u8], mistakes: &mut Mistakes) -> Option<Fields<'a>> {
    let Ok(text) = std::str::from_utf8(text) else {
        mistakes.wrong("", "is not UTF-8");
        return None;
    };
    if json::depth(text) > limits::JSON_DEPTH {
        mistakes.wrong("", format!("nests deeper than {}", limits::JSON_DEPTH));
        return None;
    }
    let raw: &serde_json::value::RawValue = match serde_json::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            mistakes.wrong("", format!("is not JSON: {error}"));
            return None;
        }
    };
    if !raw.get().starts_with('{') {
        mistakes.wrong("", "must be an object");
        return None;
    }
    let fields = Fields::read(raw);
    if fields.is_none() {
        mistakes.wrong("", "has a name with half a surrogate pair, which is no text");
    }
    fields
}

fn read(mut fields: Fields<'_>, key: Option<&str>, rules: Rules<'_>, mistakes: &mut Mistakes) -> Option<Accepted> {
    for name in fields.duplicates() {
        mistakes.wrong(&json::join("", name), "stands more than once");
    }
    let subject = check::subject(fields.take("subject"), mistakes);
    let message = take_message(&mut fields, rules, mistakes);
    let key = take_key(&mut fields, key, mistakes);
    let client = fields.take("client").and_then(|raw| check::client(raw, mistakes));
    let labels = fields.take("labels").and_then(|raw| check::labels(raw, mistakes));
    if fields.take("meta").is_some() {
        mistakes.wrong("/meta", "is added by Chaski, never by a producer");
    }
    let Asked { options, not_before, expires_at, unknown } = ask::asked(&mut fields, rules, mistakes);
    let extra = fields.rest();
    let mut warnings = Vec::new();
    let none = Extra::default();
    let in_message = message.as_ref().map_or(&none, |(message, _)| &message.extra);
    let levels = [("", &extra), ("/message", in_message)];
    check_unknown(&levels, unknown, &mut warnings, mistakes);

    let (Some(subject), Some((message, Some(url)))) = (subject, message) else { return None };
    let labels = labels.unwrap_or_default();
    let envelope = Envelope { subject, message, key, client, labels, options, meta: None, extra };
    Some(Accepted { envelope, url, not_before, expires_at, warnings })
}

fn take_message(fields: &mut Fields<'_>, rules: Rules<'_>, mistakes: &mut Mistakes) -> Option<Checked> {
    match (fields.take("message"), fields.take("body")) {
        (Some(raw), None) => check::message("/message", raw, rules, mistakes),
        (None, Some(raw)) => check::message("/body", raw, rules, mistakes),
        (Some(_), Some(_)) => {
            mistakes.wrong("/body", "is the older name of message; both can't stand");
            None
        }
        (None, None) => {
            mistakes.wrong("/message", "is missing");
            None
        }
    }
}

fn take_key(fields: &mut Fields<'_>, header: Option<&str>, mistakes: &mut Mistakes) -> Option<String> {
    let field = fields.take("id").and_then(|raw| mistakes.typed::<String>("/id", raw, "a string"));
    if let Some(key) = &field {
        check::key("/id", key, mistakes);
    }
    match (field, header) {
        (Some(field), Some(header)) if field != header => {
            mistakes.wrong("/id", "differs from the header Idempotency-Key");
            None
        }
        (None, Some(header)) => {
            check::key("", header, mistakes);
            Some(header.to_owned())
        }
        (field, _) => field,
    }
}

/// Fields outside the contract travel on; they are named, limited, and checked for names that stand twice.
/// `unknown` are those inside the options, which are counted with these.
fn check_unknown(
    levels: &[(&str, &Extra)],
    mut unknown: Vec<String>,
    warnings: &mut Vec<String>,
    mistakes: &mut Mistakes,
) {
    for (at, extra) in levels {
        for (name, raw) in extra.iter() {
            let pointer = json::join(at, name);
            for twice in json::duplicate_pointers(&pointer, raw) {
                mistakes.wrong(&twice, "stands more than once");
            }
            unknown.push(pointer);
        }
    }
    if !unknown.is_empty() {
        warnings.push(format!("not a field of the contract, travels on unread: {}", named(&unknown)));
    }
    let bytes: usize = levels.iter().map(|(_, extra)| extra.bytes()).sum();
    if bytes > limits::UNKNOWN_FIELDS_BYTES {
        mistakes.too_large(
            "",
            format!(
                "has {bytes} bytes of fields outside the contract; at most {} are taken",
                limits::UNKNOWN_FIELDS_BYTES
            ),
        );
    }
}

/// How many unknown fields a warning names, and how much of each name. An answer must not grow far beyond
/// its question: ten thousand of them make one event.
const NAMED: (usize, usize) = (16, 64);

fn named(pointers: &[String]) -> String {
    let shorten = |pointer: &String| {
        let mut pointer = pointer.clone();
        crate::history::cut(&mut pointer, NAMED.1);
        pointer
    };
    let mut names: Vec<String> = pointers.iter().take(NAMED.0).map(shorten).collect();
    if pointers.len() > NAMED.0 {
        names.push(format!("and {} more", pointers.len() - NAMED.0));
    }
    names.join(", ")
}
