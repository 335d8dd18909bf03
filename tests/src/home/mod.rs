//! A home of the use cases, as the conformance suite drives it: messages go in, the clockwork is turned step by
//! step, things break where the script says so, and what is left can be looked at.
//!
//! A home is whatever gives the core its ports: queues, a store of dead letters, a clock. Every home runs the same
//! rules (see `conformance`). What homes may differ in is data, never a branch on a name: see [`Capabilities`].

pub mod aws;
pub mod clock;
pub mod embedded;
pub mod faults;
pub mod script;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::time::Duration;

use chaski_core::app::{Caller, Receipt};
use chaski_core::identity;
use chaski_core::ports::{Bodies, DeadLetters, Entry, Leased, Ledger, Pauses, Settlement};
use chaski_core::problem::Problem;
use chaski_core::queue::QueueName;
use chaski_core::retry::TierDelays;

use serde_json::{Map, Value};

use faults::Faults;
use script::Script;

/// Long enough to tell an early retry from a late one, short enough to go through all tiers in a test.
const TIERS: TierDelays =
    TierDelays { fast: Duration::from_secs(1), medium: Duration::from_secs(1), slow: Duration::from_secs(2) };

/// Between two looks at a home in which nothing is due.
pub const POLL: Duration = Duration::from_millis(20);

/// What every home of the suite is set to.
pub(crate) const SETTINGS: &str = r#"
    [tiers]
    fast = "1s"
    medium = "1s"
    slow = "2s"
    [http]
    timeout = "1s"
    [[targets.hosts]]
    host = "limited.example"
    parallelism = 2
    [[routes]]
    name = "messages"
    pattern = "*"
    shards = 2
"#;

/// What a home can, and how exactly.
#[derive(Debug, Clone, Copy)]
pub struct Capabilities {
    /// The delays of its tiers.
    pub tiers: TierDelays,
    /// By how much less than its delay an entry may have waited, as the target's clock sees it.
    pub tier_precision: Duration,
    /// How long two entries with one deduplication id are one entry.
    pub dedup_window: Duration,
    /// Whether the effect of a settlement and the end of its lease are one change. Where they are two, a crash
    /// between them shows the entry again.
    pub atomic_settle: bool,
    /// By how much later than its time an attempt may begin, as the target's clock sees it, where nothing is in the
    /// way. Never earlier.
    pub wait_precision: Duration,
    /// Whether a wait that a message asks for before its retry is rounded up to a tier, as far as the tiers go.
    pub rounds_to_tiers: bool,
    /// Whether a message that was accepted before is answered as a duplicate. Where it is not, it is one all the same.
    pub knows_duplicates: bool,
    /// How long the same key and body are the same message.
    pub key_window: Duration,
    /// How long the body of a message that was delivered is kept beside the queues after its end, where the home itself
    /// deletes it. Elsewhere a rule of the place it is in does, which has no clock to move.
    pub bodies_last: Option<Duration>,
    /// Whether the numbers of what was attempted of a strict line have no gaps. Everywhere they rise.
    pub counts_sequence: bool,
    /// Whether it can tell the state of each message.
    pub has_ledger: bool,
    /// How long it takes until what an operator ordered is heeded everywhere.
    pub orders_lag: Duration,
    /// How much of a flow's rate may begin at once: what it allows in this time.
    pub flow_burst: Duration,
    /// Subjects, and messages of each, that a story about many may post: a local AWS takes its time.
    pub crowd: (u64, u64),
}

/// A message that a story posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The line that it stands in.
    pub subject: String,
    /// What the target does with it; see [`Script`].
    pub path: String,
    /// The producer's idempotency key.
    pub key: Option<String>,
    /// Its body, and what tells it from the others of its subject.
    pub n: u64,
    /// What else it asks for: fields of the envelope, by their names.
    pub asks: Map<String, Value>,
}

impl Message {
    /// A message without a key, that asks for nothing.
    #[must_use]
    pub fn new(subject: impl Into<String>, path: &str, n: u64) -> Self {
        Self { subject: subject.into(), path: path.to_owned(), key: None, n, asks: Map::new() }
    }

    /// The same with these fields of the envelope beside those it has: `asking(json!({"delay": "2s"}))`.
    #[must_use]
    pub fn asking(mut self, fields: Value) -> Self {
        if let Value::Object(fields) = fields {
            self.asks.extend(fields);
        }
        self
    }

    /// The same with one field more.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.asks.insert(field.to_owned(), value.into());
        self
    }

    /// The same, strict.
    #[must_use]
    pub fn strict(self) -> Self {
        self.with("ordering", "strict")
    }

    /// The same under an idempotency key.
    #[must_use]
    pub fn keyed(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// The envelope, as a producer writes it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut envelope = serde_json::json!({
            "subject": self.subject,
            "message": {"url": script::url(&self.path), "body": {"n": self.n}},
        });
        if let Some(envelope) = envelope.as_object_mut() {
            envelope.extend(self.asks.clone());
            envelope.extend(self.key.as_ref().map(|key| ("id".to_owned(), key.as_str().into())));
        }
        envelope.to_string()
    }
}

