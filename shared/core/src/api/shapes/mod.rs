//! The JSON of what a home knows, in the shapes that the API answers with.

mod dead_letter;
mod message;
mod parts;
mod pause;
mod queue;

pub(super) use dead_letter::DeadLetterShape;
pub(super) use message::MessageShape;
pub(super) use pause::PauseShape;
pub(super) use queue::QueueShape;

use serde::Serialize;

/// A list, and where it goes on.
#[derive(Debug, Serialize)]
pub(super) struct ListShape<T> {
    pub(super) items: Vec<T>,
    pub(super) next_cursor: Option<String>,
}

/// A list that has one page only.
#[derive(Debug, Serialize)]
pub(super) struct WholeShape<T> {
    pub(super) items: Vec<T>,
}
