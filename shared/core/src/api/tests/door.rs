//! Who may call a home with a desk, and through which door.

use super::fake::{Serve, letter, local, message};
use super::routes::{OPERATORS, PRODUCERS, Route};
use super::*;
use crate::ledger::MessageState;
use crate::pause::{Pause, PauseScope};

const KEYS: [&str; 6] = ["sender", "reader", "replayer", "admin", "other", "mate"];

/// A producer for each scope, all of tenant `t` but `other`, which may do everything but administer elsewhere.
fn keyed() -> Serve {
    let producer = |id: &str, tenant: &str, scopes: &str| {
        let digest = hex(&format!("ck_{id}_x"));
        format!("[[producers]]\nid = \"{id}\"\ntenant = \"{tenant}\"\nkeys = [\"{digest}\"]\nscopes = [{scopes}]\n")
    };
    Serve::new(
        &[
            producer("sender", "t", "\"send\""),
            producer("reader", "t", "\"read\""),
            producer("replayer", "t", "\"replay\""),
            producer("admin", "", "\"admin\""),
            producer("other", "u", "\"send\", \"read\", \"replay\""),
            producer("mate", "t", "\"send\""),
        ]
        .concat(),
    )
}

fn by(key: &str, method: &str, target: &str, body: &str) -> Request {
    let mut request = Request { body: body.into(), ..local(method, target) };
    request.headers.push(("authorization".to_owned(), format!("Bearer ck_{key}_x")));
    request
}

/// A call as it would be made.
fn made(route: &Route) -> (&'static str, String, String) {
    let body = match route.path {
        "/messages" => envelope().to_string(),
        "/messages/batch" => "[]".to_owned(),
        "/backup" => json!({"to": "/tmp/b"}).to_string(),
        "/dead-letters/{id}/replay" | "/bodies" => String::new(),
        _ => json!({"all": true}).to_string(),
    };
    (route.method, route.path.replace("{id}", "m-1"), if route.method == "POST" { body } else { String::new() })
}

/// Of every call, who of sender, reader, replayer and admin may make it.
#[test]
fn scopes_grant_what_the_contract_says() {
    let expected = |route: &Route| match (route.method, route.path) {
        // Who has an upload's address may upload.
        ("GET", "/" | "/health" | "/openapi.json") | ("PUT", "/bodies/{id}") => [true, true, true, true],
        ("POST", "/messages" | "/messages/batch" | "/messages/cancel" | "/bodies") | ("DELETE", "/messages/{id}") => {
            [true, false, false, true]
        }
        ("GET", _) => [false, true, false, true],
        ("POST", "/dead-letters/replay" | "/dead-letters/{id}/replay") | ("DELETE", "/dead-letters/{id}") => {
            [false, false, true, true]
        }
        _ => [false, false, false, true],
    };
    let serve = keyed();
    for route in PRODUCERS.iter().chain(&OPERATORS) {
        let (method, path, body) = made(route);
        for (key, may) in KEYS.into_iter().zip(expected(route)) {
            let status = serve.response(&by(key, method, &path, &body)).status;
            assert_eq!(status != 403, may, "{key}: {method} {path} was answered {status}");
            assert_ne!(status, 401);
            assert_ne!(status, 400, "{method} {path}");
        }
        let nobody = serve.response(&Request { body: body.clone().into(), ..local(method, &path) }).status;
        assert_eq!(nobody != 401, expected(route)[1] && expected(route)[2], "{method} {path}: {nobody}");
        let stranger = serve.response(&by("stranger", method, &path, &body)).status;
        assert_eq!(stranger, nobody, "{method} {path}");
    }
}

#[test]
fn a_tenant_sees_its_own_and_no_trace_of_another_s() {
    let serve = keyed();
    let mut record = message("m-1", MessageState::Pending);
    record.listing.tenant = "t".to_owned();
    record.listing.producer = "sender".to_owned();
    let mut buried = letter("d-1", "s", 0);
    buried.letter.tenant = "t".to_owned();
    {
        let mut state = serve.state();
        state.messages.push(record);
        state.letters.push(buried);
        let pause = |id: &str, scope| Pause { id: id.to_owned(), scope, created_at: Noon.now() };
        let subject = PauseScope::Subject { tenant: "t".to_owned(), subject: "s".to_owned() };
        state.pauses = vec![pause("p-0", PauseScope::All), pause("p-1", subject)];
    }
    let status = |key: &str, method: &str, target: &str| serve.response(&by(key, method, target, "")).status;
    let items = |key: &str, target: &str| serve.ask(&by(key, "GET", target, "")).1["items"].as_array().unwrap().len();
    for target in ["/messages/m-1", "/dead-letters/d-1"] {
        assert_eq!([status("reader", "GET", target), status("other", "GET", target)], [200, 404]);
    }
    for (target, seen) in [("/messages", [1, 0]), ("/dead-letters", [1, 0]), ("/pauses", [2, 1])] {
        assert_eq!([items("reader", target), items("other", target)], seen, "{target}");
        assert_eq!(items("admin", target), seen[0], "{target}");
    }
    // A sender cancels its own, and not its neighbour's; a replayer's own are its tenant's.
    let cancels = ["other", "mate", "sender", "admin"].map(|key| status(key, "DELETE", "/messages/m-1"));
    assert_eq!(cancels, [404, 404, 200, 200]);
    assert_eq!(status("other", "POST", "/dead-letters/d-1/replay"), 404);
    assert_eq!(status("other", "DELETE", "/dead-letters/d-1"), 404);
    assert_eq!(status("replayer", "POST", "/dead-letters/d-1/replay"), 202);
    assert_eq!(status("replayer", "DELETE", "/dead-letters/d-1"), 200);
}

