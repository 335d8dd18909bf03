//! The words, the decisions, the ports and the use cases of Chaski.

pub mod dead_letter;
pub mod history;
pub mod identity;
pub mod json;
pub mod limits;
pub mod ports;
pub mod queue;
pub mod time;
