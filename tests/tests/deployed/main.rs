//! End to end on the deployed stack: the real binaries on a local AWS, IAM enforced, called over HTTP.
//!
//! Method: messages are posted to the API (or written into a queue, where that is the story), targets
//! remember every request, and the dead-letter table and the logs are read when nothing is in any queue.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by it")]

mod api;
mod asks;
mod bodies;
mod journeys;
mod known_answer;
mod operator;
mod orders;
mod stories;
mod versions;

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use chaski_tests::world::stack::{Stack, eventually};
use chaski_tests::world::target::Target;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// The one target address that the stack's settings allow on loopback.
const TARGET: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4580);

/// The stack, the target, and a name that no other test has.
struct Scene {
    stack: Stack,
    target: Target,
    run: String,
}

/// Runs one story. All share a runtime, in which the target lives, and take turns: each is measured by what
/// it alone put into the queues.
fn scene<F: Future<Output = anyhow::Result<()>>>(name: &str, story: impl FnOnce(Scene) -> F) -> anyhow::Result<()> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    static SHARED: tokio::sync::OnceCell<(Stack, Target)> = tokio::sync::OnceCell::const_new();
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let runtime = RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"));
    runtime.block_on(async {
        let _turn = TURN.lock().await;
        let (stack, target) =
            SHARED.get_or_try_init(|| async { anyhow::Ok((Stack::find()?, Target::start(TARGET).await?)) }).await?;
        let run = format!("{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        story(Scene { stack: stack.clone(), target: target.clone(), run }).await
    })
}

impl Scene {
    /// A subject of this story's own.
    fn subject(&self, name: impl std::fmt::Display) -> String {
        format!("{}_{name}", self.run)
    }

    /// An envelope to a path of this story's target.
    fn envelope(&self, subject: &str, path: &str, body: Value) -> Value {
        json!({"subject": subject, "message": {"url": self.target.url(&self.run, path), "body": body}})
    }

    /// Waits until the target got that many requests of this story.
    async fn requests(&self, count: usize) -> anyhow::Result<()> {
        eventually(&format!("{count} requests"), || async {
            let seen = self.target.calls(&self.run).len();
            Ok(if seen >= count { Ok(()) } else { Err(format!("{seen}")) })
        })
        .await
    }

    /// Waits until this story has that many dead letters, and gives them.
    async fn dead_letters(&self, count: usize) -> anyhow::Result<Vec<Value>> {
        eventually(&format!("{count} dead letters"), || async {
            let found = self.stack.dead_letters(&self.run).await?;
            Ok(if found.len() >= count { Ok(found) } else { Err(format!("{}", found.len())) })
        })
        .await
    }

    /// Waits until no queue holds anything.
    async fn quiet(&self) -> anyhow::Result<()> {
        eventually("empty queues", || async {
            let depth = self.stack.depth().await?;
            Ok(if depth == 0 { Ok(()) } else { Err(format!("{depth} entries")) })
        })
        .await
    }

    /// Waits until a function's log has that many lines of this story with that action, and gives all of
    /// the story's.
    async fn lines(&self, function: &str, action: &str, count: usize) -> anyhow::Result<Vec<Value>> {
        eventually(&format!("{count} lines `{action}` of {function}"), || async {
            let lines = self.stack.log_lines(function, &self.run).await?;
            let seen = lines.iter().filter(|line| line["event.action"] == action).count();
            Ok(if seen >= count { Ok(lines) } else { Err(format!("{seen}")) })
        })
        .await
    }
}

/// The text of an attribute of an item of DynamoDB.
fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name]["S"].as_str().unwrap_or_default()
}

/// The class of a dead letter's last error.
fn class(item: &Value) -> &str {
    item["error"]["M"]["last"]["M"]["class"]["S"].as_str().unwrap_or_default()
}
