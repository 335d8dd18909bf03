//! A message's body, as it is given on the command line.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chaski_core::limits;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::super::Failure;

/// How the envelope carries it, so that the target gets exactly what was given.
#[derive(Debug)]
pub(super) enum Body {
    /// JSON, or a text as a JSON string.
    Json(Box<RawValue>),
    /// Bytes that are no text.
    Base64(String),
    /// What is too large for an envelope, to be uploaded; and whether it is JSON.
    Large(Vec<u8>, bool),
}

impl Body {
    /// Reads a text, `@FILE` or `@-`.
    pub(super) fn read(given: &str) -> Result<Self, Failure> {
        match given.strip_prefix('@') {
            None => Self::of(given.as_bytes().to_vec()),
            Some("-") => Self::of(limited("standard input", std::io::stdin().lock())?),
            Some(path) => {
                let file =
                    std::fs::File::open(path).map_err(|error| Failure::Input { what: path.to_owned(), error })?;
                Self::of(limited(path, file)?)
            }
        }
    }

    /// An object, an array, a number or a literal is sent as JSON, byte for byte. A string in quotes would reach
    /// the target without them, so it goes as the text that it is, quotes included; as does everything else.
    fn of(bytes: Vec<u8>) -> Result<Self, Failure> {
        if bytes.len() > limits::BODY_BYTES {
            let is_json = is_json(&bytes);
            return Ok(Self::Large(bytes, is_json));
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => return Ok(Self::Base64(STANDARD.encode(error.as_bytes()))),
        };
        if !text.trim_start().starts_with('"')
            && let Ok(raw) = RawValue::from_string(text.clone())
        {
            return Ok(Self::Json(raw));
        }
        let quoted = to_raw_value(&Value::String(text));
        quoted.map(Self::Json).map_err(|error| Failure::Failed(format!("the body can't be written as JSON: {error}")))
    }
}

/// Reads no more than what shows that it is too much.
fn limited(what: &str, source: impl Read) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let most = limits::LARGE_BODY_BYTES;
    let read = source.take(u64::try_from(most).unwrap_or(u64::MAX) + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::Input { what: what.to_owned(), error })?;
    if bytes.len() > most {
        return Err(Failure::Failed(format!("{what} is larger than a body may be, {most} bytes")));
    }
    Ok(bytes)
}

/// Whether the target is told that it is JSON, as it is of a body in the envelope.
fn is_json(bytes: &[u8]) -> bool {
    !bytes.trim_ascii_start().starts_with(b"\"") && serde_json::from_slice::<&RawValue>(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(bytes: &[u8]) -> String {
        match Body::of(bytes.to_vec()).unwrap() {
            Body::Json(raw) => raw.get().to_owned(),
            Body::Base64(text) => format!("base64 {text}"),
            Body::Large(bytes, is_json) => format!("{} bytes, JSON: {is_json}", bytes.len()),
        }
    }

    #[test]
    fn the_target_gets_what_was_given() {
        assert_eq!(carried(br#"{"b" : 1.0, "a":1, "a":2}"#), r#"{"b" : 1.0, "a":1, "a":2}"#);
        assert_eq!(carried(b"null"), "null");
        assert_eq!(carried(b"hello"), r#""hello""#);
        assert_eq!(carried(br#""quoted""#), r#""\"quoted\"""#);
        assert_eq!(carried(b"{not json"), r#""{not json""#);
        assert_eq!(carried(b""), r#""""#);
        assert_eq!(carried(&[0xff, 0x00]), "base64 /wA=");
        let text = |size| "x".repeat(size);
        assert_eq!(carried(text(limits::BODY_BYTES).as_bytes()).len(), limits::BODY_BYTES + 2);
        assert_eq!(carried(text(limits::BODY_BYTES + 1).as_bytes()), "262145 bytes, JSON: false");
        let json = format!("[\"{}\"]", text(limits::BODY_BYTES));
        assert_eq!(carried(json.as_bytes()), "262148 bytes, JSON: true");
        assert_eq!(carried(json.trim_matches(['[', ']']).as_bytes()), "262146 bytes, JSON: false");
    }
}
