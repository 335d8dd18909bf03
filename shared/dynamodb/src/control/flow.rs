//! The limits of flows, shared by all processes of a stack.
//!
//! Of each key one row is kept, the core's [`Ledger`]. A process takes a share of it for about a second, with one read
//! and one conditional write for all that ask meanwhile, and serves its messages out of that. Slots (attempts at once)
//! are held while attempts run and go back at the end of a batch, since a function may be frozen after it for long;
//! those of a process that died come free when its lease runs out. Permits (attempts that may begin) are not given
//! back: they hold for a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chaski_core::flow::{FlowLimits, Ledger};
use chaski_core::ports::{Clock, DeskError};
use chaski_core::time::Timestamp;
use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{info, warn};

use super::backoff::Spread;
use super::cell::{Cell, Place, Swap};
use super::keys::{WHOLE, flow};
use super::share::{Need, Next, Share};
use super::table::ControlTable;

/// How long attempts wait for the table; then they go, limits or not.
const ANSWER: Duration = Duration::from_millis(500);
/// Attempts go unasked so long after the table did not answer.
const UNASKED: Duration = Duration::from_secs(5);
/// An attempt waits so long at most for a slot that another attempt of its process uses, which keeps the process busy
/// anyway. What waits for anything else is hidden: it must not use up the functions that other messages need.
const BESIDE: Duration = Duration::from_secs(1);
/// A row that was read, or written, so long ago is read anew; until then a write shows whether it has changed.
const FRESH: Duration = Duration::from_secs(1);
/// Races for a row that are lost before the message waits.
const RACES: u32 = 5;
/// After a lost one, before the next.
const AFTER_RACE: Duration = Duration::from_millis(20);
/// Who lost all of them waits so long at least.
const CROWDED: Duration = Duration::from_millis(500);
/// A row may be deleted so long after it says nothing any more.
const KEPT: Duration = Duration::from_secs(5 * 60);
/// Keys that a process remembers before it looks which of them are idle.
const KEYS: usize = 256;

/// What this process holds of the flows that its messages belong to.
#[derive(Debug)]
pub(super) struct Flows {
    me: String,
    spread: Spread,
    flows: Mutex<HashMap<String, Arc<Shared>>>,
    writes: AtomicU32,
    trouble: Trouble,
}

#[derive(Debug)]
struct Shared {
    pk: String,
    share: Mutex<Share>,
    /// The row as it was last seen; held by whoever talks to the table.
    row: tokio::sync::Mutex<Option<(Cell<Ledger>, Timestamp)>>,
    freed: Notify,
    /// Attempts that have neither begun nor been told to wait.
    asking: AtomicU32,
}

/// Whether the table answers.
#[derive(Debug, Default)]
struct Trouble {
    told: AtomicBool,
    until: Mutex<Timestamp>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts who asks, however that ends.
struct Asking<'a>(&'a AtomicU32);

impl<'a> Asking<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the table said to a process that asked.
enum Answer {
    /// Look again at what is held.
    Told,
    Wait(Duration),
}

impl Flows {
    /// Of a process with a name that no other has.
    pub(super) fn new(me: &str) -> Self {
        Self {
            me: me.to_owned(),
            spread: Spread::new(me.to_owned()),
            flows: Mutex::default(),
            writes: AtomicU32::new(0),
            trouble: Trouble::default(),
        }
    }

    /// Begins an attempt, or says after which time there may be something for it at the earliest.
    pub(super) async fn begin(
        &self,
        table: &ControlTable,
        clock: &impl Clock,
        scope: &str,
        need: &Need,
        patience: Duration,
    ) -> Result<(), Duration> {
        let flow = self.of(scope, clock.now());
        let _asking = Asking::new(&flow.asking);
        let until = Instant::now() + patience.min(BESIDE);
        let mut woken = false;
        loop {
            let now = clock.now();
            let next = lock(&flow.share).next(now, need);
            let waits = match next {
                Next::Go => return Ok(()),
                _ if self.trouble.stands(now) => {
                    lock(&flow.share).begin_unasked(now, need);
                    return Ok(());
                }
                Next::Wait(span) => Some(span),
                Next::Busy => match timeout_at(until, flow.freed.notified()).await {
                    Ok(()) => {
                        woken = true;
                        continue;
                    }
                    Err(_) => Some(Duration::ZERO),
                },
                Next::Ask => match self.ask(table, clock, &flow, need).await {
                    Answer::Told => None,
                    Answer::Wait(span) => Some(span),
                },
            };
            if let Some(span) = waits {
                if woken {
                    // It can't use what it was woken for; another may.
                    flow.freed.notify_one();
                }
                return Err(span);
            }
        }
    }

