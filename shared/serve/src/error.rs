//! Why the process does not start, or has ended.

use std::io;
use std::net::SocketAddr;

use chaski_embedded::{OpenError, StoreError};

/// Why the process does not start, or has ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Without producers whoever reaches the door is an admin.
    #[error(
        "listen: {0} can be reached from other machines, and no [[producers]] are configured; configure producers with \
         their keys, or listen on 127.0.0.1"
    )]
    Open(SocketAddr),
    /// The address can't be listened on.
    #[error("listen: {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// A file of `[tls]` is wrong.
    #[error("{0}: {1}")]
    Tls(&'static str, String),
    /// The store can't be opened.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// The store can't go on.
    #[error("{0}; the next start recovers what was accepted")]
    Store(#[from] StoreError),
    /// The system refuses a signal's handler, or a thread.
    #[error("the system: {0}")]
    System(#[from] io::Error),
    /// What is counted can't be.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}
