//! What messages and dead letters have in common.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::history::{AttemptRecord, ErrorRecord};
use crate::time::Timestamp;

/// One attempt. `version` is left out where it is not known.
#[derive(Debug, Serialize)]
pub(super) struct AttemptShape<'a> {
    n: u32,
    at: Timestamp,
    tier: &'a str,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
}

impl<'a> AttemptShape<'a> {
    pub(super) fn of(attempt: &'a AttemptRecord, version: Option<&'a str>) -> Self {
        Self {
            n: attempt.n,
            at: attempt.at,
            tier: &attempt.tier,
            outcome: &attempt.outcome,
            status: attempt.status,
            duration_ms: attempt.duration_ms,
            version,
        }
    }
}

/// One error.
#[derive(Debug, Serialize)]
pub(super) struct ErrorShape<'a> {
    class: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    detail: &'a str,
    at: Timestamp,
}

impl<'a> ErrorShape<'a> {
    pub(super) fn of(error: &'a ErrorRecord) -> Self {
        Self { class: &error.class, status: error.status, detail: &error.detail, at: error.at }
    }
}

/// Bytes as a text where they are one, as base64 otherwise; one of the two is there.
pub(super) fn text_or_base64(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(base64(bytes))),
    }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
