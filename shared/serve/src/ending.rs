//! The word that the process is to end, for all who work in it.

use tokio::sync::watch;

/// Whether the end has begun. Clones hear the same word.
#[derive(Debug, Clone)]
pub(crate) struct Ending(watch::Sender<bool>);

impl Ending {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Says it.
    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it was said.
    pub(crate) async fn begun(&self) {
        // The sender lives here, so it can't be gone.
        drop(self.0.subscribe().wait_for(|ending| *ending).await);
    }
}
