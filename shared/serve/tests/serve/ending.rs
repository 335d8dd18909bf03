//! The end: nobody is left without an answer, and what was accepted is kept.

use std::time::Duration;

use chaski_serve::{Order, Patience};
use tokio::time::Instant;

use crate::world::{Host, Target, envelope, in_time, request};

/// Callers who never pause.
const CALLERS: usize = 16;

#[tokio::test]
async fn under_load_every_request_is_answered_and_every_accepted_message_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(usize::MAX >> 4).await;
    let host = Host::start(folder.path(), "", Patience::default()).await.unwrap();
    let mut calling = Vec::new();
    for n in 0..CALLERS {
        let (mut caller, message) = (host.caller().await, envelope(&format!("s-{n}"), &target.url));
        calling.push(tokio::spawn(async move {
            let mut accepted = 0_usize;
            loop {
                // Until it is told to go: a request that is sent before is one that is answered.
                caller.say(&request("POST", "/messages", &message)).await;
                let answer = caller.answer().await.expect("a request was left unanswered");
                assert_eq!(answer.status, 200, "{answer:?}");
                accepted += 1;
                if answer.header("connection") == Some("close") {
                    return accepted;
                }
            }
        }));
    }
    target.is_asked(200).await;
    host.order(Order::End).await;
    let mut accepted = 0;
    for caller in calling {
        accepted += in_time(caller).await.unwrap();
    }
    host.ended().await.unwrap();

    // What was accepted and not delivered before is delivered now.
    let host = Host::start(folder.path(), "", Patience::default()).await.unwrap();
    in_time(async { while host.metric("chaski_in_flight").await + depth(&host).await > 0.0 {} }).await;
    let mut kept = 0;
    let mut path = "/messages?state=delivered&limit=1000".to_owned();
    loop {
        let page = host.ask("GET", &path, "").await.json();
        kept += page["items"].as_array().unwrap().len();
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/messages?state=delivered&limit=1000&cursor={cursor}"),
            None => break,
        }
    }
    assert!(accepted > 200);
    assert_eq!(kept, accepted);
}

async fn depth(host: &Host) -> f64 {
    let queues = host.ask("GET", "/queues", "").await.json();
    queues["items"].as_array().unwrap().iter().map(|queue| queue["depth"].as_f64().unwrap()).sum()
}

#[tokio::test]
async fn it_waits_for_the_attempts_that_run_and_tells_those_who_wait_for_more() {
    let target = Target::start(0).await;
    let (host, _folder) = Host::patient("").await;
    let ids = [
        host.ask("POST", "/messages", &envelope("s", &target.url)).await.json()["id"].as_str().unwrap().to_owned(),
        host.ask("POST", "/messages", &envelope("s", &target.url)).await.json()["id"].as_str().unwrap().to_owned(),
    ];
    target.is_asked(1).await;
    let mut waiting = host.caller().await;
    waiting.say(&request("GET", &format!("/messages/{}?wait=60s", ids[1]), "")).await;
    // It is in: the next one on the list of connections was answered after it.
    assert_eq!(host.ask("GET", "/health", "").await.status, 200);
    host.order(Order::End).await;
    let told = waiting.answer().await.unwrap();
    assert_eq!((&told.json()["state"], told.header("connection")), (&"pending".into(), Some("close")));
    target.answers.add_permits(1);
    host.ended().await.unwrap();
    assert_eq!(target.requests.available_permits(), 0, "nothing new is begun");
}

#[tokio::test]
async fn a_second_order_ends_it_at_once_and_the_next_start_tries_again() {
    let target = Target::start(0).await;
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(folder.path(), "", Patience::default()).await.unwrap();
    host.ask("POST", "/messages", &envelope("s", &target.url)).await;
    target.is_asked(1).await;
    host.order(Order::End).await;
    host.order(Order::End).await;
    host.ended().await.unwrap();
    let host = Host::start(folder.path(), "", Patience::default()).await.unwrap();
    target.is_asked(1).await;
    target.answers.add_permits(2);
    in_time(async { while depth(&host).await > 0.0 {} }).await;
}

#[tokio::test]
async fn an_attempt_that_does_not_end_is_not_waited_for_beyond_the_grace() {
    let target = Target::start(0).await;
    let (host, _folder) = Host::patient("[limits]\ngrace = \"700ms\"").await;
    host.ask("POST", "/messages", &envelope("s", &target.url)).await;
    target.is_asked(1).await;
    let began = Instant::now();
    host.order(Order::End).await;
    host.ended().await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(700));
}

#[tokio::test]
async fn nobody_new_is_let_in_and_who_is_idle_is_sent_home() {
    let (host, _folder) = Host::patient("").await;
    let mut idle = host.caller().await;
    idle.say(&request("GET", "/health", "")).await;
    assert_eq!(idle.answer().await.unwrap().status, 200);
    let address = host.ready.address;
    host.order(Order::End).await;
    assert!(idle.is_hung_up_on().await);
    host.ended().await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
