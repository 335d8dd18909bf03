//! The loop that hands leased entries to the use cases.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chaski_core::app::Dispatcher;
use chaski_core::ports::{Clock, Settle, Target};
use chaski_embedded::Store;
use chaski_system::SystemClock;
use futures_util::FutureExt;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tracing::error;

use crate::beat::{BEAT, Beat};

/// The store leases one entry at a time, and its lease is what bounds the work on it: a batch's end is far away.
const NO_END: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a loop that panicked rests before it begins again.
const REST: Duration = Duration::from_millis(500);

/// Keeps the loop running: after a panic it begins again. One that panics again and again never comes to its first
/// beat, so health tells of it.
pub(crate) async fn keep<T, S>(
    store: Store,
    dispatcher: Arc<Dispatcher<T, S, SystemClock, Store, Store>>,
    clock: SystemClock,
    beat: Arc<Beat>,
) where
    T: Target + 'static,
    S: Settle + 'static,
{
    loop {
        let lap = AssertUnwindSafe(run(&store, &dispatcher, clock, &beat)).catch_unwind().await;
        if lap.is_err() {
            error!(event.action = "loop_panicked", "the dispatch loop panicked, and begins again");
        }
        sleep(REST).await;
    }
}

/// Leases entry by entry for ever; each is handled by a task of its own.
async fn run<T, S>(
    store: &Store,
    dispatcher: &Arc<Dispatcher<T, S, SystemClock, Store, Store>>,
    clock: SystemClock,
    beat: &Beat,
) where
    T: Target + 'static,
    S: Settle + 'static,
{
    let mut tick = interval_at(Instant::now() + BEAT, BEAT);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            leased = store.lease() => {
                let (dispatcher, until) = (dispatcher.clone(), clock.elapsed() + NO_END);
                tokio::spawn(async move {
                    // What goes back was given back already.
                    drop(dispatcher.run(std::slice::from_ref(&leased), until).await);
                });
            }
            _ = tick.tick() => beat.mark(),
        }
    }
}
