//! The process on one machine: the core's API behind an HTTP server, its use cases in a loop over the store, what is
//! counted, and how it begins and ends.

mod dispatch;
mod home;
mod log;
mod metrics;
mod process;
mod rules;
mod server;
mod tls;

pub use log::LogWriter;
pub use process::{Ready, ServeError, run};
