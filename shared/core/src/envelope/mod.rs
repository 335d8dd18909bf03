//! The envelope: what a producer POSTs, and what travels through the queues with `meta` added.
//!
//! `accept` reads a producer's text and is strict; `wire` reads and writes what travels, and reads as
//! leniently as it can, because what is refused there has nobody to tell.

mod accept;
mod ask;
mod body;
mod check;
mod meta;
mod options;
mod wire;

pub use accept::{Accepted, Rules, accept};
pub use body::{Aside, Body, Form};
pub use meta::{META_VERSION, Meta};
pub use options::{Callback, Options};
pub use wire::Undecodable;

use crate::json::Extra;

/// A message, with all that Chaski knows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The line that it stands in.
    pub subject: String,
    /// The HTTP request to make.
    pub message: Message,
    /// The producer's idempotency key.
    pub key: Option<String>,
    /// The client id that the producer named.
    pub client: Option<String>,
    /// Free words to find it by.
    pub labels: Vec<String>,
    /// What it asks for beside its request.
    pub options: Options,
    /// What Chaski added. `None` in what 1.0 wrote, and in what a producer posts.
    pub meta: Option<Meta>,
    /// Fields that are not known here; they travel on.
    pub extra: Extra,
}

/// The HTTP request of an envelope, as the producer wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The target.
    pub url: String,
    /// In upper case.
    pub method: String,
    /// In the producer's order.
    pub headers: Vec<(String, String)>,
    /// What the target gets.
    pub body: Body,
    /// Fields that are not known here; they travel on.
    pub extra: Extra,
}

/// The method where none is given.
pub const DEFAULT_METHOD: &str = "POST";

#[cfg(test)]
mod tests;
