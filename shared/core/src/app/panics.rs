//! Counts panics of the same entry, in this process.
//!
//! A queue counts receives only, and those are burnt by followers of a waiting head too, so the count is
//! kept here; an entry that panics in one process after the other is given up by its receives instead.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::limits;
use crate::ports::Leased;

/// Entries that are remembered at the same time.
const REMEMBERED: usize = 1_000;

/// A panic after this many receives is the last one, wherever the others were.
const RECEIVES: u32 = 3 * limits::PANICS;

#[derive(Debug, Default)]
pub(super) struct Panics(Mutex<HashMap<String, u32>>);

impl Panics {
    /// Counts a panic; whether the entry is to be given up.
    pub(super) fn count(&self, leased: &Leased) -> bool {
        let Ok(mut counts) = self.0.lock() else { return leased.receives >= limits::PANICS };
        if counts.len() >= REMEMBERED {
            counts.clear();
        }
        let count = counts.entry(leased.entry_id.clone()).or_insert(0);
        *count += 1;
        *count >= limits::PANICS || leased.receives >= RECEIVES
    }

    /// Forgets an entry that is settled.
    pub(super) fn forget(&self, leased: &Leased) {
        if let Ok(mut counts) = self.0.lock()
            && !counts.is_empty()
        {
            counts.remove(&leased.entry_id);
        }
    }
}
