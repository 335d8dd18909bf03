//! A door between a function and the local AWS that refuses what the script says. Behind the ingress single entries
//! of a call, which AWS answers with 200 and a list of failures, and the local AWS never does by itself; behind the
//! consumers whole retries, burials, callbacks, and what strict lines are to remember. So the real adapters see real refusals.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::home::faults::Faults;

const TARGET: &str = "x-amz-target";
const SEND: &str = "AmazonSQS.SendMessage";
const SEND_BATCH: &str = "AmazonSQS.SendMessageBatch";
const PUT: &str = "DynamoDB_20120810.PutItem";
/// In the text of an entry that tells of another message's end.
const CALLBACK: &str = r#""callback_of":"#;

/// Whose calls pass the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// Entries of batches are refused.
    Ingress,
    /// Retries, burials, callbacks and what lines remember are refused.
    Consumers,
}

#[derive(Clone)]
struct Door {
    client: reqwest::Client,
    behind: String,
    caller: Caller,
    faults: Faults,
}

/// Opens a door in front of `behind`, for as long as the process lives; its own endpoint.
pub(super) async fn open(behind: &str, caller: Caller, faults: Faults) -> anyhow::Result<String> {
    // The local AWS speaks HTTP only: no roots, so that none are looked for.
    let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls).build()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("the door can't listen")?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let door = Door { client, behind: behind.to_owned(), caller, faults };
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let door = door.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| door.pass(request));
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(endpoint)
}

impl Door {
    async fn pass(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (status, body) = self.answer(request).await.unwrap_or_else(|error| (502, error.to_string().into()));
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/x-amz-json-1.0"));
        Ok(response)
    }

    async fn answer(&self, request: Request<Incoming>) -> anyhow::Result<(u16, Bytes)> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let operation = head.headers.get(TARGET).and_then(|target| target.to_str().ok()).unwrap_or_default();
        if self.refuses_settlement(operation, &body) {
            // Not one that the SDK tries again by itself.
            let refusal = json!({"__type": "AccessDeniedException", "message": "refused by the script"});
            return Ok((400, refusal.to_string().into()));
        }
        let (body, refused) = match (self.caller, operation) {
            (Caller::Ingress, SEND_BATCH) => self.without_refused(&body)?,
            _ => (body, Vec::new()),
        };
        // The signature does not fit a changed body; the local AWS does not check that of its root user.
        let mut forward = self.client.request(head.method, format!("{}{}", self.behind, head.uri.path()));
        for (name, value) in head.headers.iter().filter(|(name, _)| *name != "content-length") {
            forward = forward.header(name, value);
        }
        if !refused.is_empty() && entries(&body).is_some_and(|left| left.is_empty()) {
            return Ok((200, json!({"Successful": [], "Failed": refused}).to_string().into()));
        }
        let answer = forward.body(body).send().await?;
        let (status, text) = (answer.status().as_u16(), answer.bytes().await?);
        if refused.is_empty() || status != 200 {
            return Ok((status, text));
        }
        let mut told: Value = serde_json::from_slice(&text)?;
        if let Some(fields) = told.as_object_mut() {
            fields.insert("Failed".to_owned(), refused.into());
        }
        Ok((status, told.to_string().into()))
    }

    fn refuses_settlement(&self, operation: &str, body: &[u8]) -> bool {
        if self.caller == Caller::Ingress || ![SEND, PUT].contains(&operation) {
            return false;
        }
        let call: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |place: &str| call.pointer(place).and_then(Value::as_str);
        if text("/MessageBody").is_some_and(|body| body.contains(CALLBACK)) && self.faults.refuses_callback() {
            return true;
        }
        let group = match (operation, text("/Item/pk/S")) {
            (SEND, _) => text("/MessageGroupId").map(str::to_owned),
            // What a strict line remembers stands under its head's id.
            (_, Some(row)) => match row.strip_prefix("line#").and_then(|row| row.split('#').next()) {
                Some(id) => self.faults.group_of(id),
                None => return false,
            },
            // A subject's digest in the table is its group's id. What can't be read has none: the empty one.
            (_, None) => text("/Item/subject_digest/S").map(str::to_owned),
        };
        self.faults.refuses_settlement_of(&group.unwrap_or_default())
    }

    /// The call without the entries that are refused, and the answer's words on them.
    fn without_refused(&self, body: &[u8]) -> anyhow::Result<(Bytes, Vec<Value>)> {
        let mut call: Value = serde_json::from_slice(body)?;
        let mut refused = Vec::new();
        if let Some(entries) = call.get_mut("Entries").and_then(Value::as_array_mut) {
            entries.retain(|entry| {
                let refuse =
                    self.faults.refuses_entry(entry.get("MessageBody").and_then(Value::as_str).unwrap_or_default());
                if refuse {
                    let words = "refused by the script";
                    refused.push(
                        json!({"Id": entry.get("Id"), "SenderFault": false, "Code": "InternalError", "Message": words}),
                    );
                }
                !refuse
            });
        }
        Ok((call.to_string().into(), refused))
    }
}

fn entries(body: &[u8]) -> Option<Vec<Value>> {
    serde_json::from_slice::<Value>(body).ok()?.get("Entries")?.as_array().cloned()
}
