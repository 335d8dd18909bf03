//! Scripted targets, and the stack that calls them.

#![expect(clippy::indexing_slicing, reason = "answers are JSON values, whose index never panics on reading")]

pub mod aws;
pub mod functions;
pub mod noise;
pub mod oracle;
pub mod stack;
pub mod target;
pub mod webhooks;
