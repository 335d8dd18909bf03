//! The command line, run as a process against a scripted server: what it asks, and what a person and a program see.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by it")]

mod acting;
mod common;
mod failing;
mod looking;
mod selftest;
mod sending;
mod stack;
mod trusting;
