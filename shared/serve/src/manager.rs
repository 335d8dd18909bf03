//! What a service manager (systemd) is told. Where none listens there is nothing to say, and nothing is.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::beat::Beats;

/// The process serves.
pub(crate) fn ready() {
    let _ = sd_notify::notify(false, &[NotifyState::Ready]);
}

/// The process is ending.
pub(crate) fn stopping() {
    let _ = sd_notify::notify(false, &[NotifyState::Stopping]);
}

/// Tells that the process lives, as long as its loops do: one that hangs has it started anew.
pub(crate) async fn keep_watchdog(beats: Beats) {
    let mut micros = 0;
    if !sd_notify::watchdog_enabled(false, &mut micros) || micros < 2 {
        return;
    }
    let mut tick = tokio::time::interval(Duration::from_micros(micros) / 2);
    loop {
        tick.tick().await;
        if beats.checks().iter().all(|(_, wrong)| wrong.is_none()) {
            let _ = sd_notify::notify(false, &[NotifyState::Watchdog]);
        }
    }
}
