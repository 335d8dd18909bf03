//! Goal: nothing is overwritten, the same burial twice is one record, and an error is never a success.

use std::sync::{Arc, Mutex};

use chaski_aws::testing::{Answer, credentials, region, service};
use chaski_core::history::ErrorRecord;
use chaski_core::time::Timestamp;
use serde_json::{Value, json};

use super::*;

/// A client of DynamoDB whose service this function is; tries and times are the real ones.
fn dynamodb(answer: impl Fn(&str, Value) -> Answer + Send + Sync + 'static) -> Client {
    Client::from_conf(chaski_aws::tuned!(aws_sdk_dynamodb, &credentials(), region(), service(answer)).build())
}

pub(crate) fn letter(id: &str, message: Vec<u8>) -> DeadLetter {
    let error = ErrorRecord::new("http_5xx", Some(500), "the target answered 500", Timestamp::from_millis(1));
    DeadLetter {
        id: id.to_owned(),
        generation: 1,
        tenant: String::new(),
        producer: None,
        order: None,
        subject: Some("s".to_owned()),
        client: None,
        target: Some("https://example.org/hook".to_owned()),
        target_host: Some("example.org".to_owned()),
        received_at: None,
        first_error: error.clone(),
        last_error: error,
        attempts: Vec::new(),
        message,
        response: None,
        entry_sent_at: Timestamp::from_millis(1_796_115_600_123),
        died_at: Timestamp::from_millis(1_796_115_700_000),
    }
}

/// Bytes that nothing can pack, the same at every run.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// A table that does what the condition says, and what was put to it.
fn table() -> (DeadLetters, Arc<Mutex<Vec<Value>>>) {
    let items: Arc<Mutex<Vec<Value>>> = Arc::default();
    let held = Arc::clone(&items);
    let client = dynamodb(move |operation, request| {
        assert_eq!(operation, "PutItem");
        assert_eq!(request["TableName"], "letters");
        assert_eq!(request["ConditionExpression"], "attribute_not_exists(#date)");
        assert_eq!(request["ExpressionAttributeNames"], json!({"#date": "date"}));
        assert_eq!(request["ReturnValuesOnConditionCheckFailure"], "ALL_OLD");
        let item = &request["Item"];
        let mut held = held.lock().unwrap();
        match held.iter().find(|old| old["date"] == item["date"] && old["timestamp"] == item["timestamp"]) {
            Some(old) => failed(Some(old.clone())),
            None => {
                held.push(item.clone());
                Some((200, json!({})))
            }
        }
    });
    (DeadLetters::new(client, "letters"), items)
}

fn failed(item: Option<Value>) -> Answer {
    let mut body =
        json!({"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "message": "no"});
    if let Some(item) = item {
        body["Item"] = item;
    }
    Some((400, body))
}

#[tokio::test(start_paused = true)]
async fn the_same_burial_a_hundred_times_is_one_record() {
    let (table, items) = table();
    for again in 0..100 {
        let mut letter = letter("a", b"{}".to_vec());
        letter.died_at = Timestamp::from_millis(1_796_115_700_000 + again);
        table.put(&letter).await.unwrap();
    }
    assert_eq!(items.lock().unwrap().len(), 1);
    table.put(&letter("b", b"{}".to_vec())).await.unwrap();
    assert_eq!(items.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_record_expires_only_where_it_has_an_end_and_its_parts_with_it() {
    let mut letter = letter("raw", noise(900_000));
    letter.died_at = Timestamp::from_millis(1_796_115_700_001);
    let day = Duration::from_secs(86_400);
    for (retention, expected) in [(None, None), (Some(30 * day), Some("1798707701"))] {
        let (table, items) = table();
        table.keeping(retention).put(&letter).await.unwrap();
        let items = items.lock().unwrap();
        assert_eq!(items.len(), 4);
        assert!(items.iter().all(|item| item["expires_at"]["N"].as_str() == expected), "{expected:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn parts_come_first_and_may_be_put_again() {
    let (table, items) = table();
    for _ in 0..2 {
        table.put(&letter("raw", noise(900_000))).await.unwrap();
    }
    let items = items.lock().unwrap();
    assert_eq!(items.len(), 4);
    assert!(items[..3].iter().all(|part| part["part"]["B"].is_string()));
    assert_eq!(items[3]["parts"]["L"].as_array().unwrap().len(), 3);
}

/// Each answer of the table, and whether the record may be let go after it.
#[tokio::test(start_paused = true)]
async fn only_the_same_id_and_generation_is_a_success() {
    let held = |id: &str, generation: &str| failed(Some(json!({"id": {"S": id}, "generation": {"N": generation}})));
    let dynamo_error = |kind: &str| Some((400, json!({"__type": kind, "message": "no"})));
    let answers: [(&str, Answer, bool); 10] = [
        ("taken", Some((200, json!({}))), true),
        ("its own", held("a", "1"), true),
        ("another id", held("b", "1"), false),
        ("another generation", held("a", "2"), false),
        ("a stranger", failed(Some(json!({"date": {"S": "x"}}))), false),
        ("nobody told", failed(None), false),
        ("throttled", dynamo_error("com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"), false),
        ("no rights", dynamo_error("com.amazon.coral.service#AccessDeniedException"), false),
        ("down", Some((500, json!({"__type": "InternalServerError"}))), false),
        ("silent", None, false),
    ];
    for (what, answer, success) in answers {
        let client = dynamodb(move |_, _| answer.clone());
        let began = tokio::time::Instant::now();
        let put = DeadLetters::new(client, "letters").put(&letter("a", b"{}".to_vec())).await;
        assert_eq!(put.is_ok(), success, "{what}: {put:?}");
        assert!(began.elapsed().as_secs() < 9, "{what} took {:?}", began.elapsed());
    }
}
