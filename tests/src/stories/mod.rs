//! What a message can ask for, told once and played on both homes end to end: against the deployed functions, and
//! against a process of `chaski serve`. A story posts over HTTP and looks at what the target got.

#![expect(clippy::print_stdout, reason = "what a story measured is for whoever runs it")]

pub mod callbacks;
pub mod keys;
pub mod outage;
pub mod pace;
pub mod rotation;

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::world::stack::eventually;
use crate::world::target::{Call, Target};

/// How often a story looks at what it waits for.
const POLL: Duration = Duration::from_millis(50);

/// A running Chaski, as a producer meets it, and what its operator sees.
pub trait Running {
    /// Posts envelopes in one call; the items of the answer.
    fn post_batch(&self, envelopes: &[Value]) -> impl Future<Output = anyhow::Result<Vec<Value>>>;

    /// The dead letters of the subjects that begin so: each one's id, and the class of its last error.
    fn buried(&self, subject: &str) -> impl Future<Output = anyhow::Result<Vec<(String, String)>>>;

    /// Cancels what waits and has this label.
    fn cancel_label(&self, label: &str) -> impl Future<Output = anyhow::Result<()>>;

    /// Waits until no queue holds anything.
    fn quiet(&self) -> impl Future<Output = anyhow::Result<()>>;
}

/// Where a story plays: a Chaski, a target that it may call, and a name that no other story has there.
#[derive(Debug)]
pub struct Stage<'a, R> {
    /// Chaski.
    pub chaski: &'a R,
    /// The target.
    pub target: &'a Target,
    /// The name.
    pub run: &'a str,
}

impl<R> Stage<'_, R> {
    /// A subject of this story's own.
    fn subject(&self, name: impl std::fmt::Display) -> String {
        format!("{}_{name}", self.run)
    }

    /// An envelope to a path of the target, with a number in its body, and what else it asks for.
    fn envelope(&self, subject: &str, path: &str, n: u64, asked: Value) -> Value {
        let url = self.target.url(self.run, path);
        let mut envelope = json!({"subject": subject, "message": {"url": url, "body": {"n": n}}});
        if let (Value::Object(envelope), Value::Object(asked)) = (&mut envelope, asked) {
            envelope.extend(asked);
        }
        envelope
    }

    fn calls(&self) -> Vec<Call> {
        self.target.calls(self.run)
    }

    /// Waits until that is so of the target's requests.
    async fn until(&self, what: &str, is_so: impl Fn(&[Call]) -> bool) -> anyhow::Result<()> {
        eventually(what, || async {
            let calls = self.calls();
            Ok(if is_so(&calls) { Ok(()) } else { Err(format!("{} requests", calls.len())) })
        })
        .await
    }
}

impl<R: Running> Stage<'_, R> {
    /// Posts envelopes that are all taken; their ids.
    async fn accepted(&self, envelopes: &[Value]) -> anyhow::Result<Vec<String>> {
        let items = self.chaski.post_batch(envelopes).await?;
        ensure!(items.len() == envelopes.len(), "{} of {} are answered", items.len(), envelopes.len());
        let id = |item: &Value| item.get("id")?.as_str().map(str::to_owned);
        items.iter().map(|item| id(item).with_context(|| format!("not taken: {item}"))).collect()
    }
}

/// The number in a request's body.
fn number(call: &Call) -> u64 {
    let body = serde_json::from_slice::<Value>(&call.body).unwrap_or_default();
    body.get("n").and_then(Value::as_u64).unwrap_or(u64::MAX)
}
