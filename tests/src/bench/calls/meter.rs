//! What one call counts for, by what was asked and what was answered.

use serde_json::Value;

use super::counts::{Counts, Queues};

/// Messages of one call to SQS that count as one call.
const SQS_BYTES: usize = 65_536;
const READ_BYTES: usize = 4_096;
const WRITE_BYTES: usize = 1_024;
/// Indexes of the table of dead letters (template.yaml: `by_id`, `by_subject`, `by_target`): each takes a write of the
/// keys. The local table need not have them all.
const LETTER_INDEXES: u64 = 3;
const LETTERS: &str = "-dead-letters";
/// The partition of what an operator ordered.
const ORDERS: &str = "orders";

/// A call that was answered.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// In upper case.
    pub(crate) method: &'a str,
    /// With its query.
    pub(crate) path: &'a str,
    /// `x-amz-target`; empty for services without.
    pub(crate) operation: &'a str,
    /// `authorization`; empty where the signature stands in the query.
    pub(crate) authorization: &'a str,
    /// The request's body.
    pub(crate) asked: &'a [u8],
    /// The answer's.
    pub(crate) told: &'a [u8],
}

/// What it counts for; nothing where it is not of a message's way.
pub(crate) fn meter(call: &Call<'_>) -> Counts {
    if let Some(operation) = call.operation.strip_prefix("AmazonSQS.") {
        return sqs(operation, &json(call.asked), &json(call.told));
    }
    if let Some(operation) = call.operation.strip_prefix("DynamoDB_20120810.") {
        return dynamodb(operation, &json(call.asked), &json(call.told));
    }
    let (is_scheduler, is_s3) = (call.authorization.contains("/scheduler/"), call.authorization.contains("/s3/"));
    let signed_in_query = call.path.contains("X-Amz-Signature=");
    match call.method {
        "POST" if is_scheduler && call.path.starts_with("/schedules/") => Counts { schedules: 1, ..Counts::default() },
        "PUT" if is_s3 || signed_in_query => Counts { s3_puts: 1, ..Counts::default() },
        "GET" | "HEAD" if is_s3 => Counts { s3_gets: 1, ..Counts::default() },
        _ => Counts::default(),
    }
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_default()
}

fn sqs(operation: &str, asked: &Value, told: &Value) -> Counts {
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map_or(0, str::len);
    let texts =
        |value: &Value, list: &str, field: &str| list_of(value, list).map(|entry| text(entry, field)).sum::<usize>();
    let mut queues = Queues::default();
    match operation {
        "SendMessage" => queues.sends = units(text(asked, "MessageBody"), SQS_BYTES),
        "SendMessageBatch" => queues.sends = units(texts(asked, "Entries", "MessageBody"), SQS_BYTES),
        "ReceiveMessage" if list_of(told, "Messages").next().is_some() => {
            queues.receives = units(texts(told, "Messages", "Body"), SQS_BYTES);
        }
        "DeleteMessage" | "DeleteMessageBatch" => queues.deletes = 1,
        "ChangeMessageVisibility" | "ChangeMessageVisibilityBatch" => queues.visibilities = 1,
        _ => {}
    }
    let is_fifo = asked.get("QueueUrl").and_then(Value::as_str).is_some_and(|url| url.ends_with(".fifo"));
    let (fifo, standard) = if is_fifo { (queues, Queues::default()) } else { (Queues::default(), queues) };
    Counts { fifo, standard, ..Counts::default() }
}

fn dynamodb(operation: &str, asked: &Value, told: &Value) -> Counts {
    let halves = if asked.get("ConsistentRead") == Some(&Value::Bool(true)) { 2 } else { 1 };
    let bytes = |item: Option<&Value>| item.map_or(0, item_bytes);
    let mut counts = Counts::default();
    match operation {
        "GetItem" => counts.half_reads = halves * units(bytes(told.get("Item")), READ_BYTES),
        "Query" if is_orders(asked) => counts.orders = 1,
        "Query" => {
            let found = list_of(told, "Items").map(item_bytes).sum();
            counts.half_reads = halves * units(found, READ_BYTES);
        }
        "PutItem" => {
            let is_letter = asked.get("TableName").and_then(Value::as_str).is_some_and(|name| name.ends_with(LETTERS));
            let indexes = if is_letter { LETTER_INDEXES } else { 0 };
            counts.writes = units(bytes(asked.get("Item")), WRITE_BYTES) + indexes;
        }
        // The item's size is known where it is answered; where it is not, it is one of the small ones.
        "UpdateItem" | "DeleteItem" => counts.writes = units(bytes(told.get("Attributes")), WRITE_BYTES),
        _ => {}
    }
    counts
}

/// Whether it is the reading of all orders, and not of one.
fn is_orders(asked: &Value) -> bool {
    let value = |name: &str| asked.pointer(&format!("/ExpressionAttributeValues/{name}/S")).and_then(Value::as_str);
    value(":pk") == Some(ORDERS) && value(":sk").is_none()
}

