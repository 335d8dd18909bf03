//! The host with real sockets: what is bounded at its bound, HTTP as callers use it, TLS, and how it ends.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by it")]

mod bodies;
mod ending;
mod http;
mod limits;
mod metrics;
mod protecting;
mod tls;
mod world;
