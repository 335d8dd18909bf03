//! Who may call: a producer with its key, or a caller that the platform let in.

use super::Request;
use crate::app::Caller;
use crate::problem::Problem;
use crate::secret::KeyDigest;
use crate::settings::{Producer, Scope, Settings};

/// The caller, if it may post.
pub(super) fn sender(settings: &Settings, request: &Request) -> Result<Caller, Problem> {
    if settings.producers.is_empty() {
        // Without producers the platform's own callers are admins of the empty tenant; nobody else is anybody.
        if request.platform_caller {
            return Ok(Caller::default());
        }
        return Err(Problem::new(403, "the platform did not authenticate the caller, and no producers are configured"));
    }
    let Some(key) = request.header("authorization").and_then(bearer) else {
        return Err(Problem::new(401, "a key is needed: `Authorization: Bearer ck_<id>_<secret>`"));
    };
    let Some(producer) = owner(&settings.producers, key) else {
        return Err(Problem::new(401, "the key is not known"));
    };
    if !producer.scopes.iter().any(|scope| matches!(scope, Scope::Send | Scope::Admin)) {
        return Err(Problem::new(403, "the key's producer may not send"));
    }
    Ok(Caller { producer: producer.id.clone(), tenant: producer.tenant.clone() })
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, key) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// Compares with every key of every producer, so that the time tells nothing of which one was near.
fn owner<'a>(producers: &'a [Producer], key: &str) -> Option<&'a Producer> {
    let digest = KeyDigest::of(key);
    let mut found = None;
    for producer in producers {
        let known = producer.keys.iter().fold(false, |known, own| own.matches(&digest) | known);
        if known && names(key, &producer.id) {
            found = Some(producer);
        }
    }
    found
}

/// A key names its producer: `ck_<id>_<secret>`.
fn names(key: &str, id: &str) -> bool {
    key.strip_prefix("ck_")
        .and_then(|rest| rest.split_once('_'))
        .is_some_and(|(named, secret)| named == id && !secret.is_empty())
}
