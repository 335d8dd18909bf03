//! Two runtimes: one that answers producers, and one that calls targets. Neither waits in the other's line: however
//! many attempts run, the system gives the door its part of the processors.

use std::io;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tracing::error;

/// The runtime of one of the two sides. Half of the processors are its own; where that is one, nothing in it is
/// handed from thread to thread.
///
/// # Errors
/// The system gives no threads or no descriptors.
pub fn runtime(name: &str) -> io::Result<Runtime> {
    let threads = thread::available_parallelism().map_or(1, |processors| processors.get() / 2).max(1);
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.thread_name(name).enable_all().build()
}

/// A loop on a runtime and a thread of its own.
pub(crate) struct Aside {
    /// Dropped to end it.
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Aside {
    /// Starts it.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(name: &str, work: impl Future<Output = ()> + Send + 'static) -> io::Result<Self> {
        let runtime = runtime(name)?;
        let (end, ended) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = work => {}
                    _ = ended => {}
                }
            });
            // What still runs is dropped where it stands; a lookup of a name can't be, and is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { end, thread })
    }

    /// Ends it, and what it began.
    pub(crate) fn end(self) {
        drop(self.end);
        if self.thread.join().is_err() {
            error!(event.action = "stop", "the thread of the attempts panicked");
        }
    }
}
