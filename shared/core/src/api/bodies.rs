//! `POST /bodies`: where to upload a body that is too large for a call, and how a message names it then.

use std::collections::BTreeMap;

use serde::Serialize;

use super::answer::Answer;
use super::auth::Granted;
use super::{Door, Request, media};
use crate::app::Ingress;
use crate::identity;
use crate::limits;
use crate::ports::{Bodies, BodyError, Chance, Clock};
use crate::problem::{FieldError, Problem};
use crate::time::Timestamp;

#[derive(Serialize)]
struct PromiseShape<'a> {
    body_ref: &'a str,
    upload: UploadShape,
    max_bytes: usize,
}

#[derive(Serialize)]
struct UploadShape {
    method: &'static str,
    url: String,
    headers: BTreeMap<String, String>,
    expires_at: Timestamp,
}

pub(super) async fn promise<E, C: Clock, R: Chance, B: Bodies>(
    ingress: &Ingress<E, C, R, B>,
    door: &Door,
    granted: &Granted,
    request: &Request,
) -> Result<Answer, Problem> {
    media::check_json(request)?;
    if !matches!(request.body.trim_ascii(), b"" | b"{}") {
        let detail = "must be empty or {}: the body itself goes to the address that is answered";
        return Err(Problem::of_fields(vec![FieldError::wrong("", detail)]));
    }
    let reference = identity::body_reference(&granted.caller.producer, ingress.chance());
    let upload = ingress.bodies().promise(&reference, ingress.clock().now()).await?;
    let (url, headers) = match upload.to {
        Some(address) => (address.url, address.headers.into_iter().collect()),
        None => (own_address(door, request, &reference), BTreeMap::new()),
    };
    let upload = UploadShape { method: "PUT", url, headers, expires_at: upload.expires_at };
    Ok(Answer::of(200, &PromiseShape { body_ref: &reference, upload, max_bytes: limits::LARGE_BODY_BYTES }))
}

#[derive(Serialize)]
struct UploadedShape {
    bytes: u64,
}

/// The answer to `PUT /bodies/{reference}`.
pub(super) fn uploaded(bytes: u64) -> Answer {
    Answer::of(200, &UploadedShape { bytes })
}

/// This server, as its caller knows it: a proxy may stand in between.
fn own_address(door: &Door, request: &Request, reference: &str) -> String {
    let tls =
        door.tls || request.header("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    let scheme = if tls { "https" } else { "http" };
    match request.header("host") {
        Some(host) => format!("{scheme}://{host}/bodies/{reference}"),
        None => format!("/bodies/{reference}"),
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        if error == BodyError::NotKept {
            return Self::new(501, format!("{error}; a body has at most {} bytes", limits::BODY_BYTES));
        }
        tracing::warn!(event.action = "bodies_unavailable", "{error}");
        Self::new(503, "the body can't be kept now; it is safe to send it again")
    }
}
