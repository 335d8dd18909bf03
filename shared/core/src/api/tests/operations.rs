//! Queues, pauses, backup, metrics and health at a home with a desk.

use super::fake::{Serve, local, pointers};
use super::*;
use crate::ports::QueueRecord;
use crate::queue::{QueueName, Tier};

fn queue(queue: QueueName, paused: bool, depth: u64, in_flight: u64) -> QueueRecord {
    let oldest_age = (depth > 0).then(|| Duration::from_millis(1_500));
    QueueRecord { queue, paused, depth, in_flight, delayed: 0, oldest_age, delay: None, rates: Some([0.5, 2.0, 0.0]) }
}

fn shard(shard: u32) -> QueueName {
    QueueName::Shard { route: "messages".to_owned(), shard }
}

#[test]
fn every_queue_tells_its_state() {
    let serve = Serve::new("");
    serve.state().queues = vec![
        queue(shard(0), false, 3, 1),
        queue(shard(1), false, 3, 0),
        queue(shard(2), false, 0, 0),
        queue(QueueName::Tier(Tier::Fast), true, 1, 1),
    ];
    let (status, answer) = serve.get("/queues");
    assert_eq!(status, 200);
    let first = json!({"queue": "messages-0", "route": "messages", "state": "busy", "depth": 3, "in_flight": 1,
        "delayed": 0, "oldest_age_ms": 1_500, "in_per_second": 0.5, "out_per_second": 2.0, "failed_per_second": 0.0});
    assert_eq!(answer["items"][0], first);
    let states: Vec<&Value> = answer["items"].as_array().unwrap().iter().map(|item| &item["state"]).collect();
    assert_eq!(states, ["busy", "idle", "empty", "paused"]);
    assert_eq!((answer["items"][2].get("oldest_age_ms"), answer["items"][3].get("route")), (None, None));
}

#[test]
fn each_scope_is_paused_once_and_resumed() {
    let serve = Serve::new("");
    serve.state().queues = vec![queue(shard(0), false, 0, 0)];
    let asked = [
        (json!({"all": true}), json!({"all": true})),
        (json!({"queue": "messages-0"}), json!({"queue": "messages-0"})),
        (json!({"route": "assignments"}), json!({"route": "assignments"})),
        (json!({"subject": "s"}), json!({"subject": "s"})),
        (json!({"subject": "s", "tenant": "t"}), json!({"subject": "s", "tenant": "t"})),
        (json!({"target": "Example.ORG"}), json!({"target": "example.org"})),
    ];
    for (n, (body, scope)) in asked.iter().enumerate() {
        let expected = json!({"id": format!("p-{n}"), "scope": scope, "created_at": "2026-12-01T09:00:00.000Z"});
        assert_eq!(serve.post("/pauses", body), (201, expected.clone()));
        assert_eq!(serve.post("/pauses", body), (200, expected.clone()), "the same scope again");
        assert_eq!(serve.get("/pauses").1["items"][n], expected);
    }
    assert_eq!(serve.post("/pauses", &json!({"subject": "s", "tenant": ""})).1["id"], "p-3", "the caller's own");
    assert_eq!(serve.delete("/pauses/p-0"), (200, json!({"id": "p-0", "resumed": true})));
    assert_eq!(serve.delete("/pauses/p-0").0, 404);
    assert_eq!(serve.get("/pauses").1["items"].as_array().unwrap().len(), 5);
}

#[test]
fn a_scope_that_is_none_holds_nothing_back() {
    let serve = Serve::new("");
    for (body, named) in [
        (json!({}), ""),
        (json!({"all": true, "queue": "messages-0"}), ""),
        (json!({"all": false}), "/all"),
        (json!({"queue": "messages-9"}), "/queue"),
        (json!({"route": "nothing"}), "/route"),
        (json!({"subject": ""}), "/subject"),
        (json!({"subject": "x".repeat(513)}), "/subject"),
        (json!({"target": "http://e.org/"}), "/target"),
        (json!({"route": "messages", "tenant": "t"}), "/tenant"),
        (json!({"all": true, "dry_run": true}), "/dry_run"),
    ] {
        let (status, problem) = serve.post("/pauses", &body);
        assert_eq!(status, 400, "{body}");
        assert!(pointers(&problem).contains(&named), "{body}: {problem}");
    }
    assert!(serve.state().pauses.is_empty());
}

#[test]
fn a_backup_goes_to_a_new_file_with_an_absolute_path() {
    let serve = Serve::new("");
    let body = json!({"to": "/var/backups/chaski.db"});
    assert_eq!(serve.post("/backup", &body), (200, json!({"to": "/var/backups/chaski.db", "bytes": 4_096})));
    let (status, problem) = serve.post("/backup", &body);
    assert_eq!((status, &problem["detail"]), (409, &json!("there is a file already")));
    for body in [json!({}), json!({"to": ""}), json!({"to": "chaski.db"}), json!({"to": 7}), json!({"to": "/a\u{0}"})] {
        let (status, problem) = serve.post("/backup", &body);
        assert_eq!((status, pointers(&problem)), (400, vec!["/to"]), "{body}");
    }
}

#[test]
fn metrics_are_prometheus_text() {
    let response = Serve::new("").response(&local("GET", "/metrics"));
    assert_eq!((response.status, response.body.as_str()), (200, "chaski_accepted_total 1\n"));
    assert_eq!(header(&response, "content-type"), Some("text/plain; version=0.0.4"));
}

#[test]
fn health_names_what_fails() {
    let serve = Serve::new("");
    let checks = json!({"store": "ok", "dispatch": "ok"});
    assert_eq!(serve.get("/health"), (200, json!({"status": "ok", "version": VERSION, "checks": checks})));
    serve.state().wrong = Some("the disk is full".to_owned());
    let checks = json!({"store": "the disk is full", "dispatch": "ok"});
    assert_eq!(serve.get("/health"), (503, json!({"status": "failing", "version": VERSION, "checks": checks})));
}

#[test]
fn a_store_that_does_not_answer_is_503_and_tells_nothing_of_itself() {
    let serve = Serve::new("");
    serve.state().down = true;
    for (method, target) in [
        ("GET", "/messages"),
        ("GET", "/messages/a"),
        ("DELETE", "/messages/a"),
        ("GET", "/dead-letters"),
        ("GET", "/dead-letters/a"),
        ("POST", "/dead-letters/a/replay"),
        ("DELETE", "/dead-letters/a"),
        ("GET", "/queues"),
        ("GET", "/pauses"),
        ("DELETE", "/pauses/a"),
    ] {
        let response = serve.response(&local(method, target));
        assert_eq!(response.status, 503, "{method} {target}");
        assert!(header(&response, "retry-after").unwrap().parse::<u32>().unwrap() <= 10);
        assert!(!response.body.contains("disk"), "{}", response.body);
    }
    for target in ["/messages/cancel", "/dead-letters/replay", "/pauses"] {
        assert_eq!(serve.post(target, &json!({"all": true})).0, 503, "{target}");
    }
}
