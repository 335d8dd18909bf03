//! Messages at a home with a ledger.

use super::fake::{Serve, answered, at, attempt, local, message, pointers};
use super::*;
use crate::filter::{MessageFilter, Page, TargetFilter, Whose};
use crate::history::ErrorRecord;
use crate::ledger::MessageState;
use crate::route::Ordering;

#[test]
fn a_message_is_told_whole() {
    let serve = Serve::new("");
    let mut record = message("m-1", MessageState::Retrying);
    record.listing.producer = "crm".to_owned();
    record.listing.tenant = "t".to_owned();
    record.listing.client = Some("7".to_owned());
    record.listing.labels = vec!["invoice".to_owned()];
    record.listing.target = Some("https://example.org/hook".to_owned());
    record.listing.target_host = Some("example.org".to_owned());
    record.cancelling = true;
    record.next_due = Some(at(70));
    record.ordering = Some(Ordering::Strict);
    record.expires_at = Some(at(3_600));
    record.attempts = vec![(attempt(1), "0.1.0".to_owned())];
    record.answer = Some(answered(b"oh no"));
    record.error = Some(ErrorRecord::new("http_5xx", Some(500), "the target answered 500", at(2)));
    serve.state().messages.push(record);
    let mut expected = json!({
        "id": "m-1", "generation": 1, "state": "retrying", "cancelling": true, "tenant": "t", "producer": "crm",
        "subject": "s", "client": "7", "labels": ["invoice"], "route": "messages", "queue": "messages-1",
        "target": "https://example.org/hook", "target_host": "example.org",
        "received_at": "2026-12-01T09:00:00.000Z", "next_due": "2026-12-01T09:01:10.000Z",
        "ordering": "strict", "expires_at": "2026-12-01T10:00:00.000Z",
        "attempts": [{"n": 1, "at": "2026-12-01T09:00:01.000Z", "tier": "messages-1", "outcome": "http_5xx",
            "status": 500, "duration_ms": 12, "version": "0.1.0"}],
        "answer": {"status": 500, "body": "oh no", "truncated": false},
        "error": {"class": "http_5xx", "status": 500, "detail": "the target answered 500",
            "at": "2026-12-01T09:00:02.000Z"},
    });
    assert_eq!(serve.get("/messages/m-1"), (200, expected.clone()));
    expected.as_object_mut().unwrap().remove("answer");
    assert_eq!(serve.get("/messages"), (200, json!({"items": [expected], "next_cursor": null})));
}

#[test]
fn what_is_not_there_is_left_out() {
    let serve = Serve::new("");
    let mut record = message("m-1", MessageState::Delivered);
    record.answer = Some(answered(b"\xff\x00"));
    serve.state().messages.push(record);
    let expected = json!({
        "id": "m-1", "generation": 1, "state": "delivered", "tenant": "", "subject": "s", "labels": [],
        "route": "messages", "received_at": "2026-12-01T09:00:00.000Z", "ended_at": "2026-12-01T09:00:09.000Z",
        "attempts": [], "answer": {"status": 500, "body_base64": "/wA=", "truncated": false},
    });
    assert_eq!(serve.get("/messages/m-1"), (200, expected));
    assert_eq!(serve.get("/messages/m-2").0, 404);
    // An id in a path is percent-decoded.
    serve.state().messages.push(message("a/b", MessageState::Pending));
    assert_eq!(serve.get("/messages/a%2Fb").1["id"], "a/b");
    assert_eq!(serve.get("/messages/%ff").0, 404);
}

