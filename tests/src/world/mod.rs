//! Scripted targets, and the stack that calls them.

pub mod aws;
pub mod stack;
pub mod target;
