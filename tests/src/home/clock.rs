//! A clock that a story may put forward.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chaski_core::ports::Clock;
use chaski_core::time::Timestamp;
use chaski_system::SystemClock;

/// The machine's clock, and what a story put on it. Clones share that.
#[derive(Debug, Clone)]
pub struct StoryClock {
    machine: SystemClock,
    ahead_ms: Arc<AtomicU64>,
}

impl StoryClock {
    /// With the machine's time.
    #[must_use]
    pub fn start() -> Self {
        Self { machine: SystemClock::start(), ahead_ms: Arc::default() }
    }

    /// Puts the wall clock forward.
    pub fn put_forward(&self, span: Duration) {
        self.ahead_ms.fetch_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Clock for StoryClock {
    fn now(&self) -> Timestamp {
        self.machine.now().plus(Duration::from_millis(self.ahead_ms.load(Ordering::SeqCst)))
    }

    fn elapsed(&self) -> Duration {
        self.machine.elapsed()
    }
}
