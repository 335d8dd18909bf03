//! What a call answers, before it is a response.

use serde::Serialize;

use super::served::Served;
use super::{Request, Response, routes};
use crate::ports::DeskError;
use crate::problem::{FieldError, Problem};

/// JSON, as every answer but the metrics.
const JSON: &str = "application/json";
/// Prometheus' text format.
pub(super) const METRICS: &str = "text/plain; version=0.0.4";

/// Errors that one problem names: enough for a person, and few enough that an answer stays an event.
const ERRORS_NAMED: usize = 100;

/// What a call answers.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) media: &'static str,
    pub(super) body: String,
}

impl Answer {
    /// 200 with this text of JSON.
    pub(super) fn json(body: String) -> Self {
        Self { status: 200, media: JSON, body }
    }

    /// This as JSON.
    pub(super) fn of(status: u16, value: &impl Serialize) -> Self {
        // Writing our own shapes can't fail: their names are texts, and nothing in them refuses.
        Self { status, ..Self::json(serde_json::to_string(value).unwrap_or_default()) }
    }

    pub(super) fn into_response(self) -> Response {
        Response { status: self.status, headers: vec![("content-type", self.media.to_owned())], body: self.body }
    }
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::Unavailable(_) => {
                tracing::warn!(event.action = "store_unavailable", "{error}");
                Self::new(503, "the store does not answer now; ask again")
            }
            DeskError::Cursor => Self::of_fields(vec![FieldError::wrong("?cursor", error.to_string())]),
            DeskError::Refused(why) => Self::new(409, why),
            DeskError::NotServed(why) => Self::new(501, why),
            DeskError::Platform { denied: true, words } => Self::new(403, words),
            DeskError::Platform { denied: false, words } => Self::new(503, words),
        }
    }
}

/// A problem as a response.
pub(super) fn refusal(problem: &Problem, request: &Request, served: &Served) -> Response {
    let mut headers = vec![("content-type", "application/problem+json".to_owned())];
    if let Some(seconds) = problem.retry_after_s {
        headers.push(("retry-after", seconds.to_string()));
    }
    match problem.status {
        401 => headers.push(("www-authenticate", "Bearer".to_owned())),
        405 => headers.push(("allow", routes::allowed(&request.path, served))),
        _ => {}
    }
    let mut body = serde_json::to_value(problem.shortened(ERRORS_NAMED)).unwrap_or_default();
    if let Some(object) = body.as_object_mut() {
        object.insert("instance".to_owned(), request.id().into());
    }
    Response { status: problem.status, headers, body: body.to_string() }
}
