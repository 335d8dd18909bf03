//! What has to hold before a door is opened.

use chaski_core::settings::{Durability, Settings};
use tracing::warn;

use crate::error::ServeError;

/// Refuses what would be open by accident.
pub(crate) fn check(settings: &Settings) -> Result<(), ServeError> {
    let listen = settings.serve.listen;
    if settings.producers.is_empty() && !listen.ip().is_loopback() {
        return Err(ServeError::Open(listen));
    }
    Ok(())
}

/// Says what is a risk by choice.
pub(crate) fn warn(settings: &Settings) {
    let serve = &settings.serve;
    if !serve.listen.ip().is_loopback() && serve.tls.is_none() {
        warn!(
            event.action = "start",
            "listen: {} is not this machine's own, and [tls] is not set: keys and bodies travel in clear unless a proxy \
             in front speaks TLS",
            serve.listen
        );
    }
    if serve.durability == Durability::Os {
        warn!(
            event.action = "start",
            "durability = \"os\": an answer 200 is not on the disk yet; a power failure loses what was accepted in the \
             last seconds (a crash of this process loses nothing)"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(file: &str) -> Result<(), ServeError> {
        check(&Settings::read(file, &|_| None).unwrap())
    }

    #[test]
    fn a_door_without_keys_is_this_machine_s_only() {
        assert!(checked("").is_ok());
        assert!(checked("listen = \"[::1]:8080\"").is_ok());
        assert!(matches!(checked("listen = \"0.0.0.0:8080\""), Err(ServeError::Open(_))));
        let producers =
            format!("listen = \"0.0.0.0:8080\"\n[[producers]]\nid = \"crm\"\nkeys = [\"sha256:{}\"]", "0".repeat(64));
        assert!(checked(&producers).is_ok());
    }
}
