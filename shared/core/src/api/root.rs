//! What a deployment says of itself.

use std::collections::BTreeMap;

use serde::Serialize;

use super::VERSION;
use super::answer::{Answer, METRICS};
use crate::ports::Vitals;
use crate::problem::Problem;

/// Name, version and links; `all` is whether all calls are served here, or the producers' only.
pub(super) fn root(all: bool) -> Answer {
    let mut links = serde_json::json!({
        "health": "/health", "openapi": "/openapi.json", "messages": "/messages", "batch": "/messages/batch",
    });
    if all && let Some(links) = links.as_object_mut() {
        for (name, path) in [("dead_letters", "/dead-letters"), ("queues", "/queues"), ("pauses", "/pauses")] {
            links.insert(name.to_owned(), path.into());
        }
        links.insert("metrics".to_owned(), "/metrics".into());
    }
    Answer::json(serde_json::json!({"name": "chaski", "version": VERSION, "links": links}).to_string())
}

#[derive(Serialize)]
struct HealthShape<'a> {
    status: &'static str,
    version: &'static str,
    checks: BTreeMap<&'a str, &'a str>,
}

/// Well when no check fails. A function that answers has none: what it stands on is seen by its alarms, not asked
/// of it a second time.
pub(super) fn health(desk: Option<&impl Vitals>) -> Answer {
    let checks = desk.map(Vitals::checks).unwrap_or_default();
    let failing = checks.iter().any(|(_, wrong)| wrong.is_some());
    let (http, status) = if failing { (503, "failing") } else { (200, "ok") };
    let checks = checks.iter().map(|(name, wrong)| (*name, wrong.as_deref().unwrap_or("ok"))).collect();
    Answer::of(http, &HealthShape { status, version: VERSION, checks })
}

pub(super) fn metrics(desk: &impl Vitals) -> Result<Answer, Problem> {
    match desk.metrics() {
        Some(body) => Ok(Answer { status: 200, media: METRICS, body }),
        None => Err(Problem::new(501, "this deployment keeps no metrics")),
    }
}
