//! Tables in memory that do what the calls of this crate ask of DynamoDB, in small pages, for tests.

mod control;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::Client;
use chaski_aws::testing::{Answer, credentials, region, service};
use serde_json::{Map, Value, json};

pub use control::FakeControl;

/// Items of one page: few, so that every list has several.
const PAGE: usize = 3;

/// The items of one table, and the calls that were made.
#[derive(Debug, Clone, Default)]
pub struct FakeTable {
    items: Arc<Mutex<Vec<Value>>>,
    calls: Arc<Mutex<Vec<String>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ok(body: Value) -> Answer {
    Some((200, body))
}

fn same_key(item: &Value, key: &Value) -> bool {
    item.get("date") == key.get("date") && item.get("timestamp") == key.get("timestamp")
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

impl FakeTable {
    /// A client of it.
    #[must_use]
    pub fn client(&self) -> Client {
        let table = self.clone();
        let answer = move |operation: &str, request: Value| table.answer(operation, &request);
        Client::from_conf(chaski_aws::tuned!(aws_sdk_dynamodb, &credentials(), region(), service(answer)).build())
    }

    /// The operations that were called, in their order.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        lock(&self.calls).clone()
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.items).len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn answer(&self, operation: &str, request: &Value) -> Answer {
        lock(&self.calls).push(operation.to_owned());
        let mut items = lock(&self.items);
        let found = |items: &[Value], key: &Value| items.iter().find(|item| same_key(item, key)).cloned();
        let nothing = Value::Null;
        let key = request.get("Key").unwrap_or(&nothing);
        match operation {
            "PutItem" => {
                items.extend(request.get("Item").cloned());
                ok(json!({}))
            }
            "GetItem" => ok(found(&items, key).map_or_else(|| json!({}), |item| json!({"Item": item}))),
            "DeleteItem" => {
                items.retain(|item| !same_key(item, key));
                ok(json!({}))
            }
            "BatchGetItem" => {
                let asked = request.get("RequestItems").and_then(Value::as_object)?;
                let (table, wanted) = asked.iter().next()?;
                let mut keys = wanted.get("Keys")?.as_array()?.clone();
                // Not all at once, as a busy table does it.
                let rest = keys.split_off(keys.len().div_ceil(2));
                let given: Vec<Value> = keys.iter().filter_map(|key| found(&items, key)).collect();
                let mut open = Map::new();
                if !rest.is_empty() {
                    let mut wanted = wanted.clone();
                    wanted.as_object_mut()?.insert("Keys".to_owned(), rest.into());
                    open.insert(table.clone(), wanted);
                }
                ok(json!({"Responses": {table.as_str(): given}, "UnprocessedKeys": open}))
            }
            "Query" => query(&items, request),
            "UpdateItem" => update(&mut items, key, request),
            other => Some((400, json!({"__type": "ValidationException", "message": other}))),
        }
    }
}

fn query(items: &[Value], request: &Value) -> Answer {
    let attribute = text(request, "/ExpressionAttributeNames/#partition");
    let values = request.get("ExpressionAttributeValues")?;
    let (from, to) = (text(values, "/:from/S"), text(values, "/:to/S"));
    let at = |item: &Value| text(item, "/timestamp/S").to_owned();
    let mut met: Vec<&Value> = items
        .iter()
        .filter(|item| item.get(attribute).is_some() && item.get(attribute) == values.get(":partition"))
        .filter(|item| (from..=to).contains(&at(item).as_str()))
        .collect();
    met.sort_by_key(|item| std::cmp::Reverse(at(item)));
    if let Some(start) = request.get("ExclusiveStartKey") {
        met.retain(|item| at(item) < at(start));
    }
    let more = met.len() > PAGE;
    met.truncate(PAGE);
    let keys = |item: &Value| json!({"date": item.get("date"), "timestamp": item.get("timestamp")});
    let keys_only = request.get("IndexName").is_some();
    let given: Vec<Value> = met.iter().map(|item| if keys_only { keys(item) } else { (*item).clone() }).collect();
    let mut answer = json!({"Items": given});
    if let (true, Some(last)) = (more, met.last()) {
        answer.as_object_mut()?.insert("LastEvaluatedKey".to_owned(), keys(last));
    }
    ok(answer)
}

/// The three changes that a replay makes, each with its condition.
fn update(items: &mut [Value], key: &Value, request: &Value) -> Answer {
    let refused = |old: Option<&Value>| {
        let mut body = json!({"__type": "ConditionalCheckFailedException", "message": "no"});
        if let (Some(old), Some(body)) = (old, body.as_object_mut()) {
            body.insert("Item".to_owned(), old.clone());
        }
        Some((400, body))
    };
    let values = request.get("ExpressionAttributeValues")?;
    let Some(item) = items.iter_mut().find(|item| same_key(item, key)) else { return refused(None) };
    let (marked, sending) = (text(item, "/replayed_at/S").to_owned(), item.get("replay_sending").is_some());
    let expression = text(request, "/UpdateExpression");
    let allowed = if expression.starts_with("SET") {
        marked.is_empty() || sending && marked.as_str() < text(values, "/:stale/S")
    } else {
        sending && marked == text(values, "/:marked/S")
    };
    if !allowed {
        return refused(Some(item));
    }
    let fields = item.as_object_mut()?;
    if expression.starts_with("SET") {
        fields.insert("replayed_at".to_owned(), values.get(":now")?.clone());
        fields.insert("replay_sending".to_owned(), values.get(":true")?.clone());
    } else {
        fields.remove("replay_sending");
        if expression.contains("#at") {
            fields.remove("replayed_at");
        }
    }
    ok(json!({}))
}
