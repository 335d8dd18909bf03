//! Who may call: a producer with its key, a caller that the platform let in, or whoever is on this machine.

use super::{Door, Request, local};
use crate::app::Caller;
use crate::filter::Whose;
use crate::problem::Problem;
use crate::secret::KeyDigest;
use crate::settings::{Producer, Scope, Settings};

/// What a call needs of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Anybody may.
    Nothing,
    /// To post.
    Send,
    /// To cancel what it has posted itself.
    Cancel,
    /// To see what is its tenant's.
    Read,
    /// To replay and delete dead letters of its tenant.
    Replay,
    /// Everything.
    Admin,
}

/// A caller that may.
#[derive(Debug, Clone, Default)]
pub(super) struct Granted {
    /// Who it is.
    pub(super) caller: Caller,
    /// What it may touch.
    pub(super) whose: Whose,
}

impl Needs {
    /// The scope that grants it, besides `admin`.
    const fn scope(self) -> Scope {
        match self {
            Self::Send | Self::Cancel => Scope::Send,
            Self::Nothing | Self::Read => Scope::Read,
            Self::Replay => Scope::Replay,
            Self::Admin => Scope::Admin,
        }
    }

    const fn verb(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Cancel => "cancel",
            Self::Nothing | Self::Read => "read",
            Self::Replay => "replay or delete",
            Self::Admin => "do what an admin may",
        }
    }

    /// What a producer that is no admin may touch by it.
    fn whose(self, caller: &Caller) -> Whose {
        let producer = (self == Self::Cancel).then(|| caller.producer.clone());
        Whose { tenant: Some(caller.tenant.clone()), producer }
    }
}

/// The caller, if it may do what the call needs.
pub(super) fn grant(settings: &Settings, door: &Door, request: &Request, needs: Needs) -> Result<Granted, Problem> {
    let open = settings.producers.is_empty();
    if open && door.local {
        // Before anything is answered: also what everybody may see is not for a foreign page.
        local::check(request)?;
        return Ok(Granted::default());
    }
    if needs == Needs::Nothing {
        return Ok(Granted::default());
    }
    if open {
        // Without producers the platform's own callers are admins of the empty tenant; nobody else is anybody.
        if request.platform_caller {
            return Ok(Granted::default());
        }
        return Err(Problem::new(403, "the platform did not authenticate the caller, and no producers are configured"));
    }
    let Some(key) = request.header("authorization").and_then(bearer) else {
        return Err(Problem::new(401, "a key is needed: `Authorization: Bearer ck_<id>_<secret>`"));
    };
    let Some(producer) = owner(&settings.producers, key) else {
        return Err(Problem::new(401, "the key is not known"));
    };
    let caller = Caller { producer: producer.id.clone(), tenant: producer.tenant.clone() };
    if producer.scopes.contains(&Scope::Admin) {
        return Ok(Granted { caller, whose: Whose::default() });
    }
    if !producer.scopes.contains(&needs.scope()) {
        return Err(Problem::new(403, format!("the key's producer may not {}", needs.verb())));
    }
    let whose = needs.whose(&caller);
    Ok(Granted { caller, whose })
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
