//! What a caller asks with: the parameters of a query, or the fields of a JSON object. All that is wrong is named
//! at once: a field by its JSON pointer, a parameter of the query as `?limit`.

use percent_encoding::percent_decode_str;

use super::{Request, media};
use crate::json::{self, Fields};
use crate::limits;
use crate::problem::{FieldError, Problem};

/// A value as it was given.
#[derive(Debug)]
enum Given {
    /// In a query: always a text.
    Query(String),
    /// In an object: the text of its JSON.
    Json(String),
}

/// The parameters, of which the known ones are taken one by one.
#[derive(Debug)]
pub(super) struct Params {
    in_query: bool,
    values: Vec<(String, Given)>,
    errors: Vec<FieldError>,
}

impl Params {
    /// Those of a query. A parameter without a value counts as not given.
    pub(super) fn of_query(query: &str) -> Self {
        let mut params = Self { in_query: true, values: Vec::new(), errors: Vec::new() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(name) = decode(name) else {
                params.errors.push(FieldError::wrong("?", "has a name that is not UTF-8"));
                continue;
            };
            match decode(value) {
                None => params.wrong(&name, "is not UTF-8"),
                Some(_) if params.values.iter().any(|(other, _)| *other == name) => {
                    params.wrong(&name, "stands more than once");
                }
                Some(value) => params.values.push((name, Given::Query(value))),
            }
        }
        params
    }

    /// Those of a call that acts: a JSON object, or nothing, which is an empty one. The content type is wanted
    /// also then, because a form of another site can't send it.
    ///
    /// # Errors
    /// No JSON, too much of it, or no object.
    pub(super) fn of_body(request: &Request) -> Result<Self, Problem> {
        media::check_json(request)?;
        let whole = |detail: String| Err(Problem::of_fields(vec![FieldError::wrong("", detail)]));
        let mut params = Self { in_query: false, values: Vec::new(), errors: Vec::new() };
        if request.body.len() > limits::ACTION_BYTES {
            let detail = format!("is {} bytes; at most {} are taken", request.body.len(), limits::ACTION_BYTES);
            return Err(Problem::of_fields(vec![FieldError::too_large("", detail)]));
        }
        let Ok(text) = std::str::from_utf8(&request.body) else {
            return whole("is not UTF-8".to_owned());
        };
        if text.trim_ascii().is_empty() {
            return Ok(params);
        }
        let fields: Fields<'_> = match serde_json::from_str(text) {
            Ok(fields) => fields,
            Err(error) => return whole(format!("must be a JSON object: {error}")),
        };
        for name in fields.duplicates() {
            params.wrong(name, "stands more than once");
        }
        params.values = fields.iter().map(|(name, raw)| (name.to_owned(), Given::Json(raw.get().to_owned()))).collect();
        Ok(params)
    }

    /// Whether it was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.iter().any(|(other, _)| other == name)
    }

    /// Says what is wrong with a parameter.
    pub(super) fn wrong(&mut self, name: &str, detail: impl Into<String>) {
        let pointer = if self.in_query { format!("?{name}") } else { json::join("", name) };
        self.errors.push(FieldError::wrong(pointer, detail));
    }

    /// Says what is wrong with all of them together.
    pub(super) fn wrong_whole(&mut self, detail: &str) {
        let pointer = if self.in_query { "?" } else { "" };
        self.errors.push(FieldError::wrong(pointer, detail));
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let text = self.any_text(name)?;
        if text.is_empty() {
            self.wrong(name, "is empty");
            return None;
        }
        Some(text)
    }

    /// A text, which may be empty where it stands in an object.
    pub(super) fn any_text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Given::Query(text) => Some(text).filter(|text| !text.is_empty()),
            Given::Json(json) => {
                let text = serde_json::from_str(&json).ok();
                if text.is_none() {
                    self.wrong(name, "must be a string");
                }
                text
            }
        }
    }

    /// A text that is read further.
    pub(super) fn read<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        read(&text).map_err(|detail| self.wrong(name, detail)).ok()
    }

    /// `true` or `false`; `false` where it is not given.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        let given = match self.take(name) {
            Some(Given::Query(text)) if text.is_empty() => None,
            given => given,
        };
        match given {
            None => false,
            Some(Given::Query(text) | Given::Json(text)) => text.parse().unwrap_or_else(|_| {
                self.wrong(name, "must be true or false");
                false
            }),
        }
    }

    /// A text, or a number as its text.
    pub(super) fn text_or_number(&mut self, name: &str) -> Option<String> {
        let number = |given: &Given| matches!(given, Given::Json(json) if json.bytes().all(|b| b.is_ascii_digit()));
        let at = self.values.iter().position(|(other, given)| other == name && number(given));
        match at.map(|at| self.values.remove(at)) {
            Some((_, Given::Json(json))) => Some(json),
            _ => self.text(name),
        }
    }

    /// Ends the reading: what was not taken is not known.
    ///
    /// # Errors
    /// All that was wrong.
    pub(super) fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.values) {
            self.wrong(&name, if self.in_query { "is no parameter of this call" } else { "is no field of this call" });
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::of_fields(self.errors)) }
    }

    fn take(&mut self, name: &str) -> Option<Given> {
        let at = self.values.iter().position(|(other, _)| other == name)?;
        Some(self.values.remove(at).1)
    }
}

/// Percent-decoded, with `+` for a space as forms write it. `None` where it is not UTF-8.
fn decode(text: &str) -> Option<String> {
    percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(|text| text.into_owned())
}
