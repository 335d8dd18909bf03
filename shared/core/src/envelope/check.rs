//! The checks of an envelope's fields, one function a field. Each notes what it finds and goes on, so that
//! a producer learns of every mistake at once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::accept::Rules;
use super::body::Body;
use super::wire::read_body;
use super::{DEFAULT_METHOD, Message};
use crate::guard::Guard;
use crate::json::{self, Fields};
use crate::problem::FieldError;
use crate::{headers, identity, limits};

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Mistakes(pub(super) Vec<FieldError>);

impl Mistakes {
    pub(super) fn wrong(&mut self, pointer: &str, detail: impl Into<String>) {
        self.0.push(FieldError::wrong(pointer, detail));
    }

    pub(super) fn too_large(&mut self, pointer: &str, detail: impl Into<String>) {
        self.0.push(FieldError::too_large(pointer, detail));
    }

    /// Reads a value of a type, or notes that it is none.
    pub(super) fn typed<'a, T: Deserialize<'a>>(&mut self, at: &str, raw: &'a RawValue, what: &str) -> Option<T> {
        let value = serde_json::from_str(raw.get()).ok();
        if value.is_none() {
            self.wrong(at, format!("must be {what}"));
        }
        value
    }
}

pub(super) fn subject(raw: Option<&RawValue>, mistakes: &mut Mistakes) -> Option<String> {
    let Some(raw) = raw else {
        mistakes.wrong("/subject", "is missing");
        return None;
    };
    let subject: String = mistakes.typed("/subject", raw, "a string")?;
    if subject.is_empty() {
        mistakes.wrong("/subject", "must not be empty");
    } else if subject.len() > limits::SUBJECT_BYTES {
        mistakes
            .too_large("/subject", format!("is {} bytes; at most {} are taken", subject.len(), limits::SUBJECT_BYTES));
    } else if subject.contains(char::is_control) {
        mistakes.wrong("/subject", "must not hold control characters");
    }
    Some(subject)
}

pub(super) fn key(at: &str, key: &str, mistakes: &mut Mistakes) {
    if key.is_empty() || key.bytes().any(|b| !b.is_ascii_graphic()) {
        mistakes.wrong(at, "must be visible ASCII characters, at least one");
    } else if key.len() > limits::KEY_CHARS {
        mistakes.too_large(at, format!("is {} characters; at most {} are taken", key.len(), limits::KEY_CHARS));
    }
}

pub(super) fn client(raw: &RawValue, mistakes: &mut Mistakes) -> Option<String> {
    let client: String = mistakes.typed("/client", raw, "a string")?;
    if client.is_empty() || client.contains(char::is_control) {
        mistakes.wrong("/client", "must not be empty or hold control characters");
    } else if client.len() > limits::CLIENT_BYTES {
        mistakes.too_large("/client", format!("is over {} bytes", limits::CLIENT_BYTES));
    }
    Some(client)
}

pub(super) fn labels(raw: &RawValue, mistakes: &mut Mistakes) -> Option<Vec<String>> {
    let labels: Vec<String> = mistakes.typed("/labels", raw, "an array of strings")?;
    if labels.len() > limits::LABELS {
        mistakes.too_large("/labels", format!("are {}; at most {} are taken", labels.len(), limits::LABELS));
    }
    for (n, label) in labels.iter().enumerate() {
        let at = format!("/labels/{n}");
        if label.len() > limits::LABEL_BYTES {
            mistakes.too_large(&at, format!("is over {} bytes", limits::LABEL_BYTES));
        } else if label.is_empty() || label.contains(char::is_control) {
            mistakes.wrong(&at, "must not be empty or hold control characters");
        }
    }
    Some(labels)
}

/// A request, with its target where that could be read.
pub(super) type Checked = (Message, Option<Url>);

/// Checks the request itself; `at` is `/message`, or `/body` for the shape of 1.0.
pub(super) fn message(at: &str, raw: &RawValue, rules: Rules<'_>, mistakes: &mut Mistakes) -> Option<Checked> {
    let Some(mut fields) = Fields::read(raw) else {
        mistakes.wrong(at, "must be an object");
        return None;
    };
    for name in fields.duplicates() {
        mistakes.wrong(&json::join(at, name), "stands more than once");
    }
    let url = url(&json::join(at, "url"), fields.take("url"), rules.guard, mistakes);
    let method = fields.take("method").map(|raw| method(&json::join(at, "method"), raw, mistakes));
    let headers = fields.take("headers").map(|raw| header_list(&json::join(at, "headers"), raw, mistakes));
    let body = match fields.take("body_ref") {
        Some(raw) => body_ref(at, raw, &fields, rules, mistakes),
        None => body(at, fields.take("body"), fields.take("body_base64"), rules.body_bytes, mistakes),
    };
    let (text, url) = url?;
    let message = Message {
        url: text,
        method: method.unwrap_or_else(|| DEFAULT_METHOD.to_owned()),
        headers: headers.unwrap_or_default(),
        body,
        extra: fields.rest(),
    };
    Some((message, url))
}

