//! Goal: no connection goes where the guard has not looked. Method: listeners that count connections, and names
//! that resolve to what the test says.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chaski_core::guard::{AddressRule, Guard, TargetRules};
use chaski_core::ports::CallError;
use chaski_http::{Found, HttpTarget, Lookup};
use common::{
    AMPLE, DEADLINE, Names, TestClock, answering, attempt, guard, is_blocked, is_connection, is_timeout, post, saying,
};

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const FINE_AND_CLOSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

fn named(guard: Guard, names: impl Fn(&str) -> Vec<&'static str> + Send + Sync + 'static) -> HttpTarget {
    HttpTarget::new(guard, TestClock::new()).with_lookup(Arc::new(Names(names)))
}

#[tokio::test]
async fn literal_hosts_are_checked_in_every_spelling_before_a_connection_is_made() {
    let hostile = answering(FINE);
    let port = hostile.address.port();
    let client = HttpTarget::new(Guard::default(), TestClock::new());
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "0",
        "localhost",
        "a.localhost.",
        "１２７.1",
    ] {
        let result = attempt(&client, post(&format!("http://{host}:{port}/"), "x"), AMPLE).await;
        assert!(is_blocked(&result), "{host}: {result:?}");
    }
    assert_eq!(hostile.tally.connections(), 0);
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_blocked() {
    let hostile = answering(FINE);
    let url = format!("http://evil.example:{}/?token=secret", hostile.address.port());
    for addresses in
        [vec!["127.0.0.1"], vec!["::ffff:127.0.0.1"], vec!["192.0.2.1", "127.0.0.1"], vec!["127.0.0.1", "8.8.8.8"]]
    {
        let client = named(Guard::default(), move |_| addresses.clone());
        let result = attempt(&client, post(&url, "x"), AMPLE).await;
        let Err(CallError::Blocked(text)) = result else { panic!("{result:?}") };
        assert!(text.contains("evil.example") && !text.contains("127") && !text.contains("secret"), "{text}");
    }
    assert_eq!(hostile.tally.connections(), 0);
}

/// DNS rebinding: the first answer is harmless, the second is not, and each connection has an answer of its own.
/// No test may call a public address, so an allowed one stands for it.
#[tokio::test]
async fn a_name_that_resolves_public_then_private_is_blocked_the_second_time() {
    let hostile = saying(FINE_AND_CLOSE);
    let port = hostile.address.port();
    let asked = AtomicUsize::new(0);
    let rebinding = move |_: &str| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => vec!["127.0.0.1"],
        _ => vec!["127.0.0.2"],
    };
    let client = named(guard(&["127.0.0.1"]), rebinding);
    let url = format!("http://rebind.example:{port}/");
    assert_eq!(attempt(&client, post(&url, "x"), AMPLE).await.map(|answer| answer.status), Ok(200));
    let second = attempt(&client, post(&url, "x"), AMPLE).await;
    assert!(is_blocked(&second), "{second:?}");
    assert_eq!(hostile.tally.connections(), 1);
}

/// The client's resolver is asked for a host without its port; the rule is for both.
#[tokio::test]
async fn a_rule_for_a_port_opens_no_other_port_of_the_same_name() {
    let (open, shut) = (answering(FINE), answering(FINE));
    let rules = [format!("twin.example:{}", open.address.port()), format!("127.0.0.1:{}", open.address.port())];
    for rule in &rules {
        let client = named(guard(&[rule]), |_| vec!["127.0.0.1"]);
        let calls = (0..40).map(|n| {
            let (client, even) = (&client, n % 2 == 0);
            let port = if even { open.address.port() } else { shut.address.port() };
            async move {
                let result = attempt(client, post(&format!("http://twin.example:{port}/"), "x"), AMPLE).await;
                assert_eq!((result.is_ok(), is_blocked(&result)), (even, !even), "{result:?}");
            }
        });
        // All at once, so that they meet in the client's pool.
        let mut calls: Vec<_> = calls.map(Box::pin).collect();
        std::future::poll_fn(|cx| {
            calls.retain_mut(|call| call.as_mut().poll(cx).is_pending());
            if calls.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
    assert!(open.tally.requests() >= 40);
    assert_eq!(shut.tally.connections(), 0);
}

#[tokio::test]
async fn a_denied_target_is_blocked_although_it_is_allowed() {
    let hostile = answering(FINE);
    let deny = vec![AddressRule::parse("127.0.0.0/8").unwrap()];
    let rules = TargetRules { allow_private: true, allow: Vec::new(), deny };
    let client = HttpTarget::new(Guard::new(rules, None).unwrap(), TestClock::new());
    let result = attempt(&client, post(&hostile.url("/"), "x"), AMPLE).await;
    assert!(is_blocked(&result) && hostile.tally.connections() == 0, "{result:?}");
}

#[tokio::test]
async fn on_lambda_the_runtime_api_is_never_called() {
    let (api, other) = (answering(FINE), answering(FINE));
    let allow = [api.address, other.address].map(|address| AddressRule::parse(&address.to_string()).unwrap());
    let rules = TargetRules { allow: allow.to_vec(), ..TargetRules::default() };
    let guard = Guard::new(rules, Some(&api.address.to_string())).unwrap();
    let client = named(guard, |_| vec!["127.0.0.1"]);
    for host in ["127.0.0.1", "localhost", "api.example", "0x7f000001"] {
        let blocked = attempt(&client, post(&format!("http://{host}:{}/", api.address.port()), "x"), AMPLE).await;
        assert!(is_blocked(&blocked), "{host}: {blocked:?}");
        let passes = attempt(&client, post(&format!("http://{host}:{}/", other.address.port()), "x"), AMPLE).await;
        assert!(passes.is_ok(), "{host}: {passes:?}");
    }
    assert_eq!(api.tally.connections(), 0);
}

#[tokio::test]
async fn a_name_that_is_not_found_is_of_the_class_connection() {
    let client = HttpTarget::new(Guard::default(), TestClock::new());
    let result = attempt(&client, post("http://name.invalid/?token=secret", "x"), AMPLE).await;
    let Err(CallError::Connection(text)) = result else { panic!("{result:?}") };
    assert!(text.contains("DNS") && !text.contains("secret"), "{text}");
    let client = named(Guard::default(), |_| Vec::new());
    let result = attempt(&client, post("http://empty.example/", "x"), AMPLE).await;
    assert!(is_connection(&result), "{result:?}");
}

#[tokio::test]
async fn a_lookup_that_never_ends_is_a_timeout() {
    struct Never;
    impl Lookup for Never {
        fn lookup(&self, _: &str) -> Found {
            Box::pin(std::future::pending())
        }
    }
    let client = HttpTarget::new(Guard::default(), TestClock::new()).with_lookup(Arc::new(Never));
    let result = attempt(&client, post("https://slow.example/", "x"), DEADLINE).await;
    assert!(is_timeout(&result), "{result:?}");
}

/// The second address is tried within the same attempt when the first takes no connection.
#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let hostile = answering(FINE);
    let client = named(guard(&["127.0.0.0/8", "::1"]), |_| vec!["127.0.0.3", "::1", "127.0.0.1"]);
    let url = format!("http://many.example:{}/", hostile.address.port());
    let result = attempt(&client, post(&url, "x"), Duration::from_secs(5)).await;
    assert_eq!(result.map(|answer| answer.status), Ok(200));
    assert_eq!(hostile.tally.requests(), 1);
}
