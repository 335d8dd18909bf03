//! Names become addresses here and nowhere else, so that no connection goes where the guard has not looked.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use chaski_core::guard::Guard;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The addresses of a name, when they are found.
pub type Found = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Finds the addresses of names.
pub trait Lookup: Send + Sync {
    /// All addresses of `host`, in the order in which they are tried. Dropped when the attempt's deadline passes.
    fn lookup(&self, host: &str) -> Found;
}

/// As every program of the machine does it (`getaddrinfo`), in a thread that may block. The call can't be cut
/// short: after the deadline it goes on in its thread until the system's own limit.
pub(crate) struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: &str) -> Found {
        let host = host.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

tokio::task_local! {
    /// The port of the call that this task makes.
    static PORT: u16;
}

/// Runs a call for which names are resolved and checked for that port.
///
/// The client asks its resolver for a host alone, while a rule may be for a host and port. It starts to resolve
/// in the very task that makes the call, so the port travels there with the task. Connections are pooled by scheme,
/// host and port: one that was opened under a port's rule is never used for another port.
pub(crate) async fn for_port<T>(port: u16, call: impl Future<Output = T>) -> T {
    PORT.scope(port, call).await
}

pub(crate) struct GuardedResolver {
    guard: Arc<Guard>,
    lookup: Arc<dyn Lookup>,
}

impl GuardedResolver {
    pub(crate) fn new(guard: Arc<Guard>, lookup: Arc<dyn Lookup>) -> Self {
        Self { guard, lookup }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        // Without a port no rule can be held, so nothing is resolved: closed, should the client ever change its ways.
        let Ok(port) = PORT.try_with(|port| *port) else {
            return Box::pin(async { Err("the port of the call is not known".into()) });
        };
        let guard = Arc::clone(&self.guard);
        let looking = self.lookup.lookup(name.as_str());
        Box::pin(async move {
            let addresses = looking.await?;
            if addresses.is_empty() {
                return Err("the name has no address".into());
            }
            guard.check_resolved(name.as_str(), port, &addresses)?;
            // The client puts the call's port in the place of 0.
            let addresses: Addrs = Box::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}
