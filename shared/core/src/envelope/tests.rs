//! Any JSON in: either a refusal that names the field, or an envelope that travels unchanged.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::guard::Guard;
use crate::history::{AttemptRecord, ErrorRecord};
use crate::limits;
use crate::problem::{FieldError, Problem};
use crate::time::Timestamp;

mod asks;

/// When the stories' messages are posted.
fn now() -> Timestamp {
    Timestamp::parse("2026-12-01T09:00:00Z").unwrap()
}

fn rules(guard: &Guard) -> Rules<'_> {
    let max_timeout = std::time::Duration::from_secs(30);
    Rules { guard, now: now(), max_timeout, producer: "crm", body_bytes: limits::CALL_BODY_BYTES }
}

fn take(text: &str) -> Result<Accepted, Vec<FieldError>> {
    take_bytes(text.as_bytes())
}

fn take_bytes(text: &[u8]) -> Result<Accepted, Vec<FieldError>> {
    accept(text, None, rules(&Guard::default()))
}

fn pointers(text: &str) -> Vec<String> {
    let mut pointers: Vec<String> = take(text).unwrap_err().into_iter().map(|error| error.pointer).collect();
    pointers.sort();
    pointers
}

/// What SQS takes in a message's body.
fn sendable(text: &str) -> bool {
    text.chars()
        .all(|c| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..))
}

/// An accepted envelope with everything that the hops add.
fn travelled(mut envelope: Envelope) -> Envelope {
    let error = ErrorRecord::new("http_5xx", Some(500), "the target answered 500", Timestamp::from_millis(1_000));
    let attempt = AttemptRecord {
        n: 1,
        at: Timestamp::from_millis(1_000),
        tier: "messages-0".to_owned(),
        outcome: "http_5xx".to_owned(),
        status: Some(500),
        duration_ms: 12,
        extra: Extra::default(),
    };
    envelope.meta = Some(Meta {
        id: "019f".to_owned(),
        received_at: Some(Timestamp::from_millis(5)),
        attempts: 1,
        history: vec![attempt],
        first_error: Some(error.clone()),
        last_error: Some(error),
        ..Meta::default()
    });
    envelope
}

