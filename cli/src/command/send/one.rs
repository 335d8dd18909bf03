//! One message, by its fields.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::super::{Context, Failure, messages};
use super::One;
use super::body::Body;
use crate::client::{Message, Receipt};
use crate::output::{Progress, plain, talk, time};

#[derive(Serialize)]
struct Envelope<'a> {
    subject: &'a str,
    message: Request<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    labels: &'a [String],
}

#[derive(Serialize)]
struct Request<'a> {
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_ref: Option<&'a str>,
}

pub(super) async fn send(context: &Context, one: &One, subject: &str, url: &str) -> Result<(), Failure> {
    let body = one.body.as_deref().map(Body::read).transpose()?;
    let (body, uploaded) = match body {
        Some(Body::Large(bytes, is_json)) => {
            let progress = Progress::new(None);
            progress.at(0, format!("uploading {} bytes", bytes.len()));
            (None, Some((context.client.upload(bytes).await?, is_json)))
        }
        body => (body, None),
    };
    let answer = context.client.send(envelope(one, subject, url, body.as_ref(), uploaded.as_ref())?).await?;
    let receipt: Receipt = answer.read()?;
    for warning in &receipt.warnings {
        talk(&format!("warning: {}", plain(warning.as_str().unwrap_or(&warning.to_string()))));
    }
    if one.wait.is_some() {
        return wait(context, one, &receipt.id).await;
    }
    let known = if receipt.duplicate { ", known already" } else { "" };
    context.say(&answer, &plain(&format!("{} accepted into {}{known}", receipt.id, receipt.queue)))
}

/// `uploaded` is the reference of a body that was too large to stand here, and whether it is JSON.
fn envelope(
    one: &One,
    subject: &str,
    url: &str,
    body: Option<&Body>,
    uploaded: Option<&(String, bool)>,
) -> Result<String, Failure> {
    let mut headers = BTreeMap::new();
    for (name, value) in &one.headers {
        if headers.insert(name.as_str(), value.as_str()).is_some() {
            return Err(Failure::Usage(format!("the header {name} is given more than once")));
        }
    }
    let typed = headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
    if uploaded.is_some_and(|(_, is_json)| *is_json) && !typed {
        headers.insert("content-type", "application/json");
    }
    let (body, body_base64) = match body {
        None | Some(Body::Large(..)) => (None, None),
        Some(Body::Json(raw)) => (Some(raw.as_ref()), None),
        Some(Body::Base64(text)) => (None, Some(text.as_str())),
    };
    let body_ref = uploaded.map(|(reference, _)| reference.as_str());
    let message = Request { url, method: one.method.as_deref(), headers, body, body_base64, body_ref };
    let (id, client) = (one.key.as_deref(), one.client.as_deref());
    let envelope = Envelope { subject, message, id, client, labels: &one.labels };
    let failed = |error| Failure::Failed(format!("the envelope can't be written as JSON: {error}"));
    serde_json::to_string(&envelope).map_err(failed)
}

/// Prints the message at its end; a failure unless it is delivered.
async fn wait(context: &Context, one: &One, id: &str) -> Result<(), Failure> {
    let progress = Progress::new(None);
    progress.at(0, format!("{id} is accepted; waiting for its end"));
    let answer = messages::ended(&context.client, id, one.wait.unwrap_or_default()).await?;
    drop(progress);
    messages::print(context, &answer)?;
    let message: Message = answer.read()?;
    if message.state == "delivered" {
        return Ok(());
    }
    let due = message.next_due.as_deref().map(|due| format!(", next due at {} UTC", time(due))).unwrap_or_default();
    let over = if message.is_at_its_end() { "" } else { "the wait is over: " };
    Err(Failure::Failed(format!("{over}the message is {}{due}", plain(&message.state))))
}
