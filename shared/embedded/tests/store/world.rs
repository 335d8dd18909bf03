//! A store in a folder of its own, with a clock that only the test moves.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chaski_core::dead_letter::DeadLetter;
use chaski_core::envelope::Envelope;
use chaski_core::filter::{Page, Whose};
use chaski_core::flow::HostLimits;
use chaski_core::history::{AttemptRecord, ErrorRecord};
use chaski_core::identity;
use chaski_core::ledger::{AttemptReport, KeptAnswer, Listing, MessageRecord, MessageState};
use chaski_core::ports::{Beside, Clock, Enqueue, Entry, Hold, Leased, Ledger, Settle, SettleError, Settlement, Taken};
use chaski_core::queue::{QueueName, Tier};
use chaski_core::retry::TierDelays;
use chaski_core::route;
use chaski_core::settings::{Durability, LimitSettings, RetentionSettings};
use chaski_core::time::Timestamp;
use chaski_embedded::{DATABASE, Options, Store};
use rusqlite::Connection;
use tempfile::TempDir;

/// The wall's time at the start of every world: 2026-11-01T00:00:00Z.
pub(crate) const START: i64 = 1_793_491_200_000;
/// Nothing that is waited for takes longer, or the test has failed.
const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const SECOND: i64 = 1_000;
pub(crate) const HOUR: i64 = 3_600 * SECOND;

/// A wall clock that jumps and a reading that only rises, both in milliseconds and by the test's hand.
pub(crate) struct TestClock {
    wall: AtomicI64,
    elapsed: AtomicI64,
}

impl TestClock {
    pub(crate) fn at(wall: i64) -> Arc<Self> {
        Arc::new(Self { wall: AtomicI64::new(wall), elapsed: AtomicI64::new(0) })
    }

    /// Time passes.
    pub(crate) fn pass(&self, span: i64) {
        self.wall.fetch_add(span, Ordering::SeqCst);
        self.elapsed.fetch_add(span, Ordering::SeqCst);
    }

    /// Somebody sets the wall clock.
    pub(crate) fn jump(&self, span: i64) {
        self.wall.fetch_add(span, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed.load(Ordering::SeqCst).unsigned_abs())
    }
}

pub(crate) fn options(data: &Path) -> Options {
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
        breaker: true,
        hosts: HostLimits::default(),
        vfs: None,
    }
}

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), START, change)
    }

    pub(crate) fn in_folder(folder: TempDir, wall: i64, change: impl FnOnce(&mut Options)) -> Self {
        let clock = TestClock::at(wall);
        let mut options = options(folder.path());
        change(&mut options);
        let store = Store::open(options, clock.clone()).unwrap();
        Self { store, clock, folder }
    }

    /// Closes the store and opens it anew.
    pub(crate) fn reopened(self) -> Self {
        self.store.close();
        let wall = self.clock.now().millis();
        Self::in_folder(self.folder, wall, |_| ())
    }

    /// What a kill leaves: a copy of the file and its log, taken while nothing is written and the store is open.
    pub(crate) fn killed(self) -> Self {
        let left = self.remains();
        let wall = self.clock.now().millis();
        drop(self);
        Self::in_folder(left, wall, |_| ())
    }

    /// A copy of the files as they are now.
    pub(crate) fn remains(&self) -> TempDir {
        let left = tempfile::tempdir().unwrap();
        for name in [DATABASE, "chaski.db-wal"] {
            let from = self.folder.path().join(name);
            if from.exists() {
                std::fs::copy(from, left.path().join(name)).unwrap();
            }
        }
        left
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join(DATABASE)
    }

    /// A look beside the store, as an operator has with the sqlite3 shell.
    pub(crate) fn sql(&self, sql: &str) -> i64 {
        number(&self.database(), sql)
    }

    pub(crate) fn pass(&self, span: i64) {
        self.clock.pass(span);
        self.store.look_at_the_clock();
    }

    pub(crate) async fn post(&self, id: &str, subject: &str) -> Taken {
        self.store.enqueue(entry(id, subject)).await.unwrap()
    }

    /// The next entry that may be attempted; it has to come.
    pub(crate) async fn lease(&self) -> Leased {
        tokio::time::timeout(PATIENCE, self.store.lease()).await.expect("nothing was leased")
    }

    pub(crate) async fn settle(&self, leased: &Leased, settlement: Settlement) -> Result<(), SettleError> {
        let status = match settlement {
            Settlement::Done => 200,
            _ => 500,
        };
        self.store
            .settle(leased, &settlement, Beside { attempt: Some(&attempt(1, leased, status)), ..Beside::default() })
            .await
    }

    /// Leases the next entry, which has to be this message's, and settles it.
    pub(crate) async fn work(&self, id: &str, outcome: Outcome) {
        let leased = self.lease().await;
        assert_eq!(id_of(&leased), id);
        self.settle(&leased, outcome.at(self.clock.now(), &leased)).await.unwrap();
    }

    pub(crate) async fn record(&self, id: &str) -> MessageRecord {
        self.store.message(id, &Whose::default(), Duration::ZERO).await.unwrap().expect("the message is not known")
    }

    pub(crate) async fn state(&self, id: &str) -> MessageState {
        self.record(id).await.state
    }

    /// Nothing may be leased, now that a message of another line has come and gone: whatever was there before it has
    /// been looked at.
    pub(crate) async fn nothing_waits(&self) {
        let marker = format!("marker-{}", self.sql("SELECT coalesce(max(no), 0) FROM messages"));
        self.post(&marker, &marker).await;
        self.work(&marker, Outcome::Done).await;
        assert_eq!(self.store.try_lease(None), None);
    }

    /// accepted = pending + ended, depths are counted, checksums are right.
    pub(crate) fn is_well(&self) {
        let report = chaski_embedded::examine(self.folder.path(), &mut |_| ()).unwrap();
        assert_eq!(report.findings, []);
        assert_eq!(
            self.sql("SELECT count(*) FROM queues WHERE depth <> (SELECT count(*) FROM entries WHERE queue = no)"),
            0
        );
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    Done,
    Retry(Tier),
    /// Held so long, in milliseconds.
    Hold(i64),
    Bury,
}

