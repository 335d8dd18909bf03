//! Problem details (RFC 9457): errors that name every bad field by JSON pointer, all at once.

use serde::Serialize;

/// One bad field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Where it stands (RFC 6901), empty for the whole document; `?limit` is the query's parameter of that name.
    pub pointer: String,
    /// What is wrong, for a person.
    pub detail: String,
    /// Whether it is only too large.
    #[serde(skip)]
    pub too_large: bool,
}

impl FieldError {
    /// A field with a wrong value.
    pub fn wrong(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into(), too_large: false }
    }

    /// A field over its size.
    pub fn too_large(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into(), too_large: true }
    }
}

/// A problem document, without its `instance`, which only the answer knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind of problem it is.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The same in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, for a person.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Every bad field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// After how many seconds to try again; goes into `Retry-After`.
    #[serde(skip)]
    pub retry_after_s: Option<u32>,
}

/// How long a producer should wait when the queue did not take a message.
const QUEUE_RETRY_AFTER_S: u32 = 5;

impl Problem {
    /// A problem of that status; its kind and title are the status's.
    #[must_use]
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        let (kind, title) = match status {
            400 => ("urn:chaski:problem:bad-request", "Bad request"),
            401 => ("urn:chaski:problem:unauthorized", "Unauthorized"),
            403 => ("urn:chaski:problem:forbidden", "Forbidden"),
            404 => ("urn:chaski:problem:not-found", "Not found"),
            405 => ("urn:chaski:problem:method-not-allowed", "Method not allowed"),
            409 => ("urn:chaski:problem:conflict", "Conflict"),
            413 => ("urn:chaski:problem:too-large", "Content too large"),
            415 => ("urn:chaski:problem:unsupported-media-type", "Unsupported media type"),
            429 => ("urn:chaski:problem:too-many-requests", "Too many requests"),
            501 => ("urn:chaski:problem:not-served-here", "Not served by this deployment"),
            503 => ("urn:chaski:problem:unavailable", "Service unavailable"),
            _ => ("urn:chaski:problem:internal", "Internal error"),
        };
        let retry_after_s = (status == 503).then_some(QUEUE_RETRY_AFTER_S);
        Self { kind, title, status, detail: detail.into(), errors: Vec::new(), retry_after_s }
    }

    /// The same, naming at most `count` errors, the last of which says how many are left out.
    #[must_use]
    pub fn shortened(&self, count: usize) -> Self {
        let mut problem = self.clone();
        if let Some(left) = problem.errors.len().checked_sub(count).filter(|left| *left > 0) {
            problem.errors.truncate(count);
            problem.errors.push(FieldError::wrong("", format!("and {left} more")));
        }
        problem
    }

    /// What is wrong with a document: 413 when some fields are too large and nothing else, 400 otherwise.
    #[must_use]
    pub fn of_fields(errors: Vec<FieldError>) -> Self {
        let status = if errors.iter().all(|error| error.too_large) { 413 } else { 400 };
        let detail = match errors.len() {
            1 => "one field can't be accepted".to_owned(),
            n => format!("{n} fields can't be accepted"),
        };
        Self { errors, ..Self::new(status, detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_size_is_413() {
        let wrong = FieldError::wrong("/a", "x");
        let large = FieldError::too_large("/b", "x");
        assert_eq!(Problem::of_fields(vec![large.clone()]).status, 413);
        assert_eq!(Problem::of_fields(vec![large, wrong]).status, 400);
    }

    #[test]
    fn it_is_written_as_rfc_9457_says() {
        let json = serde_json::to_value(Problem::of_fields(vec![FieldError::wrong("/subject", "is missing")])).unwrap();
        assert_eq!(json["type"], "urn:chaski:problem:bad-request");
        assert_eq!(json["status"], 400);
        assert_eq!(json["errors"][0]["pointer"], "/subject");
    }
}
