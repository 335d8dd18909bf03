//! The store as its callers see it: the ports, and leasing.

mod bodies;
mod clock;
mod control;
mod ends;
mod identity;
mod open;
mod ports;
mod shared;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chaski_core::flow::HostLimits;
use chaski_core::ports::{Clock, Leased};
use chaski_core::queue::QueueName;
use chaski_core::retry::TierDelays;
use chaski_core::route::Route;
use chaski_core::settings::{Durability, LimitSettings, RetentionSettings, Settings};
use chaski_core::time::Timestamp;
use tokio::sync::Semaphore;

use crate::error::{OpenError, StoreError};
use crate::folder::Folder;
use crate::look::Readers;
use crate::row::EntryRow;
use crate::schedule::{Pressure, Token};
use crate::writer::{Desk, Job};
pub(crate) use bodies::UPLOAD;
pub use bodies::{ReceiveError, Receiving};
pub(crate) use clock::{StoreClock, millis};
pub(crate) use ends::Ends;
pub(crate) use identity::{check, identify};
pub(crate) use open::{Trouble, connect};
pub(crate) use shared::Shared;

/// What a store is opened with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The store's folder; made where there is none.
    pub data: PathBuf,
    /// What an answer stands on.
    pub durability: Durability,
    /// What is kept, and how long.
    pub retention: RetentionSettings,
    /// Attempts at once.
    pub limits: LimitSettings,
    /// The delay of each tier.
    pub tiers: TierDelays,
    /// The routes, whose shards are queues.
    pub routes: Vec<Route>,
    /// How long an entry may be at work before it is seen again.
    pub lease: Duration,
    /// Whether a host that keeps failing is given pauses.
    pub breaker: bool,
    /// What single hosts may be called with.
    pub hosts: HostLimits,
    /// SQLite's VFS, by name; the system's own where none is named. For tests of faults.
    pub vfs: Option<String>,
}

/// Beyond the attempt itself, a lease covers the settlement.
const LEASE_RESERVE: Duration = Duration::from_secs(60);

impl Options {
    /// From the settings.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self {
            data: settings.serve.data.clone(),
            durability: settings.serve.durability,
            retention: settings.serve.retention,
            limits: settings.serve.limits,
            tiers: settings.tiers,
            routes: settings.routes.clone(),
            lease: settings.http.max_timeout + LEASE_RESERVE,
            breaker: settings.breaker,
            hosts: settings.hosts.clone(),
            vfs: None,
        }
    }
}

/// The embedded store. Clones share it; it is closed by [`Store::close`], or with the last clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    /// Turns of those who look: each may hold a connection with its cache.
    looks: Semaphore,
    /// The same of attempts that ask for the number of their line.
    counts: Semaphore,
    /// The same of bodies whose next piece is read or packed.
    pieces: Semaphore,
    desk: Mutex<Option<Desk>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    folder: Mutex<Option<Folder>>,
}

impl Store {
    /// Opens the store of a folder, and makes one where there is none. A store that was killed is recovered.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(options: Options, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        open::open(options, clock).map(|inner| Self { inner: Arc::new(inner) })
    }

    /// Waits until an entry may be attempted, and leases it: the least recently served line's head, whose target
    /// and route have a free slot, and that no pause holds. The slot is free again when the lease is settled or
    /// given back. Never returns after [`Store::stop_leasing`].
    pub async fn lease(&self) -> Leased {
        loop {
            let changed = self.shared().ready.notified();
            tokio::pin!(changed);
            // Whatever changes from here on is heard.
            changed.as_mut().enable();
            if let Some(leased) = self.try_lease(None) {
                return leased;
            }
            changed.await;
        }
    }

    /// Leases an entry that may be attempted now, of one queue only where one is named.
    #[must_use]
    pub fn try_lease(&self, queue: Option<&QueueName>) -> Option<Leased> {
        let shared = self.shared();
        let queue = match queue {
            None => None,
            Some(name) => Some(shared.queues.number(name)?),
        };
        let mut schedule = shared.schedule();
        let found = schedule.lease(shared.clock.now(), queue);
        let receives = found.as_ref().map_or(1, |(token, _)| schedule.receives(*token));
        // Whoever has to wait at a gate may have set the time of its next look.
        let wanted = found.is_some() || schedule.is_alarmed();
        drop(schedule);
        if wanted {
            shared.wake_loader_if_wanted();
        }
        found.map(|(token, entry)| leased(shared, token, entry, receives))
    }

    /// Nothing is leased from now on. What is at work may be settled.
    pub fn stop_leasing(&self) {
        self.shared().schedule().stop();
    }

    /// How many entries are at work.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared().schedule().in_flight()
    }

    /// How targets are protected at the moment.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        self.shared().schedule().pressure()
    }

    /// Returns when nothing is at work.
    pub async fn idle(&self) {
        loop {
            let changed = self.shared().quiet.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.in_flight() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Returns when the store can't go on: a sync or a read failed. The process has to end.
    pub async fn failed(&self) -> StoreError {
        let mut failure = self.shared().failure.subscribe();
        match failure.wait_for(Option::is_some).await {
            Ok(why) => StoreError(why.clone().unwrap_or_default()),
            Err(_) => StoreError("it was closed".to_owned()),
        }
    }

    /// Whether messages are taken.
    ///
    /// # Errors
    /// What holds it up, for a person.
    pub fn is_taking(&self) -> Result<(), String> {
        self.shared().is_taking()
    }

    /// Shows at once what was given back and waits. How many entries that were.
    #[must_use]
    pub fn show_given_back(&self) -> usize {
        let shown = self.shared().schedule().show_hidden();
        self.shared().wake_loader();
        shown
    }

    /// Looks at the clock again, after a test has moved it.
    pub fn look_at_the_clock(&self) {
        self.shared().wake_loader();
    }

    /// Ends the writer and folds its log into the file. Blocks until that is done; nothing works afterwards.
    pub fn close(&self) {
        self.inner.close();
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Hands a job to the writer.
    fn hand_in(&self, job: Box<dyn Job>) {
        let desk = self.inner.desk.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match desk {
            Some(desk) => desk.hand_in(job, self.shared()),
            None => job.failed(self.shared(), "the store is closed"),
        }
    }
}

impl Inner {
    fn close(&self) {
        self.shared.close();
        drop(self.desk.lock().unwrap_or_else(PoisonError::into_inner).take());
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        threads.iter().for_each(|thread| thread.thread().unpark());
        // A thread that panicked has said so.
        threads.into_iter().for_each(|thread| drop(thread.join()));
        self.readers.close();
        drop(self.folder.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

fn leased(shared: &Shared, token: Token, entry: EntryRow, receives: u32) -> Leased {
    // Its queue is one of the table's, or its row had not been read.
    let queue = shared.queues.name(entry.queue).cloned().unwrap_or(QueueName::LastNet);
    Leased {
        queue,
        entry_id: shared.entry_id(entry.seq),
        sequence: entry.seq.to_string(),
        sent_at: Timestamp::from_millis(entry.sent_at),
        body: entry.body,
        group: entry.group,
        receives,
        handle: token.to_string(),
        kept_at: None,
    }
}
