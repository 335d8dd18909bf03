//! The API as a caller of the function sees it, over queues that take everything.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};

use super::routes::PRODUCERS;
use super::*;
use crate::limits;
use crate::ports::{EnqueueError, Entry, Taken};
use crate::secret::KeyDigest;
use crate::settings::Settings;
use crate::time::Timestamp;

mod bodies;
mod dead_letters;
mod door;
mod fake;
mod messages;
mod operations;
mod table;

struct Noon;
impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_796_115_600_000)
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

struct Sevens;
impl Chance for Sevens {
    fn ten_bytes(&self) -> [u8; 10] {
        [7; 10]
    }
}

#[derive(Clone, Default)]
struct Queues(Arc<Mutex<Vec<Entry>>>);
impl Enqueue for Queues {
    async fn enqueue(&self, entry: Entry) -> Result<Taken, EnqueueError> {
        self.0.lock().unwrap().push(entry);
        Ok(Taken::New)
    }
    async fn enqueue_all(&self, entries: Vec<Entry>) -> Vec<Result<Taken, EnqueueError>> {
        let fates = entries.iter().map(|_| Ok(Taken::New)).collect();
        self.0.lock().unwrap().extend(entries);
        fates
    }
}

struct Function {
    api: Api<Queues, Noon, Sevens, NoDesk>,
    queues: Queues,
}

impl Function {
    fn new(file: &str) -> Self {
        let queues = Queues::default();
        let settings = Arc::new(Settings::read(file, &|_| None).unwrap());
        let door = Door { body_bytes: limits::EVENT_BYTES, local: false, tls: false };
        Self { api: Api::new(Ingress::new(settings, queues.clone(), Noon, Sevens), None, door), queues }
    }

    fn ask(&self, request: &Request) -> (Response, Value) {
        let response = handle_without_desk(&self.api, request).now_or_never().unwrap();
        let body = serde_json::from_str(&response.body).unwrap();
        (response, body)
    }

    fn taken(&self) -> usize {
        self.queues.0.lock().unwrap().len()
    }
}

fn request(method: &str, path: &str) -> Request {
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: String::new(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Vec::new(),
        platform_caller: true,
        platform_id: "r-1".to_owned(),
    }
}

fn post(body: impl Into<Vec<u8>>) -> Request {
    Request { body: body.into(), ..request("POST", "/messages") }
}

fn envelope() -> Value {
    json!({"subject": "test_subject", "message": {"url": "http://example.org/hook", "body": {"a": 1}}})
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
}

#[test]
fn a_message_is_answered_as_the_contract_says() {
    let api = Function::new("");
    let (response, body) = api.ask(&post(envelope().to_string()));
    assert_eq!(response.status, 200);
    assert_eq!(body["subject"], "test_subject");
    assert_eq!(body["route"], "messages");
    assert_eq!(body["queue"], "messages-1");
    assert_eq!(body["duplicate"], false);
    assert_eq!(body["warnings"], json!([]));
    assert_eq!(header(&response, "x-request-id"), Some("r-1"));
    assert_eq!(api.taken(), 1);
}