#[test]
fn batch_actions_stay_within_what_is_the_caller_s() {
    let serve = keyed();
    let asked = |key: &str, target: &str| serve.response(&by(key, "POST", target, r#"{"all":true}"#)).status;
    assert_eq!(asked("sender", "/messages/cancel"), 200);
    let whose = serve.state().message_filter.take().unwrap().whose;
    assert_eq!((whose.tenant.as_deref(), whose.producer.as_deref()), (Some("t"), Some("sender")));
    assert_eq!(asked("replayer", "/dead-letters/replay"), 202);
    let whose = serve.state().letter_filter.take().unwrap().whose;
    assert_eq!((whose.tenant.as_deref(), whose.producer), (Some("t"), None));
    assert_eq!(asked("admin", "/dead-letters/replay"), 202);
    assert_eq!(serve.state().letter_filter.take().unwrap().whose, crate::filter::Whose::default());
}

/// Rebinding: a name of the attacker's leads to the loopback address, and stands in `Host`.
#[test]
fn only_a_loopback_host_is_answered_without_producers() {
    let serve = Serve::new("");
    let status = |target: &str, hosts: &[&str]| {
        let mut request = local("GET", target);
        request.headers = hosts.iter().map(|host| ("host".to_owned(), (*host).to_owned())).collect();
        serve.response(&request).status
    };
    for host in ["127.0.0.1", "127.0.0.1:8080", "127.9.8.7:1", "[::1]", "[::1]:8080", "localhost", "LocalHost:80"] {
        assert_eq!(status("/messages", &[host]), 200, "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.1@evil.example",
        "evil.example:127",
        "localhost:x",
        "localhost:8080:8080",
        "[::1",
        "[::1]x",
        "[::2]",
        "::1",
        "0.0.0.0",
        "10.0.0.1",
        "127.1",
        "2130706433",
        "",
    ] {
        for target in ["/messages", "/", "/health", "/openapi.json"] {
            assert_eq!(status(target, &[host]), 403, "{host} at {target}");
        }
    }
    assert_eq!(status("/messages", &[]), 403, "no host at all");
    assert_eq!(status("/messages", &["localhost", "evil.example"]), 403, "two of them");
}

/// A page that the operator has open posts to the loopback address.
#[test]
fn a_foreign_page_can_do_nothing_without_producers() {
    let serve = Serve::new("");
    serve.state().letters.push(letter("d-1", "s", 0));
    let status = |method: &str, target: &str, headers: &[(&str, &str)]| {
        let mut request = local(method, target);
        request.body = if target == "/pauses" { br#"{"all":true}"#.to_vec() } else { Vec::new() };
        for (name, value) in headers {
            request.headers.retain(|(other, _)| other != name);
            request.headers.push(((*name).to_owned(), (*value).to_owned()));
        }
        serve.response(&request).status
    };
    let changes = [("POST", "/pauses"), ("POST", "/dead-letters/d-1/replay"), ("DELETE", "/dead-letters/d-1")];
    for (method, target) in changes {
        for origin in ["https://evil.example", "null", "", "http://localhost.evil.example", "file://localhost"] {
            assert_eq!(status(method, target, &[("origin", origin)]), 403, "{method} {target} of {origin:?}");
        }
        assert_eq!(status(method, target, &[("sec-fetch-site", "cross-site")]), 403);
    }
    // What a form can send, with a body and without, is no change.
    for media in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        for target in ["/messages", "/messages/batch", "/messages/cancel", "/pauses", "/dead-letters/d-1/replay"] {
            assert_eq!(status("POST", target, &[("content-type", media)]), 415, "{media:?} to {target}");
        }
    }
    assert!(serve.state().pauses.is_empty() && serve.state().sent.is_empty());
    for origin in ["http://127.0.0.1:3000", "https://localhost", "http://[::1]:8080"] {
        assert_eq!(status("GET", "/messages", &[("origin", origin), ("sec-fetch-site", "same-site")]), 200);
    }
    for site in ["none", "same-origin"] {
        assert_eq!(status("POST", "/pauses", &[("sec-fetch-site", site)]) / 100, 2);
    }
}

#[test]
fn with_keys_any_host_will_do() {
    let mut request = by("reader", "GET", "/messages", "");
    request.headers[0].1 = "chaski.example.org".to_owned();
    assert_eq!(keyed().response(&request).status, 200);
}

#[test]
fn a_door_that_is_neither_local_nor_the_platform_s_is_shut() {
    let mut serve = Serve::new("");
    serve.api.door.local = false;
    assert_eq!(serve.get("/messages").0, 403);
    assert_eq!(serve.get("/health").0, 200);
}
