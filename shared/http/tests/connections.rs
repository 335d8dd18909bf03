//! Goal: connections are used again, but no old one (H-53), and one attempt is one request (H-46). Method: targets
//! that count, and a clock that is set by hand.

mod common;

use std::sync::mpsc;
use std::time::Duration;

use chaski_core::limits::ANSWER_BYTES;
use chaski_http::HttpTarget;
use common::{AMPLE, TestClock, answering, attempt, client, guard, is_connection, post, target, until};

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn one_connection_serves_one_call_after_the_other() {
    let (hostile, client) = (answering(FINE), client());
    for _ in 0..10 {
        attempt(&client, post(&hostile.url("/"), "x"), AMPLE).await.unwrap();
    }
    assert_eq!((hostile.tally.connections(), hostile.tally.requests()), (1, 10));
}

#[tokio::test]
async fn a_body_that_fills_the_limit_exactly_leaves_its_connection_in_use() {
    let body = "x".repeat(ANSWER_BYTES);
    let chunked =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{ANSWER_BYTES:x}\r\n{body}\r\n0\r\n\r\n");
    let (hostile, client) = (answering(chunked), client());
    for _ in 0..3 {
        let answer = attempt(&client, post(&hostile.url("/"), "x"), AMPLE).await.unwrap();
        assert!(answer.body.len() == ANSWER_BYTES && !answer.truncated);
    }
    assert_eq!(hostile.tally.connections(), 1);
}

#[tokio::test]
async fn calls_side_by_side_do_not_wait_for_each_other() {
    let (hostile, client) = (answering(FINE), client());
    let silent = target(|mut peer| peer.until_closed());
    let work = async {
        for _ in 0..20 {
            attempt(&client, post(&hostile.url("/"), "x"), AMPLE).await.unwrap();
        }
    };
    tokio::select! {
        hung = attempt(&client, post(&silent.url("/"), "x"), AMPLE) => panic!("{hung:?}"),
        () = work => {}
    }
}

/// H-53: a function that was frozen has a wall clock that went on and a clock of its own that did not.
#[tokio::test]
async fn no_connection_outlives_a_freeze_or_a_clock_that_was_set() {
    let (hostile, clock) = (answering(FINE), TestClock::new());
    let client = HttpTarget::new(guard(&["127.0.0.1"]), clock.clone());
    // One freeze of 5 s; the clock set back; many freezes that are short, each too short to count alone.
    for (freezes, connections) in
        [(vec![0], 1), (vec![500], 1), (vec![5_000], 2), (vec![-5_000], 3), (vec![300, 300, 300, 300], 4), (vec![0], 4)]
    {
        for by in freezes {
            clock.freeze_ms(by);
            attempt(&client, post(&hostile.url("/"), "x"), AMPLE).await.unwrap();
        }
        assert_eq!(hostile.tally.connections(), connections);
    }
}

#[tokio::test]
async fn no_connection_idles_longer_than_three_seconds() {
    let (hostile, client) = (answering(FINE), client());
    for (idle_ms, connections) in [(0, 1), (2_900, 1), (3_100, 2), (100, 2)] {
        // Only the client's timers are put forward; its target and the network keep to real time.
        tokio::time::pause();
        tokio::time::advance(Duration::from_millis(idle_ms)).await;
        tokio::time::resume();
        attempt(&client, post(&hostile.url("/"), "x"), AMPLE).await.unwrap();
        assert_eq!(hostile.tally.connections(), connections, "after {idle_ms} ms");
    }
}

/// H-53: a target that closes idle connections, and says so only by closing.
#[tokio::test]
async fn a_target_that_closes_idle_connections_gets_each_message_once() {
    let hostile = target(|mut peer| {
        peer.request();
        peer.say(FINE);
    });
    let client = client();
    for n in 1..=30 {
        attempt(&client, post(&hostile.url("/"), "x"), AMPLE).await.unwrap();
        until("the target has closed", || hostile.tally.ended() == n).await;
    }
    assert_eq!((hostile.tally.connections(), hostile.tally.requests()), (30, 30));
}

/// H-53, in the time before four seconds are over: the target closes while the function is frozen, which no task
/// of the client has seen when the next call comes.
#[test]
fn a_close_that_nobody_looked_at_is_noticed() {
    let (closed, seen) = mpsc::channel();
    let hostile = target(move |mut peer| {
        peer.request();
        peer.say(FINE);
        drop(peer);
        closed.send(()).unwrap();
    });
    let (runtime, client) = (tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(), client());
    // As the main task and as a spawned one, which the runtime treats in another order.
    runtime.block_on(async {
        for _ in 0..20 {
            attempt(&client, post(&hostile.url("/"), "x"), AMPLE).await.unwrap();
            // Blocks the thread, so that nothing of the runtime moves.
            seen.recv_timeout(AMPLE).unwrap();
        }
    });
    let url = hostile.url("/");
    let spawned = runtime.spawn(async move {
        for _ in 0..20 {
            attempt(&client, post(&url, "x"), AMPLE).await.unwrap();
            seen.recv_timeout(AMPLE).unwrap();
        }
    });
    runtime.block_on(spawned).unwrap();
    assert_eq!((hostile.tally.connections(), hostile.tally.requests()), (40, 40));
}

/// H-46: what was read is not sent again, not even when the connection had been used before.
#[tokio::test]
async fn a_reset_after_the_request_was_read_is_one_request_on_a_used_connection_too() {
    let hostile = target(|mut peer| {
        peer.request();
        peer.say(FINE);
        peer.reset_after_request(1);
    });
    let client = client();
    for n in 1..=10 {
        let first = attempt(&client, post(&hostile.url("/"), "x"), AMPLE).await;
        assert_eq!(first.map(|answer| answer.status), Ok(200));
        let second = attempt(&client, post(&hostile.url("/"), "x"), AMPLE).await;
        assert!(is_connection(&second), "{second:?}");
        until("the target has closed", || hostile.tally.ended() == n).await;
        assert_eq!((hostile.tally.connections(), hostile.tally.requests()), (n, 2 * n));
    }
}

/// H-46: an answer that begins and breaks is an attempt that failed, on a used connection too.
#[tokio::test]
async fn half_an_answer_is_not_asked_for_again() {
    let hostile = target(|mut peer| {
        peer.request();
        peer.say(FINE);
        peer.request();
        peer.say("HTTP/1.1 20");
    });
    let client = client();
    attempt(&client, post(&hostile.url("/"), "x"), AMPLE).await.unwrap();
    let second = attempt(&client, post(&hostile.url("/"), "x"), AMPLE).await;
    assert!(is_connection(&second), "{second:?}");
    assert_eq!((hostile.tally.connections(), hostile.tally.requests()), (1, 2));
}

#[tokio::test]
async fn what_comes_after_an_answer_is_not_taken_for_the_next() {
    let smuggled = format!("{FINE}HTTP/1.1 201 Smuggled\r\nContent-Length: 0\r\n\r\n");
    let (hostile, client) = (answering(smuggled), client());
    for _ in 0..5 {
        let answer = attempt(&client, post(&hostile.url("/"), "x"), AMPLE).await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok".as_slice()));
    }
}
