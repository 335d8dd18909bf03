//! The outbound HTTP client of Chaski: the port `Target` over real sockets, behind the core's address guard.
//!
//! HTTP/1.1 over TCP and TLS, no HTTP/2: a target gets few requests at once, each attempt shall stand or fall alone
//! and not with its neighbours' connection, and each function is smaller without it.

mod answer;
mod deadline;
mod errors;
mod payload;
mod pool;
mod request;
mod resolver;
mod target;
mod tls;

pub use resolver::{Found, Lookup};
pub use target::HttpTarget;
pub use tls::RootsError;
