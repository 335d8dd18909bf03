//! The pauses of hosts that keep failing, shared by all processes of a stack.
//!
//! Of a host that fails one row is kept, the core's [`Breaker`], beside the orders, so that it is known to everybody
//! within a second without a read of its own. Failures are counted in each process and told a few at a time; what is
//! delivered deletes the row. At the end of a pause one process takes the next probes, by the condition of its write.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chaski_core::breaker::{Breaker, Sign, Turn};
use chaski_core::ports::{Clock, DeskError};
use chaski_core::time::Timestamp;
use tokio::time::timeout;
use tracing::{info, warn};

use super::cell::{Cell, Place, Swap};
use super::keys::{ORDERS, host as sort_key};
use super::known::Known;
use super::table::ControlTable;

/// Failures in a row that a process counts before it tells of them.
const TOLD: usize = 5;
/// What is older does not count.
const COUNTED: Duration = Duration::from_secs(10);
/// A host's name at most, in bytes: longer ones are no names, and have no breaker.
const NAME: usize = 255;
/// How long an attempt waits for the table.
const ANSWER: Duration = Duration::from_millis(500);
/// Races for a row that are lost before it is left to the others.
const RACES: u32 = 4;
/// Who could not take the probes because others were faster looks again after this time.
const CROWDED: Duration = Duration::from_millis(500);
/// How much of what a host asks for may be missing before it is written down anew.
const MISSING: Duration = Duration::from_secs(1);
/// A row may be deleted so long after it says nothing any more.
const KEPT: Duration = Duration::from_secs(60);
/// Hosts of which something is counted, before those are forgotten that fail no more.
const HOSTS: usize = 1_024;

/// What this process counts of the hosts that fail.
#[derive(Debug)]
pub(super) struct Breakers {
    me: String,
    counts: Mutex<HashMap<String, Count>>,
    /// Who changes a row; also the number of the next version.
    changing: tokio::sync::Mutex<u64>,
}

#[derive(Debug, Default)]
struct Count {
    failures: Vec<Timestamp>,
    /// Probes that this process has taken and not begun.
    probes: u32,
    probes_until: Timestamp,
}

/// The breakers of one process over the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a, C> {
    pub(super) table: &'a ControlTable,
    pub(super) clock: &'a C,
    pub(super) known: &'a Known,
    pub(super) host: &'a str,
}

impl Breakers {
    /// Of a process with a name that no other has.
    pub(super) fn new(me: &str) -> Self {
        Self { me: me.to_owned(), counts: Mutex::default(), changing: tokio::sync::Mutex::default() }
    }

    /// How long the host is left alone, as far as it is known; nothing is taken.
    pub(super) fn closed_for<C: Clock>(&self, at: &At<'_, C>) -> Option<Duration> {
        let now = at.clock.now();
        let until = open(at, now)?.opens_at(now)?;
        if self.has_probe(at.host, now) { None } else { Some(until.since(now)) }
    }

    /// Begins an attempt, or says after which time one may begin.
    pub(super) async fn begin<C: Clock>(&self, at: &At<'_, C>) -> Result<(), Duration> {
        let now = at.clock.now();
        if open(at, now).is_none() || self.take_probe(at.host, now) {
            return Ok(());
        }
        let mut probes = 0;
        let taken = self.change(at, |breaker, now| probes = breaker.take_probes(now)).await;
        let now = at.clock.now();
        if let Err(error) = taken {
            warn!(event.action = "breaker_not_asked", chaski.target_host = at.host, "each process probes: {error}");
            if let Some(cell) = at.known.hosts().get_mut(at.host) {
                probes = cell.value.take_probes(now);
            }
        }
        let opens = open(at, now).and_then(|breaker| breaker.opens_at(now));
        match opens {
            Some(until) if probes > 0 => {
                let mut counts = self.counts();
                let count = counts.entry(at.host.to_owned()).or_default();
                (count.probes, count.probes_until) = (probes, until);
            }
            Some(_) => {}
            None if probes > 0 || open(at, now).is_none() => return Ok(()),
            None => return Err(CROWDED),
        }
        // Another attempt of this process may have taken them, or one of them.
        if self.take_probe(at.host, now) { Ok(()) } else { Err(opens.map_or(CROWDED, |until| until.since(now))) }
    }

    /// An attempt ended.
    pub(super) async fn report<C: Clock>(&self, at: &At<'_, C>, sign: Sign) {
        let now = at.clock.now();
        let told = match sign {
            Sign::Alive => self.alive(at).await,
            Sign::Failing => self.failing(at, now).await,
            Sign::Asks(span) => self.asks(at, span, now).await,
        };
        if let Err(error) = told {
            warn!(event.action = "breaker_not_told", chaski.target_host = at.host, "{error}");
        }
    }

