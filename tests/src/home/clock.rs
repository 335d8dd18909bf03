//! Clocks that stories move: one altogether, one that goes by itself and is put forward.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chaski_core::ports::Clock;
use chaski_core::time::Timestamp;
use chaski_system::SystemClock;

/// The wall's time at the start: 2026-11-01T00:00:00Z.
const START: i64 = 1_793_491_200_000;

/// Stands still until it is moved. Clones are one clock.
#[derive(Debug, Clone, Default)]
pub struct HandClock(Arc<AtomicU64>);

impl HandClock {
    /// Moves it forward, in whole milliseconds.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(START).plus(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// The machine's clocks, and what a story put on them. Clones share that.
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

    /// Puts both clocks forward, in whole milliseconds.
    pub fn put_forward(&self, span: Duration) {
        self.ahead_ms.fetch_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// By how much it is ahead of the machine's.
    #[must_use]
    pub fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead_ms.load(Ordering::SeqCst))
    }
}

impl Clock for StoryClock {
    fn now(&self) -> Timestamp {
        self.machine.now().plus(self.ahead())
    }

    fn elapsed(&self) -> Duration {
        self.machine.elapsed() + self.ahead()
    }
}
