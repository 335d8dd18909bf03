//! A control table in memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use chaski_aws::testing::{Answer, credentials, region, service};
use serde_json::{Value, json};

use super::{lock, ok, text};

/// Rows of one page: few, so that a list has several, and enough for lists that are long.
const PAGE: usize = 25;

/// The rows of a control table, the calls that were made, and whether it answers.
#[derive(Debug, Clone, Default)]
pub struct FakeControl {
    rows: Arc<Mutex<Vec<Value>>>,
    calls: Arc<Mutex<Vec<String>>>,
    down: Arc<AtomicBool>,
}

fn is_at(row: &Value, key: &Value) -> bool {
    row.get("pk") == key.get("pk") && row.get("sk") == key.get("sk")
}

impl FakeControl {
    /// A client of it.
    #[must_use]
    pub fn client(&self) -> Client {
        let table = self.clone();
        let answer = move |operation: &str, request: Value| table.answer(operation, &request);
        Client::from_conf(chaski_aws::tuned!(aws_sdk_dynamodb, &credentials(), region(), service(answer)).build())
    }

    /// The operations that were called since the last time, in their order.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.calls))
    }

    /// From now on every call is refused, or none.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    /// The sort keys of a partition's rows.
    #[must_use]
    pub fn keys(&self, partition: &str) -> Vec<String> {
        let rows = lock(&self.rows);
        let its = rows.iter().filter(|row| text(row, "/pk/S").starts_with(partition));
        its.map(|row| text(row, "/sk/S").to_owned()).collect()
    }

    /// Puts a row of texts there, past the adapter.
    pub fn put(&self, pk: &str, sk: &str) {
        lock(&self.rows).push(json!({"pk": {"S": pk}, "sk": {"S": sk}}));
    }

    fn answer(&self, operation: &str, request: &Value) -> Answer {
        lock(&self.calls).push(operation.to_owned());
        if self.down.load(Ordering::Relaxed) {
            // Not one that is tried again.
            return Some((400, json!({"__type": "AccessDeniedException", "message": "down"})));
        }
        let mut rows = lock(&self.rows);
        let refused = |old: &Value| {
            let mut body = json!({"__type": "ConditionalCheckFailedException", "message": "no", "Item": old});
            if old.is_null() {
                body.as_object_mut()?.remove("Item");
            }
            Some((400, body))
        };
        match operation {
            "PutItem" => {
                let item = request.get("Item")?;
                let at = rows.iter().position(|row| is_at(row, item));
                // A condition is that nothing is there, or that version.
                let conditional = request.get("ConditionExpression").is_some();
                let was = request.pointer("/ExpressionAttributeValues/:was");
                match at.and_then(|at| rows.get_mut(at)) {
                    Some(old) if conditional && (was.is_none() || was != old.get("version")) => refused(old),
                    None if was.is_some() => refused(&Value::Null),
                    Some(old) => {
                        *old = item.clone();
                        ok(json!({}))
                    }
                    None => {
                        rows.push(item.clone());
                        ok(json!({}))
                    }
                }
            }
            "DeleteItem" => {
                let key = request.get("Key")?;
                let found = rows.iter().find(|row| is_at(row, key)).cloned().unwrap_or_default();
                let wanted = request.pointer("/ExpressionAttributeValues/:handle");
                if wanted.is_some() && found.get("handle") != wanted {
                    return refused(&found);
                }
                rows.retain(|row| !is_at(row, key));
                ok(if found.is_null() { json!({}) } else { json!({"Attributes": found}) })
            }
            "GetItem" => {
                assert!(
                    request.get("ConsistentRead") == Some(&Value::Bool(true)),
                    "a row of a moment ago must be seen"
                );
                let key = request.get("Key")?;
                let found = rows.iter().find(|row| is_at(row, key));
                ok(found.map_or_else(|| json!({}), |row| json!({ "Item": row })))
            }
            "UpdateItem" => number(&mut rows, request),
            "Query" => query(&rows, request),
            other => Some((400, json!({"__type": "ValidationException", "message": other}))),
        }
    }
}

/// The one update there is: the next number of a line, for whoever did not get the last one.
fn number(rows: &mut Vec<Value>, request: &Value) -> Answer {
    let (key, me) = (request.get("Key")?, request.pointer("/ExpressionAttributeValues/:me")?);
    let at = rows.iter().position(|row| is_at(row, key));
    let old = at.and_then(|at| rows.get(at)).cloned().unwrap_or_else(|| key.clone());
    if old.get("last") == Some(me) {
        return Some((400, json!({"__type": "ConditionalCheckFailedException", "message": "no", "Item": old})));
    }
    let n = text(&old, "/n/N").parse::<u64>().unwrap_or(0) + 1;
    let mut new = old;
    let fields = new.as_object_mut()?;
    fields.insert("n".to_owned(), json!({"N": n.to_string()}));
    fields.insert("last".to_owned(), me.clone());
    rows.retain(|row| !is_at(row, key));
    rows.push(new.clone());
    ok(json!({ "Attributes": new }))
}

fn query(rows: &[Value], request: &Value) -> Answer {
    assert!(request.get("ConsistentRead") == Some(&Value::Bool(true)), "an order of a moment ago must be seen");
    let values = request.get("ExpressionAttributeValues")?;
    let own = |row: &&Value| {
        row.get("pk") == values.get(":pk") && values.get(":sk").is_none_or(|wanted| row.get("sk") == Some(wanted))
    };
    let mut met: Vec<&Value> = rows.iter().filter(own).collect();
    met.sort_by_key(|row| text(row, "/sk/S").to_owned());
    if let Some(start) = request.get("ExclusiveStartKey") {
        met.retain(|row| text(row, "/sk/S") > text(start, "/sk/S"));
    }
    let more = met.len() > PAGE;
    met.truncate(PAGE);
    let last = met.last().map(|row| json!({"pk": row.get("pk"), "sk": row.get("sk")}));
    // A filter looks at what a page holds, so a page may be empty and not the last one.
    if let Some(pause) = values.get(":pause") {
        met.retain(|row| row.get("pause") == Some(pause));
    }
    let mut answer = json!({ "Items": met });
    if let (true, Some(last)) = (more, last) {
        answer.as_object_mut()?.insert("LastEvaluatedKey".to_owned(), last);
    }
    ok(answer)
}