#[test]
fn the_end_is_waited_for_at_most_a_minute() {
    let serve = Serve::new("");
    serve.state().messages.push(message("m-1", MessageState::Pending));
    for (query, waited) in [("", 0), ("?wait=10s", 10), ("?wait=60", 60), ("?wait=", 0)] {
        assert_eq!(serve.get(&format!("/messages/m-1{query}")).0, 200);
        assert_eq!(serve.state().waited.take(), Some(Duration::from_secs(waited)), "{query}");
    }
    for query in ["?wait=61s", "?wait=soon", "?wait=-1"] {
        let (status, problem) = serve.get(&format!("/messages/m-1{query}"));
        assert_eq!((status, pointers(&problem)), (400, vec!["?wait"]), "{query}");
        assert_eq!(serve.state().waited, None);
    }
}

#[test]
fn a_list_is_asked_for_as_the_query_says() {
    let serve = Serve::new("");
    let query = "?subject=a+b%2Bc&client=7&label=%C3%B1&state=dead&target=https://Example.ORG/ho&\
                 from=2026-12-01&to=2026-12-01T10:00:00+01:00&limit=1000&cursor=7";
    assert_eq!(serve.get(&format!("/messages{query}")).0, 200);
    let expected = MessageFilter {
        whose: Whose::default(),
        subject: Some("a b+c".to_owned()),
        client: Some("7".to_owned()),
        label: Some("ñ".to_owned()),
        state: Some(MessageState::Dead),
        target: Some(TargetFilter::Prefix {
            prefix: "https://example.org/ho".to_owned(),
            host: "example.org".to_owned(),
        }),
        from: Timestamp::parse("2026-12-01T00:00:00Z"),
        to: Timestamp::parse("2026-12-01T09:00:00Z"),
    };
    assert_eq!(serve.state().message_filter, Some(expected));
    assert_eq!(serve.state().page, Some(Page { limit: 1_000, cursor: Some("7".to_owned()) }));
    // What has no value does not narrow, and says nothing else either.
    assert_eq!(serve.get("/messages?subject=&client=&label=&state=&target=&from=&to=&limit=&cursor=").0, 200);
    assert_eq!(serve.state().message_filter, Some(MessageFilter::default()));
    assert_eq!(serve.state().page, Some(Page { limit: 100, cursor: None }));
    for (given, host) in [("Example.org", "example.org"), ("ñ.org", "xn--ida.org"), ("[::1]", "[::1]")] {
        assert_eq!(serve.get(&format!("/messages?target={given}")).0, 200);
        let asked = serve.state().message_filter.take().and_then(|filter| filter.target);
        assert_eq!(asked, Some(TargetFilter::Host(host.to_owned())));
    }
}

#[test]
fn every_bad_parameter_is_named_at_once() {
    let serve = Serve::new("");
    let (status, problem) =
        serve.get("/messages?limit=0&state=lost&from=yesterday&colour=red&client=a&client=b&subject=%ff&target=a/b");
    assert_eq!(status, 400);
    let mut named = pointers(&problem);
    named.sort_unstable();
    assert_eq!(named, ["?client", "?colour", "?from", "?limit", "?state", "?subject", "?target"]);
    for bad in ["limit=1001", "limit=x", "limit=1.5", "to=2026-13-01", "target=e.org:80", "target=ftp://e.org/"] {
        let (status, problem) = serve.get(&format!("/messages?{bad}"));
        let name = format!("?{}", bad.split('=').next().unwrap());
        assert_eq!((status, pointers(&problem)), (400, vec![name.as_str()]), "{bad}");
    }
    for bad in ["https://e.org/a?b", "https://u:p@e.org/", "https://u@e.org/", "http://", "https://e.org/%23a#b"] {
        let target = percent_encoding::utf8_percent_encode(bad, percent_encoding::NON_ALPHANUMERIC);
        assert_eq!(serve.get(&format!("/messages?target={target}")).0, 400, "{bad}");
    }
    assert_eq!(serve.state().message_filter, None);
}

