//! The table of calls: what is served where, by which methods, and what the OpenAPI document says of it.

use std::collections::BTreeMap;

use super::fake::{Serve, answered, attempt, letter, local, message};
use super::routes::{OPERATORS, PRODUCERS, Route};
use super::*;
use crate::ledger::MessageState;
use crate::ports::QueueRecord;
use crate::queue::{QueueName, Tier};

fn served() -> impl Iterator<Item = &'static Route> {
    PRODUCERS.iter().chain(&OPERATORS)
}

#[test]
fn every_path_names_its_methods() {
    let serve = Serve::new("");
    let mut paths: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for route in served() {
        paths.entry(route.path).or_default().push(route.method);
    }
    for (path, mut methods) in paths {
        let path = path.replace("{id}", "some-id");
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.sort_unstable();
        for method in ["GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "get"] {
            let response = serve.response(&local(method, &path));
            if methods.contains(&method) {
                assert_ne!(response.status, 405, "{method} {path}");
            } else {
                assert_eq!(response.status, 405, "{method} {path}");
                assert_eq!(header(&response, "allow"), Some(methods.join(", ").as_str()), "{method} {path}");
            }
        }
    }
    for path in ["", "/nothing", "/messages/", "/messages/a/b", "/dead-letters/a/replay/", "//messages", "/queues/a"] {
        assert_eq!(serve.get(path).0, 404, "{path}");
    }
    assert_eq!(serve.get("/messages/batch").0, 405, "a path that is written out goes before an id");
}

#[test]
fn head_is_answered_as_get() {
    let serve = Serve::new("");
    for path in ["/", "/health", "/messages", "/metrics"] {
        assert_eq!(serve.response(&local("HEAD", path)), serve.response(&local("GET", path)), "{path}");
    }
}

#[test]
fn the_root_links_to_what_is_served() {
    let links = Serve::new("").get("/").1["links"].clone();
    for path in links.as_object().unwrap().values() {
        assert!(served().any(|route| path == route.path), "{path}");
    }
    assert_eq!(links["dead_letters"], "/dead-letters");
    let function = Function::new("").ask(&request("GET", "/")).1["links"].clone();
    assert_eq!(function.as_object().unwrap().len(), 4);
}

#[test]
fn a_body_may_be_as_large_as_the_door() {
    let serve = Serve::new("");
    let status =
        |bytes: usize| serve.response(&Request { body: vec![b' '; bytes], ..local("POST", "/messages/batch") }).status;
    assert_eq!(status(limits::SERVE_BATCH_BYTES), 400, "no JSON, and not too much of it");
    assert_eq!(status(limits::SERVE_BATCH_BYTES + 1), 413);
}

/// Lambda's events bound an answer, and nothing else does.
#[test]
fn an_answer_to_a_batch_is_whole() {
    let serve = Serve::new("");
    let line = json!({"subject": "s".repeat(512), "message": {"url": "http://example.org"}}).to_string() + "\n";
    let mut request = local("POST", "/messages/batch");
    request.headers[1].1 = "application/x-ndjson".to_owned();
    request.body = line.repeat(limits::BATCH_ITEMS).into_bytes();
    let response = serve.response(&request);
    assert!(response.body.len() > limits::EVENT_BYTES, "{}", response.body.len());
    let answer: Value = serde_json::from_str(&response.body).unwrap();
    assert!(answer["items"].as_array().unwrap().iter().all(|item| item["queue"].is_string()));
}

#[test]
fn a_server_may_answer_on_any_thread() {
    fn is_send<T: Send>(_: &T) {}
    let serve = Serve::new("");
    let request = local("GET", "/");
    is_send(&handle(&serve.api, &request));
}

fn document(serve: &Serve) -> Value {
    serve.get("/openapi.json").1
}

#[test]
fn the_document_names_exactly_what_is_served() {
    let document = document(&Serve::new(""));
    let mut named: Vec<(String, String)> = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        named.extend(item.as_object().unwrap().keys().map(|method| (path.clone(), method.to_ascii_uppercase())));
    }
    let mut expected: Vec<(String, String)> =
        served().map(|route| (route.path.to_owned(), route.method.to_owned())).collect();
    named.sort();
    expected.sort();
    assert_eq!(named, expected);
    assert_eq!(document["info"]["version"], VERSION);

    // Who calls: keys where there are producers, nobody in particular where there are none.
    assert_eq!(document["security"], json!([]));
    assert!(document["components"]["securitySchemes"].get("iam").is_none());
    let producers = format!("[[producers]]\nid = \"a\"\nkeys = [\"{}\"]", hex("ck_a_x"));
    let keyed = Serve::new(&producers).response(&Request { ..local("GET", "/openapi.json") });
    assert_eq!(serde_json::from_str::<Value>(&keyed.body).unwrap()["security"], json!([{"producer": []}]));
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = document(&Serve::new(""));
    let text = document.to_string();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("\"$ref\":\"#") {
        rest = &rest[at + "\"$ref\":\"#".len()..];
        let pointer = rest.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    for part in ["schemas", "parameters", "responses"] {
        for name in document["components"][part].as_object().unwrap().keys() {
            assert!(text.contains(&format!("\"#/components/{part}/{name}\"")), "{part}/{name}");
        }
    }
}

