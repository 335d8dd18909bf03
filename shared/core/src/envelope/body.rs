//! A message's body in its forms, and how each of them travels.

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
    /// One of these that is kept beside the queue.
    Aside(Aside),
}

/// A body that is kept beside the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// What it is known by where bodies are kept.
    pub reference: String,
    /// Its size, as far as the envelope says.
    pub bytes: u64,
    /// What it is.
    pub form: Form,
}

/// What a body is, where its bytes are not at hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// JSON text.
    Json,
    /// A text.
    Text,
    /// Bytes.
    #[default]
    Bytes,
}

impl Form {
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Json => Some(JSON_FORM),
            Self::Text => Some(TEXT_FORM),
            Self::Bytes => None,
        }
    }

    fn parse(name: Option<&str>) -> Self {
        match name {
            Some(JSON_FORM) => Self::Json,
            Some(TEXT_FORM) => Self::Text,
            _ => Self::Bytes,
        }
    }
}

/// How a body stands in the wire text.
pub(super) struct Travelling {
    /// `body`, `body_base64` or `body_ref`.
    pub(super) field: &'static str,
    /// The JSON of its value.
    pub(super) json: String,
    /// What the base64 or the reference stands for, if it is not bytes: `json` or `text`.
    pub(super) form: Option<&'static str>,
    /// The size of what a reference stands for.
    pub(super) bytes: Option<u64>,
}

const JSON_FORM: &str = "json";
const TEXT_FORM: &str = "text";

impl Body {
    /// The bytes as the target gets them; none of a body that is kept beside the queue.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::None | Self::Aside(_) => &[],
            Self::Json(text) | Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// What it is.
    #[must_use]
    pub const fn form(&self) -> Form {
        match self {
            Self::Json(_) => Form::Json,
            Self::Text(_) => Form::Text,
            Self::None | Self::Bytes(_) => Form::Bytes,
            Self::Aside(aside) => aside.form,
        }
    }

    /// The bytes as the target gets them.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::None | Self::Aside(_) => Vec::new(),
            Self::Json(text) | Self::Text(text) => text.into_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// How it travels. A queue refuses some characters that JSON allows, and an escape would change what
    /// the target gets, so such a JSON body goes as base64; a text goes as base64 when its escapes would
    /// make it longer than that, so that the worst text still fits into a dead letter.
    pub(super) fn travelling(&self) -> Option<Travelling> {
        let plain = |json| Some(Travelling { field: "body", json, form: None, bytes: None });
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
            Self::Aside(Aside { reference, bytes, form }) => Some(Travelling {
                field: "body_ref",
                json: json::quoted(reference),
                form: form.name(),
                bytes: Some(*bytes),
            }),
        }
    }

    /// One that is kept beside the queue, of what `meta` says of it.
    pub(super) fn aside(reference: String, form: Option<&str>, bytes: Option<u64>) -> Self {
        Self::Aside(Aside { reference, bytes: bytes.unwrap_or_default(), form: Form::parse(form) })
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
    Travelling { field: "body_base64", json: format!("\"{}\"", STANDARD.encode(bytes)), form, bytes: None }
}
