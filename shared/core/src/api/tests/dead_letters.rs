//! Dead letters at a home with a desk.

use super::fake::{Death, Serve, at, letter, local, pointers};
use super::*;
use crate::envelope::Envelope;
use crate::filter::{DeadLetterFilter, ErrorFilter, TargetFilter};
use crate::ports::Buried;

fn raw(id: &str, bytes: &[u8]) -> Buried {
    let mut buried = letter(id, "", 0);
    let letter = &mut buried.letter;
    (letter.subject, letter.client, letter.target, letter.target_host) = (None, None, None, None);
    (letter.producer, letter.response) = (None, None);
    letter.message = bytes.to_vec();
    buried
}

#[test]
fn a_dead_letter_is_the_record() {
    let serve = Serve::new("");
    let buried = letter("d-1", "s", 0);
    let (date, message) = (buried.letter.date_key(), String::from_utf8(buried.letter.message.clone()).unwrap());
    serve.state().letters.push(buried);
    let error = json!({"class": "http_5xx", "status": 500, "detail": "the target answered 500",
        "at": "2026-12-01T09:01:00.000Z"});
    let mut expected = json!({
        "date": date, "timestamp": "2026-12-01T09:00:50.000Z#d-1#1", "id": "d-1", "generation": 1, "tenant": "",
        "producer": "crm", "order": "17", "subject": "s", "client": "7", "target": "https://example.org/hook",
        "target_host": "example.org", "received_at": "2026-12-01T09:00:00.000Z",
        "error": {"first": error, "last": error},
        "attempts": [{"n": 1, "at": "2026-12-01T09:00:01.000Z", "tier": "messages-1", "outcome": "http_5xx",
            "status": 500, "duration_ms": 12}],
        "message": serde_json::from_str::<Value>(&message).unwrap(), "response": "oh no",
        "died_at": "2026-12-01T09:01:01.000Z", "created_at": "2026-12-01T09:01:01.000Z",
    });
    let response = serve.response(&local("GET", "/dead-letters/d-1"));
    assert_eq!(serde_json::from_str::<Value>(&response.body).unwrap(), expected);
    assert!(response.body.contains(&message), "the envelope stands byte for byte");
    for left_out in ["message", "response"] {
        expected.as_object_mut().unwrap().remove(left_out);
    }
    assert_eq!(serve.get("/dead-letters"), (200, json!({"items": [expected], "next_cursor": null})));
}

#[test]
fn the_newest_generation_is_meant_unless_one_is_named() {
    let serve = Serve::new("");
    let (mut first, mut second) = (letter("d-1", "s", 0), letter("d-1", "s", 0));
    first.replayed_at = Some(at(90));
    second.letter.generation = 2;
    serve.state().letters = vec![second, first];
    assert_eq!(serve.get("/dead-letters/d-1").1["generation"], 2);
    let older = serve.get("/dead-letters/d-1?generation=1").1;
    assert_eq!((&older["generation"], &older["replayed_at"]), (&json!(1), &json!("2026-12-01T09:01:30.000Z")));
    assert_eq!(serve.get("/dead-letters/d-1?generation=3").0, 404);
    assert_eq!(pointers(&serve.get("/dead-letters/d-1?generation=0").1), ["?generation"]);

    let deleted = |generation: u32| (200, json!({"id": "d-1", "generation": generation, "deleted": true}));
    assert_eq!(serve.delete("/dead-letters/d-1"), deleted(2));
    assert_eq!(serve.delete("/dead-letters/d-1?generation=2").0, 404);
    assert_eq!(serve.delete("/dead-letters/d-1?generation=1"), deleted(1));
    assert_eq!(serve.delete("/dead-letters/d-1").0, 404);
}

