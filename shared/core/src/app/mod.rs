//! The use cases: what every home does in the same way, over the ports.

mod accept;
mod aside;
mod attempt;
mod batch;
mod bury;
mod callback;
mod judge;
mod panics;
mod replay;
mod request;
mod task;
mod trail;

pub use accept::{Caller, Ingress, Post, Receipt};
pub use attempt::Dispatcher;
pub use batch::SETTLE_RESERVE;
pub use callback::{callback_of, callback_of_text};
pub use replay::{CantReplay, ReplayCount, ReplayStopped, next_generation, replay_all, replay_one};

#[cfg(test)]
mod tests;