/// A value's fields are those of the schema: none that it does not name, all that it requires.
fn assert_fits(document: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(pointer) => document.pointer(&pointer[1..]).unwrap(),
        None => schema,
    };
    if let Some(names) = schema["enum"].as_array() {
        assert!(names.contains(value), "{at}: {value}");
    }
    match value {
        Value::Object(fields) => {
            for required in schema["required"].as_array().into_iter().flatten() {
                assert!(fields.contains_key(required.as_str().unwrap()), "{at} has no {required}");
            }
            let Some(properties) = schema["properties"].as_object() else { return };
            for (name, value) in fields {
                let property = properties.get(name).unwrap_or_else(|| panic!("{at}: {name} is not in the schema"));
                assert_fits(document, property, value, &format!("{at}/{name}"));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| assert_fits(document, &schema["items"], item, at)),
        _ => {}
    }
}

#[test]
fn answers_are_what_the_document_says() {
    let serve = Serve::new("");
    let mut record = message("m-1", MessageState::Delivering);
    record.attempts = vec![(attempt(1), "0.1.0".to_owned())];
    record.answer = Some(answered(b"x"));
    record.error = Some(letter("d", "s", 0).letter.last_error);
    {
        let mut state = serve.state();
        state.messages.push(record);
        state.letters = vec![letter("m-1", "s", 0), letter("d-2", "s", 1)];
        let queue = QueueName::Tier(Tier::Slow);
        let record = QueueRecord {
            queue,
            paused: false,
            depth: 1,
            in_flight: 0,
            delayed: 1,
            oldest_age: None,
            delay: None,
            rates: Some([0.0; 3]),
        };
        state.queues.push(record);
    }
    serve.post("/pauses", &json!({"subject": "s", "tenant": "t"}));
    let document = document(&serve);
    let mut calls: Vec<&Route> =
        served().filter(|route| route.path != "/metrics" && route.call != Call::Upload).collect();
    // What deletes comes last, and what replays all after what replays one.
    calls.sort_by_key(|route| (route.method == "DELETE", route.path == "/dead-letters/replay"));
    for route in calls {
        let body = match route.path {
            "/messages" => envelope().to_string(),
            "/messages/batch" => "[{}]".to_owned(),
            "/backup" => json!({"to": "/tmp/b"}).to_string(),
            "/dead-letters/{id}/replay" | "/bodies" => String::new(),
            _ => json!({"all": true}).to_string(),
        };
        let id = if route.path.starts_with("/pauses") { "p-0" } else { "m-1" };
        let (method, path) = (route.method, route.path.replace("{id}", id));
        let body = if method == "POST" { body.into_bytes() } else { Vec::new() };
        let (status, answer) = serve.ask(&Request { body, ..local(method, &path) });
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        let said = &document["paths"][route.path][method.to_ascii_lowercase()]["responses"][status.to_string()];
        let schema = &said["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {path}: the document has no {status}");
        if route.path != "/messages/batch" {
            assert_fits(&document, schema, &answer, &path);
        }
    }
}

/// Every parameter and field that the document names is one that is taken, at the call that it is named for.
#[test]
fn what_the_document_lets_one_ask_is_taken() {
    let serve = Serve::new("");
    let document = document(&serve);
    let resolve = |value: &Value| match value["$ref"].as_str() {
        Some(pointer) => document.pointer(&pointer[1..]).unwrap().clone(),
        None => value.clone(),
    };
    for route in &OPERATORS {
        let said = &document["paths"][route.path][route.method.to_ascii_lowercase()];
        let path = route.path.replace("{id}", "m-1");
        for parameter in said["parameters"].as_array().into_iter().flatten().map(resolve) {
            if parameter["in"] == "query" {
                let name = parameter["name"].as_str().unwrap();
                let (status, answer) = serve.ask(&local(route.method, &format!("{path}?{name}=%00")));
                assert!(!answer.to_string().contains("is no parameter"), "{} {path}?{name}: {status}", route.method);
            }
        }
        let schema = resolve(&said["requestBody"]["content"]["application/json"]["schema"]);
        for name in schema["properties"].as_object().into_iter().flat_map(|fields| fields.keys()) {
            let (status, answer) = serve.post(&path, &json!({(name.as_str()): []}));
            assert_eq!(status, 400);
            assert!(!answer.to_string().contains("is no field"), "POST {path} with {name}: {answer}");
        }
        if !matches!(route.call, Call::Desk(DeskCall::Metrics) | Call::Upload) {
            let asked = Request { body: b"{}".to_vec(), ..local(route.method, &format!("{path}?unheard=1")) };
            assert_eq!(serve.ask(&asked).0, 400, "{} {path}", route.method);
        }
    }
}
