//! Signatures by which a target knows that a request is ours: Standard Webhooks 1.0.0, symmetric (`v1`).
//!
//! What is signed is `id.seconds.body`. A body may come in pieces, so that a large one is never in memory as a whole.

mod host;

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use url::Host;

pub use host::SignedHost;

/// What every secret begins with.
const SECRET_PREFIX: &str = "whsec_";
/// What a secret has of bytes, behind base64.
pub const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that requests are signed with. It prints as `***`.
#[derive(Clone)]
pub struct SigningSecret(Hmac<Sha256>);

/// A text that is no signing secret. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be whsec_ and base64 (with its padding) of {} to {} bytes", SECRET_BYTES.start(), SECRET_BYTES.end())]
pub struct BadSecret;

impl SigningSecret {
    /// Reads `whsec_<base64>`.
    ///
    /// # Errors
    /// The prefix is missing, it is not base64, or it has too few or too many bytes.
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let encoded = text.strip_prefix(SECRET_PREFIX).ok_or(BadSecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| BadSecret)?;
        if !SECRET_BYTES.contains(&bytes.len()) {
            return Err(BadSecret);
        }
        // The key is mixed in once, here: each message begins from its state.
        Hmac::new_from_slice(&bytes).map(Self).map_err(|_| BadSecret)
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The secrets of one place: the current one and, while targets learn of it, the one before.
#[derive(Debug, Clone)]
pub struct SigningKeys {
    current: SigningSecret,
    previous: Option<SigningSecret>,
}

impl SigningKeys {
    /// The current secret, and the one before.
    #[must_use]
    pub const fn new(current: SigningSecret, previous: Option<SigningSecret>) -> Self {
        Self { current, previous }
    }

    /// Begins the signatures of a message at an attempt; `seconds` are Unix seconds, as the target is told them.
    #[must_use]
    pub fn begin(&self, id: &str, seconds: i64) -> Signer {
        let mut signer =
            Signer { current: self.current.0.clone(), previous: self.previous.as_ref().map(|secret| secret.0.clone()) };
        signer.update(format!("{id}.{seconds}.").as_bytes());
        signer
    }

    /// The signatures of a message whose body is there as a whole: the value of `webhook-signature`.
    #[must_use]
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut signer = self.begin(id, seconds);
        signer.update(body);
        signer.finish()
    }
}

/// Signatures at work.
#[derive(Clone)]
pub struct Signer {
    current: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
}

impl Signer {
    /// Takes the next bytes of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        self.current.update(bytes);
        if let Some(previous) = &mut self.previous {
            previous.update(bytes);
        }
    }

    /// The value of `webhook-signature`: one signature a secret, the current one's first, a space between.
    #[must_use]
    pub fn finish(self) -> String {
        let text = |mac: Hmac<Sha256>| format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        let current = text(self.current);
        match self.previous {
            Some(previous) => format!("{current} {}", text(previous)),
            None => current,
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

/// Which secrets sign what goes to which host. The default signs nothing.
#[derive(Debug, Clone, Default)]
pub struct Signing {
    deployment: Option<SigningKeys>,
    hosts: BTreeMap<SignedHost, SigningKeys>,
}

impl Signing {
    /// With the deployment's own secrets, if it has some, and those of single hosts, which replace them there.
    #[must_use]
    pub const fn new(deployment: Option<SigningKeys>, hosts: BTreeMap<SignedHost, SigningKeys>) -> Self {
        Self { deployment, hosts }
    }

    /// The secrets for a target's host; none where nothing is signed.
    #[must_use]
    pub fn keys(&self, host: Host<&str>) -> Option<&SigningKeys> {
        let own = if self.hosts.is_empty() { None } else { self.hosts.get(&SignedHost::of(host)) };
        own.or(self.deployment.as_ref())
    }
}

#[cfg(test)]
mod tests;
