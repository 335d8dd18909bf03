//! Callers who wait for a message's end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Who waits, by message.
#[derive(Debug, Default)]
pub(crate) struct Ends(Mutex<HashMap<i64, Arc<Notify>>>);

/// One who waits; until it is dropped.
pub(crate) struct Waiting<'a> {
    ends: &'a Ends,
    message: i64,
    end: Arc<Notify>,
}

impl Ends {
    /// Waits for the message's end.
    pub(crate) fn wait_for(&self, message: i64) -> Waiting<'_> {
        let end = self.waiting().entry(message).or_default().clone();
        Waiting { ends: self, message, end }
    }

    /// The message came to its end.
    pub(crate) fn tell(&self, message: i64) {
        if let Some(waiting) = self.waiting().remove(&message) {
            waiting.notify_waiters();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<i64, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting<'_> {
    /// What is notified of the end.
    pub(crate) fn end(&self) -> &Notify {
        &self.end
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut all = self.ends.waiting();
        // The map's own and this one: nobody else waits. After the end another one may stand there.
        let last = all.get(&self.message).is_some_and(|end| Arc::ptr_eq(end, &self.end));
        if last && Arc::strong_count(&self.end) <= 2 {
            all.remove(&self.message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_those_who_do_not_wait_any_more() {
        let ends = Ends::default();
        let (first, second) = (ends.wait_for(1), ends.wait_for(1));
        drop(first);
        assert_eq!(ends.waiting().len(), 1);
        drop(second);
        assert_eq!(ends.waiting().len(), 0);
        let told = ends.wait_for(2);
        ends.tell(2);
        let again = ends.wait_for(2);
        drop(told);
        assert_eq!(ends.waiting().len(), 1, "another one waits for the next end");
        drop(again);
    }
}
