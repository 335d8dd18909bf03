//! Goal: whatever has to be buried is buried whole, within DynamoDB's limits.

use chaski_core::dead_letter::read_stored_message;
use chaski_core::time::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::dead_letters::tests::{letter, noise};

/// DynamoDB's limits on the key of an item and of an index.
const PARTITION_KEY_BYTES: usize = 2_048;
const SORT_KEY_LIMIT: usize = 1_024;
const ITEM_LIMIT: usize = 400 * 1_024;

/// What a reader does: the message of a record, from the items that were written.
fn read_back(items: &[Item]) -> Vec<u8> {
    let record = items.last().unwrap();
    let stored = match record.get(PARTS) {
        None => record[MESSAGE].as_b().unwrap().as_ref().to_vec(),
        Some(keys) => {
            let by_key = |key: &str| items.iter().find(|item| item[TIMESTAMP].as_s().unwrap() == key).unwrap();
            let parts = keys.as_l().unwrap().iter().map(|key| by_key(key.as_s().unwrap())[PART].as_b().unwrap());
            parts.flat_map(|part| part.as_ref().to_vec()).collect()
        }
    };
    read_stored_message(&stored).unwrap()
}

fn within_limits(items: &[Item]) {
    let record = items.last().unwrap();
    for item in items {
        assert!(size(item) <= limits::DEAD_LETTER_ITEM_BYTES, "an item of {} bytes", size(item));
        assert!(item[DATE].as_s().unwrap().len() <= PARTITION_KEY_BYTES);
        assert!(item[TIMESTAMP].as_s().unwrap().len() <= SORT_KEY_LIMIT);
    }
    for digest in ["id_digest", "subject_digest", "target_digest"] {
        if let Some(key) = record.get(digest) {
            assert!((1..=PARTITION_KEY_BYTES).contains(&key.as_s().unwrap().len()), "{digest}");
        }
    }
    const { assert!(limits::DEAD_LETTER_ITEM_BYTES < ITEM_LIMIT) };
}

/// The biggest record that a message can become which passed ingress: every field at its limit, a body that
/// can't be packed, and the longest history.
fn biggest() -> DeadLetter {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // One stream for all fields, so that none can be packed by its likeness to another.
    let mut characters = noise(600_000).into_iter().map(|byte| char::from(alphabet[usize::from(byte % 64)]));
    let mut base64 = |bytes: usize| characters.by_ref().take(bytes).collect::<String>();
    let envelope = format!(
        r#"{{"subject":"{}","message":{{"url":"{}","headers":{{{}}},"body_base64":"{}"}},"labels":["{}"],"x":"{}"}}"#,
        base64(limits::SUBJECT_BYTES),
        base64(limits::URL_BYTES),
        base64(limits::HEADERS_TOTAL_BYTES),
        base64(limits::BODY_BYTES.div_ceil(3) * 4),
        base64(limits::LABELS * limits::LABEL_BYTES),
        base64(limits::UNKNOWN_FIELDS_BYTES),
    );
    let error =
        ErrorRecord::new("connection", Some(599), &base64(limits::ERROR_DETAIL_BYTES), Timestamp::from_millis(1));
    let attempt = |n| AttemptRecord {
        n,
        at: Timestamp::from_millis(i64::from(n)),
        tier: "retry-medium".to_owned(),
        outcome: "connection".to_owned(),
        status: Some(599),
        duration_ms: 888_000,
        extra: chaski_core::json::Extra::default(),
    };
    DeadLetter {
        tenant: "t".repeat(32),
        producer: Some("p".repeat(32)),
        order: Some("1".repeat(20)),
        subject: Some(base64(limits::SUBJECT_BYTES)),
        client: Some(base64(limits::CLIENT_BYTES)),
        target: Some(base64(limits::URL_BYTES)),
        target_host: Some(base64(253)),
        received_at: Some(Timestamp::from_millis(1)),
        first_error: error.clone(),
        last_error: error,
        attempts: (1..=50).map(attempt).collect(),
        response: Some(noise(limits::ANSWER_BYTES)),
        ..letter("019a3f6e-0000-7000-8000-000000000000", envelope.into_bytes())
    }
}

#[test]
fn the_biggest_legal_record_is_one_item() {
    let letter = biggest();
    let items = items(&letter);
    assert_eq!(items.len(), 1);
    within_limits(&items);
    assert!(size(&items[0]) > 315_000, "not the biggest: {} bytes", size(&items[0]));
    assert_eq!(read_back(&items), letter.message);
}

#[test]
fn a_message_that_fits_no_item_is_kept_in_several() {
    for bytes in [limits::DEAD_LETTER_ITEM_BYTES, 3 * PART_BYTES, 1_048_576] {
        let letter = letter("raw", noise(bytes));
        let items = items(&letter);
        assert_eq!(items.len(), 1 + letter.stored_message().len().div_ceil(PART_BYTES));
        within_limits(&items);
        assert_eq!(read_back(&items), letter.message);
        // A part is found by its keys alone: it has none of the indexes' attributes.
        assert!(!items[0].contains_key("id_digest"));
    }
}

#[test]
fn parts_of_two_burials_never_mix() {
    let keys = |letter: &DeadLetter| -> Vec<String> {
        items(letter).iter().map(|item| item[TIMESTAMP].as_s().unwrap().clone()).collect()
    };
    let (first, second) = (keys(&letter("raw", noise(900_000))), keys(&letter("raw", noise(900_001))));
    assert_eq!(first.last(), second.last(), "the record has one place");
    assert!(first.iter().rev().skip(1).all(|key| !second.contains(key)));
}

