//! Goal: no record of a batch is lost on its way in, and the answer has the one shape that Lambda reads.

use chaski_core::queue::QueueName;

use super::*;

fn prefix() -> QueuePrefix {
    QueuePrefix::new("https://sqs.us-east-1.amazonaws.com/000000000000/chaski-dev-")
}

fn read(json: &str) -> Result<Vec<Leased>, EventError> {
    leased(serde_json::from_str(json).unwrap(), &prefix())
}

/// As SQS and Lambda write it.
const BATCH: &str = r#"{"Records":[
  {"messageId":"11d6ee51-4cc7-4302-9e22-7cd8afdaadf5","receiptHandle":"AQEBBX8nesZEXmkhsmZeyIE8iQAMig7qw","body":"{\"subject\":\"s\"}",
   "attributes":{"ApproximateReceiveCount":"2","SentTimestamp":"1796115600123","SequenceNumber":"18849496460467696128",
     "MessageGroupId":"g","SenderId":"AIDAIO23YVJENQZJOL4VO","MessageDeduplicationId":"d","ApproximateFirstReceiveTimestamp":"1796115600456"},
   "messageAttributes":{},"md5OfBody":"e4e68fb7bd0e697a0ae8f1bb342846b3","eventSource":"aws:sqs",
   "eventSourceARN":"arn:aws:sqs:us-east-1:000000000000:chaski-dev-messages-3.fifo","awsRegion":"us-east-1"}]}"#;

#[test]
fn a_batch_as_lambda_pushes_it() {
    let expected = Leased {
        kept_at: None,
        queue: QueueName::Shard { route: "messages".to_owned(), shard: 3 },
        body: r#"{"subject":"s"}"#.to_owned(),
        entry_id: "11d6ee51-4cc7-4302-9e22-7cd8afdaadf5".to_owned(),
        sequence: "18849496460467696128".to_owned(),
        group: "g".to_owned(),
        sent_at: Timestamp::from_millis(1_796_115_600_123),
        receives: 2,
        handle: "AQEBBX8nesZEXmkhsmZeyIE8iQAMig7qw".to_owned(),
    };
    assert_eq!(read(BATCH), Ok(vec![expected]));
}

#[test]
fn a_record_that_lacks_something_is_handled_all_the_same() {
    let arn = "arn:aws:sqs:us-east-1:000000000000:chaski-dev-last-net.fifo";
    let bare = format!(
        r#"{{"Records":[{{"messageId":"m","eventSourceARN":"{arn}"}},
        {{"messageId":"n","eventSourceARN":"{arn}","body":null,"attributes":null,"messageAttributes":null}},
        {{"messageId":"o","eventSourceARN":"{arn}","attributes":{{"SentTimestamp":"soon","ApproximateReceiveCount":"-1"}}}}]}}"#
    );
    let first = read(&bare).unwrap();
    assert_eq!(first.len(), 3);
    for (leased, id) in first.iter().zip(["m", "n", "o"]) {
        assert_eq!((leased.entry_id.as_str(), leased.group.as_str(), leased.body.as_str()), (id, id, ""));
        assert_eq!((leased.sent_at, leased.receives, leased.sequence.as_str()), (Timestamp::from_millis(0), 1, "0"));
    }
    assert_eq!(read(&bare).unwrap(), first, "a redelivery is the same entry");
}

#[test]
fn what_cannot_be_named_keeps_the_whole_batch_in_its_queue() {
    let arn = "arn:aws:sqs:us-east-1:000000000000:chaski-dev-retry-fast.fifo";
    let second =
        |record: &str| read(&format!(r#"{{"Records":[{{"messageId":"m","eventSourceARN":"{arn}"}},{record}]}}"#));
    assert_eq!(second(&format!(r#"{{"eventSourceARN":"{arn}"}}"#)), Err(EventError::NoId(1)));
    assert_eq!(second(&format!(r#"{{"messageId":"","eventSourceARN":"{arn}"}}"#)), Err(EventError::NoId(1)));
    assert_eq!(second(r#"{"messageId":"n"}"#), Err(EventError::ForeignQueue(1, String::new())));
    let foreign = "arn:aws:sqs:us-east-1:000000000000:other.fifo";
    let told = second(&format!(r#"{{"messageId":"n","eventSourceARN":"{foreign}"}}"#));
    assert_eq!(told, Err(EventError::ForeignQueue(1, foreign.to_owned())));
}

/// The golden answers: a wrong key or an empty id would fail the whole batch, `null` would delete it.
#[test]
fn the_answer_names_what_goes_back() {
    let json =
        |ids: &[&str]| serde_json::to_string(&response(ids.iter().map(|id| (*id).to_owned()).collect())).unwrap();
    assert_eq!(json(&[]), r#"{"batchItemFailures":[]}"#);
    assert_eq!(json(&["a", "b"]), r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"b"}]}"#);
}
