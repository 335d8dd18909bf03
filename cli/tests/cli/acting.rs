//! The commands that change something: what they send, when they ask, and what they say.

use crate::common::{Asked, Server, Told, problem, told};

#[test]
fn a_message_is_cancelled_now_or_with_its_attempt() {
    let server = Server::saying(told(200, r#"{"id":"m1","state":"cancelled"}"#));
    assert_eq!(server.run(&["messages", "cancel", "m1"]).quietly(), "m1 cancelled\n");
    assert_eq!(server.lines(), ["DELETE /messages/m1"]);
    assert_eq!(server.asked().first().and_then(|asked| asked.header("content-type")), Some("application/json"));

    let server = Server::saying(told(202, r#"{"id":"m1","state":"cancelling"}"#));
    let out = server.run(&["messages", "cancel", "m1"]).quietly();
    assert_eq!(out, "m1 is being cancelled: no other attempt is made than one that runs now\n");
    let out = server.run(&["messages", "cancel", "m1", "--json"]).quietly();
    assert_eq!(out, "{\"id\":\"m1\",\"state\":\"cancelling\"}\n");

    let server = Server::saying(problem(409, "Conflict", "the message is delivered"));
    let ran = server.run(&["messages", "cancel", "m1"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, "chaski: Conflict (409): the message is delivered\n"));
}

#[test]
fn many_messages_are_cancelled_by_filters() {
    let server = Server::saying(told(200, r#"{"matched":12,"cancelled":11,"cancelling":1}"#));
    let ran = server.run(&["messages", "cancel", "--subject", "s", "--from", "2026-12-01", "--yes"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "11 messages cancelled\n"));
    assert_eq!(ran.err, "1 message more when the attempt that runs has failed\n");
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(server.lines(), ["POST /messages/cancel"]);
    let body = r#"{"subject":"s","from":"2026-12-01T00:00:00.000Z"}"#;
    assert_eq!(asked.first().map(|asked| json(&asked.body)), Some(json(body)));
}

#[test]
fn where_nobody_counts_no_number_is_told() {
    let server = Server::saying(told(202, r#"{"matched":null,"cancelled":0,"cancelling":0}"#));
    let out = server.run(&["messages", "cancel", "--subject", "s", "--yes"]).quietly();
    assert_eq!(out, "all messages that fit are being cancelled, each when its attempt is due\n");
    let out = server.run(&["messages", "cancel", "--subject", "s", "--yes", "--json"]).quietly();
    assert_eq!(json(&out), json(r#"{"matched":null,"cancelled":0,"cancelling":0}"#));
}

#[test]
fn a_dry_run_only_counts() {
    let server = Server::saying(told(200, r#"{"matched":1200,"cancelled":0,"cancelling":0,"dry_run":true}"#));
    let out = server.run(&["messages", "cancel", "--all", "--dry-run"]).quietly();
    assert_eq!(out, "1,200 messages would be cancelled\n");
    let bodies: Vec<_> = server.asked().iter().map(|asked| json(&asked.body)).collect();
    assert_eq!(bodies, [json(r#"{"all":true,"dry_run":true}"#)]);

    let server = Server::saying(told(200, r#"{"matched":3,"replayed":0,"dry_run":true}"#));
    let out = server.run(&["dead-letters", "replay", "--error", "timeout", "--dry-run"]).quietly();
    assert_eq!(out, "3 dead letters would be sent again\n");
    let bodies: Vec<_> = server.asked().iter().map(|asked| json(&asked.body)).collect();
    assert_eq!(bodies, [json(r#"{"error":"timeout","dry_run":true}"#)]);
}

#[test]
fn without_a_terminal_a_batch_action_wants_a_yes() {
    let server = Server::saying(told(200, "{}"));
    for arguments in [["messages", "cancel", "--all"], ["dead-letters", "replay", "--all"]] {
        let ran = server.run_with(&arguments, "y\n");
        assert_eq!(ran.code, 2);
        assert_eq!(ran.err, "chaski: there is no terminal to ask at: say --yes, or look first with --dry-run\n");
    }
    assert_eq!(server.lines(), Vec::<String>::new());
}

#[test]
fn dead_letters_are_replayed_and_deleted() {
    let server = Server::start(|asked| match asked.line().as_str() {
        "POST /dead-letters/d1/replay" => told(202, r#"{"matched":1,"replayed":1}"#),
        "POST /dead-letters/replay" => told(202, r#"{"matched":5,"replayed":5}"#),
        "DELETE /dead-letters/d1" => told(200, r#"{"id":"d1","generation":1,"deleted":true}"#),
        _ => problem(404, "Not found", "there is none"),
    });
    assert_eq!(server.run(&["dead-letters", "replay", "d1"]).quietly(), "d1 is on its way again\n");
    let out = server.run(&["dead-letters", "replay", "--target", "example.org", "--yes"]).quietly();
    assert_eq!(out, "5 dead letters on their way again\n");
    assert_eq!(server.run(&["dead-letters", "delete", "d1"]).quietly(), "d1 deleted\n");
    assert_eq!(server.run(&["dead-letters", "delete", "d2"]).code, 1);
    let bodies: Vec<String> = server.asked().into_iter().map(|asked| asked.body).collect();
    assert_eq!(bodies, ["{}", r#"{"target":"example.org"}"#, "", ""]);
}

#[test]
fn a_replay_that_leaves_some_behind_failed() {
    let server = Server::saying(told(202, r#"{"matched":5,"replayed":4}"#));
    let ran = server.run(&["dead-letters", "replay", "--all", "--yes"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, "4 dead letters on their way again\n"));
    assert_eq!(ran.err, "1 dead letter could not be sent, and can be replayed later\n");
}

#[test]
fn each_scope_can_be_paused() {
    let server = Server::start(|asked| {
        told(201, format!("{{\"id\":\"p1\",\"scope\":{},\"created_at\":\"2026-12-01T09:00:00Z\"}}", asked.body))
    });
    let cases: [(&[&str], &str, &str); 6] = [
        (&["--all"], r#"{"all":true}"#, "everything"),
        (&["--queue", "messages-0"], r#"{"queue":"messages-0"}"#, "queue messages-0"),
        (&["--route", "messages"], r#"{"route":"messages"}"#, "route messages"),
        (&["--subject", "s"], r#"{"subject":"s"}"#, "subject s"),
        (&["--subject", "s", "--tenant", "t"], r#"{"subject":"s","tenant":"t"}"#, "subject s of tenant t"),
        (&["--target", "example.org"], r#"{"target":"example.org"}"#, "target example.org"),
    ];
    for (flags, body, words) in cases {
        let out = server.run(&[&["pause"], flags].concat()).quietly();
        assert_eq!(out, format!("{words} paused: p1\n"));
        assert_eq!(
            server.asked().last().map(|asked| (asked.line(), asked.body.clone())),
            Some(("POST /pauses".into(), body.into()))
        );
    }
    for wrong in [&["pause"][..], &["pause", "--all", "--queue", "q"], &["pause", "--tenant", "t", "--all"]] {
        assert_eq!(server.run(wrong).code, 2, "{wrong:?}");
    }
}

fn two_pauses(asked: &Asked) -> Told {
    match asked.line().as_str() {
        "GET /pauses" => told(
            200,
            r#"{"items":[{"id":"p1","scope":{"all":true}},{"id":"p2","scope":{"subject":"s","tenant":""}},{"id":"p3","scope":{"route":"r"}}]}"#,
        ),
        "DELETE /pauses/p1" => told(200, r#"{"id":"p1","resumed":true}"#),
        "DELETE /pauses/p2" => told(200, r#"{"id":"p2","resumed":true}"#),
        _ => problem(404, "Not found", "there is no such pause"),
    }
}

#[test]
fn a_pause_is_ended_by_its_id_or_its_scope() {
    let server = Server::start(two_pauses);
    assert_eq!(server.run(&["resume", "p1"]).quietly(), "p1 resumed\n");
    assert_eq!(server.run(&["resume", "--subject", "s"]).quietly(), "subject s resumed\n");
    assert_eq!(server.run(&["resume", "--all", "--json"]).quietly(), "{\"id\":\"p1\",\"resumed\":true}\n");
    let ran = server.run(&["resume", "--queue", "q"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, "chaski: queue q is not paused; `chaski pauses` lists what is\n"));
    let deleted: Vec<String> = server.lines().into_iter().filter(|line| line.starts_with("DELETE")).collect();
    assert_eq!(deleted, ["DELETE /pauses/p1", "DELETE /pauses/p2", "DELETE /pauses/p1"]);
    // The third has gone between the list and the call.
    assert_eq!(server.run(&["resume", "--all-pauses"]).quietly(), "2 pauses ended\n");
    assert_eq!(server.run(&["resume"]).code, 2);
}

#[test]
fn a_backup_is_asked_for_by_an_absolute_path() {
    let server = Server::start(|asked| {
        let to = json(&asked.body)["to"].clone();
        told(200, serde_json::json!({"to": to, "bytes": 12_345_678}).to_string())
    });
    assert_eq!(server.run(&["backup", "/b/copy.db"]).quietly(), "/b/copy.db holds the copy, 12,345,678 bytes\n");
    server.run(&["backup", "copy.db"]).quietly();
    let relative = server.asked().last().map(|asked| json(&asked.body)["to"].as_str().unwrap_or_default().to_owned());
    assert!(relative.as_deref().is_some_and(|to| to.starts_with('/') && to.ends_with("/copy.db")), "{relative:?}");
    assert_eq!(server.lines(), ["POST /backup", "POST /backup"]);
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_default()
}
