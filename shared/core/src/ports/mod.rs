//! What a home (AWS, one machine, a test) gives to the use cases, and what it promises.
//!
//! No vendor's type stands here. Receiving is not a port: Lambda is pushed a batch, another home
//! polls its store; both hand a [`Leased`] entry to a use case and get one settled verdict back.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use url::Url;

use crate::dead_letter::DeadLetter;
use crate::envelope::{Envelope, Meta};
use crate::ledger::{AttemptReport, Listing, MessageState};
use crate::queue::QueueName;
use crate::time::Timestamp;

mod bodies;
mod control;
mod desk;

pub use bodies::{Bodies, BodyError, Claim, KeptBody, NoBodies, OpenBody, Pieces, Upload, UploadAddress};
pub use control::{Admission, Ask, Control, NoControl};
pub use desk::{
    Backup, Buried, CancelCount, Cancelled, DeadLetters, Desk, DeskError, Ledger, Pauses, QueueRecord, Queues,
    Replayed, Vitals,
};

/// The wall clock. Stamps only: no delay is measured with it.
pub trait Clock: Send + Sync {
    /// Now, to the millisecond. May jump, in both directions.
    fn now(&self) -> Timestamp;

    /// A reading that never goes back, from a start of the clock's own choice; durations come from it.
    fn elapsed(&self) -> Duration;
}

/// Chance, for ids.
pub trait Chance: Send + Sync {
    /// Ten bytes that nobody can guess.
    fn ten_bytes(&self) -> [u8; 10];
}

/// One entry as it is written to a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The queue it goes to.
    pub queue: QueueName,
    /// The envelope's wire text; characters that a queue may carry only (see `Envelope::to_wire`).
    pub body: String,
    /// Order: entries of one group are one line. 43 characters of base64url.
    pub group: String,
    /// Entries with the same one are one entry, within the queue's window. 43 characters of base64url.
    pub dedup: String,
    /// Not to be seen before: given for [`QueueName::Wake`] only, where each entry is a line of its own.
    pub due: Option<Timestamp>,
    /// What a home with a ledger lists of the message. Without it such a home reads the text; other homes
    /// have no use for it.
    pub listing: Option<Arc<Listing>>,
}

/// What became of an entry that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is in its queue. Where the home does not know its own past, this says no more than that.
    New,
    /// It was taken before, and is not taken a second time.
    Duplicate,
}

/// Why the queue did not take an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnqueueError {
    /// Not taken, or not known to be taken: the same entry may be sent again, its dedup id makes it one.
    #[error("the queue did not take the entry: {0}")]
    Unavailable(String),
    /// Will never be taken as it is.
    #[error("the queue refuses the entry: {0}")]
    Refused(String),
    /// The upload that it names is another message's.
    #[error("another message has the body that it names")]
    BodyTaken,
}

/// Taking entries in, for acceptance.
pub trait Enqueue: Send + Sync {
    /// Entries that are best handed in at once. Without a bound all of a producer's call are, and the home shares
    /// them out itself; with one the next are prepared while these are written.
    const PIECE: usize = usize::MAX;

    /// Writes one entry. `Ok` means that it survives a crash; an error that it may or may not be there.
    /// Ends within ten seconds.
    fn enqueue(&self, entry: Entry) -> impl Future<Output = Result<Taken, EnqueueError>> + Send;

    /// Writes entries of any queues and tells the fate of each, in their order; the promise for each is that
    /// of [`Enqueue::enqueue`]. Entries of one group are written in their order: what follows an entry of
    /// its group that was not taken is not written, and is [`EnqueueError::Unavailable`]. A queue that is
    /// down is given up within ten seconds; all together ends within 25.
    fn enqueue_all(&self, entries: Vec<Entry>) -> impl Future<Output = Vec<Result<Taken, EnqueueError>>> + Send;
}

/// One entry received from a queue, leased to this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// The queue it came from.
    pub queue: QueueName,
    /// The text as it stands in the queue.
    pub body: String,
    /// The queue's own id of the entry; stable over redeliveries.
    pub entry_id: String,
    /// The queue's order: rises within a group. Decimal digits on AWS.
    pub sequence: String,
    /// The group that the entry stands in line of.
    pub group: String,
    /// When the entry was sent; the same at every redelivery.
    pub sent_at: Timestamp,
    /// How often it was received, this time included. Counts more than attempts: never a retry counter.
    pub receives: u32,
    /// What settles or returns the lease (a receipt handle on AWS). Opaque.
    pub handle: String,
    /// Where the text was kept while it waited, if that was not in the queue; settling lets it go there too.
    pub kept_at: Option<String>,
}

