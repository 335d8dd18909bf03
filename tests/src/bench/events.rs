//! Events as API Gateway and SQS make them.

use bytes::Bytes;
use chaski_core::ports::Entry;
use chaski_core::queue::QueueName;
use serde_json::{Value, json};

/// What the functions are told their queues are called.
pub(crate) const QUEUE_PREFIX: &str = "https://sqs.us-east-1.amazonaws.com/000000000000/chaski-bench-";
const ARN_PREFIX: &str = "arn:aws:sqs:us-east-1:000000000000:chaski-bench-";

/// One POST of a message whose body has so many bytes, by payload 2.0 of API Gateway, its caller let in by IAM.
pub(crate) fn post(n: usize, body_bytes: usize) -> Bytes {
    let message = json!({"url": "https://example.org/hook", "body": "x".repeat(body_bytes)});
    let body = json!({"subject": format!("pc_consume_{n}_1"), "message": message}).to_string();
    let event = json!({
        "version": "2.0", "routeKey": "POST /messages", "rawPath": "/messages", "rawQueryString": "",
        "headers": {
            "content-length": body.len().to_string(), "content-type": "application/json", "accept": "*/*",
            "host": "a1b2c3.execute-api.us-east-1.amazonaws.com", "user-agent": "bench",
            "x-amzn-trace-id": "Root=1-5759e988-bd862e3fe1be46a994272793", "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "443", "x-forwarded-proto": "https"
        },
        "requestContext": {
            "accountId": "000000000000", "apiId": "a1b2c3", "domainName": "a1b2c3.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "a1b2c3", "requestId": "JKJaXmPLvHcESHA=", "routeKey": "POST /messages", "stage": "$default",
            "authorizer": {"iam": {
                "accessKey": "AKIA", "accountId": "000000000000", "callerId": "AIDA", "cognitoIdentity": null,
                "principalOrgId": "", "userArn": "arn:aws:iam::000000000000:user/bench", "userId": "AIDA"
            }},
            "http": {"method": "POST", "path": "/messages", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "bench"},
            "time": "21/Nov/2026:00:00:00 +0000", "timeEpoch": 1_795_219_200_000_u64
        },
        "body": body, "isBase64Encoded": false
    });
    Bytes::from(event.to_string())
}

/// An entry as the ingress writes it for such a POST.
pub(crate) fn entry(n: usize, body_bytes: usize) -> Entry {
    let queue = QueueName::Shard { route: "messages".to_owned(), shard: 0 };
    let body = envelope(n, "https://example.org/hook", body_bytes, false).to_string();
    let [group, dedup] = [1, 2].map(|part| format!("{part:03}{n:040}"));
    Entry { queue, body, group, dedup, due: None, listing: None }
}

/// A batch from the queue, a message of a subject of its own for each of `subjects`; each goes to the URL
/// and carries so many bytes.
pub(crate) fn batch(queue: &str, subjects: std::ops::Range<usize>, url: &str, body_bytes: usize) -> Bytes {
    let records: Vec<Value> = subjects.map(|n| record(queue, n, url, body_bytes)).collect();
    Bytes::from(json!({"Records": records}).to_string())
}

fn record(queue: &str, n: usize, url: &str, body_bytes: usize) -> Value {
    let envelope = envelope(n, url, body_bytes, queue.starts_with("retry-"));
    json!({
        "messageId": format!("11d6ee51-4cc7-4302-9e22-{n:012}"), "receiptHandle": "AQEBBX8nesZEXmkhsmZeyIE8iQAMig7qw",
        "body": envelope.to_string(), "messageAttributes": {}, "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "attributes": {
            "ApproximateReceiveCount": "1", "SentTimestamp": "1795219200000", "SenderId": "AIDAIO23YVJENQZJOL4VO",
            "SequenceNumber": format!("188494964604676{n:05}"), "MessageGroupId": format!("g{n}"),
            "MessageDeduplicationId": format!("d{n}"), "ApproximateFirstReceiveTimestamp": "1795219200100"
        },
        "eventSource": "aws:sqs", "eventSourceARN": format!("{ARN_PREFIX}{queue}.fifo"), "awsRegion": "us-east-1"
    })
}

fn envelope(n: usize, url: &str, body_bytes: usize, failed_once: bool) -> Value {
    let error = json!({
        "class": "http_5xx", "status": 500, "detail": "the target answered 500", "at": "2026-11-21T00:00:01.012Z"
    });
    let error = failed_once.then_some(error);
    let meta = json!({
        "v": 2, "id": format!("019a3f6e-0000-7000-8000-{n:012}"), "producer": "", "tenant": "",
        "received_at": "2026-11-21T00:00:00.000Z", "generation": 1, "attempts": u8::from(failed_once), "hop": 0,
        "route": "messages", "first_error": error, "last_error": error
    });
    let message = json!({"url": url, "method": "POST", "body": "x".repeat(body_bytes)});
    json!({"subject": format!("pc_consume_{n}_1"), "message": message, "meta": meta})
}
