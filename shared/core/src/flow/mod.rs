//! How fast a target may be called: what a message asks for, and who may go next.

mod wish;

pub use wish::{Flow, FlowError, PER_DEFAULT};
