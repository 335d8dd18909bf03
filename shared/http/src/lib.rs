//! The outbound HTTP client of Chaski: the port `Target` over real sockets, behind the core's address guard.
//!
//! HTTP/1.1 over TCP and TLS. HTTP/2 would add a third of a megabyte to each function and help little: a target
//! gets few requests at once, and each attempt shall stand or fall alone, not with its neighbours' connection.

mod answer;
mod deadline;
mod errors;
mod pool;
mod request;
mod resolver;
mod target;
mod tls;

pub use resolver::{Found, Lookup};
pub use target::HttpTarget;
pub use tls::RootsError;