/// An entry that was handed to the use cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The queue's own id of the entry.
    pub entry_id: String,
    /// The group that it stands in line of.
    pub group: String,
    /// Its text.
    pub body: String,
}

/// Entries that were handed to the use cases together, and what became of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Where they came from.
    pub queue: QueueName,
    /// In the order in which they were received.
    pub entries: Vec<Sighting>,
    /// The entry ids of what went back.
    pub back: Vec<String>,
    /// Whether the home heard the answer. If not, all of them are seen again.
    pub heard: bool,
}

/// A dead letter, as far as the rules look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buried {
    /// The message's id.
    pub id: String,
    /// Its generation.
    pub generation: u32,
    /// Its subject, where the envelope could be read.
    pub subject: Option<String>,
    /// The class of the error that ended it.
    pub class: String,
    /// The numbers of the attempts in its history.
    pub attempts: Vec<u32>,
    /// The whole message.
    pub message: Vec<u8>,
}

/// A home under test, with a scripted target behind it and scripted faults in it.
pub trait Home {
    /// What it can.
    fn capabilities(&self) -> Capabilities;

    /// The target that every request goes to.
    fn target(&self) -> &Script;

    /// What breaks, and when.
    fn faults(&self) -> &Faults;

    /// Where an operator pauses, cancels, looks at messages and sends them again.
    fn desk(&self) -> impl Deref<Target: Ledger + Pauses + DeadLetters>;

    /// Where large bodies are kept beside the queues.
    fn bodies(&self) -> impl Deref<Target: Bodies>;

    /// Uploads a body to where a reference is promised that nobody else has; the reference.
    fn upload(&self, body: Vec<u8>) -> impl Future<Output = anyhow::Result<String>>;

    /// Takes messages of a producer in through the use case, all in one call; the answers in their order.
    fn accept_from(&self, caller: &Caller, messages: &[Message])
    -> impl Future<Output = Vec<Result<Receipt, Problem>>>;

    /// The same of a caller that the platform let in, who is no producer by name.
    fn accept(&self, messages: &[Message]) -> impl Future<Output = Vec<Result<Receipt, Problem>>> {
        async { self.accept_from(&Caller::default(), messages).await }
    }

    /// Writes an entry into its queue, past the ingress: what another version, an operator or a fault wrote.
    fn put(&self, entry: &Entry) -> impl Future<Output = anyhow::Result<()>>;

    /// Leases the next entry of a queue to the caller, past the use cases.
    fn take(&self, queue: &QueueName) -> impl Future<Output = anyhow::Result<Option<Leased>>>;

    /// Settles what was taken, and ends its lease.
    fn settle(&self, leased: &Leased, settlement: &Settlement) -> impl Future<Output = anyhow::Result<()>>;

    /// Turns the clockwork once: what is due in each queue is handed to the use cases. How many entries were.
    fn step(&self) -> impl Future<Output = anyhow::Result<usize>>;

    /// Ends the wait of what went back, as if its time had passed. How many entries that were.
    fn wake(&self) -> impl Future<Output = anyhow::Result<usize>>;

    /// Lets time pass: when this returns, the clock that attempts are stamped with has gone on by that much at least,
    /// and whatever became due in the meantime can be seen by the next steps. A home whose clock can be moved moves
    /// it; another waits, as far as its queues keep the time themselves, and fires what stands in a schedule of the
    /// platform's until then.
    fn advance(&self, span: Duration) -> impl Future<Output = anyhow::Result<()>> {
        async move {
            tokio::time::sleep(span).await;
            Ok(())
        }
    }

    /// Nothing is due now: rests a moment. A home whose clock can be moved moves it by a little.
    fn rest(&self) -> impl Future<Output = anyhow::Result<()>> {
        async {
            tokio::time::sleep(POLL).await;
            Ok(())
        }
    }

    /// Its processes end without a word and start anew; what queues and stores hold is there again. One whose
    /// processes keep nothing of a batch behind it loses the next answer.
    fn crash(&self) -> impl Future<Output = anyhow::Result<()>> {
        async {
            self.faults().lose_answers(1);
            Ok(())
        }
    }

    /// How many entries each queue holds: visible, leased and delayed.
    fn depths(&self) -> impl Future<Output = anyhow::Result<BTreeMap<QueueName, u64>>>;

    /// All that was given up.
    fn dead_letters(&self) -> impl Future<Output = anyhow::Result<Vec<Buried>>>;

    /// Everything that was handed to the use cases so far.
    fn batches(&self) -> Vec<Batch>;
}

/// The group of a subject of the empty tenant, which every message of the suite belongs to.
#[must_use]
pub fn group(subject: &str) -> String {
    identity::group_id("", subject)
}