/// The ingress rows of bad input: a problem that names the field, and nothing queued.
#[test]
fn bad_input_is_a_problem_that_names_the_field() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut envelope = envelope();
        change(&mut envelope);
        envelope.to_string().into_bytes()
    };
    let url = |url: Value| with(&|envelope| envelope["message"]["url"] = url.clone());
    let headers = |headers: Value| with(&|envelope| envelope["message"]["headers"] = headers.clone());
    let method = |method: Value| with(&|envelope| envelope["message"]["method"] = method.clone());
    let field = |name: &str, value: Value| with(&|envelope| envelope[name] = value.clone());
    let many: serde_json::Map<String, Value> = (0..65).map(|n| (format!("h{n}"), json!("v"))).collect();
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let mut cases: Vec<(Vec<u8>, &str)> = vec![
        (with(&|envelope| drop(envelope["message"].as_object_mut().unwrap().remove("url"))), "/message/url"),
        (url(json!(7)), "/message/url"),
        (url(json!(format!("http://example.org/{}", "x".repeat(8_193)))), "/message/url"),
        (headers(json!({"": "v"})), "/message/headers/"),
        (headers(json!({"a b": "v"})), "/message/headers/a b"),
        (headers(json!({"a:": "v"})), "/message/headers/a:"),
        (headers(json!({"a": "x\r\ny"})), "/message/headers/a"),
        (headers(json!({"a": "\u{0}"})), "/message/headers/a"),
        (headers(json!({"a": "x".repeat(65_536)})), "/message/headers/a"),
        (headers(json!({"Host": "x"})), "/message/headers/Host"),
        (headers(json!({"chaski-id": "x"})), "/message/headers/chaski-id"),
        (headers(json!({"a": 1})), "/message/headers/a"),
        (headers(json!(many)), "/message/headers"),
        (headers(json!([])), "/message/headers"),
        (method(json!("CONNECT")), "/message/method"),
        (method(json!("TRACE")), "/message/method"),
        (method(json!("x".repeat(500))), "/message/method"),
        (with(&|envelope| envelope["message"]["body"] = json!("x".repeat(262_145))), "/message/body"),
        (
            with(&|envelope| envelope["message"] = json!({"url": "http://e.org", "body_base64": "%%%"})),
            "/message/body_base64",
        ),
        (field("timeout", json!(0)), "/timeout"),
        (field("timeout", json!(-1)), "/timeout"),
        (field("timeout", json!(1e18)), "/timeout"),
        (field("retry", json!({"max_attempts": -1})), "/retry/max_attempts"),
        (field("not_before", json!("9999-12-31T23:59:59Z")), "/not_before"),
        (field("subject", json!("")), "/subject"),
        (field("subject", json!("x".repeat(513))), "/subject"),
        (field("subject", json!("a\u{0}")), "/subject"),
        (br#"{"subject":"\ud800","message":{"url":"http://e.org"}}"#.to_vec(), "/subject"),
        (br#"{"subject":"a","subject":"b","message":{"url":"http://e.org"}}"#.to_vec(), "/subject"),
        (format!(r#"{{"subject":"s","x":{nested}}}"#).into_bytes(), ""),
        (b"\x1f\x8b\x08\x00bomb".to_vec(), ""),
        (b"{\"subject\":\"\xff\"}".to_vec(), ""),
    ];
    for text in ["", "null", "[]", "{\"subject\":", r#"{"subject":"s","message":{"url":"http://e.org"}} garbage"#] {
        cases.push((text.as_bytes().to_vec(), ""));
    }
    for bad in [
        "",
        "/relative",
        "ftp://e.org",
        "file:///etc/passwd",
        "http://",
        "http://e.org:0",
        "http://e.org:99999",
        "http://127.1",
        "http://[::ffff:127.0.0.1]",
        "http://localhost.",
        "http://169.254.169.254",
        "http://[fd00:ec2::254]",
        "http://100.64.0.1",
        "http://user:password@e.org",
        "http://e.org/\u{1}",
        "http://2130706433",
        "http://0x7f.1",
        "http://%31%32%37.0.0.1",
        "http://e.org\\x",
    ] {
        cases.push((url(json!(bad)), "/message/url"));
    }
    let api = Function::new("");
    for (body, pointer) in cases {
        let shown = String::from_utf8_lossy(&body).chars().take(120).collect::<String>();
        let (response, problem) = api.ask(&post(body));
        assert!(matches!(response.status, 400 | 413), "{shown}: {}", response.status);
        assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
        let named: Vec<&str> =
            problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        assert!(named.contains(&pointer), "{shown}: {named:?} has no {pointer:?}");
        assert_eq!(problem["instance"], "r-1");
    }
    assert_eq!(api.taken(), 0);
}

#[test]
fn wrong_paths_methods_and_media_are_told_apart() {
    let api = Function::new("");
    let status = |request: &Request| api.ask(request).0.status;
    assert_eq!(status(&request("GET", "/nothing")), 404);
    assert_eq!(status(&request("GET", "/messages")), 501);
    assert_eq!(status(&request("GET", "/messages/some-id")), 501);
    assert_eq!(status(&request("POST", "/dead-letters/replay")), 501);
    let (response, _) = api.ask(&request("PUT", "/messages"));
    assert_eq!((response.status, header(&response, "allow")), (405, Some("POST")));
    for (media, expected) in [
        (Some("application/json; charset=utf-8"), 200),
        (Some("application/cloudevents+json"), 200),
        (Some("text/plain"), 415),
        (Some("application/x-ndjson"), 415),
        (None, 415),
    ] {
        let mut request = post(envelope().to_string());
        request.headers = media.map(|media| ("content-type".to_owned(), media.to_owned())).into_iter().collect();
        assert_eq!(status(&request), expected, "{media:?}");
    }
    let mut encoded = post(envelope().to_string());
    encoded.headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
    assert_eq!(status(&encoded), 415);
}

#[test]
fn a_batch_answers_each_item_in_order() {
    let api = Function::new("");
    let batch = |media: &str, body: String| {
        let headers = vec![("content-type".to_owned(), media.to_owned())];
        api.ask(&Request { headers, body: body.into_bytes(), ..request("POST", "/messages/batch") })
    };
    let statuses = |answer: &Value| -> Vec<u64> {
        answer["items"].as_array().unwrap().iter().map(|item| item["status"].as_u64().unwrap()).collect()
    };
    let (response, answer) = batch("application/json", json!([envelope(), {}, envelope()]).to_string());
    assert_eq!(response.status, 200);
    assert_eq!(statuses(&answer), [200, 400, 200]);
    assert_eq!(answer["items"][1]["errors"][0]["pointer"], "/subject");
    let (_, answer) = batch("application/x-ndjson", format!("{}\n\nnonsense\n{}\n", envelope(), envelope()));
    assert_eq!(statuses(&answer), [200, 400, 200]);
    assert_eq!(api.taken(), 4);

    assert_eq!(batch("application/json", "{}".to_owned()).0.status, 400);
    assert_eq!(batch("application/json", "[1".to_owned()).0.status, 400);
    let lines = |count: usize| "{}\n".repeat(count);
    assert_eq!(batch("application/x-ndjson", lines(limits::BATCH_ITEMS)).0.status, 200);
    assert_eq!(batch("application/x-ndjson", lines(limits::BATCH_ITEMS + 1)).0.status, 413);
    assert_eq!(batch("application/json", " ".repeat(limits::EVENT_BYTES + 1)).0.status, 413);
}

#[test]
fn an_answer_that_would_not_fit_into_an_event_is_short_and_whole() {
    let api = Function::new("");
    let wrong: serde_json::Map<String, Value> = (0..12).map(|n| (format!("a b{n}"), json!("v"))).collect();
    let line = json!({"subject": "s", "message": {"url": "http://e.org", "headers": wrong}}).to_string() + "\n";
    let headers = vec![("content-type".to_owned(), "application/x-ndjson".to_owned())];
    let body = line.repeat(limits::BATCH_ITEMS);
    let (response, answer) =
        api.ask(&Request { headers, body: body.into_bytes(), ..request("POST", "/messages/batch") });
    assert!(response.body.len() < limits::EVENT_BYTES, "{}", response.body.len());
    assert_eq!(answer["items"].as_array().unwrap().len(), limits::BATCH_ITEMS);
    assert!(answer["items"].as_array().unwrap().iter().all(|item| item["status"] == 400));
}

#[test]
fn nobody_is_let_in_by_default() {
    let api = Function::new("");
    let mut stranger = post(envelope().to_string());
    stranger.platform_caller = false;
    assert_eq!(api.ask(&stranger).0.status, 403);
    assert_eq!(api.taken(), 0);
}

#[test]
fn producers_are_known_by_their_keys() {
    let key = "ck_crm_0123456789abcdef";
    let file = |digest: &str| {
        format!(
            "[[producers]]\nid = \"crm\"\ntenant = \"t\"\nkeys = [\"{digest}\"]\n[[producers]]\nid = \"reader\"\nkeys = [\"{}\"]\nscopes = [\"read\"]\n[[producers]]\nid = \"erp\"\nkeys = [\"{}\"]",
            hex("ck_reader_x"),
            hex("ck_other_x")
        )
    };
    let api = Function::new(&file(&hex(key)));
    let status = |authorization: Option<&str>| {
        let mut request = post(envelope().to_string());
        request.headers.extend(authorization.map(|value| ("authorization".to_owned(), value.to_owned())));
        let (response, _) = api.ask(&request);
        if response.status == 401 {
            assert_eq!(header(&response, "www-authenticate"), Some("Bearer"));
        }
        response.status
    };
    assert_eq!(status(Some(&format!("Bearer {key}"))), 200);
    assert_eq!(status(Some(&format!("bearer {key}"))), 200);
    assert_eq!(status(None), 401, "the platform's word does not stand in for a key");
    for wrong in
        ["Bearer ck_crm_other", "Bearer ", "Basic abc", "Bearer ck_erp_0123456789abcdef", "Bearer ck_other_x", key]
    {
        assert_eq!(status(Some(wrong)), 401, "{wrong}");
    }
    assert_eq!(status(Some("Bearer ck_reader_x")), 403);
    assert_eq!(api.taken(), 2);
}

fn hex(key: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(KeyDigest::parse(&format!("sha256:{digest}")).is_some());
    format!("sha256:{digest}")
}

#[test]
fn a_request_id_is_given_back_if_it_can_be() {
    let api = Function::new("");
    let mut asked = request("GET", "/health");
    asked.headers.push(("x-request-id".to_owned(), "mine-1".to_owned()));
    assert_eq!(header(&api.ask(&asked).0, "x-request-id"), Some("mine-1"));
    asked.headers[1].1 = "with space".to_owned();
    assert_eq!(header(&api.ask(&asked).0, "x-request-id"), Some("r-1"));
}

/// The document names exactly what is answered, and the schemas' fields are those of the answers.
#[test]
fn the_openapi_document_is_true() {
    let api = Function::new("");
    let (_, document) = api.ask(&request("GET", "/openapi.json"));
    assert_eq!(document["info"]["version"], VERSION);
    let mut named: Vec<(String, String)> = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        named.extend(item.as_object().unwrap().keys().map(|method| (path.clone(), method.to_ascii_uppercase())));
    }
    let mut served: Vec<(String, String)> =
        PRODUCERS.iter().map(|route| (route.path.to_owned(), route.method.to_owned())).collect();
    named.sort();
    served.sort();
    assert_eq!(named, served);

    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let schema = |name: &str| fields(&document["components"]["schemas"][name]["properties"]);
    let mut warned = envelope();
    warned["more"] = json!(1);
    assert_eq!(fields(&api.ask(&post(warned.to_string())).1), schema("Receipt"));
    assert_eq!(fields(&api.ask(&request("GET", "/")).1), schema("Root"));
    assert_eq!(fields(&api.ask(&request("GET", "/health")).1), schema("Health"));
    assert_eq!(fields(&api.ask(&post("{}")).1), schema("Problem"));
    // Every field that the envelope's schema names is one that is taken.
    for name in schema("Envelope") {
        let value = match name.as_str() {
            "message" | "body" => continue,
            "labels" => json!(["l"]),
            "ordering" => json!("strict"),
            "delay" | "expires_in" | "timeout" => json!("1s"),
            "not_before" | "expires_at" => json!("2026-12-02T09:00:00Z"),
            "retry" => json!({"max_attempts": 3, "delays": ["1s", 2]}),
            "callback" | "failure_callback" => json!({"url": "https://example.org/", "retry": {"max_attempts": 1}}),
            "flow" => json!({"key": "k", "rate": 10, "per": "1s", "parallelism": 2}),
            _ => json!("x"),
        };
        let mut envelope = envelope();
        envelope[name.as_str()] = value;
        assert_eq!(api.ask(&post(envelope.to_string())).1["warnings"], json!([]), "{name}");
    }
}
