//! Messages, options and a clock, as the tests hand them in.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chaski_core::dead_letter::DeadLetter;
use chaski_core::flow::HostLimits;
use chaski_core::history::{AttemptRecord, ErrorRecord};
use chaski_core::identity;
use chaski_core::ledger::{AttemptReport, KeptAnswer, Listing};
use chaski_core::ports::{Clock, Control, Entry, Leased};
use chaski_core::queue::QueueName;
use chaski_core::retry::TierDelays;
use chaski_core::route;
use chaski_core::settings::{Durability, LimitSettings, RetentionSettings};
use chaski_core::time::Timestamp;
use chaski_embedded::{Options, Store};

/// The wall's time at the start: 2026-11-01T00:00:00Z.
pub const START: i64 = 1_793_491_200_000;

/// A clock that only the test moves, in milliseconds.
#[derive(Debug)]
pub struct TestClock {
    wall: AtomicI64,
}

impl TestClock {
    /// It stands at that time.
    #[must_use]
    pub fn at(wall: i64) -> Arc<Self> {
        Arc::new(Self { wall: AtomicI64::new(wall) })
    }

    /// Time passes.
    pub fn pass(&self, span: i64) {
        self.wall.fetch_add(span, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis((self.wall.load(Ordering::SeqCst) - START).unsigned_abs())
    }
}

/// A store's options, with the retention of a week.
#[must_use]
pub fn options(data: &Path) -> Options {
    Options {
        data: data.to_owned(),
        durability: Durability::Fsync,
        retention: RetentionSettings {
            delivered: Some(Duration::from_secs(7 * 24 * 3_600)),
            dead: None,
            keys: Duration::from_secs(24 * 3_600),
        },
        limits: LimitSettings { connections: 100, concurrency: 512, per_host: 64, grace: Duration::from_secs(30) },
        tiers: TierDelays::default(),
        routes: route::default_routes(),
        lease: Duration::from_secs(90),
        // What is measured here is what the disk holds, not who is asked when.
        breaker: false,
        hosts: HostLimits::default(),
        vfs: None,
    }
}

/// A message as the ingress hands it in, with so many bytes beside.
#[must_use]
pub fn entry(id: &str, subject: &str, generation: u32, bytes: usize) -> Entry {
    let listing = Listing {
        id: id.to_owned(),
        generation,
        subject: subject.to_owned(),
        route: "messages".to_owned(),
        target: Some(format!("https://{subject}.example/hook")),
        target_host: Some(format!("{subject}.example")),
        received_at: Timestamp::from_millis(START),
        ..Listing::default()
    };
    let mut body = serde_json::json!({
        "subject": subject, "message": { "url": format!("https://{subject}.example/hook") },
        "meta": { "id": id, "generation": generation }, "data": "x".repeat(bytes),
    });
    if id.ends_with(['1', '2', '3', '4']) {
        body["ordering"] = "strict".into();
    }
    if id.ends_with(['3', '4', '5']) {
        body["callback"] = serde_json::json!({ "url": "https://told.example/hook" });
        body["failure_callback"] = body["callback"].clone();
    }
    Entry {
        queue: QueueName::Shard { route: "messages".to_owned(), shard: route::shard_of(subject, 4) },
        body: body.to_string(),
        group: identity::group_id("", subject),
        dedup: identity::dedup_id(id, generation, 1, 0),
        due: None,
        listing: Some(Arc::new(listing)),
    }
}

/// Subjects of the work.
pub(crate) const SUBJECTS: usize = 9;

/// The same, to be seen at that time only.
#[must_use]
pub fn delayed(entry: Entry, due: i64) -> Entry {
    let due = Some(Timestamp::from_millis(due));
    Entry { queue: QueueName::Wake, group: entry.dedup.clone(), due, ..entry }
}

/// What takes a message's place whose time has come.
#[must_use]
pub fn joined(leased: &Leased) -> Entry {
    let (id, generation) = id_of(leased);
    let subject = body_of(leased)["subject"].as_str().unwrap_or_default().to_owned();
    Entry { body: leased.body.clone(), listing: None, ..entry(&id, &subject, generation, 0) }
}

/// Whether the message holds up its line.
#[must_use]
pub fn is_strict(leased: &Leased) -> bool {
    matches!(leased.queue, QueueName::Shard { .. }) && body_of(leased)["ordering"] == "strict"
}

/// To which number the subject's line has come.
pub async fn counted(store: &Store, subject: &str) -> Option<u64> {
    let leased = Leased {
        queue: QueueName::LastNet,
        body: String::new(),
        entry_id: String::new(),
        sequence: String::new(),
        group: identity::group_id("", subject),
        sent_at: Timestamp::default(),
        receives: 1,
        handle: String::new(),
        kept_at: None,
    };
    store.sequence(&leased, "", 1).await.map(|next| next - 1)
}

fn body_of(leased: &Leased) -> serde_json::Value {
    serde_json::from_str(&leased.body).expect("the body is what was handed in")
}

/// The message that was leased, and its generation.
#[must_use]
pub fn id_of(leased: &Leased) -> (String, u32) {
    let body = body_of(leased);
    let generation = body["meta"]["generation"].as_u64().unwrap_or(0);
    (body["meta"]["id"].as_str().unwrap_or_default().to_owned(), u32::try_from(generation).unwrap_or(0))
}

/// The report of an attempt.
#[must_use]
pub fn attempt(n: usize, leased: &Leased, status: u16) -> AttemptReport {
    let failed = status >= 300;
    AttemptReport {
        record: AttemptRecord {
            n: u32::try_from(n).unwrap_or(u32::MAX),
            at: leased.sent_at,
            tier: leased.queue.to_string(),
            outcome: if failed { "http_5xx" } else { "delivered" }.to_owned(),
            status: Some(status),
            duration_ms: 12,
            extra: Default::default(),
        },
        answer: Some(KeptAnswer { status, body: b"an answer".to_vec(), truncated: false }),
        error: failed.then(|| ErrorRecord::new("http_5xx", Some(status), "it failed", leased.sent_at)),
        delay_ms: None,
        retry_after: None,
    }
}

/// The dead letter of one that is given up.
#[must_use]
pub fn letter(leased: &Leased) -> DeadLetter {
    let subject = body_of(leased)["subject"].as_str().unwrap_or_default().to_owned();
    let (id, generation) = id_of(leased);
    let error = ErrorRecord::new("http_5xx", Some(500), "it failed", leased.sent_at);
    DeadLetter {
        id,
        generation,
        tenant: String::new(),
        producer: None,
        order: Some(leased.sequence.clone()),
        target: Some(format!("https://{subject}.example/hook")),
        target_host: Some(format!("{subject}.example")),
        subject: Some(subject),
        client: None,
        received_at: Some(Timestamp::from_millis(START)),
        first_error: error.clone(),
        last_error: error,
        attempts: vec![attempt(1, leased, 500).record],
        message: leased.body.clone().into_bytes(),
        response: None,
        entry_sent_at: leased.sent_at,
        died_at: leased.sent_at,
    }
}
