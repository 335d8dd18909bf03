//! What went wrong, as the port says it.

use std::error::Error;
use std::iter::successors;

use chaski_core::guard::Refusal;
use chaski_core::ports::CallError;

/// Long enough for every cause and its causes; a certificate may name a thousand hosts.
const DETAIL_CHARS: usize = 512;

/// Reads the client's error. Never a timeout: that is said by the deadline alone.
pub(crate) fn of(error: reqwest::Error) -> CallError {
    // The query may hold secrets.
    let error = error.without_url();
    let causes = || successors(error.source(), |cause| (**cause).source());
    if let Some(refusal) = causes().find_map(|cause| cause.downcast_ref::<Refusal>()) {
        return CallError::Blocked(refusal.to_string());
    }
    // The client's own names for its layers tell a person nothing.
    let mut said: Vec<String> =
        causes().map(ToString::to_string).filter(|text| !text.starts_with("client error (")).collect();
    said.dedup();
    let detail = clean(&said.join(": "));
    if error.is_builder() {
        CallError::Blocked(format!("the request can't be sent: {detail}"))
    } else if error.is_connect() {
        CallError::Connection(format!("no connection: {detail}"))
    } else {
        CallError::Connection(format!("the connection broke: {detail}"))
    }
}

/// Part of it may be the target's own words: kept short and on one line.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(DETAIL_CHARS).collect()
}