fn list_of<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// How many units so many bytes are; one at least.
fn units(bytes: usize, unit: usize) -> u64 {
    u64::try_from(bytes.div_ceil(unit).max(1)).unwrap_or(u64::MAX)
}

/// An item's size, as DynamoDB reckons it: names and values.
fn item_bytes(item: &Value) -> usize {
    let fields = item.as_object().into_iter().flatten();
    fields.map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|typed| typed.iter().next()) else { return 0 };
    let text = value.as_str().map_or(0, str::len);
    match kind.as_str() {
        "S" => text,
        "N" => text.div_ceil(2) + 1,
        // In base64.
        "B" => text / 4 * 3,
        "M" => 3 + item_bytes(value) + value.as_object().map_or(0, serde_json::Map::len),
        "L" => 3 + value.as_array().into_iter().flatten().map(|one| value_bytes(one) + 1).sum::<usize>(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(operation: &str, asked: &Value, told: &Value) -> Counts {
        let (asked, told) = (asked.to_string(), told.to_string());
        let (asked, told) = (asked.as_bytes(), told.as_bytes());
        meter(&Call { method: "POST", path: "/", operation, authorization: "", asked, told })
    }

    #[test]
    fn sends_are_counted_by_their_messages_and_receives_by_what_they_bring() {
        let fifo = "http://q/messages-0.fifo";
        let entries = json!([{"MessageBody": "x".repeat(40_000)}, {"MessageBody": "x".repeat(40_000)}]);
        let sent = call("AmazonSQS.SendMessageBatch", &json!({"QueueUrl": fifo, "Entries": entries}), &json!({}));
        assert_eq!(sent.fifo, Queues { sends: 2, ..Queues::default() }, "80,000 bytes are two calls");
        let sent = call("AmazonSQS.SendMessage", &json!({"QueueUrl": "http://q/wake", "MessageBody": "x"}), &json!({}));
        assert_eq!((sent.standard.sends, sent.fifo.sends), (1, 0));
        let asked = json!({"QueueUrl": fifo});
        assert_eq!(call("AmazonSQS.ReceiveMessage", &asked, &json!({})), Counts::default(), "a poller's");
        let brought = call("AmazonSQS.ReceiveMessage", &asked, &json!({"Messages": [{"Body": "x"}]}));
        assert_eq!(brought.fifo.receives, 1);
        assert_eq!(call("AmazonSQS.DeleteMessageBatch", &asked, &json!({})).fifo.deletes, 1);
        assert_eq!(call("AmazonSQS.ChangeMessageVisibilityBatch", &asked, &json!({})).fifo.visibilities, 1);
        assert_eq!(call("AmazonSQS.GetQueueAttributes", &asked, &json!({})), Counts::default(), "the suite's own look");
    }

    #[test]
    fn reads_and_writes_are_counted_by_size() {
        let item = json!({"pk": {"S": "x"}, "envelope": {"B": "A".repeat(8_000)}});
        let put =
            |table: &str| call("DynamoDB_20120810.PutItem", &json!({"TableName": table, "Item": item}), &json!({}));
        assert_eq!((put("a-control").writes, put("a-dead-letters").writes), (6, 9), "6,011 bytes");
        let get = |asked: Value| call("DynamoDB_20120810.GetItem", &asked, &json!({"Item": item})).half_reads;
        assert_eq!((get(json!({"ConsistentRead": true})), get(json!({}))), (4, 2));
        assert_eq!(call("DynamoDB_20120810.DeleteItem", &json!({}), &json!({})).writes, 1);
        let query = |values: Value| {
            let asked = json!({"ConsistentRead": true, "ExpressionAttributeValues": values});
            let counts = call("DynamoDB_20120810.Query", &asked, &json!({"Items": []}));
            (counts.half_reads, counts.orders)
        };
        assert_eq!(query(json!({":pk": {"S": "orders"}})), (0, 1), "told apart");
        assert_eq!(query(json!({":pk": {"S": "orders"}, ":sk": {"S": "pause#1"}})), (2, 0));
    }

    #[test]
    fn schedules_and_objects_are_known_by_who_is_asked() {
        let one = |method, path, authorization| {
            meter(&Call { method, path, operation: "", authorization, asked: b"", told: b"" })
        };
        let (scheduler, s3) = ("Credential=test/20261121/us-east-1/scheduler/aws4_request", "c=k/d/r/s3/aws4_request");
        assert_eq!(one("POST", "/schedules/x", scheduler).schedules, 1);
        assert_eq!(one("POST", "/schedule-groups/x", scheduler), Counts::default());
        assert_eq!(one("DELETE", "/schedules/x", scheduler), Counts::default());
        assert_eq!((one("PUT", "/b/k", s3).s3_puts, one("PUT", "/b/k?X-Amz-Signature=1", "").s3_puts), (1, 1));
        assert_eq!((one("HEAD", "/b/k", s3).s3_gets, one("GET", "/b/k", s3).s3_gets), (1, 1));
        assert_eq!(one("DELETE", "/b/k", s3), Counts::default(), "free");
    }
}
