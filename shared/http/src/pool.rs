//! The client, its pool of connections, and when to throw both away.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use chaski_core::ports::{CallError, Clock};
use chaski_core::time::Timestamp;
use reqwest::redirect::Policy;
use reqwest::{Client, retry};
use rustls::ClientConfig;

use crate::resolver::GuardedResolver;
use crate::tls::Roots;

/// No pooled connection idles longer, by the clock of the process …
const IDLE: Duration = Duration::from_secs(3);

/// … and no pool lives on when that clock and the wall clock have come apart by more than this: the process was
/// frozen, or the wall clock was set. Together: none older than four seconds of wall clock, which is less than
/// the five after which common servers close a connection (Node, Apache).
const DRIFT_MS: u64 = 1_000;

/// Idle connections kept for one host: the contract's limit of attempts at once to one host.
const IDLE_PER_HOST: usize = 64;

#[derive(Default)]
pub(crate) struct Pool {
    /// Made once; the sessions that it remembers outlive the connections.
    tls: OnceLock<Result<ClientConfig, rustls::Error>>,
    current: Mutex<Option<Current>>,
}

struct Current {
    client: Client,
    began: Reading,
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    wall: Timestamp,
    process: Duration,
}

impl Reading {
    fn of(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), process: clock.elapsed() }
    }

    /// How far the clocks have come apart since `earlier`, in milliseconds.
    fn drift_ms(self, earlier: Self) -> u64 {
        let wall = i128::from(self.wall.millis()) - i128::from(earlier.wall.millis());
        let process = self.process.as_millis() as i128 - earlier.process.as_millis() as i128;
        u64::try_from((wall - process).unsigned_abs()).unwrap_or(u64::MAX)
    }
}

impl Pool {
    /// The client to use now. Calls that run on an older one are not disturbed: it goes with the last of them.
    pub(crate) fn client(
        &self,
        clock: &dyn Clock,
        roots: &Roots,
        resolver: impl FnOnce() -> Arc<GuardedResolver>,
    ) -> Result<Client, CallError> {
        let now = Reading::of(clock);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Current { client, began }) = &*current
            && now.drift_ms(*began) <= DRIFT_MS
        {
            return Ok(client.clone());
        }
        let tls = self.tls.get_or_init(|| roots.client_config()).clone().map_err(|error| unusable(&error))?;
        let client = build(tls, resolver()).map_err(|error| unusable(&error))?;
        *current = Some(Current { client: client.clone(), began: now });
        Ok(client)
    }
}

/// A client that follows nothing, remembers nothing and asks nobody but its resolver.
fn build(tls: ClientConfig, resolver: Arc<GuardedResolver>) -> Result<Client, reqwest::Error> {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(resolver)
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        // The client below sends again what was never written, on a connection that turns out to be closed; that
        // is all that one attempt may do.
        .retry(retry::never())
        .http1_only()
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .build()
}

fn unusable(error: &dyn std::fmt::Display) -> CallError {
    CallError::Connection(format!("the HTTP client can't be made: {error}"))
}