    async fn alive<C: Clock>(&self, at: &At<'_, C>) -> Result<(), DeskError> {
        self.counts().remove(at.host);
        let Some(cell) = at.known.hosts().remove(at.host) else { return Ok(()) };
        if cell.value.is_open() {
            info!(event.action = "breaker_closed", chaski.target_host = at.host, "the host answers again");
        }
        let sk = sort_key(at.host);
        let call = at.table.take_row(ORDERS, &sk);
        timeout(ANSWER, Box::pin(call)).await.unwrap_or_else(|_| Err(slow())).map(drop)
    }

    async fn failing<C: Clock>(&self, at: &At<'_, C>, now: Timestamp) -> Result<(), DeskError> {
        if open(at, now).is_some() || at.host.is_empty() || at.host.len() > NAME {
            return Ok(());
        }
        let failures = {
            let mut counts = self.counts();
            if counts.len() >= HOSTS {
                counts.retain(|_, count| count.counts(now));
            }
            let count = counts.entry(at.host.to_owned()).or_default();
            count.failures.retain(|at| now.since(*at) <= COUNTED);
            count.failures.push(now);
            if count.failures.len() < TOLD {
                return Ok(());
            }
            std::mem::take(&mut count.failures)
        };
        let mut opened = None;
        let note = |breaker: &mut Breaker, _| {
            opened = failures.iter().filter_map(|at| breaker.note(Sign::Failing, *at)).last();
        };
        self.change(at, note).await?;
        tell(at.host, opened);
        Ok(())
    }

    async fn asks<C: Clock>(&self, at: &At<'_, C>, span: Duration, now: Timestamp) -> Result<(), DeskError> {
        let mut wanted = Breaker::default();
        let asked = wanted.note(Sign::Asks(span), now).and(wanted.opens_at(now));
        let opens = open(at, now).and_then(|breaker| breaker.opens_at(now));
        if at.host.len() > NAME || opens.zip(asked).is_some_and(|(opens, asked)| asked <= opens.plus(MISSING)) {
            return Ok(());
        }
        let mut opened = None;
        self.change(at, |breaker, now| opened = breaker.note(Sign::Asks(span), now)).await?;
        tell(at.host, opened);
        Ok(())
    }

    /// Changes what is known of a host, and writes it if that changed it; on what others wrote meanwhile, too.
    async fn change<C: Clock>(
        &self,
        at: &At<'_, C>,
        mut change: impl FnMut(&mut Breaker, Timestamp),
    ) -> Result<(), DeskError> {
        let mut number = self.changing.lock().await;
        let sk = sort_key(at.host);
        for _ in 0..RACES {
            let cell = at.known.hosts().get(at.host).cloned().unwrap_or_default();
            let now = at.clock.now();
            let mut breaker = if cell.value.idle_at() > now { cell.value.clone() } else { Breaker::default() };
            change(&mut breaker, now);
            if breaker == cell.value {
                return Ok(());
            }
            *number += 1;
            let version = format!("{}.{}", self.me, *number);
            let place = Place { pk: ORDERS, sk: &sk };
            let call =
                at.table.swap(place, cell.version.as_deref(), (&breaker, &version), breaker.idle_at().plus(KEPT));
            let (cell, done) = match timeout(ANSWER, Box::pin(call)).await.unwrap_or_else(|_| Err(slow()))? {
                Swap::Done => (Cell { value: breaker, version: Some(version) }, true),
                Swap::Lost(current) => (current, false),
            };
            at.known.hosts().insert(at.host.to_owned(), cell);
            if done {
                return Ok(());
            }
        }
        // Others write what is to be written.
        change(&mut Breaker::default(), at.clock.now());
        Ok(())
    }

    fn has_probe(&self, host: &str, now: Timestamp) -> bool {
        self.counts().get(host).is_some_and(|count| count.probes > 0 && now < count.probes_until)
    }

    fn take_probe(&self, host: &str, now: Timestamp) -> bool {
        match self.counts().get_mut(host).filter(|count| count.probes > 0 && now < count.probes_until) {
            Some(count) => {
                count.probes -= 1;
                true
            }
            None => false,
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    fn counts(&self, now: Timestamp) -> bool {
        now < self.probes_until || self.failures.iter().any(|at| now.since(*at) <= COUNTED)
    }
}

/// The host's breaker, where it is open.
fn open<C: Clock>(at: &At<'_, C>, now: Timestamp) -> Option<Breaker> {
    let hosts = at.known.hosts();
    hosts.get(at.host).map(|cell| &cell.value).filter(|breaker| breaker.is_open() && breaker.idle_at() > now).cloned()
}

fn tell(host: &str, turn: Option<Turn>) {
    if let Some(Turn::Opened(until)) = turn {
        warn!(
            event.action = "breaker_opened",
            chaski.target_host = host,
            "the host keeps failing: pauses from now on, the first until {until}"
        );
    }
}

fn slow() -> DeskError {
    DeskError::Unavailable("the control table took too long".to_owned())
}