#[test]
fn the_item_is_the_contracts() {
    let mut letter = letter("m-1", b"{}".to_vec());
    letter.tenant = String::new();
    let item = items(&letter).remove(0);
    let text = |name: &str| item[name].as_s().unwrap().as_str();
    assert_eq!(text(DATE), letter.date_key());
    assert_eq!(text(TIMESTAMP), "2026-12-01T09:00:00.123Z#m-1#1");
    assert_eq!(item[GENERATION], AttributeValue::N("1".to_owned()));
    assert_eq!(item["tenant"], AttributeValue::S(String::new()));
    assert_eq!(item[MESSAGE].as_b().unwrap().as_ref(), b"{}");
    assert_eq!(text("died_at"), "2026-12-01T09:01:40.000Z");
    let error = item["error"].as_m().unwrap();
    let first = error["first"].as_m().unwrap();
    assert_eq!(first["class"].as_s().unwrap(), "http_5xx");
    assert_eq!(first["status"].as_n().unwrap(), "500");
    assert_eq!(first["at"].as_s().unwrap(), "1970-01-01T00:00:00.001Z");
    assert!(error.contains_key("last"));
    for absent in ["producer", "order", "client", "received_at", "response", "parts"] {
        assert!(!item.contains_key(absent), "{absent}");
    }
    letter.subject = None;
    letter.target_host = None;
    let item = items(&letter).remove(0);
    assert!(!item.contains_key("subject_digest") && !item.contains_key("target_digest"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Another writer's record, with no respect for any limit.
    #[test]
    fn anything_has_its_place(
        id in 0..3_000_usize, field in 0..600_000_usize, message in 0..1_048_577_usize,
        attempts in 0..2_000_u32, answer in 0..100_000_usize,
    ) {
        let long = "ñ".repeat(field / 2);
        let mut letter = letter(&"i".repeat(id), noise(message));
        letter.subject = Some(long.clone());
        letter.tenant.clone_from(&long);
        letter.target = Some(long.clone());
        letter.target_host = Some(long.clone());
        letter.first_error.detail.clone_from(&long);
        letter.response = Some(noise(answer));
        letter.attempts = (0..attempts)
            .map(|n| AttemptRecord {
                n, at: Timestamp::from_millis(0), tier: "ñ".repeat(400), outcome: "x".repeat(400),
                status: None, duration_ms: u64::MAX, extra: chaski_core::json::Extra::default(),
            })
            .collect();
        let items = items(&letter);
        within_limits(&items);
        prop_assert_eq!(read_back(&items), letter.message);
    }
}

/// Bodies of the greatest size over alphabets that travel badly: what is escaped, what is packed badly, and what
/// stands just below the share of escapes at which a text travels as base64.
#[test]
fn whatever_passes_ingress_is_one_item() {
    use chaski_core::envelope::{self, Meta, Rules};
    let mut noise = noise(2_000_000).into_iter();
    let mut any = |characters: &[char], rare: &[char], one_in: usize| -> String {
        let mut text = String::new();
        while text.len() < limits::BODY_BYTES - 4 {
            let (a, b) = (usize::from(noise.next().unwrap_or(7)), usize::from(noise.next().unwrap_or(3)));
            let from = if (a * 256 + b) % one_in == 0 { rare } else { characters };
            text.push(from[(a * 31 + b) % from.len()]);
        }
        text
    };
    let range = |from: u32, to: u32| (from..to).filter_map(char::from_u32).collect::<Vec<char>>();
    let (printable, controls) = (range(0x23, 0x7f), range(0, 0x20));
    let bodies = [
        any(&controls, &controls, 1_000),
        any(&printable, &controls, 15),
        any(&printable, &controls, 16),
        any(&printable, &['"', '\\'], 4),
        any(&range(0x4e00, 0x9f00), &controls, 40),
        any(&range(0x10000, 0x1f000), &['\u{fffe}', '\u{ffff}'], 50),
    ];
    for (n, body) in bodies.into_iter().enumerate() {
        for json in [false, true] {
            let text = serde_json::Value::from(body.clone());
            // A JSON body is the text of an array, quotes and escapes included, so it is cut to its limit.
            let value = if json {
                serde_json::json!([&body[..body.floor_char_boundary(limits::BODY_BYTES / 7)]])
            } else {
                text
            };
            let unknown = "u".repeat(limits::UNKNOWN_FIELDS_BYTES - 8);
            let post = serde_json::json!({"subject": "s".repeat(512), "message": {"url": "https://example.org/", "body": value}, "x": unknown});
            let guard = chaski_core::guard::Guard::default();
            let accepted = envelope::accept(
                post.to_string().as_bytes(),
                None,
                Rules {
                    guard: &guard,
                    producer: "",
                    body_bytes: limits::CALL_BODY_BYTES,
                    now: Timestamp::from_millis(0),
                    max_timeout: std::time::Duration::from_secs(30),
                },
            );
            let mut envelope = accepted.unwrap_or_else(|errors| panic!("body {n}: {errors:?}")).envelope;
            envelope.meta = Some(Meta { id: "i".repeat(36), ..Meta::default() });
            let wire = envelope.to_wire();
            assert!(wire.len() <= limits::ENVELOPE_BYTES, "body {n} travels as {} bytes", wire.len());
            let items = items(&DeadLetter { message: wire.into_bytes(), ..biggest() });
            assert_eq!(items.len(), 1, "body {n}");
            within_limits(&items);
        }
    }
}
