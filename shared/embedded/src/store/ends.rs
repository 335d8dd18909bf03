//! Callers who wait for a message's end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Who waits, by message.
#[derive(Debug, Default)]
pub(crate) struct Ends(Mutex<HashMap<i64, Arc<Notify>>>);

impl Ends {
    /// What is told when the message comes to its end.
    pub(crate) fn of(&self, message: i64) -> Arc<Notify> {
        self.waiting().entry(message).or_default().clone()
    }

    /// The message came to its end.
    pub(crate) fn tell(&self, message: i64) {
        if let Some(waiting) = self.waiting().remove(&message) {
            waiting.notify_waiters();
        }
    }

    /// Nobody of `waiting` waits any more.
    pub(crate) fn leave(&self, message: i64, waiting: Arc<Notify>) {
        let mut all = self.waiting();
        // The map's own, and this one.
        if Arc::strong_count(&waiting) <= 2 {
            all.remove(&message);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<i64, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
