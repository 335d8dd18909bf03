//! Lines whose head failed, and holds them up until it is due: they stand in the file alone.

use super::{Millis, Schedule, Token};

impl Schedule {
    /// The head stays where it is until its time, and its line behind it.
    pub(crate) fn hold(&mut self, token: Token, now: Millis) {
        if let Some(held) = self.leases.remove(&token) {
            self.leave(&held.gates, now);
            self.note_held();
            self.drop_line(held.line);
        }
    }

    /// A line was met whose head is not due: what is written behind it must not pass it.
    pub(super) fn note_held(&mut self) {
        self.held = true;
        self.held_again = true;
    }
}
