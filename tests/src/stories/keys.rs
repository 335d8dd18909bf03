//! One producer's key is one message as long as its body is the same; another body is another message, and another
//! producer's key is another key.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::Stage;

/// Two producers, as the settings of a deployment name them, and each one's whole key.
pub const PRODUCERS: &str = r#"
[[producers]]
id = "crm"
keys = ["sha256:eaf9043a95d2b8574c2f85d769a1db00823a2df067bfaa6f3a48bf19a54bf94a"]
scopes = ["send"]

[[producers]]
id = "erp"
keys = ["sha256:e034877e7f14c654ffb936b6fa9a186aaee20ecfa500a1287aecbe50485153d8"]
scopes = ["send"]
"#;
/// The key of the first.
pub const CRM: &str = "ck_crm_0123456789abcdef";
/// The key of the second.
pub const ERP: &str = "ck_erp_fedcba9876543210";

/// A Chaski whose callers are producers.
pub trait Doors {
    /// Posts an envelope with a producer's key; the status and the body of the answer.
    fn post_as(&self, key: &str, envelope: &Value) -> impl Future<Output = anyhow::Result<(u16, Value)>>;
}

/// The same key and body twice, also after the delivery, with another body, and from another producer. Where repeats
/// are known, one is called so.
///
/// # Errors
/// The target got something else, or an answer names another id.
pub async fn a_key_is_one_message_of_one_body_and_one_producer<D: Doors>(
    stage: &Stage<'_, D>,
    knows_repeats: bool,
) -> anyhow::Result<()> {
    let subject = stage.subject("line");
    let keyed = |n| stage.envelope(&subject, "200", n, json!({"id": "order-7"}));
    let post = async |key: &str, envelope: Value| {
        let (status, answer) = stage.chaski.post_as(key, &envelope).await?;
        ensure!(status == 200, "{status}: {answer}");
        let id = answer.get("id").and_then(Value::as_str).context("no id")?.to_owned();
        anyhow::Ok((id, answer.get("duplicate").cloned().unwrap_or_default()))
    };
    let (first, new) = post(CRM, keyed(1)).await?;
    let (again, _) = post(CRM, keyed(1)).await?;
    stage.until("a delivery", |calls| !calls.is_empty()).await?;
    let (after, repeat) = post(CRM, keyed(1)).await?;
    let (body, other) = post(CRM, keyed(2)).await?;
    let (producer, foreign) = post(ERP, keyed(1)).await?;
    ensure!(first == again && first == after, "{first} {again} {after}");
    ensure!(body != first && producer != first && body != producer, "{first} {body} {producer}");
    ensure!([new, other, foreign].iter().all(|told| *told == json!(false)), "a new message is no repeat");
    ensure!(repeat == json!(knows_repeats), "{repeat}");
    let (status, _) = stage.chaski.post_as(&CRM.replace("crm", "erp"), &keyed(1)).await?;
    ensure!(status == 401, "a key of nobody was answered {status}");

    // What is behind them in their line comes after whatever they came to.
    let (last, _) = post(ERP, stage.envelope(&subject, "200", 3, json!({}))).await?;
    stage.until("the last of the line", |calls| calls.iter().any(|call| call.id() == last)).await?;
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for call in stage.calls() {
        *seen.entry(call.id().to_owned()).or_default() += 1;
    }
    ensure!(seen == [first, body, producer, last].map(|id| (id, 1)).into(), "{seen:?}");
    Ok(())
}
