//! Goal: whatever a target does, the attempt ends within its deadline (and a second for the machine), with the right
//! class, and costs no more than the answer's limit. Method: real sockets on loopback, a script for each target.

mod common;

use std::time::Duration;

use chaski_core::limits::{ANSWER_BYTES, BODY_BYTES};
use chaski_core::ports::{Answer, CallError};
use common::{
    AMPLE, DEADLINE, answering, attempt, call, client, is_connection, is_timeout, post, saying, target, until,
};
use proptest::test_runner::{Config, TestRunner};

/// What sockets and the parser may hold of a stream that nobody reads.
const BUFFERS: usize = 16 * 1_024 * 1_024;

fn ok(result: Result<Answer, CallError>) -> Answer {
    result.unwrap_or_else(|error| panic!("{error:?}"))
}

/// The class is `connection`, and the text says something but no secret.
fn assert_broken(result: Result<Answer, CallError>, what: &str) {
    let Err(CallError::Connection(text)) = &result else { panic!("{what}: {result:?}") };
    assert!(text.len() > 20 && !text.contains("secret"), "{what}: {text}");
    assert!(!text.contains(": : ") && !text.ends_with(": "), "{what}: {text}");
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let result = attempt(&client(), post(&format!("http://{closed}/?token=secret"), ""), AMPLE).await;
    assert!(matches!(&result, Err(CallError::Connection(text)) if text.contains("refused")), "{result:?}");
    assert_broken(result, "closed port");
}

#[tokio::test]
async fn a_black_hole_that_takes_no_connection_is_a_timeout() {
    // A queue for one connection, filled until the system drops what else knocks.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let knock = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200));
    let mut waiting = Vec::new();
    while let Ok(stream) = knock() {
        waiting.push(stream);
        assert!(waiting.len() < 64, "the queue never fills");
    }
    let result = attempt(&client(), post(&format!("http://{address}/"), ""), DEADLINE).await;
    assert!(is_timeout(&result), "{result:?}");
}

#[tokio::test]
async fn a_target_that_never_accepts_is_a_timeout() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let result = attempt(&client(), post(&url, "x"), DEADLINE).await;
    assert!(is_timeout(&result), "{result:?}");
}

#[tokio::test]
async fn a_target_that_accepts_and_closes_breaks_the_connection() {
    assert_broken(call(&target(drop)).await, "accept and close");
}

#[tokio::test]
async fn a_reset_after_the_request_was_read_is_one_request() {
    let hostile = target(|peer| peer.reset_after_request(5));
    assert_broken(call(&hostile).await, "reset");
    assert_eq!((hostile.tally.connections(), hostile.tally.requests()), (1, 1));
}

#[tokio::test]
async fn a_target_that_never_reads_is_a_timeout() {
    let hostile = target(|peer| {
        std::thread::sleep(DEADLINE * 3);
        drop(peer);
    });
    let result = attempt(&client(), post(&hostile.url("/"), vec![7; BODY_BYTES * 64]), DEADLINE).await;
    assert!(is_timeout(&result), "{result:?}");
}

#[tokio::test]
async fn a_target_that_never_answers_is_a_timeout() {
    let hostile = target(|mut peer| {
        peer.request();
        peer.until_closed();
    });
    let result = call(&hostile).await;
    let Err(CallError::Timeout(text)) = &result else { panic!("{result:?}") };
    assert_eq!(text, "the target did not answer within 400ms");
    // The connection does not stay behind.
    until("the connection is closed", || hostile.tally.ended() == 1).await;
}

#[tokio::test]
async fn an_answer_a_byte_at_a_time_is_a_timeout() {
    for slow in ["HTTP/1.1 200 OK and on and on", "HTTP/1.1 200 OK\r\nX-Slow: and on and on and on"] {
        let hostile = target(move |mut peer| {
            peer.request();
            for byte in slow.bytes().chain(std::iter::repeat(b'.')) {
                std::thread::sleep(Duration::from_millis(25));
                if !peer.say([byte]) {
                    return;
                }
            }
        });
        let result = call(&hostile).await;
        assert!(is_timeout(&result), "{result:?}");
    }
}

#[tokio::test]
async fn a_slow_body_is_a_timeout_although_the_status_is_fine() {
    let hostile = target(|mut peer| {
        peer.request();
        peer.say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while peer.say(".") {
            std::thread::sleep(Duration::from_millis(25));
        }
    });
    let result = call(&hostile).await;
    assert!(matches!(&result, Err(CallError::Timeout(text)) if text.contains("did not end")), "{result:?}");
}

#[tokio::test]
async fn endless_headers_break_the_connection_and_cost_little() {
    for line in ["X-Endless: header\r\n", "X-Endless", "\r\n continued"] {
        let hostile = target(move |mut peer| {
            peer.request();
            peer.say("HTTP/1.1 200 OK\r\nX-First: 1");
            while peer.say(line.repeat(100)) {}
        });
        let result = attempt(&client(), post(&hostile.url("/"), ""), AMPLE).await;
        assert_broken(result, line);
        until("the connection is closed", || hostile.tally.ended() == 1).await;
        assert!(hostile.tally.written() < BUFFERS, "{} bytes", hostile.tally.written());
    }
}

