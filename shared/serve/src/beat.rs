//! Whether the loops of the process live.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chaski_core::ports::Clock;
use chaski_system::SystemClock;

/// How often a loop says that it lives.
pub(crate) const BEAT: Duration = Duration::from_secs(1);
/// A loop that has been silent for so long is dead, or hangs.
const SILENCE: Duration = Duration::from_secs(5);

/// When a loop was alive last.
#[derive(Debug)]
pub(crate) struct Beat {
    clock: SystemClock,
    last_ms: AtomicU64,
}

impl Beat {
    pub(crate) fn new(clock: SystemClock) -> Arc<Self> {
        let beat = Self { clock, last_ms: AtomicU64::new(0) };
        beat.mark();
        Arc::new(beat)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn mark(&self) {
        self.last_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// For how long the loop has been silent, where that is too long; for a person.
    fn silent(&self) -> Option<String> {
        let silent = Duration::from_millis(self.now_ms().saturating_sub(self.last_ms.load(Ordering::Relaxed)));
        (silent >= SILENCE).then(|| format!("its loop has been silent for {} s", silent.as_secs()))
    }
}

/// The loops of the process.
#[derive(Debug, Clone)]
pub(crate) struct Beats {
    /// The one that leases entries.
    pub(crate) dispatch: Arc<Beat>,
    /// The one that accepts connections.
    pub(crate) accept: Arc<Beat>,
}

impl Beats {
    /// Each loop by name, and what is wrong with it.
    pub(crate) fn checks(&self) -> [(&'static str, Option<String>); 2] {
        [("dispatch", self.dispatch.silent()), ("accept", self.accept.silent())]
    }
}
