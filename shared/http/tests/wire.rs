//! Goal: the target gets what the message says, and nothing of the client's own making. Method: a target that keeps
//! what it read.

mod common;

use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use chaski_core::guard::check_url_text;
use chaski_core::ports::{BodyError, CallError, OpenBody, Outgoing, Payload};
use common::{AMPLE, Hostile, answering, attempt, client, header, is_blocked, post, target};
use proptest::prelude::*;

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn recorder() -> (Hostile, Receiver<(String, Vec<u8>)>) {
    let (sender, requests) = channel();
    let hostile = target(move |mut peer| {
        while let Some(request) = peer.request() {
            let _ = sender.send(request);
            peer.say(FINE);
        }
    });
    (hostile, requests)
}

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn the_request_is_written_as_the_message_says() {
    let (hostile, requests) = recorder();
    let sent = Outgoing {
        url: hostile.url("/a%20b/?q=%7B1%7D&x={2}#fragment").parse().unwrap(),
        method: "PATCH".to_owned(),
        headers: headers(&[("X-B", "2"), ("x-a", "ñ"), ("X-B", "1"), ("User-Agent", "mine"), ("X-Empty", "")]),
        body: b"\0\xff{}".to_vec().into(),
    };
    attempt(&client(), sent, AMPLE).await.unwrap();
    let (head, body) = requests.recv_timeout(AMPLE).unwrap();
    let mut lines: Vec<&str> = head.trim_end().lines().collect();
    let host = format!("host: {}", hostile.address);
    assert_eq!(lines.remove(0), "PATCH /a%20b/?q=%7B1%7D&x={2} HTTP/1.1");
    let all =
        ["x-b: 2", "x-b: 1", "x-a: ñ", "user-agent: mine", "x-empty: ", "accept: */*", &host, "content-length: 4"];
    let mut expected = all.to_vec();
    // The order of one header's values means something, that of different headers does not.
    assert!(lines.iter().position(|l| *l == "x-b: 2") < lines.iter().position(|l| *l == "x-b: 1"));
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected);
    assert_eq!(body, b"\0\xff{}");
}

#[tokio::test]
async fn a_request_without_a_body_says_so_where_one_is_expected() {
    let (hostile, requests) = recorder();
    for (method, length) in [
        ("POST", Some("0")),
        ("PUT", Some("0")),
        ("PATCH", Some("0")),
        ("GET", None),
        ("HEAD", None),
        ("DELETE", None),
        ("OPTIONS", None),
    ] {
        let sent = Outgoing { method: method.to_owned(), ..post(&hostile.url("/"), "") };
        attempt(&client(), sent, AMPLE).await.unwrap();
        let (head, _) = requests.recv_timeout(AMPLE).unwrap();
        assert!(head.starts_with(method));
        assert_eq!(header(&head, "content-length"), length, "{head}");
        assert_eq!(header(&head, "transfer-encoding"), None);
    }
}

#[tokio::test]
async fn what_no_request_can_hold_is_blocked_and_never_sent() {
    let (hostile, client) = (answering(FINE), client());
    let fine = || post(&hostile.url("/"), "x");
    for method in ["", "CONNECT", "connect", "GE T", "G\r\nX: y", "ÄÖ"] {
        let result = attempt(&client, Outgoing { method: method.to_owned(), ..fine() }, AMPLE).await;
        assert!(is_blocked(&result), "{method:?}: {result:?}");
    }
    for (name, value) in [
        ("", "x"),
        ("X A", "x"),
        ("X:A", "x"),
        ("X-Ä", "x"),
        ("X-A", "secret\r\nX-B: y"),
        ("X-A", "secret\0"),
        ("X-A", "secret\n"),
        ("Host", "secret.example"),
        ("content-length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "upgrade"),
        ("Expect", "100-continue"),
    ] {
        let result = attempt(&client, Outgoing { headers: headers(&[(name, value)]), ..fine() }, AMPLE).await;
        assert!(is_blocked(&result) && !format!("{result:?}").contains("secret"), "{name:?}: {result:?}");
    }
    for url in
        ["http://user:secret@127.0.0.1/", "ftp://127.0.0.1/", "data:x", "http://127.0.0.1:0/", "file:///etc/passwd"]
    {
        let result = attempt(&client, post(url, "x"), AMPLE).await;
        assert!(is_blocked(&result) && !format!("{result:?}").contains("secret"), "{url}: {result:?}");
    }
    assert_eq!(hostile.tally.connections(), 0);
}

/// What the ingress takes must not turn out to be unsendable after the answer 200.
#[test]
fn whatever_url_is_accepted_can_be_sent() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (hostile, client) = (answering(FINE), client());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let texts = prop_oneof!["/\\PC{0,40}", "/[ -~]{0,60}", "\\?[ -~]{0,60}", "/(%[0-9a-z]{1,2}){0,20}", "#\\PC{0,20}"];
    let outcome = runner.run(&texts, |rest| {
        if let Ok(url) = check_url_text(&hostile.url(&rest)) {
            let result = runtime.block_on(attempt(&client, Outgoing { url, ..post(&hostile.url("/"), "x") }, AMPLE));
            prop_assert!(result.is_ok(), "{:?}", result);
        }
        Ok(())
    });
    outcome.unwrap();
}

/// The environment can't be set within a test without touching its neighbours, so the call is made by a child.
#[test]
fn a_proxy_in_the_environment_is_ignored() {
    let (proxy, hostile) = (answering(FINE), answering(FINE));
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "the_child_that_has_a_proxy", "--ignored"]).env("CHASKI_TEST_TARGET", hostile.url("/"));
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        child.env(name, proxy.url(""));
    }
    let child = child.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!((hostile.tally.requests(), proxy.tally.connections()), (1, 0));
}

#[tokio::test]
#[ignore = "run by a_proxy_in_the_environment_is_ignored"]
async fn the_child_that_has_a_proxy() {
    if let Ok(url) = std::env::var("CHASKI_TEST_TARGET") {
        attempt(&client(), post(&url, "x"), AMPLE).await.unwrap();
    }
}

#[tokio::test]
async fn a_body_that_comes_in_pieces_has_its_length_and_never_another_one() {
    let (hostile, requests) = recorder();
    let opened = |bytes: u64, pieces: Vec<Result<Vec<u8>, BodyError>>| {
        let body = OpenBody { bytes, pieces: Box::pin(futures_util::stream::iter(pieces)) };
        Outgoing { body: Payload::Opened(body), ..post(&hostile.url("/"), "") }
    };
    attempt(&client(), opened(7, vec![Ok(b"one".to_vec()), Ok(b" two".to_vec())]), AMPLE).await.unwrap();
    let (head, body) = requests.recv_timeout(AMPLE).unwrap();
    assert!(head.contains("content-length: 7\r\n") && !head.contains("transfer-encoding"), "{head}");
    assert_eq!(body, b"one two");
    attempt(&client(), opened(0, Vec::new()), AMPLE).await.unwrap();
    assert!(requests.recv_timeout(AMPLE).unwrap().0.contains("content-length: 0\r\n"));
    // Too few, too many, damaged: the target is left without the end, and the attempt has failed.
    let damaged = Err(BodyError::Gone("damaged".to_owned()));
    for pieces in [vec![Ok(vec![7; 3])], vec![Ok(vec![7; 9])], vec![Ok(vec![7; 3]), damaged]] {
        let told = attempt(&client(), opened(7, pieces), AMPLE).await;
        assert!(matches!(&told, Err(CallError::Connection(_))), "{told:?}");
    }
}
