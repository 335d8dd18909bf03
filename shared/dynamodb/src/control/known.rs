//! What is ordered, as a process knows it: read now and then, and shared by all that ask.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use chaski_core::orders::Orders;
use chaski_core::ports::Clock;
use chaski_core::time::Timestamp;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{info, warn};

use super::table::{ControlTable, Hosts, Standing};

/// An answer is asked for again when it is older: a process reads at most once in it, and an order is in force
/// everywhere when it has passed.
pub const ORDERS_AGE: Duration = Duration::from_secs(1);
/// The same after a failure: who waits for a table that is down makes fewer attempts.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How long attempts wait for the table.
const READING: Duration = Duration::from_secs(1);
/// The last answer stands so long when the table can't be read: longer than a usual disturbance, and a pause that
/// was ended meanwhile holds no longer than that. Then there are no orders: a pause is a comfort, delivery goes on.
const STANDS: Duration = Duration::from_secs(15 * 60);

/// The orders as they were last read.
#[derive(Debug, Default)]
pub(super) struct Known {
    state: Mutex<State>,
    /// What is known of hosts that fail: as it was read, and as this process wrote it since.
    hosts: std::sync::Mutex<Hosts>,
}

#[derive(Debug, Default)]
struct State {
    orders: Arc<Orders>,
    /// When the last reading began, and the last one that was answered.
    tried: Option<Moment>,
    read: Option<Moment>,
    failing: bool,
    /// What could not be read, as it was told.
    unreadable: Vec<String>,
}

/// A moment on both clocks. A process that was frozen finds little time passed on one of them, and a jump of the
/// other is no harm: more is read.
#[derive(Debug, Clone, Copy)]
struct Moment {
    elapsed: Duration,
    at: Timestamp,
}

impl Moment {
    fn now(clock: &impl Clock) -> Self {
        Self { elapsed: clock.elapsed(), at: clock.now() }
    }

    fn age(self, now: Self) -> Duration {
        let wall = now.at.since(self.at).max(self.at.since(now.at));
        now.elapsed.saturating_sub(self.elapsed).max(wall)
    }
}

impl Known {
    /// What is ordered, at most [`ORDERS_AGE`] ago where the table can be read. Who asks while another reads waits
    /// for that answer.
    pub(super) async fn orders(&self, table: &ControlTable, clock: &impl Clock) -> Arc<Orders> {
        let mut state = self.state.lock().await;
        let now = Moment::now(clock);
        let pause = if state.failing { AFTER_FAILURE } else { ORDERS_AGE };
        if state.tried.is_none_or(|tried| tried.age(now) >= pause) {
            let answer = timeout(READING, table.standing()).await;
            state.tried = Some(now);
            match answer {
                Ok(Ok(Standing { orders, unreadable, hosts })) => {
                    state.learn(orders, unreadable, now);
                    *self.hosts() = hosts;
                }
                Ok(Err(error)) => state.fail(&error.to_string(), now),
                Err(_) => state.fail("the control table took too long", now),
            }
        }
        Arc::clone(&state.orders)
    }

    /// What is known of hosts that fail, as the orders were last read. What another process wrote while that was read
    /// may be missing for a second; the condition of a write finds it.
    pub(super) fn hosts(&self) -> MutexGuard<'_, Hosts> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next who asks reads.
    pub(super) async fn forget(&self) {
        self.state.lock().await.tried = None;
    }
}

impl State {
    fn learn(&mut self, orders: Orders, unreadable: Vec<String>, now: Moment) {
        if std::mem::take(&mut self.failing) {
            info!(event.action = "orders_read", "pauses and cancellations can be read again");
        }
        for key in unreadable.iter().filter(|key| !self.unreadable.contains(key)) {
            warn!(event.action = "order_unreadable", "the order {key} can't be read, and is not followed");
        }
        (self.unreadable, self.read) = (unreadable, Some(now));
        if *self.orders != orders {
            self.orders = Arc::new(orders);
        }
    }

    fn fail(&mut self, why: &str, now: Moment) {
        if !std::mem::replace(&mut self.failing, true) {
            warn!(
                event.action = "orders_not_read",
                "pauses and cancellations can't be read, those known stand for {} minutes: {why}",
                STANDS.as_secs() / 60
            );
        }
        if !self.orders.is_empty() && self.read.is_none_or(|read| read.age(now) >= STANDS) {
            warn!(event.action = "orders_forgotten", "pauses and cancellations were not read for too long: none stand");
            self.orders = Arc::default();
        }
    }
}
