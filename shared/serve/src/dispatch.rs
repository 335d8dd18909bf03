//! The loop that hands leased entries to the use cases.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chaski_core::app::Dispatcher;
use chaski_core::ports::{Clock, Settle, Target};
use chaski_embedded::Store;
use chaski_system::SystemClock;
use tokio::time::{MissedTickBehavior, interval};

/// How often the loop says that it lives.
const BEAT: Duration = Duration::from_secs(1);
/// A loop that has been silent for so long is dead, or hangs.
const SILENCE: Duration = Duration::from_secs(5);
/// The store leases one entry at a time, and its lease is what bounds the work on it: a batch's end is far away.
const NO_END: Duration = Duration::from_secs(24 * 60 * 60);

/// When the loop was alive last.
#[derive(Debug)]
pub(crate) struct Beat {
    clock: SystemClock,
    last_ms: AtomicU64,
}

impl Beat {
    pub(crate) fn new(clock: SystemClock) -> Self {
        let beat = Self { clock, last_ms: AtomicU64::new(0) };
        beat.mark();
        beat
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn mark(&self) {
        self.last_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// Whether the loop lives.
    ///
    /// # Errors
    /// How long it has been silent, for a person.
    pub(crate) fn check(&self) -> Result<(), String> {
        let silent = Duration::from_millis(self.now_ms().saturating_sub(self.last_ms.load(Ordering::Relaxed)));
        if silent < SILENCE {
            return Ok(());
        }
        Err(format!("the dispatch loop has been silent for {} s", silent.as_secs()))
    }
}

/// Leases entry by entry for ever; each is handled by a task of its own.
pub(crate) async fn run<T, S>(store: Store, dispatcher: Arc<Dispatcher<T, S, SystemClock>>, beat: Arc<Beat>)
where
    T: Target + 'static,
    S: Settle + 'static,
{
    let mut tick = interval(BEAT);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            leased = store.lease() => {
                let (dispatcher, until) = (dispatcher.clone(), beat.clock.elapsed() + NO_END);
                tokio::spawn(async move {
                    // What goes back was given back already.
                    drop(dispatcher.run(std::slice::from_ref(&leased), until).await);
                });
            }
            _ = tick.tick() => beat.mark(),
        }
    }
}
