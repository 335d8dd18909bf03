//! The process on one machine: the core's API behind an HTTP server, its use cases in a loop over the store, what is
//! counted, and how it begins and ends.

mod beat;
mod dispatch;
mod ending;
mod error;
mod home;
mod log;
mod manager;
mod metrics;
mod orders;
mod process;
mod rules;
mod server;
mod tls;
mod workers;

pub use error::ServeError;
pub use log::{Closing, LogWriter};
pub use orders::Order;
pub use process::{Ready, run, run_with};
pub use server::Patience;
pub use workers::runtime;