/// Depth, half surrogate pairs and monstrous numbers can stand in a queue, and stop a reader of JSON.
#[test]
fn what_a_reader_of_the_answer_could_not_read_goes_as_base64() {
    let deep = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels)).into_bytes();
    let cases: [(Vec<u8>, bool); 8] = [
        (b"{\"a\":1}".to_vec(), true),
        (deep(126), true),
        (deep(127), false),
        (br#"{"a":"\ud800"}"#.to_vec(), false),
        (b"{\"a\":1e999}".to_vec(), false),
        (b"nonsense".to_vec(), false),
        (b"[1]".to_vec(), false),
        (b"\xff".to_vec(), false),
    ];
    for (bytes, readable) in cases {
        let serve = Serve::new("");
        serve.state().letters.push(raw("d-1", &bytes));
        let (status, record) = serve.get("/dead-letters/d-1");
        assert_eq!((status, record.get("message").is_some()), (200, readable), "{}", bytes.escape_ascii());
        assert_eq!(record.get("message_base64").is_some(), !readable);
        assert_eq!(record.get("subject"), None);
    }
}

#[test]
fn a_list_is_asked_for_as_the_query_says() {
    let serve = Serve::new("");
    let asked = |query: &str| {
        assert_eq!(serve.get(&format!("/dead-letters?{query}")).0, 200, "{query}");
        serve.state().letter_filter.take().unwrap()
    };
    let everything = DeadLetterFilter::default();
    assert_eq!(asked(""), everything);
    assert!(asked("replayed=true").replayed);
    assert!(!asked("replayed=").replayed);
    let narrow = asked("subject=s&client=c&target=e.org&error=timeout&from=2026-12-01&to=2026-12-02");
    let expected = DeadLetterFilter {
        subject: Some("s".to_owned()),
        client: Some("c".to_owned()),
        target: Some(TargetFilter::Host("e.org".to_owned())),
        error: Some(ErrorFilter::Class("timeout".to_owned())),
        from: Timestamp::parse("2026-12-01T00:00:00Z"),
        to: Timestamp::parse("2026-12-02T00:00:00Z"),
        ..everything
    };
    assert_eq!(narrow, expected);
    assert_eq!(asked("error=503").error, Some(ErrorFilter::Status(503)));
    for bad in ["error=50", "error=1000", "error=http_6xx", "replayed=maybe", "label=l", "state=dead"] {
        assert_eq!(serve.get(&format!("/dead-letters?{bad}")).0, 400, "{bad}");
    }
}

#[test]
fn a_replay_is_the_next_generation() {
    let serve = Serve::new("");
    serve.state().letters.push(letter("d-1", "test_subject", 0));
    assert_eq!(serve.post("/dead-letters/d-1/replay", &json!({})), (202, json!({"matched": 1, "replayed": 1})));
    let entry = serve.state().sent.remove(0);
    assert_eq!(entry.queue.to_string(), "messages-1");
    assert_eq!(entry.group, crate::identity::group_id("", "test_subject"));
    assert_eq!(entry.dedup, crate::identity::dedup_id("d-1", 2, 1, 0));
    let meta = Envelope::read(&entry.body).unwrap().meta.unwrap();
    assert_eq!((meta.id.as_str(), meta.generation, meta.order.as_deref()), ("d-1", 2, Some("17")));

    assert_eq!(serve.ask(&local("POST", "/dead-letters/d-1/replay")).0, 409, "it was sent again before");
    assert_eq!(serve.post("/dead-letters/d-2/replay", &json!({})).0, 404);
    let (status, problem) = serve.post("/dead-letters/d-1/replay", &json!({"all": true}));
    assert_eq!((status, pointers(&problem)), (400, vec!["/all"]));
    assert!(serve.state().sent.is_empty());
}

#[test]
fn what_can_not_be_read_is_replayed_as_it_is() {
    let serve = Serve::new("");
    serve.state().letters = vec![raw("d-1", b"nonsense"), raw("d-2", b"\xff")];
    assert_eq!(serve.post("/dead-letters/d-1/replay", &json!({})).0, 202);
    let entry = serve.state().sent.remove(0);
    assert_eq!(entry.body, "nonsense");
    assert!(entry.queue.to_string().starts_with("messages-"), "{}", entry.queue);
    assert_eq!(serve.post("/dead-letters/d-2/replay", &json!({})).0, 409, "no queue takes bytes that are no text");
    let counts = serve.post("/dead-letters/replay", &json!({"all": true})).1;
    assert_eq!(counts, json!({"matched": 1, "replayed": 0}));
    assert!(serve.state().sent.is_empty());
}

