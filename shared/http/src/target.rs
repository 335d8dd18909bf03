//! One attempt, from the request to the kept answer.

use std::sync::Arc;
use std::time::Duration;

use chaski_core::guard::Guard;
use chaski_core::ports::{Answer, CallError, Clock, Outgoing, Target};

use crate::deadline::Deadline;
use crate::pool::Pool;
use crate::resolver::{GuardedResolver, Lookup, SystemLookup, for_port};
use crate::tls::{Roots, RootsError};
use crate::{answer, errors, request};

/// Calls targets over HTTP/1.1, through the address guard. Made once and shared; nothing is opened, read or
/// computed before the first call.
pub struct HttpTarget {
    guard: Arc<Guard>,
    clock: Arc<dyn Clock>,
    lookup: Arc<dyn Lookup>,
    roots: Roots,
    pool: Pool,
}

impl HttpTarget {
    /// Calls what `guard` lets pass, and trusts the certificate authorities that Mozilla does.
    #[must_use]
    pub fn new(guard: Guard, clock: Arc<dyn Clock>) -> Self {
        Self {
            guard: Arc::new(guard),
            clock,
            lookup: Arc::new(SystemLookup),
            roots: Roots::default(),
            pool: Pool::default(),
        }
    }

    /// Trusts these certificate authorities too: PEM, one certificate or more.
    ///
    /// # Errors
    /// The text holds no certificate, or one that can't be read.
    pub fn with_roots(mut self, pem: &str) -> Result<Self, RootsError> {
        self.roots.add(pem)?;
        Ok(self)
    }

    /// Resolves names by `lookup` instead of the system.
    #[must_use]
    pub fn with_lookup(mut self, lookup: Arc<dyn Lookup>) -> Self {
        self.lookup = lookup;
        self
    }

    async fn exchange(&self, request: Outgoing, until: Deadline) -> Result<Answer, CallError> {
        let (host, port) = request::check(&request, &self.guard)?;
        let request = request::build(request)?;
        let resolver = || Arc::new(GuardedResolver::new(Arc::clone(&self.guard), Arc::clone(&self.lookup)));
        let client = self.pool.client(&*self.clock, &self.roots, resolver)?;
        notice_closed_connections().await;

        let sending = for_port(port, async move { client.execute(request).await });
        let response = until.wait(Box::pin(sending), "the target did not answer").await?.map_err(errors::of)?;
        if let Some(peer) = response.remote_addr() {
            // The resolver and the check of literals leave nothing to find here; should one of them ever be gone
            // around, the answer of a forbidden address is at least not given to anyone.
            self.guard
                .check_resolved(&host, port, &[peer.ip()])
                .map_err(|refusal| CallError::Blocked(refusal.to_string()))?;
        }
        answer::read(response, until).await
    }
}

impl Target for HttpTarget {
    async fn call(&self, request: Outgoing, deadline: Duration) -> Result<Answer, CallError> {
        // On the heap: a batch holds ten of them side by side.
        Box::pin(self.exchange(request, Deadline::after(deadline))).await
    }
}

/// Lets the runtime hear of pooled connections that the target closed while nobody looked, as when a function was
/// frozen between two events. Without it the request would be written to a dead connection and fail, for what was
/// written is not sent again; with it the client below finds the connection closed before it writes, and takes
/// another. The test is `a_close_that_nobody_looked_at_is_noticed`.
async fn notice_closed_connections() {
    tokio::task::yield_now().await;
}
