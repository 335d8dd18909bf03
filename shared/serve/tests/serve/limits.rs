//! Everything is bounded, and at its bound a caller hears why.

use std::time::Duration;

use chaski_core::limits::SERVE_BATCH_BYTES;
use chaski_serve::Patience;

use crate::world::{Host, Target, envelope, in_time, request};

/// Long enough for a test's own next step, short enough to be waited for.
const SHORT: Duration = Duration::from_millis(300);
const CHUNKED: &str = "POST /messages/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                       transfer-encoding: chunked\r\n\r\n";

async fn host_with(patience: Patience) -> (Host, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Host::start(folder.path(), "", patience).await.unwrap(), folder)
}

fn head(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n")
}

#[tokio::test]
async fn a_connection_too_many_is_told_so() {
    let (host, _folder) = Host::patient("[limits]\nconnections = 2").await;
    let mut callers = [host.caller().await, host.caller().await];
    for caller in &mut callers {
        caller.say(&request("GET", "/health", "")).await;
        assert_eq!(caller.answer().await.unwrap().status, 200);
    }
    let mut third = host.caller().await;
    third.say(&request("GET", "/health", "")).await;
    let told = third.answer().await.unwrap();
    assert_eq!((told.status, told.header("connection")), (503, Some("close")));
    assert_eq!(told.json()["detail"], "too many connections are open");
    assert_eq!(told.json()["instance"], told.header("x-request-id").unwrap());
    assert!(told.header("retry-after").is_some());
    third.hush().await;
    assert!(third.is_hung_up_on().await);
    // Those who are in are served on, and a place that is left is taken.
    let [mut stays, leaves] = callers;
    stays.say(&request("GET", "/health", "")).await;
    assert_eq!(stays.answer().await.unwrap().status, 200);
    drop(leaves);
    host.ask_until("/health", |answer| answer.status == 200).await;
}

#[tokio::test]
async fn who_waits_for_an_end_and_hangs_up_leaves_its_place() {
    let target = Target::start(0).await;
    let (host, _folder) = Host::patient("[limits]\nconnections = 2").await;
    let id = host.ask("POST", "/messages", &envelope("s", &target.url)).await.json()["id"].as_str().unwrap().to_owned();
    target.is_asked(1).await;
    let mut waiting = host.caller().await;
    waiting.say(&request("GET", &format!("/messages/{id}?wait=60s"), "")).await;
    let mut other = host.caller().await;
    other.say(&request("GET", "/health", "")).await;
    assert_eq!(other.answer().await.unwrap().status, 200);
    drop(waiting);
    host.ask_until("/health", |answer| answer.status == 200).await;
    target.answers.add_permits(1);
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let (host, _folder) = host_with(Patience { head: SHORT, ..Patience::default() }).await;
    let (mut slow, mut silent) = (host.caller().await, host.caller().await);
    slow.say("GET /health HTTP/1.1\r\nhost: loc").await;
    // Others are served meanwhile.
    assert_eq!(host.ask("GET", "/health", "").await.status, 200);
    assert!(slow.answer().await.is_none_or(|answer| answer.status == 408));
    assert!(silent.answer().await.is_none_or(|answer| answer.status == 408));
    assert!(slow.is_hung_up_on().await && silent.is_hung_up_on().await);
}

