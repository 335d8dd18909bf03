//! What the next generation of a dead letter is.

use super::*;
use crate::dead_letter::tests::letter;
use crate::envelope::META_VERSION;
use crate::settings::Settings;

fn settings(file: &str) -> Settings {
    Settings::read(file, &|_| None).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_796_200_000_000)
}

/// A record as it is written when a message with `meta` is given up.
fn buried(envelope: &str) -> DeadLetter {
    DeadLetter {
        generation: 3,
        tenant: "t".to_owned(),
        producer: Some("crm".to_owned()),
        order: Some("17".to_owned()),
        subject: Some("test_subject".to_owned()),
        received_at: Some(Timestamp::from_millis(1_796_115_600_000)),
        ..letter("m-1", envelope.as_bytes().to_vec())
    }
}

const WIRE: &str = r#"{"subject":"test_subject","message":{"url":"https://u:p@example.org/hook?k=v","method":"PUT","body":{"b" : 1.0}},"labels":["l"],"id":"key","client":"7","meta":{"v":3,"id":"m-1","producer":"crm","tenant":"t","received_at":"2026-12-01T09:00:00.000Z","order":"17","generation":3,"attempts":6,"history":[{"n":1,"at":"2026-12-01T09:00:01.000Z","tier":"messages-1","outcome":"timeout","duration_ms":1}],"hop":4,"first_error":{"class":"timeout","detail":"","at":"2026-12-01T09:00:01.000Z"},"last_error":{"class":"gone","detail":"","at":"2026-12-01T09:00:01.000Z"},"next_due":"2026-12-01T09:00:01.000Z","route":"gone","trace":"00-1-2-01","new":[1]},"later":true}"#;

#[test]
fn attempts_and_errors_begin_anew_and_the_rest_stays() {
    let entry = next_generation(&buried(WIRE), &settings(""), now()).unwrap();
    let (before, after) = (Envelope::read(WIRE).unwrap(), Envelope::read(&entry.body).unwrap());
    let old = before.meta.clone().unwrap();
    let expected = Meta {
        generation: 4,
        attempts: 0,
        history: Vec::new(),
        hop: 0,
        first_error: None,
        last_error: None,
        next_due: None,
        replayed_at: Some(now()),
        route: Some("messages".to_owned()),
        ..old
    };
    assert_eq!(after.meta, Some(expected));
    assert_eq!(after.canonical(), before.canonical());
    assert_eq!((after.key, after.client), (before.key, before.client));
    assert_eq!(entry.queue.to_string(), "messages-1");
    assert_eq!(entry.group, identity::group_id("t", "test_subject"));
    assert_eq!(entry.dedup, identity::dedup_id("m-1", 4, 1, 0));
    let listing = Listing {
        id: "m-1".to_owned(),
        generation: 4,
        tenant: "t".to_owned(),
        producer: "crm".to_owned(),
        subject: "test_subject".to_owned(),
        client: Some("7".to_owned()),
        labels: vec!["l".to_owned()],
        route: "messages".to_owned(),
        target: Some("https://example.org/hook".to_owned()),
        target_host: Some("example.org".to_owned()),
        received_at: Timestamp::from_millis(1_796_115_600_000),
        flow: None,
        body: None,
    };
    assert_eq!(entry.listing.as_deref(), Some(&listing));
}

/// Buried by the error consumer as `no_meta`, written by 1.0: the record's word stands in for the envelope's.
#[test]
fn an_envelope_without_meta_gets_the_record_s() {
    let letter = buried(r#"{"subject":"pc_consume_108_5699","message":{"url":"http://e.org"}}"#);
    let entry = next_generation(&letter, &settings(""), now()).unwrap();
    let meta = Envelope::read(&entry.body).unwrap().meta.unwrap();
    assert_eq!((meta.v, meta.id.as_str(), meta.generation), (META_VERSION, "m-1", 4));
    assert_eq!((meta.tenant.as_str(), meta.producer.as_str(), meta.order.as_deref()), ("t", "crm", Some("17")));
    assert_eq!(meta.received_at, letter.received_at);
    assert_eq!(entry.listing.unwrap().client.as_deref(), Some("108"), "the subject names the client");
}

#[test]
fn the_routes_of_today_count() {
    let today =
        settings("[[routes]]\nname = \"tests\"\npattern = \"test_*\"\n[[routes]]\nname = \"r\"\npattern = \"*\"");
    let entry = next_generation(&buried(WIRE), &today, now()).unwrap();
    assert_eq!(entry.queue.to_string(), "tests-0");
    assert_eq!(Envelope::read(&entry.body).unwrap().meta.unwrap().route.as_deref(), Some("tests"));
}

#[test]
fn what_is_no_envelope_goes_raw_to_the_catch_all_route() {
    let routes = "[[routes]]\nname = \"first\"\npattern = \"a*\"\n[[routes]]\nname = \"rest\"\npattern = \"*\"";
    for text in ["nonsense", "{}", "", r#"{"subject":"a"}"#] {
        let entry = next_generation(&buried(text), &settings(routes), now()).unwrap();
        assert_eq!((entry.body.as_str(), entry.queue.to_string().as_str()), (text, "rest-0"));
        assert_eq!(entry.dedup, identity::dedup_id("m-1", 4, 1, 0));
        assert_eq!(entry.group, identity::group_id("t", "m-1"), "a line of its own");
        let listing = entry.listing.unwrap();
        assert_eq!((listing.id.as_str(), listing.generation, listing.route.as_str()), ("m-1", 4, "rest"));
    }
    let letter = DeadLetter { message: b"\xff\xfe".to_vec(), ..buried("") };
    assert_eq!(next_generation(&letter, &settings(routes), now()), Err(CantReplay::NotText));
}
