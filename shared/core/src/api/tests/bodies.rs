//! Large bodies: set aside in a call, named by their uploads, and refused where they can't be had.

use super::fake::{Serve, local, pointers};
use super::*;
use crate::envelope::{Aside, Body, Envelope, Form};
use crate::identity;

fn posted(body: &Value) -> String {
    json!({"subject": "s", "id": "k", "message": {"url": "http://example.org", "body": body}}).to_string()
}

/// What the queue got last.
fn queued(serve: &Serve) -> Envelope {
    Envelope::read(&serve.api.ingress.queues().0.lock().unwrap().last().unwrap().body).unwrap()
}

fn aside(envelope: &Envelope) -> &Aside {
    let Body::Aside(aside) = &envelope.message.body else { panic!("{:?}", envelope.message.body.bytes().len()) };
    aside
}

#[test]
fn a_body_over_the_inline_limit_is_set_aside_under_the_message_s_id() {
    let serve = Serve::new("");
    for (bytes, travels) in
        [(limits::BODY_BYTES - 1, true), (limits::BODY_BYTES, true), (limits::BODY_BYTES + 1, false)]
    {
        let body = "x".repeat(bytes);
        let (status, receipt) = serve.ask(&Request { body: posted(&json!(body)).into(), ..local("POST", "/messages") });
        assert_eq!(status, 200, "{receipt}");
        let envelope = queued(&serve);
        if travels {
            assert_eq!(envelope.message.body.bytes(), body.as_bytes());
            continue;
        }
        let expected =
            Aside { reference: receipt["id"].as_str().unwrap().to_owned(), bytes: 262_145, form: Form::Text };
        assert_eq!(aside(&envelope), &expected);
        assert_eq!(serve.api.ingress.bodies().of(&expected.reference), Some(body.into_bytes()));
    }
}

#[test]
fn a_key_knows_a_large_body_by_all_of_it() {
    let serve = Serve::new("");
    let id =
        |body: String| serve.post("/messages", &serde_json::from_str(&posted(&json!(body))).unwrap()).1["id"].clone();
    let (one, other) = ("x".repeat(300_000), format!("{}y", "x".repeat(299_999)));
    assert_eq!(id(one.clone()), id(one.clone()));
    assert_ne!(id(one), id(other));
}

#[test]
fn a_call_carries_four_megabytes_and_says_what_carries_more() {
    let serve = Serve::new("");
    for (bytes, expected) in
        [(limits::CALL_BODY_BYTES - 1, 200), (limits::CALL_BODY_BYTES, 200), (limits::CALL_BODY_BYTES + 1, 413)]
    {
        let body = posted(&json!("x".repeat(bytes)));
        let (status, answer) = serve.ask(&Request { body: body.into(), ..local("POST", "/messages") });
        assert_eq!(status, expected, "{bytes}");
        if status == 413 {
            assert_eq!(pointers(&answer), ["/message/body"]);
            assert!(answer.to_string().contains("POST /bodies"), "{answer}");
        }
    }
}

/// As base64 it fits into Lambda's event with 900 KB to spare: no character of it is escaped there.
#[test]
fn the_largest_body_of_a_call_fits_into_an_event() {
    let base64 = limits::CALL_BODY_BYTES.div_ceil(3) * 4;
    let rest = limits::ENVELOPE_BYTES + 2 * limits::HEADERS_TOTAL_BYTES;
    assert!(base64 + rest < limits::EVENT_BYTES, "{}", base64 + rest);
}

#[test]
fn an_upload_is_promised_and_named_by_its_own_producer() {
    let serve = Serve::new("");
    let (status, promise) = serve.post("/bodies", &json!({}));
    assert_eq!(status, 200, "{promise}");
    let reference = promise["body_ref"].as_str().unwrap();
    assert_eq!(promise["upload"]["url"], format!("http://127.0.0.1:8080/bodies/{reference}"));
    assert_eq!(promise["upload"]["method"], "PUT");
    assert_eq!(promise["max_bytes"], 25_000_000);

    let naming = |reference: &str, more: &str| {
        let text =
            format!(r#"{{"subject":"s","message":{{"url":"http://example.org","body_ref":"{reference}"{more}}}}}"#);
        serve.ask(&Request { body: text.into(), ..local("POST", "/messages") })
    };
    let refused = |(status, answer): (u16, Value)| {
        assert_eq!((status, pointers(&answer)), (400, vec!["/message/body_ref"]), "{answer}");
    };
    refused(naming(reference, ""));
    let put =
        |bytes: usize| serve.api.ingress.bodies().0.lock().unwrap().insert(reference.to_owned(), Some(vec![7; bytes]));
    put(300_000);
    refused(naming(reference, r#","body":1"#));
    refused(naming(reference, r#","body_base64":"AA==""#));
    refused(naming(&identity::body_reference("another", &Sevens), ""));
    refused(naming("0193f0a0-0000-7000-8000-000000000001", ""));
    assert_eq!(naming(reference, "").0, 200);
    assert_eq!(aside(&queued(&serve)), &Aside { reference: reference.to_owned(), bytes: 300_000, form: Form::Bytes });

    for (bytes, expected) in [(limits::LARGE_BODY_BYTES, 200), (limits::LARGE_BODY_BYTES + 1, 413)] {
        put(bytes);
        assert_eq!(naming(reference, "").0, expected, "{bytes}");
    }
}

#[test]
fn the_address_is_the_one_that_the_caller_knows() {
    let serve = Serve::new("");
    let mut request = local("POST", "/bodies");
    request.headers.push(("x-forwarded-proto".to_owned(), "https".to_owned()));
    let url = serve.ask(&request).1["upload"]["url"].clone();
    assert!(url.as_str().unwrap().starts_with("https://127.0.0.1:8080/bodies/"), "{url}");
    request.body = b"{\"bytes\":1}".to_vec();
    assert_eq!(serve.ask(&request).0, 400);
}

#[test]
fn a_callback_has_no_body_of_its_own() {
    let callback = json!({"url": "http://example.org", "body_ref": "x"});
    let posted = json!({"subject": "s", "message": {"url": "http://example.org"}, "callback": callback});
    let (status, answer) = Serve::new("").post("/messages", &posted);
    assert_eq!(status, 400);
    assert!(pointers(&answer).contains(&"/callback/body_ref"), "{answer}");
}

#[test]
fn a_home_that_keeps_no_bodies_says_so() {
    let function = Function::new("");
    let large = posted(&json!("x".repeat(limits::BODY_BYTES + 1)));
    assert_eq!(function.ask(&Request { body: large.into(), ..request("POST", "/messages") }).0.status, 413);
    assert_eq!(function.ask(&request("POST", "/bodies")).0.status, 501);
}

#[test]
fn an_upload_s_path_is_told_from_every_other() {
    let serve = Serve::new("");
    assert_eq!(upload(&serve.api, &local("PUT", "/bodies/a.b")), Some(Ok("a.b".to_owned())));
    for other in
        [local("POST", "/bodies"), local("PUT", "/bodies"), local("PUT", "/bodies/a/b"), local("GET", "/bodies/a")]
    {
        assert_eq!(upload(&serve.api, &other), None, "{} {}", other.method, other.path);
    }
    // Not for a page of another site, and not through a name that was bound anew.
    let foreign =
        Request { headers: vec![("host".to_owned(), "evil.example".to_owned())], ..local("PUT", "/bodies/a") };
    assert_eq!(upload(&serve.api, &foreign).unwrap().unwrap_err().status, 403);
}
