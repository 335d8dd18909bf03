//! How long callers are waited for.

use std::time::Duration;

/// How long callers are waited for. The default is what `chaski serve` is run with; tests have less time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For a request's head, from the connection's start or the last answer on: an idle connection lasts no longer.
    pub head: Duration,
    /// For the next piece of a body.
    pub piece: Duration,
    /// For the whole of a body.
    pub body: Duration,
    /// For room among the bodies of all requests.
    pub room: Duration,
    /// For what a refused caller is still sending: hanging up on it could cost it the answer.
    pub refused: Duration,
    /// At a stop: for the next request of a connection, which is the last one there. Shorter than a round trip it
    /// would hang up on requests that are under way.
    pub last: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            piece: Duration::from_secs(10),
            body: Duration::from_secs(60),
            room: Duration::from_secs(5),
            refused: Duration::from_secs(2),
            last: Duration::from_millis(500),
        }
    }
}
