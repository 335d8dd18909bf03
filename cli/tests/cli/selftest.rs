//! `chaski selftest` against a server that does what the contract says, and against servers that do not.
//!
//! The server here makes the requests of the default policies itself, one after the other and without any delay.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use crate::common::{Asked, Server, Told, problem, told};
use serde_json::{Value, json};

/// How a server strays from the contract.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// A message is tried once too seldom.
    TryLeftOut,
    /// One attempt is made twice, as after a crash.
    Repeat,
    /// Messages of a subject overtake each other.
    Overtaking,
}

#[derive(Default)]
struct World {
    messages: Vec<Value>,
    dead_letters: Vec<Value>,
    deleted: usize,
}

fn server(fault: Fault) -> (Server, Arc<Mutex<World>>) {
    let world = Arc::new(Mutex::new(World::default()));
    let inside = Arc::clone(&world);
    (Server::start(move |asked| answer(asked, &inside, fault)), world)
}

fn answer(asked: &Asked, world: &Arc<Mutex<World>>, fault: Fault) -> Told {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let query: HashMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let list = |items: Vec<&Value>| told(200, json!({ "items": items, "next_cursor": null }).to_string());
    match (asked.method.as_str(), path) {
        ("GET", "/queues") => {
            let tier = |name: &str| json!({"queue": name, "state": "empty", "delay_ms": 1000});
            told(200, json!({"items": [tier("retry-fast"), tier("retry-medium"), tier("retry-slow")]}).to_string())
        }
        ("POST", "/messages/batch") => {
            let envelopes: Vec<Value> = asked.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let world = Arc::clone(world);
            let items: Vec<Value> = (0..envelopes.len()).map(|n| json!({"status": 200, "id": n.to_string()})).collect();
            std::thread::spawn(move || deliver_all(&envelopes, &world, fault));
            told(200, json!({ "items": items }).to_string())
        }
        ("GET", "/messages") => {
            let world = world.lock().unwrap();
            let label = json!(query["label"]);
            list(world.messages.iter().filter(|m| m["labels"].as_array().unwrap().contains(&label)).collect())
        }
        ("GET", "/dead-letters") => {
            let world = world.lock().unwrap();
            list(world.dead_letters.iter().filter(|letter| letter["client"] == query["client"]).collect())
        }
        ("DELETE", _) => {
            let mut world = world.lock().unwrap();
            world.deleted += 1;
            told(200, "{}")
        }
        _ => problem(404, "Not found", path),
    }
}

/// What the contract says becomes of each, and all of it told at the end.
fn deliver_all(envelopes: &[Value], world: &Mutex<World>, fault: Fault) {
    let mut attempts: Vec<(usize, u32)> = (0..envelopes.len()).map(|number| (number, 1)).collect();
    // Subjects do not wait for each other: the messages of the second round, each of a subject of its own, come in
    // any order.
    attempts.sort_by_key(|(number, _)| if number % 2 == 0 { *number } else { 1_000 - number });
    if fault == Fault::Overtaking {
        attempts.swap(0, 1);
    }
    let url = |number: usize| envelopes[number]["message"]["url"].as_str().unwrap();
    let kind = |number: usize| url(number).rsplit('/').nth(1).unwrap();
    for number in 0..envelopes.len() {
        let calls = match kind(number) {
            "200" => 1,
            "400" => 5,
            "500" => 6,
            _ => 4,
        };
        let left_out = u32::from(fault == Fault::TryLeftOut && number == 2);
        attempts.extend((2..=calls - left_out).map(|attempt| (number, attempt)));
    }
    if fault == Fault::Repeat {
        attempts.push((0, 1));
    }
    for (number, attempt) in attempts {
        call(url(number), envelopes[number]["subject"].as_str().unwrap(), number, attempt);
    }
    let mut world = world.lock().unwrap();
    for (number, envelope) in envelopes.iter().enumerate() {
        let class = match kind(number) {
            "200" => None,
            "400" => Some("http_4xx"),
            "500" => Some("http_5xx"),
            _ => Some("timeout"),
        };
        let state = if class.is_some() { "dead" } else { "delivered" };
        world.messages.push(json!({"id": number.to_string(), "state": state, "subject": envelope["subject"],
            "labels": envelope["labels"], "route": "messages"}));
        if let Some(class) = class {
            let error = json!({"class": class, "detail": "", "at": ""});
            world.dead_letters.push(json!({"id": number.to_string(), "subject": envelope["subject"],
                "client": envelope["client"], "error": {"first": error, "last": error}}));
        }
    }
}