#[tokio::test]
async fn an_endless_body_is_read_to_the_limit_and_dropped() {
    for head in ["", "Content-Length: 9223372036854775807\r\n", "Transfer-Encoding: chunked\r\n"] {
        let hostile = target(move |mut peer| {
            peer.request();
            peer.say(format!("HTTP/1.1 200 OK\r\n{head}\r\n"));
            let chunk = if head.starts_with('T') { "8\r\n12345678\r\n" } else { "12345678" };
            while peer.say(chunk.repeat(1_000)) {}
        });
        let answer = ok(attempt(&client(), post(&hostile.url("/"), ""), AMPLE).await);
        assert_eq!((answer.status, answer.body.len(), answer.truncated), (200, ANSWER_BYTES, true), "{head}");
        assert!(answer.body.starts_with(b"1234567812"));
        until("the connection is closed", || hostile.tally.ended() == 1).await;
        assert!(hostile.tally.written() < BUFFERS, "{} bytes", hostile.tally.written());
    }
}

#[tokio::test]
async fn a_body_that_stalls_at_the_limit_is_an_answer_and_no_timeout() {
    let hostile = target(|mut peer| {
        peer.request();
        peer.say(format!("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{}", "x".repeat(ANSWER_BYTES)));
        peer.until_closed();
    });
    let answer = ok(attempt(&client(), post(&hostile.url("/"), ""), AMPLE).await);
    assert!(answer.body.len() == ANSWER_BYTES && answer.truncated);
}

#[tokio::test]
async fn a_body_is_truncated_only_above_the_limit() {
    for (size, truncated) in [(0, false), (ANSWER_BYTES - 1, false), (ANSWER_BYTES, false), (ANSWER_BYTES + 1, true)] {
        let body = "x".repeat(size);
        let known = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{body}");
        let closed = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
        let chunk = if size == 0 { String::new() } else { format!("{size:x}\r\n{body}\r\n") };
        let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n");
        for raw in [known, closed, chunked] {
            let answer = ok(attempt(&client(), post(&saying(raw).url("/"), ""), AMPLE).await);
            assert_eq!((answer.body.len(), answer.truncated), (size.min(ANSWER_BYTES), truncated));
        }
    }
}

