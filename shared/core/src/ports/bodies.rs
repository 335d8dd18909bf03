//! Bodies that are too large for a queue: kept beside it, and read in pieces.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use futures_util::Stream;

use crate::envelope::Body;
use crate::time::Timestamp;

/// Why a body can't be kept, or not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Where bodies are kept does not answer now; the same may be asked again.
    #[error("where bodies are kept does not answer: {0}")]
    Unavailable(String),
    /// It is not there, or not what was kept. It will not come back.
    #[error("the message's body can't be had: {0}")]
    Gone(String),
    /// No bodies are kept by this home.
    #[error("no bodies are kept beside the queues here")]
    NotKept,
}

/// A body's bytes, piece after piece. Whatever was damaged since is an error in their place, never another byte.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Vec<u8>, BodyError>> + Send>>;

/// A body that is being read.
pub struct OpenBody {
    /// How many bytes the pieces have together.
    pub bytes: u64,
    /// The bytes; only a piece or two of them are in memory.
    pub pieces: Pieces,
}

impl fmt::Debug for OpenBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenBody({} bytes)", self.bytes)
    }
}

/// A body that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBody {
    /// What its message knows it by from now on.
    pub reference: String,
    /// Its size, as the target gets it.
    pub bytes: u64,
}

impl KeptBody {
    /// What an envelope says of a body that it does not carry.
    #[must_use]
    pub fn of(body: &Body) -> Option<Self> {
        match body {
            Body::Aside(aside) => Some(Self { reference: aside.reference.clone(), bytes: aside.bytes }),
            _ => None,
        }
    }
}

/// Where a body is uploaded to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Somewhere else, or `PUT /bodies/{reference}` of the server that was asked.
    pub to: Option<UploadAddress>,
    /// Not later than then.
    pub expires_at: Timestamp,
}

/// An address that takes one PUT of the body's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadAddress {
    /// With all that it needs to be let in.
    pub url: String,
    /// Headers that the PUT has to have.
    pub headers: Vec<(String, String)>,
}

/// Whose an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// This message's, from now on.
    Now,
    /// This message's since before, or the queue itself sees to it when it takes the entry.
    Known,
    /// Another message's.
    Taken,
}

/// Keeping bodies beside the queues. They are packed where that makes them smaller, and come back as they were.
pub trait Bodies: Send + Sync {
    /// Whether any are kept at all.
    fn keeps(&self) -> bool {
        true
    }

    /// Sets a message's body aside, under the message's id. Durable when it is answered; after an error it may or may not
    /// be there, and doing it again does no harm. `until` is the time until which the message waits at least.
    fn put(
        &self,
        id: &str,
        bytes: Vec<u8>,
        until: Option<Timestamp>,
    ) -> impl Future<Output = Result<KeptBody, BodyError>> + Send;

    /// An upload that a message names; `None` where there is none, or not all of it came. From now on it is kept for as
    /// long as a message that waits until then needs it.
    fn look(
        &self,
        reference: &str,
        until: Option<Timestamp>,
    ) -> impl Future<Output = Result<Option<KeptBody>, BodyError>> + Send;

    /// Makes an upload the message's, so that no other can name it. Doing it again does no harm.
    fn claim(&self, _reference: &str, _id: &str) -> impl Future<Output = Result<Claim, BodyError>> + Send {
        async { Ok(Claim::Known) }
    }

    /// Gives an upload free that was claimed just now for a message that was not accepted. Where that fails, it stays
    /// that message's.
    fn unclaim(&self, _reference: &str) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Opens a body to read it from its beginning, as often as that is asked for.
    fn open(&self, reference: &str) -> impl Future<Output = Result<OpenBody, BodyError>> + Send;

    /// Makes sure that the body lives as long as this generation's dead letter, before that is written: what the dead
    /// letter knows it by. Doing it again does no harm.
    fn keep(
        &self,
        reference: &str,
        id: &str,
        generation: u32,
    ) -> impl Future<Output = Result<String, BodyError>> + Send;

    /// Promises to take one upload under this reference, which nobody can guess.
    fn promise(&self, reference: &str, now: Timestamp) -> impl Future<Output = Result<Upload, BodyError>> + Send;
}

/// A home that keeps no bodies beside its queues: what does not fit into an entry is refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoBodies;

impl Bodies for NoBodies {
    fn keeps(&self) -> bool {
        false
    }

    async fn put(&self, _: &str, _: Vec<u8>, _: Option<Timestamp>) -> Result<KeptBody, BodyError> {
        Err(BodyError::NotKept)
    }

    async fn look(&self, _: &str, _: Option<Timestamp>) -> Result<Option<KeptBody>, BodyError> {
        Err(BodyError::NotKept)
    }

    async fn open(&self, _: &str) -> Result<OpenBody, BodyError> {
        Err(BodyError::NotKept)
    }

    async fn keep(&self, reference: &str, _: &str, _: u32) -> Result<String, BodyError> {
        Ok(reference.to_owned())
    }

    async fn promise(&self, _: &str, _: Timestamp) -> Result<Upload, BodyError> {
        Err(BodyError::NotKept)
    }
}
