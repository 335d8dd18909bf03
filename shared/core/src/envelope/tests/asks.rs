//! What a message asks for: taken within its limits, refused by name beyond them, and carried as it was given.

use std::time::Duration;

use super::*;
use crate::flow::Flow;
use crate::route::Ordering;

fn asking(fields: &str) -> String {
    format!(r#"{{"subject":"s","message":{{"url":"http://example.org"}},{fields}}}"#)
}

fn taken(fields: &str) -> Accepted {
    take(&asking(fields)).unwrap_or_else(|errors| panic!("{fields}: {errors:?}"))
}

fn refused(fields: &str) -> Vec<String> {
    pointers(&asking(fields))
}

#[test]
fn every_option_is_read_and_travels_as_it_was_given() {
    let text = asking(
        r#""ordering":"strict","delay":90.5,"expires_in":"1h30m","timeout":"500ms",
        "retry":{"max_attempts":3,"delays":["1s",2,"1h"]},"callback":{"url":"http://example.org/done","headers":{"X-A":"1"}},
        "failure_callback":{"url":"http://example.org/failed","method":"PUT","timeout":5,"retry":{"max_attempts":1}},
        "flow":{"key":"crm","rate":10,"per":"1m","parallelism":2}"#,
    );
    let accepted = take(&text).unwrap();
    assert!(accepted.warnings.is_empty(), "{:?}", accepted.warnings);
    assert_eq!(accepted.not_before, Some(now().plus(Duration::from_millis(90_500))));
    assert_eq!(accepted.expires_at, Some(now().plus(Duration::from_secs(5_400))));
    let there = Envelope::read(&accepted.envelope.to_wire()).unwrap();
    assert_eq!(there.options, accepted.envelope.options);
    let options = there.options;
    assert_eq!(options.ordering, Some(Ordering::Strict));
    assert_eq!(options.timeout, Some(Duration::from_millis(500)));
    let retry = options.retry.unwrap();
    assert_eq!((retry.max_attempts, retry.delays), (Some(3), [1, 2, 3_600].map(Duration::from_secs).to_vec()));
    let callback = options.callback.unwrap();
    assert_eq!((callback.message.url.as_str(), callback.message.method.as_str()), ("http://example.org/done", "POST"));
    let failure = options.failure_callback.unwrap();
    assert_eq!((failure.message.method.as_str(), failure.options.timeout), ("PUT", Some(Duration::from_secs(5))));
    assert_eq!(options.flow, Some(Flow::new("crm", Some(10), Some(Duration::from_secs(60)), Some(2)).unwrap()));
    for given in [r#""delay":90.5"#, r#""expires_in":"1h30m""#, r#""delays":["1s",2,"1h"]"#] {
        assert!(accepted.envelope.canonical().contains(given), "{given}");
    }
}

#[test]
fn times_are_reckoned_from_the_post_and_what_is_past_is_now() {
    assert_eq!(taken(r#""not_before":"2026-12-01T10:00:00+01:00""#).not_before, None);
    assert_eq!(taken(r#""not_before":"2026-11-01T10:00:00Z""#).not_before, None);
    assert_eq!(taken(r#""delay":0"#).not_before, None);
    let later = taken(r#""not_before":"2026-12-01T09:00:01Z","expires_at":"2026-12-01T09:00:02Z""#);
    assert_eq!(later.not_before.unwrap().since(now()), Duration::from_secs(1));
    assert_eq!(later.expires_at.unwrap().since(now()), Duration::from_secs(2));
    for (fields, pointer) in [
        (r#""delay":"5s","not_before":"2027-01-01T00:00:00Z""#, "/not_before"),
        (r#""expires_in":"5s","expires_at":"2027-01-01T00:00:00Z""#, "/expires_in"),
        (r#""expires_at":"2026-12-01T09:00:00Z""#, "/expires_at"),
        (r#""expires_in":0"#, "/expires_in"),
        (r#""delay":"1m","expires_in":"1m""#, "/expires_in"),
        (r#""delay":-1"#, "/delay"),
        (r#""delay":"soon""#, "/delay"),
        (r#""delay":null"#, "/delay"),
        (r#""not_before":1796115600"#, "/not_before"),
        (r#""not_before":"9999-12-31T23:59:59Z""#, "/not_before"),
        (r#""timeout":0"#, "/timeout"),
        (r#""timeout":-1"#, "/timeout"),
        (r#""timeout":1e18"#, "/timeout"),
    ] {
        assert_eq!(refused(fields), [pointer], "{fields}");
    }
}

#[test]
fn limits_are_kept_at_the_limit() {
    for good in [
        r#""delay":"365d""#,
        r#""timeout":"100ms""#,
        r#""timeout":30"#,
        r#""retry":{"max_attempts":1}"#,
        r#""retry":{"max_attempts":100}"#,
        r#""flow":{"key":"k","rate":1}"#,
        r#""flow":{"key":"k","parallelism":10000}"#,
        r#""flow":{"key":"k","rate":1000000,"per":"7d"}"#,
    ] {
        taken(good);
    }
    for (bad, pointer) in [
        (r#""delay":31536001"#, "/delay"),
        (r#""timeout":"99ms""#, "/timeout"),
        (r#""timeout":"30001ms""#, "/timeout"),
        (r#""retry":{"max_attempts":0}"#, "/retry/max_attempts"),
        (r#""retry":{"max_attempts":-1}"#, "/retry/max_attempts"),
        (r#""retry":{"max_attempts":101}"#, "/retry/max_attempts"),
        (r#""retry":{"delays":["366d"]}"#, "/retry/delays/0"),
        (r#""retry":[]"#, "/retry"),
        (r#""flow":{"key":"","rate":1}"#, "/flow/key"),
        (r#""flow":{"rate":1}"#, "/flow/key"),
        (r#""flow":{"key":"k"}"#, "/flow"),
        (r#""flow":{"key":"k","rate":0}"#, "/flow/rate"),
        (r#""flow":{"key":"k","rate":1,"per":"8d"}"#, "/flow/per"),
        (r#""flow":{"key":"k","parallelism":0}"#, "/flow/parallelism"),
        (r#""flow":{"key":"k","parallelism":10001}"#, "/flow/parallelism"),
        (r#""callback":{"url":"http://example.org","body":1}"#, "/callback/body"),
        (r#""callback":{"url":"http://127.0.0.1/"}"#, "/callback/url"),
        (r#""failure_callback":{"method":"GET"}"#, "/failure_callback/url"),
        (r#""callback":{"url":"http://example.org","timeout":0}"#, "/callback/timeout"),
        (r#""callback":"http://example.org""#, "/callback"),
    ] {
        assert_eq!(refused(bad), [pointer], "{bad}");
    }
    let delays = |count: usize| format!(r#""retry":{{"delays":[{}]}}"#, vec!["1"; count].join(","));
    taken(&delays(99));
    assert_eq!(refused(&delays(100)), ["/retry/delays"]);
    let key = |bytes: usize| format!(r#""flow":{{"key":"{}","rate":1}}"#, "k".repeat(bytes));
    taken(&key(limits::FLOW_KEY_BYTES));
    assert_eq!(refused(&key(limits::FLOW_KEY_BYTES + 1)), ["/flow/key"]);
    let padded = |bytes: usize| {
        let callback = |pad: usize| format!(r#""callback":{{"url":"http://example.org","x":"{}"}}"#, "p".repeat(pad));
        callback(bytes - (callback(0).len() - r#""":"#.len()))
    };
    taken(&padded(limits::OPTIONS_BYTES));
    assert_eq!(refused(&padded(limits::OPTIONS_BYTES + 1)), [""]);
}

#[test]
fn a_slip_inside_an_option_is_named() {
    let accepted = taken(
        r#""retry":{"max_attemps":3},"flow":{"key":"k","rate":1,"burst":2},"callback":{"url":"http://e.org","to":1}"#,
    );
    for pointer in ["/retry/max_attemps", "/flow/burst", "/callback/to"] {
        assert!(accepted.warnings[0].contains(pointer), "{:?}", accepted.warnings);
    }
}
