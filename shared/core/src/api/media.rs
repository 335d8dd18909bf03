//! Which content a call takes.

use super::Request;
use crate::problem::Problem;

/// Newline-delimited JSON.
const NDJSON: &str = "application/x-ndjson";

/// A call that takes one JSON document.
pub(super) fn check_json(request: &Request) -> Result<(), Problem> {
    if is_json(&media_type(request)?) { Ok(()) } else { Err(unsupported("application/json")) }
}

/// A call that takes a JSON array or NDJSON; whether it is the latter.
pub(super) fn is_ndjson(request: &Request) -> Result<bool, Problem> {
    match media_type(request)?.as_str() {
        NDJSON => Ok(true),
        media if is_json(media) => Ok(false),
        _ => Err(unsupported("application/json or application/x-ndjson")),
    }
}

fn media_type(request: &Request) -> Result<String, Problem> {
    if request.header("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(Problem::new(415, "an encoded body is not decoded; send it without Content-Encoding"));
    }
    let media = request.header("content-type").unwrap_or_default();
    Ok(media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn is_json(media: &str) -> bool {
    media == "application/json" || (media.contains('/') && media.ends_with("+json"))
}

fn unsupported(taken: &str) -> Problem {
    Problem::new(415, format!("the Content-Type must be {taken}"))
}
