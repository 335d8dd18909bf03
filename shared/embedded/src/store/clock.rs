//! The store's clock: the wall's time at the start, and from then on the clock that never jumps.

use std::sync::Arc;
use std::time::Duration;

use chaski_core::ports::Clock;
use chaski_core::time::Timestamp;

use crate::schedule::Millis;

/// A wall clock that jumps an hour while the process runs moves no retry.
pub(crate) struct StoreClock {
    clock: Arc<dyn Clock>,
    wall: Millis,
    start: Duration,
}

impl StoreClock {
    pub(crate) fn start(clock: Arc<dyn Clock>) -> Self {
        Self { wall: clock.now().millis(), start: clock.elapsed(), clock }
    }

    /// The moment, by this clock, of a time that the wall's clock shows: what is to be done at noon is done at noon,
    /// also when the wall's clock was set since the start.
    pub(crate) fn of_wall(&self, at: Timestamp) -> Millis {
        at.millis().saturating_add(self.now().saturating_sub(self.clock.now().millis()))
    }

    /// Milliseconds since 1970.
    pub(crate) fn now(&self) -> Millis {
        self.wall + millis(self.clock.elapsed().saturating_sub(self.start))
    }
}

/// A span in milliseconds.
pub(crate) fn millis(span: Duration) -> Millis {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