impl Outcome {
    pub(crate) fn of(self, leased: &Leased) -> Settlement {
        self.at(Timestamp::from_millis(START), leased)
    }

    /// The same, at another time than the start.
    pub(crate) fn at(self, now: Timestamp, leased: &Leased) -> Settlement {
        match self {
            Self::Done => Settlement::Done,
            Self::Retry(tier) => Settlement::Move(Entry {
                queue: QueueName::Tier(tier),
                body: leased.body.clone(),
                group: leased.group.clone(),
                dedup: format!("{}-again", leased.entry_id),
                due: None,
                listing: None,
            }),
            Self::Hold(span) => Settlement::Hold(Box::new(Hold {
                envelope: Envelope::read(&leased.body).unwrap(),
                due: now.plus(Duration::from_millis(span.unsigned_abs())),
            })),
            Self::Bury => Settlement::Bury(Box::new(letter(leased))),
        }
    }
}

/// Waits until it is so.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let patience = PATIENCE * if std::env::var_os("CHASKI_EXPIRED").is_some() { 60 } else { 3 };
    tokio::time::timeout(patience, waiting).await.expect("it did not come to that");
}

pub(crate) fn number(database: &Path, sql: &str) -> i64 {
    let connection = Connection::open(database).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

pub(crate) fn change(database: &Path, sql: &str) {
    let connection = Connection::open(database).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    connection.execute_batch(sql).unwrap();
}

pub(crate) fn listing(id: &str, subject: &str) -> Listing {
    Listing {
        id: id.to_owned(),
        generation: 1,
        subject: subject.to_owned(),
        route: "messages".to_owned(),
        target: Some(format!("https://{subject}.example/hook")),
        target_host: Some(format!("{subject}.example")),
        received_at: Timestamp::from_millis(START),
        ..Listing::default()
    }
}

/// A message as the ingress hands it in; its target's host is `<subject>.example`.
pub(crate) fn entry(id: &str, subject: &str) -> Entry {
    listed(listing(id, subject))
}

pub(crate) fn listed(listing: Listing) -> Entry {
    let (id, generation) = (&listing.id, listing.generation);
    Entry {
        queue: QueueName::Shard { route: "messages".to_owned(), shard: route::shard_of(&listing.subject, 4) },
        body: format!(
            r#"{{"subject":"{}","message":{{"url":"https://e.org/"}},"meta":{{"id":"{id}","generation":{generation}}}}}"#,
            listing.subject
        ),
        group: identity::group_id(&listing.tenant, &listing.subject),
        dedup: identity::dedup_id(id, generation, 1, 0),
        due: None,
        listing: Some(Arc::new(listing)),
    }
}

pub(crate) fn id_of(leased: &Leased) -> String {
    let body: serde_json::Value = serde_json::from_str(&leased.body).unwrap();
    body["meta"]["id"].as_str().unwrap().to_owned()
}

pub(crate) fn attempt(n: u32, leased: &Leased, status: u16) -> AttemptReport {
    let failed = status >= 300;
    AttemptReport {
        record: AttemptRecord {
            n,
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

pub(crate) fn letter(leased: &Leased) -> DeadLetter {
    let body: serde_json::Value = serde_json::from_str(&leased.body).unwrap();
    let subject = body["subject"].as_str().unwrap().to_owned();
    let error = ErrorRecord::new("http_5xx", Some(500), "it failed", leased.sent_at);
    DeadLetter {
        id: id_of(leased),
        generation: body["meta"]["generation"].as_u64().unwrap().try_into().unwrap(),
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
        response: Some(b"an answer".to_vec()),
        entry_sent_at: leased.sent_at,
        died_at: leased.sent_at,
    }
}

pub(crate) fn page(limit: usize) -> Page {
    Page { limit, cursor: None }
}
