//! Goal: every entry's fate is told exactly, whatever SQS answers, and in time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use chaski_core::queue::Tier;
use chaski_core::time::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::testing::{Answer, sqs};

pub(crate) fn entry(group: &str, body: &str) -> Entry {
    Entry {
        queue: shard(0),
        body: body.to_owned(),
        group: group.to_owned(),
        dedup: format!("d-{body}"),
        due: None,
        listing: None,
    }
}

/// A clock that stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_796_115_600_000)
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

fn shard(shard: u32) -> QueueName {
    QueueName::Shard { route: "messages".to_owned(), shard }
}

fn queues(answer: impl Fn(&str, Value) -> Answer + Send + Sync + 'static) -> SqsQueues {
    SqsQueues::new(sqs(answer), QueuePrefix::new("https://sqs.test/0/chaski-"), Noon)
}

/// SQS that refuses what `refuses` says (with a code, and whether it names it at all) and takes the rest.
fn picky(
    refuses: impl Fn(&str) -> Option<Option<&'static str>> + Send + Sync + 'static,
) -> (SqsQueues, Arc<Mutex<Vec<String>>>) {
    let taken: Arc<Mutex<Vec<String>>> = Arc::default();
    let held = Arc::clone(&taken);
    let queues = queues(move |operation, request| {
        assert_eq!(operation, "SendMessageBatch");
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for entry in request["Entries"].as_array().unwrap() {
            let body = entry["MessageBody"].as_str().unwrap();
            match refuses(body) {
                None => {
                    held.lock().unwrap().push(body.to_owned());
                    good.push(json!({"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "x"}));
                }
                Some(Some(code)) => bad.push(json!({"Id": entry["Id"], "Code": code, "SenderFault": false})),
                Some(None) => {}
            }
        }
        Some((200, json!({"Successful": good, "Failed": bad})))
    });
    (queues, taken)
}

/// All 1,024 subsets of ten entries, by name and by silence.
#[tokio::test(start_paused = true)]
async fn every_subset_of_refused_entries_is_told_exactly() {
    let ten: Vec<Entry> = (0..10).map(|n| entry(&format!("g{n}"), &n.to_string())).collect();
    for subset in 0..1_u32 << 10 {
        let code = if subset % 2 == 0 { Some("InternalFailure") } else { None };
        let refused = move |body: &str| (subset >> body.parse::<u32>().unwrap()) & 1 == 1;
        let (queues, taken) = picky(move |body| refused(body).then_some(code));
        let fates = queues.enqueue_all(ten.clone()).await;
        let told: Vec<bool> = fates.iter().map(Result::is_ok).collect();
        assert_eq!(told, (0..10).map(|n| !refused(&n.to_string())).collect::<Vec<_>>(), "subset {subset:b}");
        let taken: HashSet<String> = taken.lock().unwrap().iter().cloned().collect();
        assert!(ten.iter().zip(&told).all(|(entry, told)| taken.contains(&entry.body) == *told));
    }
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_refused_entry_of_its_group_is_not_sent() {
    let entries: Vec<Entry> = (0..30).map(|n| entry(&format!("g{}", n % 3), &n.to_string())).collect();
    let (queues, taken) = picky(|body| (body == "10").then_some(Some("RequestThrottled")));
    let fates = queues.enqueue_all(entries.clone()).await;
    let taken = taken.lock().unwrap();
    for (n, fate) in fates.iter().enumerate() {
        let after = n % 3 == 1 && n >= 10;
        assert_eq!(fate.is_err(), after, "{n}");
        assert_eq!(taken.contains(&n.to_string()), !after, "{n}");
    }
    assert!(matches!(&fates[10], Err(EnqueueError::Unavailable(words)) if words.starts_with("RequestThrottled")));
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_sqs_will_never_take_is_refused_for_good() {
    let (queues, _) = picky(|_| Some(Some("InvalidMessageContents")));
    assert!(matches!(queues.enqueue_all(vec![entry("g", "x")]).await[..], [Err(EnqueueError::Refused(_))]));
}

#[tokio::test(start_paused = true)]
async fn the_queues_of_a_batch_do_not_wait_for_one_that_is_down() {
    let queues = queues(|_, request| {
        let down = request["QueueUrl"].as_str().unwrap().ends_with("messages-1.fifo");
        let taken: Vec<Value> = request["Entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| json!({"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "x"}))
            .collect();
        (!down).then(|| (200, json!({"Successful": taken, "Failed": []})))
    });
    let entries: Vec<Entry> =
        (0..400).map(|n| Entry { queue: shard(n % 2), ..entry(&format!("g{}", n % 40), &n.to_string()) }).collect();
    let began = Instant::now();
    let fates = queues.enqueue_all(entries.clone()).await;
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    assert!(fates.iter().enumerate().all(|(n, fate)| fate.is_ok() == (n % 2 == 0)));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_merely_slow_is_left_in_time() {
    let client = sqs(|_, _| None);
    let slow = SqsQueues::new(client, QueuePrefix::new("https://sqs.test/0/chaski-"), Noon);
    let until = Instant::now() + Duration::from_secs(1);
    let entries = [entry("a", "1"), entry("a", "2")];
    let fates = slow.send(&shard(0), Lanes::new(entries.iter().enumerate()), until).await;
    assert_eq!(Instant::now(), until);
    assert!(fates.len() == 2 && fates.iter().all(|(_, fate)| fate.is_err()));
}

/// What SQS may answer to one entry, and what is told.
#[tokio::test(start_paused = true)]
async fn one_entry_is_taken_refused_or_unavailable_and_never_later_than_nine_seconds() {
    let error = |kind: &str| json!({"__type": format!("com.amazonaws.sqs#{kind}"), "message": "no"});
    let answers: [(Answer, Option<&str>); 7] = [
        (Some((200, json!({"MessageId": "m", "MD5OfMessageBody": "x", "SequenceNumber": "1"}))), None),
        (Some((400, error("InvalidMessageContents"))), Some("refused")),
        (Some((400, error("QueueDoesNotExist"))), Some("unavailable")),
        (Some((400, error("RequestThrottled"))), Some("unavailable")),
        (Some((503, json!({}))), Some("unavailable")),
        (Some((200, json!({}))), Some("unavailable")),
        (None, Some("unavailable")),
    ];
    for (answer, expected) in answers {
        let shown = format!("{answer:?}");
        let queues = queues(move |operation, request| {
            assert_eq!((operation, request["MessageGroupId"].as_str()), ("SendMessage", Some("g")));
            assert_eq!(request["MessageDeduplicationId"], "d-x");
            assert_eq!(request["QueueUrl"], "https://sqs.test/0/chaski-retry-fast.fifo");
            assert!(request.get("MessageAttributes").is_none() && request.get("DelaySeconds").is_none());
            answer.clone()
        });
        let began = Instant::now();
        let told = queues.enqueue(Entry { queue: QueueName::Tier(Tier::Fast), ..entry("g", "x") }).await;
        let told =
            told.err().map(|error| if matches!(error, EnqueueError::Refused(_)) { "refused" } else { "unavailable" });
        assert_eq!(told, expected, "{shown}");
        assert!(began.elapsed() < Duration::from_secs(9), "{shown} took {:?}", began.elapsed());
    }
}

/// SQS takes an entry and its answer is lost: the SDK asks again, and the deduplication id makes it one entry.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_asked_for_again_with_the_same_deduplication_id() {
    let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
    let held = Arc::clone(&seen);
    let queues = queues(move |_, request| {
        let mut held = held.lock().unwrap();
        held.push(request["MessageDeduplicationId"].clone());
        (held.len() > 1).then(|| (200, json!({"MessageId": "m"})))
    });
    queues.enqueue(entry("g", "x")).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["d-x", "d-x"]);
}

fn received(n: usize) -> Leased {
    Leased {
        kept_at: None,
        queue: shard(0),
        body: String::new(),
        entry_id: n.to_string(),
        sequence: n.to_string(),
        group: "g".to_owned(),
        sent_at: Timestamp::from_millis(0),
        receives: 1,
        handle: format!("h{n}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_back_is_made_visible_in_its_order_in_tens() {
    let seen: Arc<Mutex<Vec<(String, u64)>>> = Arc::default();
    let held = Arc::clone(&seen);
    let queues = queues(move |operation, request| {
        assert_eq!(operation, "ChangeMessageVisibilityBatch");
        let entries = request["Entries"].as_array().unwrap();
        assert!(entries.len() <= 10);
        let change = |entry: &Value| {
            (entry["ReceiptHandle"].as_str().unwrap().to_owned(), entry["VisibilityTimeout"].as_u64().unwrap())
        };
        held.lock().unwrap().extend(entries.iter().map(change));
        Some((
            200,
            json!({"Successful": [], "Failed": [{"Id": "0", "Code": "ReceiptHandleIsInvalid", "SenderFault": true}]}),
        ))
    });
    let leased: Vec<Leased> = (0..25).map(received).collect();
    let delay = |n: usize| {
        if n == 0 { Duration::from_millis(5_200) } else { Duration::ZERO }
    };
    let entries: Vec<_> = leased.iter().enumerate().map(|(n, leased)| (leased, delay(n))).collect();
    queues.give_back(&entries).await;
    let expected: Vec<_> = (0..25).map(|n| (format!("h{n}"), if n == 0 { 6 } else { 0 })).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn giving_back_is_left_when_sqs_is_silent() {
    let leased = received(0);
    let began = Instant::now();
    queues(|_, _| None).give_back(&[(&leased, Duration::ZERO)]).await;
    assert_eq!(began.elapsed(), GIVE_BACK);
}

/// What SQS is told of an entry that waits so long: its delay, and whether it stands in a line.
async fn told_of(wait: Duration, batch: bool) -> (Option<i64>, bool) {
    let seen: Arc<Mutex<Value>> = Arc::default();
    let held = Arc::clone(&seen);
    let queues = queues(move |operation, request| {
        assert!(request["QueueUrl"].as_str().unwrap().ends_with("/chaski-wake"), "{request}");
        if operation == "SendMessage" {
            *held.lock().unwrap() = request;
            return Some((200, json!({"MessageId": "m", "MD5OfMessageBody": "x"})));
        }
        *held.lock().unwrap() = request["Entries"][0].clone();
        Some((200, json!({"Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": "x"}], "Failed": []})))
    });
    let waiting = Entry { queue: QueueName::Wake, due: Some(Noon.now().plus(wait)), ..entry("g", "x") };
    if batch {
        assert!(queues.enqueue_all(vec![waiting]).await.iter().all(Result::is_ok));
    } else {
        queues.enqueue(waiting).await.unwrap();
    }
    let told = seen.lock().unwrap();
    let line = told.get("MessageGroupId").is_some() || told.get("MessageDeduplicationId").is_some();
    (told.get("DelaySeconds").and_then(Value::as_i64), line)
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_hidden_by_its_queue_as_far_as_that_can() {
    for batch in [false, true] {
        for (millis, delay) in [(0, Some(0)), (1, Some(1)), (90_000, Some(90)), (899_001, Some(900)), (900_001, None)] {
            assert_eq!(told_of(Duration::from_millis(millis), batch).await, (delay, false), "{millis} ms");
        }
    }
}