    /// An attempt ended.
    pub(super) fn end(&self, clock: &impl Clock, scope: &str) {
        let flow = self.of(scope, clock.now());
        lock(&flow.share).end(clock.now());
        flow.freed.notify_one();
    }

    /// One that began did not begin after all.
    pub(super) fn undo(&self, clock: &impl Clock, scope: &str) {
        let flow = self.of(scope, clock.now());
        lock(&flow.share).undo(clock.now());
        flow.freed.notify_one();
    }

    /// Gives back the slots that nothing runs in, with the permits that are left beside them.
    pub(super) async fn rest(&self, table: &ControlTable, clock: &impl Clock) {
        let now = clock.now();
        let flows: Vec<Arc<Shared>> = {
            let mut flows = lock(&self.flows);
            if flows.len() > KEYS {
                flows.retain(|_, flow| Arc::strong_count(flow) > 1 || !lock(&flow.share).is_quiet(now));
            }
            // Who asks now may use them at once.
            let idle =
                |flow: &&Arc<Shared>| flow.asking.load(Ordering::Relaxed) == 0 && lock(&flow.share).holds_idle(now);
            flows.values().filter(idle).cloned().collect()
        };
        if flows.is_empty() || self.trouble.stands(now) {
            return;
        }
        let all = join_all(flows.iter().map(|flow| self.give_back(table, clock, flow)));
        // What does not go back runs out by itself.
        match timeout(ANSWER, all).await {
            Ok(told) => told.into_iter().filter_map(Result::err).for_each(|error| {
                self.trouble.tell(now, &error.to_string());
            }),
            Err(_) => self.trouble.tell(now, "the control table took too long"),
        }
    }

    fn of(&self, scope: &str, now: Timestamp) -> Arc<Shared> {
        let mut flows = lock(&self.flows);
        if let Some(flow) = flows.get(scope) {
            return Arc::clone(flow);
        }
        if flows.len() > KEYS {
            flows.retain(|_, flow| Arc::strong_count(flow) > 1 || !lock(&flow.share).is_quiet(now));
        }
        let new = Shared {
            pk: flow(scope),
            share: Mutex::default(),
            row: tokio::sync::Mutex::default(),
            freed: Notify::new(),
            asking: AtomicU32::new(0),
        };
        Arc::clone(flows.entry(scope.to_owned()).or_insert_with(|| Arc::new(new)))
    }

    /// Asks the table for a share, for all that ask now.
    async fn ask(&self, table: &ControlTable, clock: &impl Clock, flow: &Shared, need: &Need) -> Answer {
        // Whoever comes in the same moment is counted, and served out of the same share.
        tokio::task::yield_now().await;
        let mut row = flow.row.lock().await;
        if lock(&flow.share).peek(clock.now(), need) != Next::Ask || self.trouble.stands(clock.now()) {
            return Answer::Told;
        }
        match timeout(ANSWER, Box::pin(self.lease(table, clock, flow, need, &mut row))).await {
            Ok(Ok(answer)) => {
                self.trouble.over();
                answer
            }
            Ok(Err(error)) => {
                self.trouble.tell(clock.now(), &error.to_string());
                Answer::Told
            }
            Err(_) => {
                self.trouble.tell(clock.now(), "the control table took too long");
                Answer::Told
            }
        }
    }