#[tokio::test]
async fn a_head_of_any_size_is_not_read() {
    let (host, _folder) = Host::patient("").await;
    let mut caller = host.caller().await;
    let said = caller.try_say(&format!("GET /health HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(1 << 20))).await;
    let told = caller.answer().await;
    assert!(!said || told.is_none_or(|answer| answer.status == 431));
    assert_eq!(host.ask("GET", "/health", "").await.status, 200);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let quick = Patience { piece: SHORT, ..Patience::default() };
    // Byte by byte each piece is in time, and the whole is not.
    let whole = Patience { body: SHORT, ..Patience::default() };
    for patience in [quick, whole] {
        let (host, _folder) = host_with(patience).await;
        let mut caller = host.caller().await;
        caller.say(&(head("/messages", 100_000) + "\r\n{")).await;
        let told = caller.answer().await.unwrap();
        assert_eq!((told.status, told.header("connection")), (400, Some("close")));
        assert_eq!(told.json()["detail"], "the body came too slowly");
    }
}

#[tokio::test]
async fn who_hangs_up_within_a_body_has_sent_nothing() {
    let (host, _folder) = Host::patient("").await;
    let body = envelope("s", "http://127.0.0.1:9/");
    let mut caller = host.caller().await;
    caller.say(&(head("/messages", body.len()) + "\r\n" + &body[..body.len() - 1])).await;
    drop(caller);
    let mut caller = host.caller().await;
    caller.say(&(head("/messages", body.len()) + "\r\n" + &body[..body.len() - 1])).await;
    caller.hush().await;
    assert!(caller.answer().await.is_none_or(|answer| answer.status == 400));
    in_time(async { while host.metric("chaski_connections").await > 1.0 {} }).await;
    assert_eq!(host.ask("GET", "/messages", "").await.json()["items"], serde_json::json!([]));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let (host, _folder) = Host::patient("").await;
    let mut caller = host.caller().await;
    caller.say(&(head("/messages/batch", SERVE_BATCH_BYTES + 1) + "expect: 100-continue\r\n\r\n")).await;
    let told = caller.answer().await.unwrap();
    assert_eq!((told.status, told.header("connection")), (413, Some("close")));
    assert_eq!(told.json()["type"], "urn:chaski:problem:too-large");
    assert!(caller.is_hung_up_on().await);
}

#[tokio::test]
async fn who_sends_too_much_without_asking_comes_to_read_why_not() {
    let (host, _folder) = Host::patient("").await;
    let mut caller = host.caller().await;
    caller.say(&(head("/messages/batch", SERVE_BATCH_BYTES + 1) + "\r\n")).await;
    caller.say(&" ".repeat(SERVE_BATCH_BYTES + 1)).await;
    assert_eq!(caller.answer().await.unwrap().status, 413);
    let mut caller = host.caller().await;
    caller.say(CHUNKED).await;
    let chunk = format!("100000\r\n{}\r\n", " ".repeat(1 << 20));
    for _ in 0..=SERVE_BATCH_BYTES >> 20 {
        caller.say(&chunk).await;
    }
    assert_eq!(caller.answer().await.unwrap().status, 413);
}

#[tokio::test]
async fn a_body_at_the_limit_is_read_told_and_in_chunks() {
    let (host, _folder) = Host::patient("").await;
    let mut caller = host.caller().await;
    let body = format!("[{}]", " ".repeat(SERVE_BATCH_BYTES - 2));
    caller.say(&(head("/messages/batch", body.len()) + "\r\n" + &body)).await;
    let told = caller.answer().await.unwrap();
    caller.say(&format!("{CHUNKED}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).await;
    let chunked = caller.answer().await.unwrap();
    assert_ne!(told.status, 413);
    assert_eq!((told.status, &told.body.len()), (chunked.status, &chunked.body.len()));
}

/// More pieces than there is room in KiB.
#[tokio::test]
async fn a_body_in_pieces_of_a_byte_takes_no_more_room_than_another() {
    let (host, _folder) = Host::patient("").await;
    let mut caller = host.caller().await;
    caller.say(&format!("{CHUNKED}1\r\n[\r\n{}1\r\n]\r\n0\r\n\r\n", "1\r\n \r\n".repeat(70_000))).await;
    let pieces = caller.answer().await.unwrap();
    caller.say(&request("POST", "/messages/batch", "[]")).await;
    let whole = caller.answer().await.unwrap();
    assert_eq!((pieces.status, pieces.body.len()), (whole.status, whole.body.len()));
}

#[tokio::test]
async fn all_bodies_together_take_so_much_and_no_more() {
    let (host, _folder) = host_with(Patience { room: SHORT, ..Patience::default() }).await;
    let mut holding = Vec::new();
    for _ in 0..4 {
        let mut caller = host.caller().await;
        caller.say(&(head("/messages/batch", SERVE_BATCH_BYTES) + "expect: 100-continue\r\n\r\n")).await;
        // It has its room, and is asked for the body.
        assert_eq!(caller.answer().await.unwrap().status, 100);
        holding.push(caller);
    }
    let message = envelope("s", "http://127.0.0.1:9/");
    let told = host.ask("POST", "/messages", &message).await;
    assert_eq!((told.status, told.header("retry-after").is_some()), (503, true));
    assert_eq!(host.ask("GET", "/health", "").await.status, 200);
    drop(holding);
    in_time(async { while host.ask("POST", "/messages", &message).await.status != 200 {} }).await;
}
