//! What a deployment says of itself.

use std::collections::BTreeMap;

use serde::Serialize;

use super::VERSION;
use super::answer::{Answer, METRICS};
use super::served::Served;
use crate::ports::Vitals;
use crate::problem::Problem;

/// The links that every deployment has.
const LINKS: [(&str, &str); 4] =
    [("health", "/health"), ("openapi", "/openapi.json"), ("messages", "/messages"), ("batch", "/messages/batch")];

/// Name, version and links.
pub(super) fn root(served: &Served) -> Answer {
    let links: BTreeMap<&str, &str> = LINKS.iter().chain(served.links).copied().collect();
    Answer::json(serde_json::json!({"name": "chaski", "version": VERSION, "links": links}).to_string())
}

/// Each check by name, and what is wrong with it, if anything is.
pub(super) type Checks = Vec<(&'static str, Option<String>)>;

#[derive(Serialize)]
struct HealthShape<'a> {
    status: &'static str,
    version: &'static str,
    checks: BTreeMap<&'a str, &'a str>,
}

/// Well when no check fails. A function that answers has none: what it stands on is seen by its alarms, not asked
/// of it a second time.
pub(super) fn health(checks: &Checks) -> Answer {
    let failing = checks.iter().any(|(_, wrong)| wrong.is_some());
    let (http, status) = if failing { (503, "failing") } else { (200, "ok") };
    let checks = checks.iter().map(|(name, wrong)| (*name, wrong.as_deref().unwrap_or("ok"))).collect();
    Answer::of(http, &HealthShape { status, version: VERSION, checks })
}

pub(super) async fn metrics(desk: &impl Vitals) -> Result<Answer, Problem> {
    match desk.metrics().await {
        Some(body) => Ok(Answer { status: 200, media: METRICS, body }),
        None => Err(Problem::new(501, "this deployment keeps no metrics")),
    }
}
