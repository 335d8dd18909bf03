//! How fast a target may be called: what a message asks for, and who may go next. Values without a clock: the time is
//! an argument, and a home keeps them where it likes.
//!
//! A home of one process asks a [`Limiter`] and counts what runs. Processes that share a key take leases out of its
//! [`Ledger`]. Messages that name different limits for one key go by those of the message that was accepted last.

mod hosts;
mod ledger;
mod limiter;
mod limits;
mod wish;

pub use hosts::HostLimits;
pub use ledger::{Ask, Granted, Ledger, Share};
pub use limiter::Limiter;
pub use limits::FlowLimits;
pub use wish::{Flow, FlowError, PER_DEFAULT};