/// The one durable change that ends a lease.
#[derive(Debug, Clone, PartialEq)]
pub enum Settlement {
    /// Nothing is left to do; the entry may go.
    Done,
    /// The entry is replaced by this one: a retry that waits in a tier, or a message whose time has come.
    Move(Entry),
    /// The entry stays at the head of its line, with this envelope, and is not attempted before its time. A home
    /// whose queue can't change an entry remembers `meta` beside it, and hides the entry when it is given back.
    Hold(Box<Hold>),
    /// The entry is replaced by this record.
    Bury(Box<DeadLetter>),
    /// The message is at its end without a delivery: cancelled, or expired, of which the record is kept.
    End(MessageState, Option<Box<DeadLetter>>),
}

/// A strict message that failed, and holds up its line.
#[derive(Debug, Clone, PartialEq)]
pub struct Hold {
    /// With `meta` as it is now.
    pub envelope: Envelope,
    /// When its next attempt is due.
    pub due: Timestamp,
}

/// What a settlement does beside ending the lease.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside<'a> {
    /// The attempt that was made, if one was, for the ledger of a home that has one.
    pub attempt: Option<&'a AttemptReport>,
    /// The message that tells of the end. It is durable before the lease ends.
    pub callback: Option<&'a Entry>,
    /// The message's number in its strict line, for a home that counts in the settlement that follows the attempt.
    pub sequence: Option<u64>,
    /// Whose message is remembered beside its queue, if it is: that may go with a settlement that moves the line on.
    pub remembered: Option<&'a Meta>,
}

/// Why a settlement did not come through. The entry is seen again, unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the settlement did not come through: {0}")]
pub struct SettleError(pub String);

/// Settling a lease.
pub trait Settle: Send + Sync {
    /// Whether a wait that a message asks for before a retry is rounded up to a tier, as far as the tiers go: where
    /// any other wait costs more than a retry does.
    const ROUNDS_TO_TIERS: bool = false;

    /// How long an entry may stand in a shard, where the queue forgets it after some time. What holds up its line for
    /// longer is buried: nothing may vanish.
    const KEEPS: Option<Duration> = None;

    /// Makes the effect durable before the lease ends. After an error the message is seen again,
    /// unchanged; doing the same settlement twice has the effect of doing it once.
    fn settle(
        &self,
        leased: &Leased,
        settlement: &Settlement,
        beside: Beside<'_>,
    ) -> impl Future<Output = Result<(), SettleError>> + Send;

    /// Makes entries that were not settled visible again, each after its delay, in the order given.
    /// A comfort, not a promise: what can't be changed comes back when its lease ends.
    fn give_back(&self, entries: &[(&Leased, Duration)]) -> impl Future<Output = ()> + Send;
}

/// One HTTP request as the target shall get it.
#[derive(Debug)]
pub struct Outgoing {
    /// Where to; http or https. Its host may be private: the caller of the network checks that.
    pub url: Url,
    /// In upper case.
    pub method: String,
    /// In the order in which they are sent; names and values are legal HTTP/1.1, values are ASCII or UTF-8.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Payload,
}

/// The body of a request.
#[derive(Debug)]
pub enum Payload {
    /// At hand as a whole; empty for none.
    Bytes(Vec<u8>),
    /// Read while it is sent, with its length told before.
    Opened(OpenBody),
}

impl Payload {
    /// All of it, in memory.
    ///
    /// # Errors
    /// A piece of it can't be had.
    pub async fn read(self) -> Result<Vec<u8>, BodyError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Opened(body) => body.pieces.try_concat().await,
        }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// What the target answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// 100 to 999.
    pub status: u16,
    /// As they came, names in lower case; a value that is not UTF-8 is read lossily.
    pub headers: Vec<(String, String)>,
    /// At most [`crate::limits::ANSWER_BYTES`].
    pub body: Vec<u8>,
    /// Whether the target had more to say.
    pub truncated: bool,
}

/// Why there is no answer. The text is for a person, and holds no header value and no query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The deadline passed at some point, a slow body included.
    #[error("{0}")]
    Timeout(String),
    /// Refused, reset, DNS, TLS, or a breach of the protocol.
    #[error("{0}")]
    Connection(String),
    /// The target is not allowed; no connection was made to it.
    #[error("{0}")]
    Blocked(String),
}

/// Calling a target.
pub trait Target: Send + Sync {
    /// Performs the request once. Never takes longer than `deadline` (DNS, connect, TLS, request and
    /// answer together), never keeps more than the answer's limit, follows no redirect, uses no proxy
    /// of the environment and decompresses nothing.
    fn call(&self, request: Outgoing, deadline: Duration) -> impl Future<Output = Result<Answer, CallError>> + Send;
}
