//! What an operator orders holds under load: pauses and cancellations, asked for over the API.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chaski_tests::world::target::Target;
use reqwest::Method;
use serde_json::{Value, json};

use crate::process::{Chaski, PATIENCE, asking, envelope, number};

const SUBJECTS: u64 = 20;
const MESSAGES: u64 = 400;

/// Everything is paused while messages are delivered: hundreds more are accepted and none is requested. One of them is
/// cancelled by its id, a whole subject by name (counted first), and after the resume each other one is attempted once,
/// in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_and_cancellations_hold_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let chaski = Chaski::start(&folder.path().join("data"), &[("CHASKI_LIMITS_CONCURRENCY", "8")]);
    let url = target.url("run", "slow/5");
    let post = async |n: u64| {
        let subject = format!("s{}", n % SUBJECTS);
        let strict = json!({"ordering": if n.is_multiple_of(2) { "strict" } else { "relaxed" }});
        (subject.clone(), n, chaski.post(&asking(&subject, &url, n, strict)).await.unwrap())
    };
    let mut posted = Vec::new();
    for n in 0..MESSAGES {
        posted.push(post(n).await);
    }
    let (status, pause) = chaski.act(Method::POST, "/pauses", &json!({"all": true})).await;
    assert_eq!(status, 201, "{pause}");
    until_nothing_is_in_flight(&chaski).await;
    let before = target.calls("run").len();
    for n in MESSAGES..2 * MESSAGES {
        posted.push(post(n).await);
    }
    assert_eq!(target.calls("run").len(), before, "requests in a pause");

    // The last of each are surely not delivered yet.
    let (_, _, one) = posted[posted.len() - 1].clone();
    let (status, answer) = chaski.act(Method::DELETE, &format!("/messages/{one}"), &Value::Null).await;
    assert_eq!((status, answer["state"].as_str()), (200, Some("cancelled")), "{answer}");
    let (status, _) = chaski.act(Method::DELETE, &format!("/messages/{one}"), &Value::Null).await;
    assert_eq!(status, 409, "it is at its end");
    let delivered: Vec<String> = target.calls("run").iter().map(|call| call.id().to_owned()).collect();
    let of = |subject: &str| posted.iter().filter(|(s, _, id)| s == subject && !delivered.contains(id)).count();
    let wanted = u64::try_from(of("s4")).unwrap();
    let (_, counted) = chaski.act(Method::POST, "/messages/cancel", &json!({"subject": "s4", "dry_run": true})).await;
    assert_eq!(counted["matched"], wanted, "{counted}");
    let (_, cancelled) = chaski.act(Method::POST, "/messages/cancel", &json!({"subject": "s4"})).await;
    assert_eq!(cancelled["cancelled"], wanted, "{cancelled}");
    assert_eq!(target.calls("run").len(), before, "requests in a pause");

    let (status, _) =
        chaski.act(Method::DELETE, &format!("/pauses/{}", pause["id"].as_str().unwrap()), &Value::Null).await;
    assert!((200..300).contains(&status), "{status}");
    chaski.until_idle().await;
    let calls = target.calls("run");
    let mut made: HashMap<&str, Vec<u32>> = HashMap::new();
    for call in &calls {
        made.entry(call.id()).or_default().push(call.attempt());
    }
    for (subject, n, id) in &posted {
        let gone = *id == one || (subject == "s4" && !delivered.contains(id));
        let wanted: &[u32] = if gone { &[] } else { &[1] };
        assert_eq!(made.get(id.as_str()).map_or(&[][..], Vec::as_slice), wanted, "{subject} {n}");
    }
    for subject in 0..SUBJECTS {
        let of = |call: &&chaski_tests::world::target::Call| call.header("chaski-subject") == format!("s{subject}");
        let line: Vec<u64> = calls.iter().filter(of).map(|call| number(&call.body)).collect();
        assert!(line.is_sorted(), "s{subject}: {line:?}");
    }
}

/// A subject is paused while others go on: they are all delivered before its first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_subject_holds_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let chaski = Chaski::start(&folder.path().join("data"), &[]);
    let (status, pause) = chaski.act(Method::POST, "/pauses", &json!({"subject": "held"})).await;
    assert_eq!(status, 201, "{pause}");
    let url = target.url("run", "200");
    for n in 0..20 {
        chaski.post(&asking("held", &url, n, json!({"ordering": "strict"}))).await.unwrap();
    }
    for n in 0..50 {
        let id = chaski.post(&envelope(&format!("free{}", n % 5), &url, n)).await.unwrap();
        assert_eq!(chaski.ended_message(&id).await["state"], "delivered");
    }
    assert!(target.calls("run").iter().all(|call| call.header("chaski-subject") != "held"), "it was not held");
    chaski.act(Method::DELETE, &format!("/pauses/{}", pause["id"].as_str().unwrap()), &Value::Null).await;
    chaski.until_idle().await;
    let calls = target.calls("run");
    let held = calls.iter().filter(|call| call.header("chaski-subject") == "held");
    assert!(held.map(|call| number(&call.body)).eq(0..20));
}

/// A pause lets what runs come to its end.
async fn until_nothing_is_in_flight(chaski: &Chaski) {
    let began = Instant::now();
    loop {
        let queues = chaski.get("/queues").await;
        let in_flight: u64 = queues["items"].as_array().unwrap().iter().map(|q| q["in_flight"].as_u64().unwrap()).sum();
        if in_flight == 0 {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{queues}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
