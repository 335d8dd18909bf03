//! The OpenAPI document, of what the deployment answers and nothing else.

use serde_json::Value;

use super::VERSION;

/// What every deployment answers.
const PRODUCERS: &str = include_str!("openapi_producers.json");
/// What a home with a desk answers besides, laid over the former.
const OPERATORS: &str = include_str!("openapi_operators.json");

/// The document of a deployment that is open to producers only.
pub(super) fn of_producers(_keys: bool) -> String {
    PRODUCERS.replace("{version}", VERSION)
}

/// The document of a home with a desk; `keys` is whether producers are known by their keys.
pub(super) fn of_everything(keys: bool) -> String {
    // Both are read by a test; a text of ours that is no JSON would be `null`, and seen there.
    let [mut document, operators] = [PRODUCERS, OPERATORS]
        .map(|text| serde_json::from_str::<Value>(&text.replace("{version}", VERSION)).unwrap_or_default());
    lay_over(&mut document, operators);
    if !keys && let Some(document) = document.as_object_mut() {
        document.insert("security".to_owned(), Value::Array(Vec::new()));
    }
    document.to_string()
}

/// Objects become one, field by field; of anything else the upper one stays, and `null` takes a field away.
fn lay_over(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                if value.is_null() {
                    under.remove(&name);
                } else {
                    lay_over(under.entry(name).or_insert(Value::Null), value);
                }
            }
        }
        (under, over) => *under = over,
    }
}
