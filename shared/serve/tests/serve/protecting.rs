//! Targets are protected: a key's limits hold from the API to the target, and a host that keeps failing is left alone
//! until it answers.

use crate::world::{Host, Target, envelope, in_time};

fn with_flow(subject: &str, target: &str, flow: &str) -> String {
    envelope(subject, target).replacen('{', &format!(r#"{{"flow":{flow},"#), 1)
}

#[tokio::test]
async fn two_at_once_of_a_key_are_two_at_once_at_the_target() {
    let target = Target::start(0).await;
    let (host, _folder) = Host::patient("").await;
    let flow = r#"{"key":"crm","parallelism":2}"#;
    for n in 0..6 {
        let told = host.ask("POST", "/messages", &with_flow(&format!("s{n}"), &target.url, flow)).await;
        assert_eq!(told.status, 200, "{}", told.body);
    }
    target.is_asked(2).await;
    // Whoever is in no flow passes them, so they have had their chance.
    host.ask("POST", "/messages", &envelope("free", &target.url)).await;
    target.is_asked(1).await;
    in_time(async { while host.metric(r#"chaski_gate_waits_total{gate="flow"}"#).await < 4.0 {} }).await;
    assert_eq!(host.metric("chaski_in_flight").await, 3.0);
    assert_eq!(target.requests.available_permits(), 0);
    target.answers.add_permits(7);
    target.is_asked(4).await;
    in_time(async { while host.metric("chaski_in_flight").await > 0.0 {} }).await;
    let listed = host.ask("GET", "/messages?state=delivered", "").await;
    let items = listed.json()["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), 7);
    assert!(items.iter().all(|item| item["attempts"].as_array().is_none_or(|attempts| attempts.len() == 1)));
}

#[tokio::test]
async fn a_wrong_flow_is_refused_by_its_fields() {
    let (host, _folder) = Host::patient("").await;
    let told = host
        .ask("POST", "/messages", &with_flow("s", "http://127.0.0.1:9/", r#"{"key":"","rate":0,"per":"1ms"}"#))
        .await;
    assert_eq!(told.status, 400);
    let pointers: Vec<String> = told.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap().to_owned())
        .collect();
    for field in ["/flow/key", "/flow/rate", "/flow/per"] {
        assert!(pointers.iter().any(|pointer| pointer == field), "{pointers:?}");
    }
}

#[tokio::test]
async fn a_host_that_keeps_failing_is_left_alone_until_it_answers() {
    let target = Target::start(1).await;
    let (host, _folder) = Host::patient("[retry.connection]\nper_queue = 1\nqueues = [\"slow\"]").await;
    // Twenty in a row, over a second: as many as that takes.
    in_time(async {
        let mut n = 0;
        while host.metric("chaski_open_breakers").await < 1.0 {
            host.ask("POST", "/messages", &envelope(&format!("dead{n}"), "http://127.0.0.1:9/")).await;
            n += 1;
        }
    })
    .await;
    // It is the same host: a probe finds out that it answers, and everything flows.
    host.ask("POST", "/messages", &envelope("well", &target.url)).await;
    target.is_asked(1).await;
    in_time(async { while host.metric("chaski_open_breakers").await > 0.0 {} }).await;
    assert!(host.metric(r#"chaski_gate_waits_total{gate="host"}"#).await > 0.0);
}