    async fn lease(
        &self,
        table: &ControlTable,
        clock: &impl Clock,
        flow: &Shared,
        need: &Need,
        row: &mut Option<(Cell<Ledger>, Timestamp)>,
    ) -> Result<Answer, DeskError> {
        let mut known = row.take().filter(|(_, at)| is_fresh(*at, clock.now())).map(|(cell, _)| (cell, true));
        for _ in 0..RACES {
            let (cell, guessed) = match known.take() {
                Some(known) => known,
                None => (table.cell(flow.place()).await?, false),
            };
            let (now, wants) = (clock.now(), flow.asking.load(Ordering::Relaxed).max(1));
            let mut ledger = cell.value.clone();
            let asked = lock(&flow.share).ask(&mut ledger, now, (&self.me, wants), need);
            let taken = match asked {
                Ok(taken) => taken,
                // Somebody may have given something back since.
                Err(_) if guessed => continue,
                Err(span) => {
                    lock(&flow.share).refused(now, &cell.value, span);
                    *row = Some((cell, now));
                    return Ok(Answer::Wait(span));
                }
            };
            match self.swap(table, flow, &cell, ledger).await? {
                Ok(cell) => {
                    lock(&flow.share).take(now, &taken, &cell.value);
                    *row = Some((cell, now));
                    return Ok(Answer::Told);
                }
                Err(current) => known = Some((current, false)),
            }
        }
        lock(&flow.share).refused(clock.now(), &Ledger::default(), CROWDED);
        Ok(Answer::Wait(CROWDED))
    }

    async fn give_back(&self, table: &ControlTable, clock: &impl Clock, flow: &Shared) -> Result<(), DeskError> {
        let mut row = flow.row.lock().await;
        let (permits, slots) = lock(&flow.share).take_idle(clock.now());
        let mut known = row.take().filter(|(_, at)| is_fresh(*at, clock.now())).map(|(cell, _)| cell);
        for _ in 0..RACES {
            let cell = match known.take() {
                Some(cell) => cell,
                None => table.cell(flow.place()).await?,
            };
            let (now, mut ledger) = (clock.now(), cell.value.clone());
            ledger.give_back(now, &self.me, permits, slots);
            match self.swap(table, flow, &cell, ledger).await? {
                Ok(cell) => {
                    *row = Some((cell, now));
                    break;
                }
                Err(current) => known = Some(current),
            }
        }
        Ok(())
    }

    /// Writes a ledger in the place of what was read; what stands there if somebody else was first.
    async fn swap(
        &self,
        table: &ControlTable,
        flow: &Shared,
        was: &Cell<Ledger>,
        ledger: Ledger,
    ) -> Result<Result<Cell<Ledger>, Cell<Ledger>>, DeskError> {
        let version = format!("{}.{}", self.me, self.writes.fetch_add(1, Ordering::Relaxed));
        let expires = ledger.idle_at().plus(KEPT);
        match table.swap(flow.place(), was.version.as_deref(), (&ledger, &version), expires).await {
            Ok(Swap::Done) => Ok(Ok(Cell { value: ledger, version: Some(version) })),
            Ok(Swap::Lost(current)) => {
                sleep(self.spread.of(AFTER_RACE)).await;
                Ok(Err(current))
            }
            Err(error) => Err(error),
        }
    }
}

impl Shared {
    fn place(&self) -> Place<'_> {
        Place { pk: &self.pk, sk: WHOLE }
    }
}

impl Trouble {
    fn stands(&self, now: Timestamp) -> bool {
        let until = *lock(&self.until);
        now < until && until.since(now) <= UNASKED
    }

    fn tell(&self, now: Timestamp, why: &str) {
        *lock(&self.until) = now.plus(UNASKED);
        if !self.told.swap(true, Ordering::Relaxed) {
            warn!(event.action = "flow_not_asked", "the limits of flows can't be kept: {why}");
        }
    }

    fn over(&self) {
        if self.told.swap(false, Ordering::Relaxed) {
            info!(event.action = "flow_asked", "the limits of flows are kept again");
        }
    }
}

fn is_fresh(at: Timestamp, now: Timestamp) -> bool {
    now >= at && now.since(at) <= FRESH
}

/// What a message's attempt needs of what has these limits.
pub(super) fn need(limits: FlowLimits, accepted_at: Timestamp, timeout: Duration) -> Need {
    Need { limits, accepted_at, timeout }
}
