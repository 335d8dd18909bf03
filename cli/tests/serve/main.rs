//! The real binary as a server: what it promises is asked of it from outside, while it is killed, stopped, crowded.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by it")]

mod fairness;
mod kill;
mod orders;
mod process;
mod start;
mod stop;
mod stories;
mod strict;
mod waits;