/// One attempt. Where the answer would come too late, two questions to the target tell that it has seen this one:
/// it works in one thread, and takes the later connection after the earlier.
fn call(url: &str, subject: &str, number: usize, attempt: u32) {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let request = |path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!(
            "POST /{path} HTTP/1.1\r\nhost: {address}\r\nchaski-id: {number}\r\nchaski-attempt: {attempt}\r\n\
             chaski-subject: {subject}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let mut stream = request(path);
    if path.contains("/late/") {
        for _ in 0..2 {
            request("nothing").read_to_end(&mut Vec::new()).unwrap();
        }
    } else {
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
}

const TABLE: &str = "\
KNOWN ANSWER                 EXPECTED  ONE SUBJECT  200 SUBJECTS
requests answered 200              50           50            50
requests answered 400             250          250           250
requests answered 500             300          300           300
requests answered too late        200          200           200
requests in all                   800          800           800
messages delivered                 50           50            50
messages dead                     150          150           150
dead letters http_4xx              50           50            50
dead letters http_5xx              50           50            50
dead letters timeout               50           50            50
dead letters in all               150          150           150
first attempts out of order         0            0             0
repeated requests                 any            0             0
";

#[test]
fn the_known_answer_is_seen_and_cleaned_up() {
    let (server, world) = server(Fault::None);
    let ran = server.run(&["selftest", "--timeout", "1s"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, TABLE), "{}", ran.err);
    let told: Vec<&str> = ran.err.lines().collect();
    assert!(told[0].ends_with("; it takes about 57s with tiers of 1s, 1s, 1s and a timeout of 1s"), "{}", told[0]);
    assert!(told[1].starts_with("As expected, after "), "{}", told[1]);
    assert_eq!(world.lock().unwrap().deleted, 300);
}

#[test]
fn a_repeat_is_shown_and_is_no_failure() {
    let (server, world) = server(Fault::Repeat);
    let ran = server.run(&["selftest", "--keep", "--json"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &report["ok"]), (0, &json!(true)), "{}", ran.err);
    let figures = report["rounds"][0]["figures"].as_array().unwrap();
    assert_eq!(figures.last().unwrap(), &json!({"what": "repeated requests", "expected": null, "seen": 1}));
    assert_eq!(world.lock().unwrap().deleted, 0);
}

#[test]
fn what_differs_is_marked_and_kept() {
    let (server, world) = server(Fault::TryLeftOut);
    let ran = server.run(&["selftest"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("requests answered 400             250        ≠ 249           250\n"), "{}", ran.out);
    assert!(ran.out.contains("requests in all                   800        ≠ 799           800\n"), "{}", ran.out);
    assert!(
        ran.err.contains("is [retry] set otherwise?\nLook with `chaski messages list --label selftest-"),
        "{}",
        ran.err
    );
    assert_eq!(world.lock().unwrap().deleted, 0);
}

#[test]
fn a_broken_order_is_seen() {
    let (server, _) = server(Fault::Overtaking);
    let ran = server.run(&["selftest"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("first attempts out of order         0          ≠ 1             0\n"), "{}", ran.out);
}

#[test]
fn messages_that_never_end_are_given_up() {
    let pending = Server::start(|asked| match asked.path.as_str() {
        "/messages/batch" => {
            let items: Vec<Value> = asked.body.lines().map(|_| json!({"status": 200, "id": "m"})).collect();
            told(200, json!({ "items": items }).to_string())
        }
        _ => told(200, r#"{"items":[],"next_cursor":null}"#),
    });
    let ran = pending.run(&["selftest", "--within", "1ms"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("not all messages are at their end."), "{}", ran.err);
    assert!(ran.out.contains("requests in all                   800          ≠ 0           ≠ 0\n"), "{}", ran.out);
}

#[test]
fn a_server_that_allows_no_private_target_is_told_apart() {
    let refusing = Server::start(|asked| match asked.path.as_str() {
        "/queues" => told(200, r#"{"items":[]}"#),
        _ => {
            let errors = json!([{"pointer": "/message/url", "detail": "names a private address"}]);
            let item = json!({"status": 400, "title": "Bad request", "detail": "one field", "errors": errors});
            told(200, json!({"items": vec![item; 400]}).to_string())
        }
    });
    let ran = refusing.run(&["selftest"]);
    assert_eq!(ran.code, 1);
    let wanted = "\
chaski: the server does not take the messages: 400 Bad request: /message/url names a private address
The targets are on this machine: start the server with --allow-private-targets.
";
    assert!(ran.err.starts_with(wanted), "{}", ran.err);
}
