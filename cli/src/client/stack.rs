//! A stack on AWS: the operators' calls are answered in this very process by the code that answers them in a server,
//! over the stack's table and queues; messages go through the stack's API.

use std::env;
use std::sync::Arc;

use chaski_aws::SqsQueues;
use chaski_core::api::{Api, Door, Request, handle};
use chaski_core::app::Ingress;
use chaski_core::limits;
use chaski_dynamodb::{ControlTable, Records};
use chaski_operator::{Account, Stack, StackDesk};
use chaski_signed::{S3, S3Bodies};
use chaski_system::{SystemChance, SystemClock};
use reqwest::header::HeaderMap;

use super::call::{Answer, Body, Call, Method};
use super::error::ClientError;
use super::http::{self, Http};

type Desk = Api<SqsQueues, SystemClock, SystemChance, StackDesk<SystemClock>>;

/// A stack, asked with the caller's own rights.
pub(super) struct StackDoor {
    /// What producers call.
    front: Http,
    /// What operators call.
    desk: Desk,
    shown: String,
}

impl std::fmt::Debug for StackDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl StackDoor {
    /// Finds the caller's credentials, and asks CloudFormation where the stack's parts are.
    pub(super) async fn open(name: &str, key: Option<&str>) -> Result<Self, ClientError> {
        let no_stack = |reason: String| ClientError::NoStack { stack: name.to_owned(), reason };
        let account = Account::find(|name| env::var(name).ok()).await.map_err(|error| no_stack(error.to_string()))?;
        let plain = http::client(HeaderMap::new(), "")?;
        let stack = Stack::describe(&account, &plain, name).await.map_err(|error| no_stack(error.to_string()))?;
        let url = stack.api_url.parse().map_err(no_stack)?;
        // Where producers are known by their keys the API wants one, and no signature.
        let signer = (!stack.keyed).then(|| account.signer("execute-api"));
        let front = Http::new(&url, key.filter(|_| stack.keyed), signer)?;
        let (clients, clock) = (account.clients(), SystemClock::start());
        let dynamodb = chaski_dynamodb::client(clients);
        let records = Records::new(dynamodb.clone(), stack.table.as_str());
        let control = stack.control.as_deref().map(|table| ControlTable::new(dynamodb, table));
        let bucket = stack.bucket.as_deref().map(|name| S3::new(clients, name));
        let desk = StackDesk::new(&stack, clients.sqs(), records, control, clock);
        let desk = desk.with_bodies(S3Bodies::new(bucket, clock));
        let queues = SqsQueues::new(clients.sqs(), stack.queues.clone(), clock);
        let ingress = Ingress::new(Arc::new(stack.settings), queues, clock, SystemChance);
        let door = Door { body_bytes: limits::EVENT_BYTES, local: false, tls: true };
        Ok(Self { front, desk: Api::new(ingress, Some(desk), door), shown: format!("the stack {name}") })
    }

    pub(super) fn server(&self) -> &str {
        &self.shown
    }

    /// Makes one call. How long it may take is bounded by what it asks of AWS.
    pub(super) async fn ask(&self, call: Call) -> Result<Answer, ClientError> {
        if is_producers(&call) {
            return self.front.ask(call).await;
        }
        let response = handle(&self.desk, &request(call)).await;
        match Answer::of(response.status, None, response.body, false) {
            Ok(answer) => Ok(answer),
            Err(Some(refusal)) => Err(ClientError::Refused(refusal)),
            Err(None) => Err(ClientError::Unreadable(format!("status {}", response.status))),
        }
    }
}

/// Whether it is a message that is sent.
fn is_producers(call: &Call) -> bool {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    call.method == Method::Post && matches!(path.as_slice(), ["messages"] | ["messages", "batch"] | ["bodies"])
}

/// The call as the API reads it.
fn request(call: Call) -> Request {
    // The path's and the query's escapes are those of a URL; which one does not matter here.
    let mut url = reqwest::Url::parse("http://stack").ok();
    if let Some(url) = &mut url {
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(&call.path);
        }
        for (name, value) in call.query.pairs() {
            url.query_pairs_mut().append_pair(name, &value);
        }
    }
    let (path, query) =
        url.map(|url| (url.path().to_owned(), url.query().unwrap_or_default().to_owned())).unwrap_or_default();
    let method = match call.method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Delete => "DELETE",
    };
    let body = match call.body {
        Body::None => Vec::new(),
        Body::Json(text) => text.into_bytes(),
        Body::Lines(lines) => lines,
    };
    Request {
        method: method.to_owned(),
        path,
        query,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body,
        // AWS checks every call that is made for it.
        platform_caller: true,
        platform_id: "operator".to_owned(),
    }
}
