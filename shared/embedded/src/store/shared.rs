//! What the store's threads and callers share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chaski_core::pause::{Pause, PauseScope};
use chaski_core::ports::Entry;
use chaski_core::queue::{QueueName, Tier};
use chaski_core::retry::TierDelays;
use chaski_core::route::Route;
use tokio::sync::{Notify, watch};

use super::clock::millis;
use super::{Ends, StoreClock};
use crate::queues::{QueueTable, Rates};
use crate::schedule::{Millis, PauseSet, Schedule};

/// No entry is waited for.
const NEVER: Millis = i64::MAX;

/// How much later than its delay a retry may be due, as a part of it: what failed together does not come back
/// together.
const JITTER: i64 = 10;

pub(crate) struct Shared {
    schedule: Mutex<Schedule>,
    /// The loader has something to do; with the schedule's mutex.
    wanted: Condvar,
    /// Something may be leased.
    pub(crate) ready: Notify,
    /// A lease has ended.
    pub(crate) quiet: Notify,
    pub(crate) clock: StoreClock,
    pub(crate) queues: QueueTable,
    pub(crate) routes: Vec<Route>,
    pub(crate) rates: Rates,
    pub(crate) ends: Ends,
    pub(crate) failure: watch::Sender<Option<String>>,
    /// How long a key is remembered.
    pub(crate) keys_ms: Millis,
    /// Whether ids are remembered that are not listed any more.
    pub(crate) remembers: bool,
    tiers: TierDelays,
    store_id: String,
    taking: Mutex<Option<String>>,
    next_due: AtomicI64,
    closing: AtomicBool,
    /// The file that says that the database is damaged.
    damage_mark: PathBuf,
}

/// What [`Shared`] is made of.
pub(crate) struct Parts {
    pub(crate) schedule: Schedule,
    pub(crate) clock: StoreClock,
    pub(crate) queues: QueueTable,
    pub(crate) routes: Vec<Route>,
    pub(crate) tiers: TierDelays,
    pub(crate) keys: Duration,
    pub(crate) remembers: bool,
    pub(crate) store_id: String,
    pub(crate) damage_mark: PathBuf,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            schedule: Mutex::new(parts.schedule),
            wanted: Condvar::new(),
            ready: Notify::new(),
            quiet: Notify::new(),
            clock: parts.clock,
            queues: parts.queues,
            routes: parts.routes,
            rates: Rates::default(),
            ends: Ends::default(),
            failure: watch::Sender::new(None),
            keys_ms: millis(parts.keys),
            remembers: parts.remembers,
            tiers: parts.tiers,
            store_id: parts.store_id,
            taking: Mutex::new(None),
            next_due: AtomicI64::new(0),
            closing: AtomicBool::new(false),
            damage_mark: parts.damage_mark,
        }
    }

    pub(crate) fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry's own id; no other store's entry has it.
    pub(crate) fn entry_id(&self, seq: i64) -> String {
        format!("{}-{seq}", self.store_id)
    }

    /// When an entry of a tier is due: its delay after `now`, and up to a tenth of that later.
    pub(crate) fn due(&self, tier: Tier, now: Millis, seq: i64) -> Millis {
        let delay = millis(self.tiers.of(tier));
        let spread = delay / JITTER + 1;
        // Numbers that follow each other fall far apart (Fibonacci hashing, Knuth, TAOCP 6.4).
        let mixed = seq.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        now + delay + i64::try_from(mixed).unwrap_or(0) % spread
    }

    /// When an entry is due in its queue; at once where this says nothing.
    pub(crate) fn due_of(&self, entry: &Entry, now: Millis, seq: i64) -> Option<Millis> {
        match &entry.queue {
            QueueName::Tier(tier) => Some(self.due(*tier, now, seq)),
            _ => entry.due.map(|due| self.clock.of_wall(due)),
        }
    }

    /// The delay of a queue, if it is a tier.
    pub(crate) fn delay(&self, queue: &QueueName) -> Option<Duration> {
        match queue {
            QueueName::Tier(tier) => Some(self.tiers.of(*tier)),
            QueueName::Shard { .. } | QueueName::Wake | QueueName::WakeNet | QueueName::LastNet => None,
        }
    }

    /// An entry is due at that time.
    pub(crate) fn note_due(&self, due: Millis) {
        if self.next_due.fetch_min(due, Ordering::AcqRel) > due {
            self.wake_loader();
        }
    }

    /// When the next entry is due, as far as is known.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        Some(self.next_due.load(Ordering::Acquire)).filter(|due| *due != NEVER)
    }

    /// The loader is about to look for what is due: what is noted from now on counts.
    pub(crate) fn forget_due(&self) {
        self.next_due.store(NEVER, Ordering::Release);
    }

    pub(crate) fn wake_loader(&self) {
        // Taking the lock once means that the loader either waits already, or has not looked yet.
        drop(self.schedule());
        self.wanted.notify_all();
    }

    pub(crate) fn wake_loader_if_wanted(&self) {
        let due = self.next_due().is_some_and(|due| due <= self.clock.now());
        let schedule = self.schedule();
        if schedule.is_wanting() || (due && schedule.has_room()) {
            drop(schedule);
            self.wanted.notify_all();
        }
    }

    /// Waits until the loader is wanted, at most so long.
    pub(crate) fn wait_for_work<'a>(
        &self,
        schedule: MutexGuard<'a, Schedule>,
        most: Duration,
    ) -> MutexGuard<'a, Schedule> {
        match self.wanted.wait_timeout(schedule, most) {
            Ok((schedule, _)) => schedule,
            Err(poisoned) => poisoned.into_inner().0,
        }
    }

    /// A lease has ended.
    pub(crate) fn settled(&self) {
        self.quiet.notify_waiters();
    }

    /// The store can't go on.
    pub(crate) fn fail(&self, why: &str, damaged: bool) {
        if damaged {
            // The next start salvages what can be read. If even this can't be written, it finds out by itself.
            let _ = std::fs::write(&self.damage_mark, why);
        }
        self.schedule().stop();
        self.failure.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert_with(|| why.to_owned());
            first
        });
    }

    pub(crate) fn is_taking(&self) -> Result<(), String> {
        if let Some(why) = self.failure.borrow().clone() {
            return Err(why);
        }
        self.taking.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }

    pub(crate) fn set_taking(&self, held_up: Option<String>) {
        *self.taking.lock().unwrap_or_else(PoisonError::into_inner) = held_up;
    }

    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.schedule().stop();
        self.wake_loader();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// What the pauses hold back.
    pub(crate) fn pause_set(&self, pauses: &[Pause]) -> PauseSet {
        pause_set(&self.queues, pauses.iter().map(|pause| &pause.scope))
    }
}

/// What pauses hold back.
pub(crate) fn pause_set<'a>(queues: &QueueTable, scopes: impl Iterator<Item = &'a PauseScope>) -> PauseSet {
    let mut set = PauseSet::default();
    scopes.for_each(|scope| set.add(scope, |name| queues.number(&QueueName::parse(name)?)));
    set
}
