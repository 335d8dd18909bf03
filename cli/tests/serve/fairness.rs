//! One subject with many messages and one hanging target take nothing from the others.

use std::net::SocketAddr;
use std::time::Instant;

use chaski_tests::world::target::Target;
use serde_json::{Value, json};

use crate::process::{Chaski, envelope};

/// Messages of the loud subject.
const LOUD: u64 = 5_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_subject_is_served_while_one_is_loud_and_a_target_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    // Another host name, whose connections nobody ever answers.
    let hanging = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let hangs = format!("http://{}/", hanging.local_addr().unwrap());
    let env = [("CHASKI_LIMITS_CONCURRENCY", "80"), ("CHASKI_HTTP_TIMEOUT", "20s")];
    let chaski = Chaski::start(&folder.path().join("data"), &env);
    let loud = (0..LOUD).map(|n| envelope("loud", &target.url("run", "200"), n));
    let hang = (0..200).map(|n| envelope(&format!("hang{n}"), &hangs, n));
    let many: Vec<Value> = hang.chain(loud).collect();
    let answer = chaski
        .http
        .post(format!("{}/messages/batch", chaski.url))
        .header("content-type", "application/json")
        .body(Value::Array(many).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);

    let began = Instant::now();
    for n in 0..50 {
        let id = chaski.post(&envelope(&format!("quiet{n}"), &target.url("run", "200"), n)).await.unwrap();
        let state = chaski.get(&format!("/messages/{id}?wait=60s")).await;
        assert_eq!(state["state"], "delivered", "{state}");
    }
    let waiting = chaski.depth().await;
    assert!(waiting > 200, "the loud subject was done before the quiet ones were measured: {waiting}");
    println!("50 quiet messages one after the other took {:?}, {waiting} entries wait", began.elapsed());
    // The loud one is in order, too.
    let line: Vec<u64> = target
        .calls("run")
        .iter()
        .filter(|call| call.header("chaski-subject") == "loud")
        .map(|call| serde_json::from_slice::<Value>(&call.body).unwrap()["n"].as_u64().unwrap())
        .collect();
    assert!(line.is_sorted());
    let cancelled: Value = serde_json::from_slice(
        &chaski
            .http
            .post(format!("{}/messages/cancel", chaski.url))
            .header("content-type", "application/json")
            .body(json!({"subject": "loud"}).to_string())
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap(),
    )
    .unwrap();
    assert!(cancelled["cancelled"].as_u64().unwrap() > 0, "{cancelled}");
}
