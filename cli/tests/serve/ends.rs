//! Who asked is told of the end.

use std::net::SocketAddr;

use chaski_core::identity::callback_id;
use chaski_tests::world::target::Target;
use serde_json::{Value, json};

use crate::process::{Chaski, asking};

/// A message is delivered at its second attempt and one is refused for good: each callback is one request with the
/// outcome. A callback that fails is retried as it asks, and ends in the dead letters once, with nobody told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_tells_of_the_end_and_dies_once_itself() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let chaski = Chaski::start(&folder.path().join("data"), &[]);
    let told = |path: &str| {
        let callback = json!({"url": target.url("told", path), "retry": {"max_attempts": 2, "delays": [0.2]}});
        json!({"callback": callback, "failure_callback": callback, "labels": ["story"]})
    };
    let delivered = chaski.post(&asking("a", &target.url("run", "once"), 0, told("200"))).await.unwrap();
    let dead = chaski.post(&asking("b", &target.url("run", "410"), 0, told("500"))).await.unwrap();
    assert_eq!(chaski.ended_message(&delivered).await["state"], "delivered");
    assert_eq!(chaski.ended_message(&dead).await["state"], "dead");
    let (of_delivered, of_dead) = (callback_id(&delivered, 1), callback_id(&dead, 1));
    assert_eq!(chaski.ended_message(&of_delivered).await["state"], "delivered");
    assert_eq!(chaski.ended_message(&of_dead).await["state"], "dead");
    chaski.until_idle().await;

    let calls = target.calls("told");
    let of = |id: &str| calls.iter().filter(|call| call.id() == id).collect::<Vec<_>>();
    let [call] = of(&of_delivered)[..] else { panic!("{calls:?}") };
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!((&body["id"], &body["state"]), (&json!(delivered), &json!("delivered")), "{body}");
    assert_eq!(body["attempts"].as_array().unwrap().len(), 2, "{body}");
    assert_eq!(body["response"]["status"], 200, "{body}");
    assert_eq!(of(&of_dead).iter().map(|call| call.attempt()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(calls.len(), 3, "somebody else was told: {calls:?}");
    let mut letters: Vec<String> = chaski.get("/dead-letters").await["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| letter["id"].as_str().unwrap().to_owned())
        .collect();
    letters.sort();
    let mut wanted = [dead, of_dead];
    wanted.sort();
    assert_eq!(letters, wanted);
}
