//! `chaski send`: one message by its fields, many as lines.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::common::{Asked, Server, Told, problem, told};
use serde_json::{Value, json};

const RECEIPT: &str =
    r#"{"id":"m1","subject":"s","route":"messages","queue":"messages-2","duplicate":false,"warnings":[]}"#;

fn accepted(line: &str) -> Value {
    let envelope: Value = serde_json::from_str(line).unwrap();
    json!({"status": 200, "id": envelope["id"], "subject": envelope["subject"], "queue": "messages-0", "duplicate": false})
}

fn items(items: &[Value]) -> Told {
    told(200, json!({ "items": items }).to_string())
}

fn line(subject: &str, number: usize) -> String {
    json!({"subject": subject, "id": number.to_string(), "message": {"url": "https://example.org/"}}).to_string()
}

/// Lines as the server got them, call after call.
fn lines_sent(server: &Server) -> Vec<String> {
    server.asked().iter().flat_map(|asked| asked.body.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn one_message_is_an_envelope() {
    let server = Server::saying(told(200, RECEIPT));
    let out = server
        .run(&[
            "send",
            "--subject",
            "s",
            "--url",
            "https://example.org/hook",
            "--method",
            "put",
            "-H",
            "X-A: 1: 2",
            "-H",
            "x-b:3",
            "--body",
            r#"{"b" : 1.0, "a":1}"#,
            "--id",
            "k",
            "--client",
            "crm",
            "--label",
            "x",
            "--label",
            "y",
        ])
        .quietly();
    assert_eq!(out, "m1 accepted into messages-2\n");
    let asked = &server.asked()[0];
    assert_eq!((asked.line().as_str(), asked.header("content-type")), ("POST /messages", Some("application/json")));
    let wanted = r#"{"subject":"s","message":{"url":"https://example.org/hook","method":"put","headers":{"X-A":"1: 2","x-b":"3"},"body":{"b" : 1.0, "a":1}},"id":"k","client":"crm","labels":["x","y"]}"#;
    assert_eq!(asked.body, wanted);
}

#[test]
fn what_a_message_asks_for_is_in_its_envelope() {
    let server = Server::saying(told(200, RECEIPT));
    let one = ["send", "--subject", "s", "--url", "https://a/", "--body", "{\"b\" : 1.0}"];
    let asks = [
        ["--delay", "1h30m"],
        ["--expires-in", "2d"],
        ["--timeout", "10s"],
        ["--max-attempts", "3"],
        ["--retry-delays", "10s,1m"],
        ["--ordering", "strict"],
        ["--callback", "https://a/done"],
        ["--failure-callback", "https://a/failed"],
        ["--flow", "crm=10/1s,2"],
    ];
    server.run(&[&one[..], &asks.concat()].concat()).quietly();
    server.run(&[&one[..], &["--not-before", "2026-12-01T09:00:00Z"]].concat()).quietly();
    let asked = server.asked();
    let wanted = r#"{"subject":"s","message":{"url":"https://a/","body":{"b" : 1.0}},"delay":"1h30m","expires_in":"2d","timeout":"10s","retry":{"max_attempts":3,"delays":["10s","1m"]},"ordering":"strict","callback":{"url":"https://a/done"},"failure_callback":{"url":"https://a/failed"},"flow":{"key":"crm","rate":10,"per":"1s","parallelism":2}}"#;
    assert_eq!(asked[0].body, wanted);
    let later =
        r#"{"subject":"s","message":{"url":"https://a/","body":{"b" : 1.0}},"not_before":"2026-12-01T09:00:00Z"}"#;
    assert_eq!(asked[1].body, later);
    for wrong in [
        &["--delay", "soon"][..],
        &["--not-before", "tomorrow"],
        &["--delay", "1s", "--not-before", "2026-12-01T09:00:00Z"],
        &["--max-attempts", "0"],
        &["--retry-delays", "10s,soon"],
        &["--ordering", "loose"],
        &["--flow", "crm"],
    ] {
        assert_eq!(server.run(&[&one[..], wrong].concat()).code, 2, "{wrong:?}");
    }
    assert_eq!(server.run(&["send", "lines.ndjson", "--delay", "1s"]).code, 2, "lines ask for themselves");
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn a_body_comes_from_the_command_line_a_file_or_standard_input() {
    let server = Server::saying(told(200, RECEIPT));
    let path = std::env::temp_dir().join(format!("chaski-body-{}", std::process::id()));
    std::fs::write(&path, "from a file").unwrap();
    let at = format!("@{}", path.display());
    for (given, input) in [("a text", ""), (at.as_str(), ""), ("@-", "from stdin\n")] {
        server.run_with(&["send", "--subject", "s", "--url", "https://a/", "--body", given], input).quietly();
    }
    std::fs::remove_file(&path).unwrap();
    let asked = server.asked();
    let bodies: Vec<Value> = asked
        .iter()
        .map(|asked| serde_json::from_str::<Value>(&asked.body).unwrap()["message"]["body"].clone())
        .collect();
    assert_eq!(bodies, ["a text", "from a file", "from stdin\n"]);
    let ran = server.run(&["send", "--subject", "s", "--url", "https://a/", "--body", "@/none"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, "chaski: /none: No such file or directory (os error 2)\n"));
}

#[test]
fn warnings_and_repeats_are_told() {
    let server =
        Server::saying(told(200, r#"{"id":"m1","queue":"q","duplicate":true,"warnings":["/colour is not known"]}"#));
    let ran = server.run(&["send", "--subject", "s", "--url", "https://a/"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "m1 accepted into q, known already\n"));
    assert_eq!(ran.err, "warning: /colour is not known\n");
}

#[test]
fn a_wait_fails_unless_the_message_is_delivered() {
    let at_its_end = |state: &'static str| {
        Server::start(move |asked| match asked.method.as_str() {
            "POST" => told(200, RECEIPT),
            _ => told(
                200,
                json!({"id": "m1", "state": state, "subject": "s", "route": "r", "received_at": ""}).to_string(),
            ),
        })
    };
    let send = ["send", "--subject", "s", "--url", "https://a/", "--wait", "--json"];
    let server = at_its_end("delivered");
    let out = server.run(&send).quietly();
    assert!(out.starts_with(r#"{"id":"m1","#) && out.lines().count() == 1, "{out}");
    assert_eq!(server.lines(), ["POST /messages", "GET /messages/m1?wait=1m"]);
    let ran = at_its_end("dead").run(&send);
    assert_eq!((ran.code, ran.err.as_str()), (1, "chaski: the message is dead\n"));
    let ran = at_its_end("pending").run(&["send", "--subject", "s", "--url", "https://a/", "--wait=1ms"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, "chaski: the wait is over: the message is pending\n"));
}

#[test]
fn what_one_message_takes_is_checked() {
    let server = Server::saying(told(200, RECEIPT));
    for wrong in [
        &["send", "--subject", "s"][..],
        &["send", "--url", "https://a/"],
        &["send", "--subject", "s", "--url", "https://a/", "-H", "no colon"],
        &["send", "--subject", "s", "--url", "https://a/", "-H", "A: 1", "-H", "A: 2"],
        &["send", "file", "--subject", "s", "--url", "https://a/"],
    ] {
        assert_eq!(server.run(wrong).code, 2, "{wrong:?}");
    }
    assert!(server.asked().is_empty());
}

#[test]
fn thousands_of_lines_arrive_in_order() {
    let server = Server::start(|asked| items(&asked.body.lines().map(accepted).collect::<Vec<_>>()));
    let lines: Vec<String> = (0..5_000).map(|number| line(&format!("s{}", number % 7), number)).collect();
    let out = server.run_with(&["send"], &lines.join("\n")).quietly();
    assert_eq!(out, "5,000 messages accepted\n");
    assert_eq!(lines_sent(&server), lines);
    let asked = server.asked();
    assert!(asked.iter().all(|asked| asked.line() == "POST /messages/batch"));
    assert!(asked.iter().all(|asked| asked.header("content-type") == Some("application/x-ndjson")));
    assert!(asked.iter().all(|asked| asked.body.lines().count() <= 500));
    // The reading goes on while a call is made; so no call is made for each line alone.
    assert!(asked.len() < 500, "{} calls", asked.len());
}

#[test]
fn a_program_gets_an_item_a_line() {
    let server = Server::start(|asked| items(&asked.body.lines().map(accepted).collect::<Vec<_>>()));
    let input = [line("a", 1), line("b", 2)].join("\n");
    let ran = server.run_with(&["send", "-", "--json"], &input);
    let ids: Vec<Value> =
        ran.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect();
    assert_eq!(ids, ["1", "2"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, "2 messages accepted\n"));
}

#[test]
fn bad_lines_are_named_and_the_others_are_sent() {
    let server = Server::start(|asked| {
        let answer = |line: &str| {
            if line.contains("subject") {
                return accepted(line);
            }
            json!({"title": "Bad request", "status": 400, "detail": "one field can't be accepted",
                   "errors": [{"pointer": "/subject", "detail": "is missing"}]})
        };
        items(&asked.body.lines().map(answer).collect::<Vec<_>>())
    });
    let path = std::env::temp_dir().join(format!("chaski-lines-{}", std::process::id()));
    std::fs::write(&path, format!("{}\n\n{{}}\n{}\n[]", line("a", 1), line("a", 2))).unwrap();
    let ran = server.run(&["send", &path.display().to_string()]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!((ran.code, ran.out.as_str()), (1, "2 messages accepted, 2 failed\n"));
    assert_eq!(ran.err, "line 3: 400 Bad request: /subject is missing\nline 5: 400 Bad request: /subject is missing\n");
}

/// Refuses a subject's first lines a few times, as a server does: later ones of the subject come back with them.
struct Busy {
    refusals: usize,
    seen: Mutex<HashMap<String, usize>>,
}

impl Busy {
    fn answer(&self, asked: &Asked) -> Told {
        let mut seen = self.seen.lock().unwrap();
        let times = seen.entry("busy".to_owned()).or_default();
        *times += 1;
        let refusing = *times <= self.refusals;
        let answer = |line: &str| {
            if refusing && line.contains("\"busy\"") {
                return json!({"title": "Service unavailable", "status": 503, "detail": "the queue does not take it"});
            }
            accepted(line)
        };
        items(&asked.body.lines().map(answer).collect::<Vec<_>>()).with("retry-after", "0")
    }
}

#[test]
fn what_the_queue_does_not_take_is_sent_again_in_order() {
    let busy = Busy { refusals: 2, seen: Mutex::default() };
    let server = Server::start(move |asked| busy.answer(asked));
    let lines: Vec<String> =
        (0..1_200).map(|number| line(if number % 3 == 0 { "busy" } else { "free" }, number)).collect();
    let out = server.run_with(&["send"], &lines.join("\n")).quietly();
    assert_eq!(out, "1,200 messages accepted\n");
    // A line counts where it was sent last: that is where it was taken.
    let mut taken: Vec<String> = Vec::new();
    for line in lines_sent(&server) {
        taken.retain(|other| *other != line);
        taken.push(line);
    }
    for subject in ["\"busy\"", "\"free\""] {
        let of = |lines: &[String]| lines.iter().filter(|line| line.contains(subject)).cloned().collect::<Vec<_>>();
        assert_eq!(of(&taken), of(&lines));
    }
    let calls = server.asked();
    assert!(calls[1].body.lines().all(|line| line.contains("\"busy\"")), "{}", calls[1].body);
}

#[test]
fn a_line_that_is_given_up_is_not_overtaken_by_its_subject() {
    let busy = Busy { refusals: usize::MAX, seen: Mutex::default() };
    let server = Server::start(move |asked| busy.answer(asked));
    let lines: Vec<String> =
        (0..1_100).map(|number| line(if number == 0 || number == 1_050 { "busy" } else { "free" }, number)).collect();
    let ran = server.run_with(&["send"], &lines.join("\n"));
    assert_eq!((ran.code, ran.out.as_str()), (1, "1,098 messages accepted, 2 failed\n"));
    let told: Vec<&str> = ran.err.lines().collect();
    assert_eq!(told[0], "line 1: 503 Service unavailable: the queue does not take it");
    assert_eq!(told[1], "line 1051: 503 Not sent: a line of its subject before it was not taken");
    assert_eq!(lines_sent(&server).iter().filter(|line| line.contains("\"busy\"")).count(), 5);
}

#[test]
fn a_call_that_is_not_taken_as_a_whole_is_made_again() {
    let calls = Mutex::new(0);
    let server = Server::start(move |asked| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        if *calls <= 2 {
            return problem(if *calls == 1 { 503 } else { 429 }, "Busy", "wait").with("retry-after", "0");
        }
        items(&asked.body.lines().map(accepted).collect::<Vec<_>>())
    });
    assert_eq!(server.run_with(&["send"], &line("a", 1)).quietly(), "1 message accepted\n");
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn sending_stops_where_the_server_refuses_the_call() {
    let calls = Mutex::new(0);
    let server = Server::start(move |asked| {
        let mut calls = calls.lock().unwrap();
        *calls += asked.body.lines().count();
        if *calls > 500 {
            return problem(403, "Forbidden", "the key has no scope send");
        }
        items(&asked.body.lines().map(accepted).collect::<Vec<_>>())
    });
    let path = std::env::temp_dir().join(format!("chaski-stop-{}", std::process::id()));
    let lines: Vec<String> = (0..1_200).map(|number| line("s", number)).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    let ran = server.run(&["send", &path.display().to_string()]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!((ran.code, ran.out.as_str()), (1, "500 messages accepted\n"));
    let wanted = "\
chaski: Forbidden (403): the key has no scope send
Not accepted: lines 501-1000. The lines after that were not sent.
";
    assert_eq!(ran.err, wanted);
}

#[test]
fn a_body_that_is_too_large_for_an_envelope_is_uploaded_first() {
    let address = Arc::new(Mutex::new(String::new()));
    let known = address.clone();
    let server = Server::start(move |asked| match asked.line().as_str() {
        "POST /bodies" => {
            let url = format!("{}/bodies/a.b", known.lock().unwrap());
            let upload = json!({"method": "PUT", "url": url, "headers": {"x-own": "1"}, "expires_at": "x"});
            told(200, json!({"body_ref": "a.b", "upload": upload, "max_bytes": 25_000_000}).to_string())
        }
        "PUT /bodies/a.b" => told(200, r#"{"bytes":300002}"#),
        _ => told(200, RECEIPT),
    });
    *address.lock().unwrap() = format!("http://{}", server.address);
    let folder = tempfile::tempdir().unwrap();
    let (file, body) = (folder.path().join("body"), format!("[\"{}\"]", "x".repeat(299_998)));
    std::fs::write(&file, &body).unwrap();
    let given = format!("@{}", file.display());
    let out = server.run(&["send", "--subject", "s", "--url", "https://example.org/", "--body", &given]).quietly();
    assert_eq!(out, "m1 accepted into messages-2\n");
    let asked = server.asked();
    let lines: Vec<String> = asked.iter().map(Asked::line).collect();
    assert_eq!(lines, ["POST /bodies", "PUT /bodies/a.b", "POST /messages"]);
    assert!(asked[1].body == body && asked[1].header("x-own") == Some("1"));
    assert_eq!(asked[1].header("authorization"), None, "the address is the right to it");
    let message =
        json!({"url": "https://example.org/", "headers": {"content-type": "application/json"}, "body_ref": "a.b"});
    assert_eq!(serde_json::from_str::<Value>(&asked[2].body).unwrap(), json!({"subject": "s", "message": message}));
}