#[tokio::test]
async fn breaches_of_the_protocol_are_of_the_class_connection() {
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: 1\r\n")).collect::<String>();
    for (what, raw) in [
        ("short body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive.".to_owned()),
        ("short chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nfive.".to_owned()),
        ("bad chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n".to_owned()),
        (
            "chunk size beyond numbers",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n".to_owned(),
        ),
        ("length beyond numbers", "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nx".to_owned()),
        ("length promised and not kept", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nx".to_owned()),
        ("negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_owned()),
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx".to_owned()),
        ("101 headers", format!("HTTP/1.1 200 OK\r\n{}\r\n", many(101))),
        ("10,000 headers", format!("HTTP/1.1 200 OK\r\n{}\r\n", many(10_000))),
        ("space in a header's name", "HTTP/1.1 200 OK\r\nX A: 1\r\n\r\n".to_owned()),
        ("no name", "HTTP/1.1 200 OK\r\n: 1\r\n\r\n".to_owned()),
        ("NUL in a header's value", "HTTP/1.1 200 OK\r\nX-A: secret\0\r\n\r\n".to_owned()),
        ("folded header", "HTTP/1.1 200 OK\r\nX-A: 1\r\n secret\r\n\r\n".to_owned()),
        ("status 99", "HTTP/1.1 99 No\r\n\r\n".to_owned()),
        ("status 1000", "HTTP/1.1 1000 No\r\n\r\n".to_owned()),
        ("status in letters", "HTTP/1.1 two hundred\r\n\r\n".to_owned()),
        ("HTTP/3", "HTTP/3.0 200 OK\r\n\r\n".to_owned()),
        ("HTTP/0.9", "hello".to_owned()),
        ("another protocol", "220 mail.example ESMTP\r\n".to_owned()),
        ("TLS alert", "\u{15}\u{3}\u{1}\0\u{2}\u{2}F".to_owned()),
        ("nothing", String::new()),
        ("half a status line", "HTTP/1.1 20".to_owned()),
        ("half a header", "HTTP/1.1 200 OK\r\nX-A: secr".to_owned()),
    ] {
        assert_broken(attempt(&client(), post(&saying(raw).url("/?token=secret"), "x"), AMPLE).await, what);
    }
}

#[tokio::test]
async fn odd_answers_that_keep_to_the_protocol_are_answers() {
    let many: String = (0..99).map(|n| format!("X-{n}: 1\r\n")).collect();
    for (what, raw, status) in [
        ("999", "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n".to_owned(), 999),
        ("no reason", "HTTP/1.1 204\r\n\r\n".to_owned(), 204),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n".to_owned(), 200),
        ("100 headers", format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 0\r\n\r\n"), 200),
        (
            "a hundred 1xx",
            format!("{}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 102 Wait\r\n\r\n".repeat(100)),
            200,
        ),
        ("401", "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n".to_owned(), 401),
        ("410", "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n".to_owned(), 410),
        ("101", "HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n".to_owned(), 101),
    ] {
        let answer = ok(attempt(&client(), post(&saying(raw).url("/"), "x"), AMPLE).await);
        assert_eq!(answer.status, status, "{what}");
    }
}

#[tokio::test]
async fn endless_1xx_are_a_timeout() {
    let hostile = target(|mut peer| {
        peer.request();
        // Not as fast as it can: a debug build reads each of the parser's buffers for seconds.
        while peer.say("HTTP/1.1 100 Continue\r\n\r\n".repeat(20)) {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let result = call(&hostile).await;
    assert!(is_timeout(&result), "{result:?}");
    until("the connection is closed", || hostile.tally.ended() == 1).await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let second = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    for status in [301, 302, 303, 307, 308] {
        let raw = format!("HTTP/1.1 {status} Go\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", second.url("/"));
        assert_eq!(ok(call(&saying(raw)).await).status, status);
    }
    assert_eq!(second.tally.connections(), 0);
}

#[tokio::test]
async fn headers_of_the_answer_come_as_they_are() {
    let mut raw = b"HTTP/1.1 429 Slow\r\nRetry-After: 120\r\nX-Latin: caf\xe9\r\nX-Two: a\r\nX-Two: b\r\n".to_vec();
    raw.extend(b"Content-Length: 0\r\n\r\n");
    let answer = ok(call(&answering(raw)).await);
    let of = |name: &str| -> Vec<&str> {
        answer.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(answer.status, 429);
    assert_eq!((of("retry-after"), of("x-latin"), of("x-two")), (vec!["120"], vec!["caf\u{fffd}"], vec!["a", "b"]));
}

#[tokio::test]
async fn a_body_is_kept_byte_for_byte_and_never_decompressed() {
    let bytes = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\0\x01\x1b[31m\r\n\xff\xfe".to_vec();
    let raw = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bytes.len());
    let answer = ok(call(&answering([raw.into_bytes(), bytes.clone()].concat())).await);
    assert_eq!((answer.body, answer.truncated), (bytes, false));
    assert!(answer.headers.contains(&("content-encoding".to_owned(), "gzip".to_owned())));
}

#[tokio::test]
async fn what_was_sent_and_comes_back_stays_in_the_body() {
    let hostile = target(|mut peer| {
        let (head, _) = peer.request().unwrap();
        peer.say(format!("HTTP/1.1 400 Bad\r\nContent-Length: {}\r\n\r\n{head}", head.len()));
    });
    let mut request = post(&hostile.url("/"), "x");
    request.headers.push(("Authorization".to_owned(), "Bearer secret".to_owned()));
    let answer = ok(attempt(&client(), request, AMPLE).await);
    assert!(String::from_utf8(answer.body).unwrap().contains("secret"));
    assert!(!format!("{:?}", answer.headers).contains("secret"));
}

#[tokio::test]
async fn an_answer_before_the_request_was_read_is_an_answer_or_a_broken_connection() {
    let hostile = target(|mut peer| {
        peer.say("HTTP/1.1 413 Too large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        peer.until_closed();
    });
    let result = attempt(&client(), post(&hostile.url("/"), vec![1; BODY_BYTES]), AMPLE).await;
    assert!(is_connection(&result) || ok(result).status == 413);
}

/// Any bytes at all: the attempt ends, and keeps to its limits.
#[test]
fn any_answer_ends_the_attempt() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pieces = proptest::sample::select(vec![
        "HTTP/1.1 ",
        "HTTP/1.0 ",
        "200",
        "999",
        "100",
        "204",
        " OK",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "Content-Length: ",
        "5",
        "20000",
        "Transfer-Encoding: chunked\r\n",
        "0\r\n\r\n",
        "5\r\nhello\r\n",
        "Connection: close\r\n",
        "hello",
        "X: \u{7f}",
        ":",
        "\0",
    ]);
    let answers = proptest::collection::vec(pieces, 0..12);
    let mut runner = TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&answers, |pieces| {
        let hostile = saying(pieces.concat());
        let result = runtime.block_on(attempt(&client(), post(&hostile.url("/"), ""), AMPLE));
        if let Ok(answer) = &result {
            proptest::prop_assert!((100..=999).contains(&answer.status) && answer.body.len() <= ANSWER_BYTES);
        } else {
            proptest::prop_assert!(is_connection(&result), "{:?}", result);
        }
        Ok(())
    });
    outcome.unwrap();
}