fn assert_travels(envelope: Envelope) {
    let envelope = travelled(envelope);
    let wire = envelope.to_wire();
    assert!(sendable(&wire), "SQS refuses {wire:?}");
    let read = Envelope::read(&wire).unwrap();
    assert_eq!(read, envelope);
    assert_eq!(read.to_wire(), wire);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(?s).{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("(?s).{0,6}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_field() -> impl Strategy<Value = (String, Value)> {
    let name = prop_oneof![
        prop::sample::select(vec![
            "subject", "message", "body", "id", "client", "labels", "meta", "delay", "ordering", "x"
        ])
        .prop_map(str::to_owned),
        "(?s).{0,6}",
    ];
    (name, any_json())
}

/// Raw JSON texts that a parser and a printer would change.
fn odd_json() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(r#"{ "a" : 1.50e+3,"a":-0,"b":[ ] }"#.to_owned()),
        Just("[\"\u{FFFE}\u{FFFF}\",\"\\ud800\"]".to_owned()),
        Just("12345678901234567890123456789.10".to_owned()),
        any_json().prop_filter("a string is a text", |value| !value.is_string()).prop_map(|value| value.to_string()),
    ]
}

proptest! {
    #[test]
    fn any_json_is_refused_by_name_or_travels_unchanged(
        fields in prop::collection::vec(any_field(), 0..6),
        base in any::<bool>(),
    ) {
        let mut object: serde_json::Map<String, Value> = fields.into_iter().collect();
        if base {
            object.insert("subject".to_owned(), json!("s"));
            object.insert("message".to_owned(), json!({"url": "https://example.org/"}));
        }
        match take(&Value::Object(object.clone()).to_string()) {
            Ok(accepted) => assert_travels(accepted.envelope),
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                for error in errors {
                    let at = error.pointer.split('/').nth(1).unwrap_or_default().replace("~1", "/").replace("~0", "~");
                    let named = error.pointer.is_empty() || object.contains_key(&at) || ["subject", "message"].contains(&at.as_str());
                    prop_assert!(named, "{error:?} names nothing of {object:?}");
                }
            }
        }
    }

    #[test]
    fn a_json_body_goes_byte_for_byte(body in odd_json(), subject in "\\PC{1,40}", unknown in any_json()) {
        let text = format!(
            r#"{{"subject":{},"message":{{"url":"https://example.org/","body": {body} ,"more":{unknown}}},"also":{unknown}}}"#,
            Value::from(subject),
        );
        let accepted = take(&text).unwrap();
        prop_assert_eq!(accepted.envelope.message.body.bytes(), body.as_bytes());
        prop_assert_eq!(accepted.warnings.len(), 1);
        assert_travels(accepted.envelope);
    }

    #[test]
    fn any_bytes_go_as_they_are(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "(?s).{0,200}") {
        use base64::Engine;
        let encoded = base64::engine::general_purpose::STANDARD.encode(&bytes);
        let with = |body: String| take(&format!(r#"{{"subject":"s","message":{{"url":"http://example.org",{body}}}}}"#)).unwrap();
        let accepted = with(format!(r#""body_base64":"{encoded}""#));
        prop_assert_eq!(accepted.envelope.message.body.bytes(), &bytes);
        assert_travels(accepted.envelope);
        let accepted = with(format!(r#""body":{}"#, Value::from(text.clone())));
        prop_assert_eq!(accepted.envelope.message.body.bytes(), text.as_bytes());
        assert_travels(accepted.envelope);
    }

    #[test]
    fn no_text_panics(text in "(?s).{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = take(&text);
        let _ = take_bytes(&bytes);
        let _ = Envelope::read(&text);
    }
}

#[test]
fn the_shapes_of_1_0_and_2_0_are_one() {
    let two = take(r#"{"subject":"s","message":{"url":"http://example.org","method":"put","body":{"a":1}}}"#).unwrap();
    let one = take(r#"{"subject":"s","body":{"url":"http://example.org","method":"put","body":{"a":1}}}"#).unwrap();
    assert_eq!(one, two);
    assert_eq!(one.envelope.message.method, "PUT");
    let both = r#"{"subject":"s","message":{"url":"http://example.org"},"body":{"url":"http://example.org"}}"#;
    assert_eq!(pointers(both), ["/body"]);
}

#[test]
fn every_mistake_is_named_at_once() {
    let text = r#"{"subject":"a\u0000","id":"a b","client":7,"labels":["ok",""],"delay":"5x","meta":{},"ordering":"loose",
        "message":{"url":"ftp://example.org","method":"TRACE","headers":{"Host":"x","X-A":1},"body":1,"body_base64":"!"}}"#;
    let expected = [
        "/client",
        "/delay",
        "/id",
        "/labels/1",
        "/message/body_base64",
        "/message/headers/Host",
        "/message/headers/X-A",
        "/message/method",
        "/message/url",
        "/meta",
        "/ordering",
        "/subject",
    ];
    assert_eq!(pointers(text), expected);
    assert_eq!(pointers("{}"), ["/message", "/subject"]);
    assert_eq!(pointers(r#"{"subject":"s","message":{}}"#), ["/message/url"]);
}

#[test]
fn a_name_may_stand_twice_in_the_body_only() {
    let message = r#""message":{"url":"http://example.org","body":{"a":1,"a":2}}"#;
    assert!(take(&format!(r#"{{"subject":"s",{message}}}"#)).is_ok());
    assert_eq!(pointers(&format!(r#"{{"subject":"s","subject":"t",{message}}}"#)), ["/subject"]);
    assert_eq!(pointers(&format!(r#"{{"subject":"s","x":{{"a":[{{"b":1,"b":1}}]}},{message}}}"#)), ["/x/a/0/b"]);
    let headers = r#"{"subject":"s","message":{"url":"http://example.org","headers":{"a":"1","A":"2"}}}"#;
    assert_eq!(pointers(headers), ["/message/headers/A"]);
}

/// One envelope per limit: at it, and just above it.
#[test]
fn every_limit_holds_at_itself_and_not_above() {
    let status = |value: Value| take(&value.to_string()).map_err(|errors| Problem::of_fields(errors).status).err();
    let with = |name: &str, value: Value| {
        let mut envelope = json!({"subject": "s", "message": {"url": "http://example.org"}});
        envelope[name] = value;
        status(envelope)
    };
    let in_message = |name: &str, value: Value| with("message", json!({"url": "http://example.org", name: value}));
    let x = |n: usize| "x".repeat(n);
    let url = |n: usize| json!(format!("http://example.org/{}", x(n - "http://example.org/".len())));
    let header_list =
        |count: usize, each: usize| Value::Object((0..count).map(|n| (format!("h-{n:04}"), json!(x(each)))).collect());
    let cases = [
        (
            "subject",
            with("subject", json!(x(limits::SUBJECT_BYTES))),
            with("subject", json!(x(limits::SUBJECT_BYTES + 1))),
        ),
        ("emoji subject", with("subject", json!("🦙".repeat(128))), with("subject", json!("🦙".repeat(129)))),
        (
            "url",
            with("message", json!({"url": url(limits::URL_BYTES)})),
            with("message", json!({"url": url(limits::URL_BYTES + 1)})),
        ),
        (
            "headers",
            in_message("headers", header_list(limits::HEADERS, 1)),
            in_message("headers", header_list(limits::HEADERS + 1, 1)),
        ),
        (
            "headers together",
            in_message("headers", header_list(64, limits::HEADERS_TOTAL_BYTES / 64 - 6)),
            in_message("headers", header_list(64, limits::HEADERS_TOTAL_BYTES / 64 - 5)),
        ),
        ("id", with("id", json!(x(limits::KEY_CHARS))), with("id", json!(x(limits::KEY_CHARS + 1)))),
        ("client", with("client", json!(x(limits::CLIENT_BYTES))), with("client", json!(x(limits::CLIENT_BYTES + 1)))),
        (
            "labels",
            with("labels", json!(vec!["l"; limits::LABELS])),
            with("labels", json!(vec!["l"; limits::LABELS + 1])),
        ),
        ("label", with("labels", json!([x(limits::LABEL_BYTES)])), with("labels", json!([x(limits::LABEL_BYTES + 1)]))),
        (
            "unknown fields",
            with("more", json!(x(limits::UNKNOWN_FIELDS_BYTES - 6))),
            with("more", json!(x(limits::UNKNOWN_FIELDS_BYTES - 5))),
        ),
        (
            "body",
            in_message("body", json!(x(limits::CALL_BODY_BYTES))),
            in_message("body", json!(x(limits::CALL_BODY_BYTES + 1))),
        ),
    ];
    for (name, at, above) in cases {
        assert_eq!((at, above), (None, Some(413)), "{name}");
    }
    assert_eq!(in_message("method", json!("x".repeat(limits::METHOD_CHARS + 1))), Some(413));
    assert_eq!(
        in_message("method", json!("x".repeat(limits::METHOD_CHARS))),
        Some(400),
        "no standard method is that long"
    );
}

#[test]
fn nesting_ends_at_its_limit() {
    // The envelope and its message are two levels of it.
    let nested = |depth: usize| {
        let inner = depth - 2;
        format!(
            r#"{{"subject":"s","message":{{"url":"http://e.org","body":{}{}}}}}"#,
            "[".repeat(inner),
            "]".repeat(inner)
        )
    };
    assert!(take(&nested(limits::JSON_DEPTH)).is_ok());
    assert_eq!(pointers(&nested(limits::JSON_DEPTH + 1)), [""]);
    assert_eq!(pointers(&nested(10_000)), [""]);
    let unknown =
        format!(r#"{{"subject":"s","message":{{"url":"http://e.org"}},"x":{}{}}}"#, "[".repeat(127), "]".repeat(127));
    assert_travels(take(&unknown).unwrap().envelope);
}

#[test]
fn what_is_no_document_says_so() {
    for text in ["", "null", "[]", "{", r#"{"subject":"s"} x"#, "\u{FEFF}{}", "\"s\"", "1"] {
        assert_eq!(pointers(text), [""], "{text}");
    }
    assert_eq!(take_bytes(b"{\"subject\":\"\xff\"}").unwrap_err()[0].pointer, "");
    assert_eq!(
        pointers(r#"{"subject":"\ud800","message":{"url":"http://e.org","body":"\udfff"}}"#),
        ["/message/body", "/subject"]
    );
}

#[test]
fn the_key_is_one() {
    let text = |id: &str| format!(r#"{{"subject":"s",{id}"message":{{"url":"http://e.org"}}}}"#);
    let guard = Guard::default();
    let rules = rules(&guard);
    let key = |id: &str, header: Option<&str>| accept(text(id).as_bytes(), header, rules).map(|a| a.envelope.key);
    assert_eq!(key(r#""id":"k","#, None).unwrap().as_deref(), Some("k"));
    assert_eq!(key("", Some("k")).unwrap().as_deref(), Some("k"));
    assert_eq!(key(r#""id":"k","#, Some("k")).unwrap().as_deref(), Some("k"));
    assert_eq!(key(r#""id":"k","#, Some("l")).unwrap_err()[0].pointer, "/id");
    assert!(key("", Some("with space")).is_err());
}

#[test]
fn the_same_post_is_the_same_whatever_its_order_and_key() {
    let canonical = |text: &str| take(text).unwrap().envelope.canonical();
    let one =
        canonical(r#"{"id":"k","client":"c","subject":"s","x":1,"a":2,"message":{"url":"http://e.org","body":[1]}}"#);
    let two = canonical(r#"{"a":2,"message":{"body":[1],"url":"http://e.org"},"subject":"s","x":1}"#);
    assert_eq!(one, two);
    assert_ne!(one, canonical(r#"{"a":2,"message":{"body":[1 ],"url":"http://e.org"},"subject":"s","x":1}"#));
}

#[test]
fn a_next_version_travels_with_what_is_not_understood() {
    let text = r#"{"subject":"s","message":{"url":"http://e.org","m":[1]},"new":{"deep":true},"labels":{"not":"a list"},
        "meta":{"v":9,"id":"m","attempts":"many","hop":3,"new":1.50,
        "history":[{"n":1,"at":"2026-01-01T00:00:00Z","tier":"messages-0","outcome":"strange","duration_ms":5,"why":"x"}],
        "first_error":{"class":"strange","at":"2026-01-01T00:00:00.000Z","code":7}}}"#;
    let envelope = Envelope::read(text).unwrap();
    let meta = envelope.meta.as_ref().unwrap();
    assert_eq!((meta.v, meta.attempts, meta.hop), (9, 1, 3));
    let wire: Value = serde_json::from_str(&envelope.to_wire()).unwrap();
    assert_eq!(wire["new"]["deep"], true);
    assert_eq!(wire["message"]["m"][0], 1);
    assert_eq!(wire["labels"]["not"], "a list");
    assert_eq!(wire["meta"]["new"], 1.5);
    assert_eq!(wire["meta"]["history"][0]["why"], "x");
    assert_eq!(wire["meta"]["first_error"]["code"], 7);
    assert_eq!(wire["meta"]["v"], 9);
}

#[test]
fn only_a_subject_and_a_url_are_needed_to_be_read() {
    assert!(Envelope::read(r#"{"subject":"s","message":{"url":"u"}}"#).is_ok());
    assert!(Envelope::read(r#"{"subject":"s","body":{"url":"u"}}"#).is_ok());
    for text in [
        "",
        "x",
        "[]",
        r#"{"subject":1,"message":{"url":"u"}}"#,
        r#"{"subject":"s"}"#,
        r#"{"subject":"s","message":{}}"#,
    ] {
        assert!(Envelope::read(text).is_err(), "{text}");
    }
}
