//! HTTP/1.1 as callers use it.

use crate::world::{Host, envelope, request};

/// A target that is never reached: nothing listens there.
const NOWHERE: &str = "http://127.0.0.1:9/";

#[tokio::test]
async fn requests_that_come_together_are_answered_in_their_order() {
    let (host, _folder) = Host::patient("").await;
    let mut caller = host.caller().await;
    caller.say(&(request("GET", "/health", "") + &request("POST", "/messages", &envelope("s", NOWHERE)))).await;
    let (first, second) = (caller.answer().await.unwrap(), caller.answer().await.unwrap());
    assert_eq!(first.json()["status"], "ok");
    assert_eq!(first.json()["checks"], serde_json::json!({"store": "ok", "dispatch": "ok", "accept": "ok"}));
    assert_eq!((second.status, &second.json()["subject"]), (200, &"s".into()));
    // And the connection goes on.
    caller.say(&request("GET", "/", "")).await;
    assert_eq!(caller.answer().await.unwrap().json()["name"], "chaski");
}

#[tokio::test]
async fn a_body_is_asked_for_where_the_caller_waits_for_that() {
    let (host, _folder) = Host::patient("").await;
    let mut caller = host.caller().await;
    let body = envelope("s", NOWHERE);
    let (head, _) =
        request("POST", "/messages", &body).split_once("\r\n\r\n").map(|(h, b)| (h.to_owned(), b.len())).unwrap();
    caller.say(&format!("{head}\r\nexpect: 100-continue\r\n\r\n")).await;
    assert_eq!(caller.answer().await.unwrap().status, 100);
    caller.say(&body).await;
    assert_eq!(caller.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_body_may_come_in_chunks() {
    let (host, _folder) = Host::patient("").await;
    let mut caller = host.caller().await;
    let body = envelope("s", NOWHERE);
    caller
        .say("POST /messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    for byte in body.chars() {
        caller.say(&format!("1\r\n{byte}\r\n")).await;
    }
    caller.say("0\r\n\r\n").await;
    assert_eq!(caller.answer().await.unwrap().json()["subject"], "s");
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let (host, _folder) = Host::patient("").await;
    let mut caller = host.caller().await;
    caller.say(&(request("HEAD", "/openapi.json", "") + &request("GET", "/openapi.json", ""))).await;
    let (head, get) = (caller.answer_to("HEAD").await.unwrap(), caller.answer().await.unwrap());
    assert_eq!((head.status, get.status), (200, 200));
    assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()));
}

#[tokio::test]
async fn every_request_has_an_id() {
    let (host, _folder) = Host::patient("").await;
    let mut caller = host.caller().await;
    let mut id_of = async |own: &str| {
        caller.say(&format!("GET /nothing HTTP/1.1\r\nhost: localhost\r\n{own}\r\n")).await;
        let answer = caller.answer().await.unwrap();
        let id = answer.header("x-request-id").unwrap().to_owned();
        assert_eq!(answer.json()["instance"], id.as_str());
        id
    };
    assert_eq!(id_of("x-request-id: mine-1\r\n").await, "mine-1");
    let made = [id_of("").await, id_of("").await, id_of(&format!("x-request-id: {}\r\n", "x".repeat(129))).await];
    assert!(made.iter().all(|id| id.len() > 20 && id.len() < 50), "{made:?}");
    assert_ne!(made[0], made[1]);
}