#[test]
fn pages_are_walked_by_their_cursors() {
    let serve = Serve::new("");
    serve.state().messages = (0..5).map(|n| message(&format!("m-{n}"), MessageState::Pending)).collect();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, page) = serve.get(&format!("/messages?limit=2&cursor={cursor}"));
        assert_eq!(status, 200);
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ["m-0", "m-1", "m-2", "m-3", "m-4"]);
    let (status, problem) = serve.get("/messages?cursor=elsewhere");
    assert_eq!((status, pointers(&problem)), (400, vec!["?cursor"]));
}

#[test]
fn a_cancellation_is_answered_by_what_came_of_it() {
    let serve = Serve::new("");
    let states = [("a", MessageState::Pending), ("b", MessageState::Delivering), ("c", MessageState::Dead)];
    serve.state().messages = states.map(|(id, state)| message(id, state)).into();
    assert_eq!(serve.delete("/messages/a"), (200, json!({"id": "a", "state": "cancelled"})));
    assert_eq!(serve.delete("/messages/b"), (202, json!({"id": "b", "state": "cancelling"})));
    assert_eq!(serve.delete("/messages/c").0, 409);
    assert_eq!(serve.delete("/messages/d").0, 404);
    assert_eq!(serve.delete("/messages/a?force=1").0, 400);
}

#[test]
fn many_are_cancelled_by_a_filter_or_by_saying_all() {
    let serve = Serve::new("");
    let all = "/messages/cancel";
    let counts = json!({"matched": 3, "cancelled": 2, "cancelling": 1});
    assert_eq!(serve.post(all, &json!({"subject": "s", "state": "retrying"})), (200, counts.clone()));
    assert_eq!(serve.state().dry_run, Some(false));
    let asked = serve.state().message_filter.take().unwrap();
    assert_eq!((asked.subject.as_deref(), asked.state), (Some("s"), Some(MessageState::Retrying)));
    assert_eq!(serve.post(all, &json!({"all": true})), (200, counts));
    let dry = json!({"matched": 3, "cancelled": 0, "cancelling": 0, "dry_run": true});
    assert_eq!(serve.post(all, &json!({"label": "l", "dry_run": true})), (200, dry));
    assert_eq!(serve.state().dry_run, Some(true));
    serve.state().uncounted = true;
    let uncounted = serve.post(all, &json!({"all": true}));
    assert_eq!(uncounted, (202, json!({"matched": null, "cancelled": 2, "cancelling": 1})), "null, not a number");

    serve.state().message_filter = None;
    for (body, named) in [
        (json!({}), vec![""]),
        (json!({"all": false}), vec![""]),
        (json!({"dry_run": true}), vec![""]),
        (json!({"subject": ""}), vec!["/subject", ""]),
        (json!({"subject": 7, "all": true}), vec!["/subject"]),
        (json!({"all": "true"}), vec!["/all", ""]),
        (json!({"all": true, "dry_run": 1}), vec!["/dry_run"]),
        (json!({"all": true, "limit": 3, "a/b": 1}), vec!["/a~1b", "/limit"]),
        (json!({"error": "timeout", "client": "7"}), vec!["/error"]),
    ] {
        let (status, problem) = serve.post(all, &body);
        assert_eq!((status, pointers(&problem)), (400, named), "{body}");
    }
    let raw = |body: &str| serve.ask(&Request { body: body.into(), ..local("POST", all) });
    let (status, problem) = raw(r#"{"all":true,"subject":"a","subject":"b"}"#);
    assert_eq!((status, pointers(&problem)), (400, vec!["/subject"]));
    for body in ["", "[]", "null", "{", "{} {}"] {
        assert_eq!(raw(body).0, 400, "{body}");
    }
    assert_eq!(raw(&" ".repeat(limits::ACTION_BYTES + 1)).0, 413);
    assert_eq!(raw(&format!("{}{}", "[".repeat(30_000), "]".repeat(30_000))).0, 400);
    assert_eq!(raw(&format!("{{\"subject\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000))).0, 400);
    assert_eq!(serve.state().message_filter, None, "nothing was cancelled");
}
