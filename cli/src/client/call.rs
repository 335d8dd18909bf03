//! One call and its answer, before and after they are HTTP.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ClientError, Refusal};

/// What is done at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// Looks.
    Get,
    /// Acts.
    Post,
    /// Ends something.
    Delete,
}

/// What a call carries.
#[derive(Debug)]
pub(super) enum Body {
    /// Nothing.
    None,
    /// A JSON document.
    Json(String),
    /// JSON documents, one a line.
    Lines(Vec<u8>),
}

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// The path's segments, not encoded.
    pub(super) path: Vec<String>,
    pub(super) query: Fields,
    pub(super) body: Body,
    /// How long it may take in all.
    pub(super) within: Duration,
}

impl Call {
    pub(super) fn new(method: Method, path: &[&str]) -> Self {
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        Self { method, path, query: Fields::default(), body: Body::None, within: super::CALL }
    }

    pub(super) fn json(self, text: String) -> Self {
        Self { body: Body::Json(text), ..self }
    }
}

/// What a call says besides its path: a query's parameters, or the fields of a JSON object.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    /// Adds one.
    pub(crate) fn add(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push((name, value.into()));
    }

    /// Adds one, if there is one.
    pub(crate) fn add_some(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// The same with one more.
    pub(crate) fn with(&self, name: &'static str, value: impl Into<Value>) -> Self {
        let mut fields = self.clone();
        fields.add(name, value);
        fields
    }

    /// As a query's parameters.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.0.iter().map(|(name, value)| match value {
            Value::String(text) => (*name, text.clone()),
            other => (*name, other.to_string()),
        })
    }

    /// As a JSON object.
    pub(super) fn to_json(&self) -> String {
        let object: serde_json::Map<String, Value> =
            self.0.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Value::Object(object).to_string()
    }
}

/// An answer that is no error.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// After how long to try again what was not taken, if the server says so.
    pub(crate) retry_after: Option<Duration>,
    /// Its JSON, as it came.
    pub(crate) text: String,
}

impl Answer {
    /// What came, if it is a good answer; else the problem document in it, if it is one. `keyed` is whether a
    /// producer's key was shown.
    pub(super) fn of(
        status: u16,
        retry_after: Option<Duration>,
        text: String,
        keyed: bool,
    ) -> Result<Self, Option<Box<Refusal>>> {
        if (200..=299).contains(&status) {
            return Ok(Self { status, retry_after, text });
        }
        let problem = serde_json::from_str::<Refusal>(&text).ok().filter(|problem| problem.status == status);
        Err(problem.map(|problem| Box::new(problem.came(retry_after, keyed))))
    }

    /// Reads it as what the call promises.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_str(&self.text).map_err(|error| ClientError::Unreadable(error.to_string()))
    }
}