fn url(at: &str, raw: Option<&RawValue>, guard: &Guard, mistakes: &mut Mistakes) -> Option<(String, Option<Url>)> {
    let Some(raw) = raw else {
        mistakes.wrong(at, "is missing");
        return None;
    };
    let text: String = mistakes.typed(at, raw, "a string")?;
    if text.len() > limits::URL_BYTES {
        mistakes.too_large(at, format!("is {} bytes; at most {} are taken", text.len(), limits::URL_BYTES));
        return Some((text, None));
    }
    match crate::guard::check_url_text(&text) {
        Err(error) => {
            mistakes.wrong(at, error.to_string());
            Some((text, None))
        }
        Ok(url) => {
            if let Err(refusal) = guard.check_literal(&url) {
                mistakes.wrong(at, refusal.to_string());
            }
            Some((text, Some(url)))
        }
    }
}

/// Methods that are no request for a resource: a tunnel, and an echo of what was sent.
const REFUSED_METHODS: [&str; 2] = ["CONNECT", "TRACE"];

fn method(at: &str, raw: &RawValue, mistakes: &mut Mistakes) -> String {
    const STANDARD: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let Some(method) = mistakes.typed::<String>(at, raw, "a string") else { return String::new() };
    let upper = method.to_ascii_uppercase();
    if method.chars().count() > limits::METHOD_CHARS {
        mistakes.too_large(at, format!("is over {} characters", limits::METHOD_CHARS));
    } else if REFUSED_METHODS.contains(&upper.as_str()) {
        mistakes.wrong(at, format!("{upper} can't be sent"));
    } else if !STANDARD.contains(&upper.as_str()) {
        mistakes.wrong(at, format!("must be one of {}", STANDARD.join(", ")));
    }
    upper
}

fn header_list(at: &str, raw: &RawValue, mistakes: &mut Mistakes) -> Vec<(String, String)> {
    let Some(fields) = Fields::read(raw) else {
        mistakes.wrong(at, "must be an object of names and strings");
        return Vec::new();
    };
    for name in fields.duplicates() {
        mistakes.wrong(&json::join(at, name), "stands more than once");
    }
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, raw) in fields.iter() {
        let at = json::join(at, name);
        let Some(value) = mistakes.typed::<String>(&at, raw, "a string") else { continue };
        if let Err((detail, too_large)) = headers::check(name, &value) {
            mistakes.0.push(FieldError { pointer: at, detail, too_large });
        } else if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            mistakes.wrong(&at, "stands more than once, in another case");
        }
        headers.push((name.to_owned(), value));
    }
    let total: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() > limits::HEADERS {
        mistakes.too_large(at, format!("are {}; at most {} are taken", headers.len(), limits::HEADERS));
    } else if total > limits::HEADERS_TOTAL_BYTES {
        mistakes
            .too_large(at, format!("are {total} bytes together; at most {} are taken", limits::HEADERS_TOTAL_BYTES));
    }
    headers
}

/// A reference that `POST /bodies` gave to this producer. Whether the body came is not known here.
fn body_ref(at: &str, raw: &RawValue, others: &Fields<'_>, rules: Rules<'_>, mistakes: &mut Mistakes) -> Body {
    let at_ref = json::join(at, "body_ref");
    if others.get("body").or(others.get("body_base64")).is_some() {
        mistakes.wrong(&at_ref, "can't stand beside body or body_base64");
        return Body::None;
    }
    let Some(reference) = mistakes.typed::<String>(&at_ref, raw, "a string") else { return Body::None };
    if !identity::is_body_reference(&reference, rules.producer) {
        mistakes.wrong(&at_ref, "is none that POST /bodies gave to this producer");
    }
    Body::aside(reference, None, None)
}

fn body(at: &str, json: Option<&RawValue>, base64: Option<&RawValue>, most: usize, mistakes: &mut Mistakes) -> Body {
    let at_base64 = json::join(at, "body_base64");
    let at = &json::join(at, "body");
    let (at, body) = match (json, base64) {
        (None, None) => return Body::None,
        (Some(_), Some(_)) => {
            mistakes.wrong(&at_base64, "can't stand beside body");
            return Body::None;
        }
        (Some(raw), None) => match read_body(raw) {
            Some(body) => (at, body),
            None => {
                mistakes.wrong(at, "is a string with half a surrogate pair, which is no text");
                return Body::None;
            }
        },
        (None, Some(raw)) => {
            let Some(text) = mistakes.typed::<String>(&at_base64, raw, "a string") else { return Body::None };
            match STANDARD.decode(text) {
                Ok(bytes) => (&at_base64, Body::Bytes(bytes)),
                Err(error) => {
                    mistakes.wrong(&at_base64, format!("is not base64 (RFC 4648, padded): {error}"));
                    return Body::None;
                }
            }
        }
    };
    let size = body.bytes().len();
    if size > most {
        let larger =
            if most > limits::BODY_BYTES { "; upload it by POST /bodies, and name it as body_ref" } else { "" };
        mistakes.too_large(at, format!("is {size} bytes; at most {most} are taken in a call{larger}"));
    }
    body
}
