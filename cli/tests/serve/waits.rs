//! Times outlive the process, and what is over is not sent.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chaski_tests::world::target::Target;
use serde_json::json;

use crate::process::{Chaski, PATIENCE, asking, envelope};

/// A message waits for its time while the process is killed and started again: it comes then, not early, once, and
/// behind what was posted to its subject meanwhile. Its ledger says until when it waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delayed_message_comes_in_time_after_a_restart() {
    const DELAY: Duration = Duration::from_secs(3);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let target = Target::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = target.url("run", "200");
    let chaski = Chaski::start(&data, &[]);
    let posted = Instant::now();
    let later = chaski.post(&asking("s", &url, 1, json!({"delay": "3s"}))).await.unwrap();
    let message = chaski.get(&format!("/messages/{later}")).await;
    assert_eq!(message["state"], "pending", "{message}");
    assert!(message["next_due"].is_string(), "{message}");
    chaski.kill();

    let chaski = Chaski::start(&data, &[]);
    let now = chaski.post(&envelope("s", &url, 0)).await.unwrap();
    assert_eq!(chaski.ended_message(&now).await["state"], "delivered");
    assert_eq!(chaski.ended_message(&later).await["state"], "delivered");
    let calls = target.calls("run");
    let seen: Vec<&str> = calls.iter().map(|call| call.id()).collect();
    assert_eq!(seen, [now, later]);
    assert!(calls[1].at - posted >= DELAY, "it came {:?} after it was posted", calls[1].at - posted);
}

/// The head of a strict line waits for its retry longer than the next message lives: the next is never sent, it ends as
/// `expired` with a record, and the one behind it goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_message_makes_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let chaski = Chaski::start(&folder.path().join("data"), &[]);
    let strict = json!({"ordering": "strict"});
    let brief = json!({"ordering": "strict", "expires_in": "300ms"});
    chaski.post(&asking("s", &target.url("run", "once"), 0, strict.clone())).await.unwrap();
    let began = Instant::now();
    while target.calls("run").is_empty() {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let brief = chaski.post(&asking("s", &target.url("run", "200"), 1, brief)).await.unwrap();
    let last = chaski.post(&asking("s", &target.url("run", "200"), 2, strict)).await.unwrap();
    assert_eq!(chaski.ended_message(&last).await["state"], "delivered");
    assert_eq!(chaski.ended_message(&brief).await["state"], "expired");
    assert!(target.calls("run").iter().all(|call| call.id() != brief), "what had expired was sent");
    let letters = chaski.get("/dead-letters?error=expired").await;
    assert_eq!(letters["items"].as_array().unwrap().len(), 1, "{letters}");
    assert_eq!(letters["items"][0]["id"], *brief);
}
