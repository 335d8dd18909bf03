//! What the process is told to do while it runs.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::tls::Certificate;

/// What the process is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// To end: in order the first time, at once the second time.
    End,
    /// To read the certificate again.
    ReadCertificate,
}

/// Orders that may wait to be followed.
const WAITING: usize = 8;

/// The orders that signals give: SIGTERM and SIGINT to end, SIGHUP to read the certificate again.
///
/// # Errors
/// The system refuses a handler.
pub(crate) fn signals() -> io::Result<mpsc::Receiver<Order>> {
    let (give, orders) = mpsc::channel(WAITING);
    let meanings = [
        (SignalKind::terminate(), Order::End),
        (SignalKind::interrupt(), Order::End),
        (SignalKind::hangup(), Order::ReadCertificate),
    ];
    for (kind, order) in meanings {
        let (mut heard, give) = (signal(kind)?, give.clone());
        tokio::spawn(async move { while heard.recv().await.is_some() && give.send(order).await.is_ok() {} });
    }
    Ok(orders)
}

/// Returns when the process is to end.
pub(crate) async fn until_end(orders: &mut mpsc::Receiver<Order>, certificate: Option<&Certificate>) {
    while let Some(Order::ReadCertificate) = orders.recv().await {
        match certificate.map(Certificate::read_again) {
            None => {}
            Some(Ok(())) => info!(event.action = "tls", "the certificate was read again"),
            Some(Err(error)) => warn!(event.action = "tls", "the old certificate stays: {error}"),
        }
    }
}

/// Whether the process was told to end a second time; `false` when nobody is left to tell it.
pub(crate) async fn again(orders: &mut mpsc::Receiver<Order>) -> bool {
    loop {
        match orders.recv().await {
            Some(Order::End) => return true,
            Some(Order::ReadCertificate) => {}
            None => return false,
        }
    }
}
