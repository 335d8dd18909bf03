//! Goal: a repeat is known by its row alone, and a row never hides a message that was not queued. Method: a queue and a
//! table in memory, each of which can fail, and a clock that stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use chaski_core::queue::QueueName;
use chaski_core::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dynamodb::DynamoDb;
use crate::testing::{Given, plain, service};

const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// A clock that stands until it is moved.
#[derive(Clone, Default)]
struct Hands(Arc<AtomicI64>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// A queue without a window of its own: what it holds is what was sent.
#[derive(Clone, Default)]
struct Queue {
    sent: Arc<Mutex<Vec<Entry>>>,
    refuses: Arc<Mutex<BTreeSet<String>>>,
}

impl Enqueue for Queue {
    async fn enqueue(&self, entry: Entry) -> Result<Taken, EnqueueError> {
        if self.refuses.lock().unwrap().contains(&entry.listing.as_ref().unwrap().id) {
            return Err(EnqueueError::Unavailable("down".to_owned()));
        }
        self.sent.lock().unwrap().push(entry);
        Ok(Taken::New)
    }

    async fn enqueue_all(&self, entries: Vec<Entry>) -> Vec<Result<Taken, EnqueueError>> {
        let mut fates = Vec::new();
        for entry in entries {
            fates.push(self.enqueue(entry).await);
        }
        fates
    }
}

impl Queue {
    fn ids(&self) -> Vec<String> {
        self.sent.lock().unwrap().iter().map(|entry| entry.listing.as_ref().unwrap().id.clone()).collect()
    }
}

/// The control table.
#[derive(Clone, Default)]
struct Table {
    rows: Arc<Mutex<BTreeMap<String, Value>>>,
    calls: Arc<AtomicUsize>,
    /// Answers neither reads nor writes.
    silent: Arc<AtomicBool>,
    /// Refuses writes.
    closed: Arc<AtomicBool>,
}

impl Table {
    fn answer(&self, operation: &str, request: &Value) -> Given {
        self.calls.fetch_add(1, Ordering::SeqCst);
        assert_eq!(request["TableName"], "control");
        if self.silent.load(Ordering::SeqCst) {
            return None;
        }
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let place =
            |value: &Value| format!("{} {}", value["pk"]["S"].as_str().unwrap(), value["sk"]["S"].as_str().unwrap());
        match operation {
            "DynamoDB_20120810.GetItem" => {
                let row = rows.get(&place(&request["Key"])).map(|row| json!({"Item": row}));
                plain(200, row.unwrap_or_else(|| json!({})).to_string())
            }
            "DynamoDB_20120810.PutItem" if self.closed.load(Ordering::SeqCst) => {
                plain(400, r#"{"__type":"x#AccessDeniedException","message":"no"}"#)
            }
            "DynamoDB_20120810.PutItem" => {
                rows.insert(place(&request["Item"]), request["Item"].clone());
                plain(200, "{}")
            }
            other => panic!("{other}"),
        }
    }
}

struct Scene {
    queue: Queue,
    table: Table,
    clock: Hands,
    window: KeyWindow<Queue, Hands>,
}

fn scene() -> Scene {
    let (queue, table, clock) = (Queue::default(), Table::default(), Hands::default());
    clock.0.store(1_796_126_400_000, Ordering::SeqCst);
    let answering = table.clone();
    let service = service("dynamodb", move |request| {
        let operation = request.headers().get("x-amz-target").unwrap();
        answering.answer(operation, &serde_json::from_slice(request.body().bytes().unwrap()).unwrap())
    });
    let rows = KeyRows::over(DynamoDb::over(service, "https://dynamodb.us-east-1.amazonaws.com"));
    let window = KeyWindow::new(queue.clone(), rows, WINDOW, clock.clone());
    Scene { queue, table, clock, window }
}

impl Scene {
    async fn post(&self, id: &str) -> Result<Taken, EnqueueError> {
        self.window.enqueue(entry(id)).await
    }
}

fn entry(id: &str) -> Entry {
    let listing = Some(Arc::new(Listing { id: id.to_owned(), ..Listing::default() }));
    let queue = QueueName::Shard { route: "messages".to_owned(), shard: 0 };
    Entry { queue, body: "{}".to_owned(), group: "g".to_owned(), dedup: id.to_owned(), due: None, listing }
}

fn id(producer: &str, key: &str, body: &str) -> String {
    identity::keyed_id(producer, key, body.as_bytes())
}

#[tokio::test(start_paused = true)]
async fn a_repeat_is_a_duplicate_until_its_window_ends() {
    let scene = scene();
    let id = id("crm", "k", "{}");
    assert_eq!(scene.post(&id).await, Ok(Taken::New));
    let row = scene.table.rows.lock().unwrap()[&format!("key#{id} -")].clone();
    assert_eq!(row["expires"]["N"], "1796212801", "in seconds since 1970");
    assert_eq!(scene.post(&id).await, Ok(Taken::Duplicate));
    let window = i64::try_from(WINDOW.as_millis()).unwrap();
    scene.clock.0.fetch_add(window - 1, Ordering::SeqCst);
    assert_eq!(scene.post(&id).await, Ok(Taken::Duplicate));
    assert_eq!(scene.queue.ids().len(), 1);
    // DynamoDB has not deleted the row yet.
    scene.clock.0.fetch_add(1_001, Ordering::SeqCst);
    assert_eq!(scene.post(&id).await, Ok(Taken::New));
    assert_eq!(scene.post(&id).await, Ok(Taken::Duplicate));
    assert_eq!(scene.queue.ids().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn another_body_is_another_message_and_two_producers_never_meet() {
    let scene = scene();
    for (producer, key, body) in [("crm", "k", "1"), ("crm", "k", "2"), ("erp", "k", "1"), ("crm", "l", "1")] {
        assert_eq!(scene.post(&id(producer, key, body)).await, Ok(Taken::New));
    }
    assert_eq!(scene.queue.ids().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_not_queued_has_no_row() {
    let scene = scene();
    let id = id("crm", "k", "{}");
    scene.queue.refuses.lock().unwrap().insert(id.clone());
    assert!(scene.post(&id).await.is_err());
    assert!(scene.window.enqueue_all(vec![entry(&id)]).await[0].is_err());
    assert!(scene.table.rows.lock().unwrap().is_empty());
    scene.queue.refuses.lock().unwrap().clear();
    assert_eq!(scene.post(&id).await, Ok(Taken::New), "the repeat is what brings it in");
}

/// The process ends between the send and the put, or the put fails: the repeat is sent, and nothing is hidden.
#[tokio::test(start_paused = true)]
async fn without_its_row_a_repeat_is_sent_again() {
    let scene = scene();
    let id = id("crm", "k", "{}");
    scene.table.closed.store(true, Ordering::SeqCst);
    assert_eq!(scene.post(&id).await, Ok(Taken::New));
    assert_eq!(scene.post(&id).await, Ok(Taken::New));
    scene.table.closed.store(false, Ordering::SeqCst);
    // The queue is asked, and then its caller is gone: what a crash looks like from here.
    let rows = scene.table.rows.clone();
    let sent = scene.queue.sent.clone();
    let post = scene.post(&id);
    tokio::pin!(post);
    scene.table.silent.store(true, Ordering::SeqCst);
    let crashed = tokio::time::timeout(Duration::from_millis(700), &mut post).await;
    assert!(crashed.is_err() && sent.lock().unwrap().len() == 3 && rows.lock().unwrap().is_empty());
    scene.table.silent.store(false, Ordering::SeqCst);
    assert_eq!(scene.post(&id).await, Ok(Taken::New));
    assert_eq!(scene.post(&id).await, Ok(Taken::Duplicate));
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_silent_costs_a_second_and_hides_nothing() {
    let scene = scene();
    scene.table.silent.store(true, Ordering::SeqCst);
    let began = Instant::now();
    assert_eq!(scene.post(&id("crm", "k", "{}")).await, Ok(Taken::New));
    assert_eq!(began.elapsed(), Duration::from_secs(1), "half for the read, half for the put");
    let many: Vec<Entry> = (0..1_000).map(|n| entry(&id("crm", &n.to_string(), "{}"))).collect();
    let began = Instant::now();
    let fates = scene.window.enqueue_all(many).await;
    assert!(fates.len() == 1_000 && fates.iter().all(|fate| *fate == Ok(Taken::New)));
    assert!(began.elapsed() <= KeyWindow::<Queue, Hands>::TIME, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn without_a_window_or_without_a_key_nothing_is_asked() {
    let scene = scene();
    let keyless = identity::new_id(Timestamp::from_millis(1), [0; 10]);
    for _ in 0..2 {
        assert_eq!(scene.post(&keyless).await, Ok(Taken::New));
        assert_eq!(scene.window.enqueue_all(vec![entry(&keyless)]).await, [Ok(Taken::New)]);
    }
    assert_eq!(scene.table.calls.load(Ordering::SeqCst), 0);
    let off: KeyWindow<Queue, Hands> = KeyWindow::off(scene.queue.clone());
    let id = id("crm", "k", "{}");
    assert_eq!((off.enqueue(entry(&id)).await, off.enqueue(entry(&id)).await), (Ok(Taken::New), Ok(Taken::New)));
    assert_eq!(scene.table.calls.load(Ordering::SeqCst), 0);
}

proptest! {
    /// A call of many, with and without keys, with repeats of what has rows and with a queue that refuses some: each
    /// fate stands in its place, and rows are there for exactly what was queued.
    #[test]
    fn each_of_many_has_its_own_fate(kinds in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let scene = scene();
            let ids: Vec<String> = kinds.iter().enumerate().map(|(n, (has_key, ..))| {
                if *has_key { id("crm", &n.to_string(), "{}") } else { identity::new_id(Timestamp::from_millis(1), [u8::try_from(n).unwrap(); 10]) }
            }).collect();
            for (id, (_, before, _)) in ids.iter().zip(&kinds) {
                if *before {
                    scene.post(id).await.unwrap();
                }
            }
            let known = scene.table.rows.lock().unwrap().len();
            *scene.queue.refuses.lock().unwrap() =
                ids.iter().zip(&kinds).filter(|(_, (.., refused))| *refused).map(|(id, _)| id.clone()).collect();
            let fates = scene.window.enqueue_all(ids.iter().map(|id| entry(id)).collect()).await;
            assert_eq!(fates.len(), ids.len());
            let mut queued = known;
            for (fate, (has_key, before, refused)) in fates.iter().zip(&kinds) {
                let expected = if *has_key && *before { "duplicate" } else if *refused { "refused" } else { "new" };
                let told = match fate { Ok(Taken::New) => "new", Ok(Taken::Duplicate) => "duplicate", Err(_) => "refused" };
                assert_eq!(told, expected);
                queued += usize::from(*has_key && expected == "new");
            }
            assert_eq!(scene.table.rows.lock().unwrap().len(), queued);
        });
    }
}