#[test]
fn all_are_replayed_in_the_order_of_acceptance() {
    let serve = Serve::new("");
    // Given up in another order than accepted, over several pages, of three subjects.
    let count = i64::try_from(limits::REPLAY_PAGE_ITEMS).unwrap() * 3 + 7;
    let letters = (0..count).rev().map(|n| letter(&format!("d-{n:04}"), &format!("s{}", n % 3), n));
    serve.state().letters.extend(letters);
    let replay = |body: Value| serve.post("/dead-letters/replay", &body);
    assert_eq!(
        replay(json!({"error": 500, "dry_run": true})),
        (200, json!({"matched": count, "replayed": 0, "dry_run": true}))
    );
    let asked = serve.state().letter_filter.take().unwrap();
    assert_eq!(asked.error, Some(ErrorFilter::Status(500)));
    assert!(serve.state().sent.is_empty());

    assert_eq!(replay(json!({"all": true})), (202, json!({"matched": count, "replayed": count})));
    for subject in ["s0", "s1", "s2"] {
        let group = crate::identity::group_id("", subject);
        let state = serve.state();
        let line: Vec<&str> = state
            .sent
            .iter()
            .filter(|entry| entry.group == group)
            .map(|entry| entry.listing.as_ref().unwrap().id.as_str())
            .collect();
        assert!(line.len() > 50 && line.is_sorted(), "{subject}: {line:?}");
    }
    assert_eq!(replay(json!({"all": true})).1, json!({"matched": 0, "replayed": 0}));
    for body in [json!({}), json!({"all": false}), json!({"dry_run": true}), json!({"replayed": true, "all": true})] {
        assert_eq!(replay(body.clone()).0, 400, "{body}");
    }
}

/// What dies again while the rest is replayed stands right behind its first record, or at the end of all: replaying
/// would go on for ever, and send again what was sent again just now.
#[test]
fn what_dies_again_at_once_is_not_replayed_twice() {
    for death in [Death::Again, Death::Anew] {
        let serve = Serve::new("");
        let count = limits::REPLAY_PAGE_ITEMS * 2 + 1;
        let letters = (0..count).map(|n| letter(&format!("d-{n:04}"), "s", i64::try_from(n).unwrap()));
        serve.state().letters = letters.collect();
        serve.state().death = Some(death);
        let answer = serve.post("/dead-letters/replay", &json!({"all": true}));
        assert_eq!(answer, (202, json!({"matched": count, "replayed": count})));
        let state = serve.state();
        let sent: Vec<&str> = state.sent.iter().map(|entry| entry.listing.as_ref().unwrap().id.as_str()).collect();
        assert_eq!(sent.len(), count);
        assert!(sent.iter().all(|id| id.starts_with("d-")) && sent.is_sorted(), "{sent:?}");
    }
}

#[test]
fn a_store_that_stops_in_the_middle_keeps_the_order() {
    let serve = Serve::new("");
    serve.state().letters = (0..6).map(|n| letter(&format!("d-{n}"), &format!("s{}", n % 2), n)).collect();
    serve.state().stuck = Some("d-2".to_owned());
    let (status, problem) = serve.post("/dead-letters/replay", &json!({"all": true}));
    assert_eq!(status, 503);
    assert!(problem["detail"].as_str().unwrap().contains("4 were sent again"), "{problem}");
    let ids = |serve: &Serve| -> Vec<String> {
        serve.state().sent.iter().map(|entry| entry.listing.as_ref().unwrap().id.clone()).collect()
    };
    assert!(!ids(&serve).contains(&"d-4".to_owned()), "d-4 may not overtake d-2");
    serve.state().stuck = None;
    assert_eq!(serve.post("/dead-letters/replay", &json!({"all": true})).1, json!({"matched": 2, "replayed": 2}));
    assert_eq!(ids(&serve).split_off(4), ["d-2", "d-4"]);
}
