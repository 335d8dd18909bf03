//! A message's body in its three forms, and how each of them travels.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::json;

/// What the target gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Body {
    /// No key, no body.
    #[default]
    None,
    /// JSON text, byte for byte as the producer wrote it.
    Json(String),
    /// A text, sent as it is.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// How a body stands in the wire text.
pub(super) struct Travelling {
    /// `body` or `body_base64`.
    pub(super) field: &'static str,
    /// The JSON of its value.
    pub(super) json: String,
    /// What the base64 holds, if it is not the producer's own: `json` or `text`.
    pub(super) form: Option<&'static str>,
}

const JSON_FORM: &str = "json";
const TEXT_FORM: &str = "text";

impl Body {
    /// The bytes as the target gets them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Json(text) | Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// How it travels. A queue refuses some characters that JSON allows, and an escape would change what
    /// the target gets, so such a JSON body goes as base64; a text goes as base64 when its escapes would
    /// make it longer than that, so that the worst text still fits into a dead letter.
    pub(super) fn travelling(&self) -> Option<Travelling> {
        let plain = |json| Some(Travelling { field: "body", json, form: None });
        match self {
            Self::None => None,
            Self::Json(text) if json::has_unsendable(text) => Some(encoded(text.as_bytes(), Some(JSON_FORM))),
            Self::Json(text) => plain(text.clone()),
            Self::Text(text) => {
                let quoted = json::quoted(text);
                if quoted.len() > text.len() / 3 * 4 + 6 {
                    return Some(encoded(text.as_bytes(), Some(TEXT_FORM)));
                }
                plain(quoted)
            }
            Self::Bytes(bytes) => Some(encoded(bytes, None)),
        }
    }

    /// Reads base64 back into the form that it was. `None` when it is not base64, or not that form.
    pub(super) fn decode(base64: &str, form: Option<&str>) -> Option<Self> {
        let bytes = STANDARD.decode(base64).ok()?;
        match form {
            Some(JSON_FORM) => String::from_utf8(bytes).ok().map(Self::Json),
            Some(TEXT_FORM) => String::from_utf8(bytes).ok().map(Self::Text),
            _ => Some(Self::Bytes(bytes)),
        }
    }
}

fn encoded(bytes: &[u8], form: Option<&'static str>) -> Travelling {
    Travelling { field: "body_base64", json: format!("\"{}\"", STANDARD.encode(bytes)), form }
}
