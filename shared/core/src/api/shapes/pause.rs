//! A pause.

use serde::Serialize;

use crate::pause::{Pause, PauseScope};
use crate::time::Timestamp;

/// A pause as the API answers it.
#[derive(Debug, Serialize)]
pub(in crate::api) struct PauseShape<'a> {
    id: &'a str,
    scope: ScopeShape<'a>,
    created_at: Timestamp,
}

/// The scope in the words by which it was asked for; exactly one field, or a tenant beside the subject.
#[derive(Debug, Default, Serialize)]
struct ScopeShape<'a> {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    all: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    tenant: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
}

impl<'a> PauseShape<'a> {
    pub(in crate::api) fn of(pause: &'a Pause) -> Self {
        let none = ScopeShape::default();
        let scope = match &pause.scope {
            PauseScope::All => ScopeShape { all: true, ..none },
            PauseScope::Queue(queue) => ScopeShape { queue: Some(queue), ..none },
            PauseScope::Route(route) => ScopeShape { route: Some(route), ..none },
            PauseScope::Subject { tenant, subject } => ScopeShape { subject: Some(subject), tenant, ..none },
            PauseScope::Target(host) => ScopeShape { target: Some(host), ..none },
        };
        Self { id: &pause.id, scope, created_at: pause.created_at }
    }
}
