//! What goes wrong is said with what to do about it, and the exit code tells failure from wrong usage.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;

use crate::common::{Server, command, problem, run, told};

#[test]
fn nobody_listens() {
    // Bound and let go: the system gives the port to nobody else so soon.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = run(command(&["queues", "list"]).env("CHASKI_URL", format!("http://{address}")), "");
    let wanted = format!(
        "chaski: can't reach http://{address}: Connection refused (os error 111)\n\
         Is `chaski serve` running? Another address is named by --server or CHASKI_URL.\n"
    );
    assert_eq!((ran.code, ran.err), (1, wanted));
}

#[test]
fn a_missing_a_wrong_and_a_weak_key() {
    let server = Server::start(|asked| match asked.header("authorization") {
        None => problem(401, "Unauthorized", "a key is wanted"),
        Some("Bearer ck_crm_weak") => problem(403, "Forbidden", "the scope read is missing"),
        Some(_) => problem(401, "Unauthorized", "no producer has this key"),
    });
    let url = format!("http://{}", server.address);
    let with = |key: &str| run(command(&["queues", "list", "--server", &url]).env("CHASKI_KEY", key), "");
    let ran = server.run(&["queues", "list"]);
    let wanted = "chaski: Unauthorized (401): a key is wanted\nSet CHASKI_KEY to a producer's key, ck_<id>_<secret>.\n";
    assert_eq!((ran.code, ran.err.as_str()), (1, wanted));
    assert!(with("ck_crm_wrong").err.ends_with("\nThe server does not know the key in CHASKI_KEY.\n"));
    assert!(with("ck_crm_weak").err.ends_with("needs another scope for this.\n"));
    let ran = with("ck_\u{7}");
    assert_eq!((ran.code, ran.err.as_str()), (1, "chaski: CHASKI_KEY holds a character that no key has\n"));
}

#[test]
fn every_bad_field_is_named() {
    let body = r#"{"title":"Bad request","status":400,"detail":"2 fields can't be accepted",
        "errors":[{"pointer":"/subject","detail":"is empty"},{"pointer":"","detail":"is too odd"}]}"#;
    let server = Server::saying(told(400, body));
    let ran = server.run(&["send", "--subject", "", "--url", "https://a/"]);
    let wanted = "chaski: Bad request (400): 2 fields can't be accepted\n  /subject is empty\n  is too odd\n";
    assert_eq!((ran.code, ran.err.as_str()), (1, wanted));
}

#[test]
fn when_to_try_again_is_told() {
    let server = Server::saying(problem(503, "Service unavailable", "the disk is full").with("retry-after", "7"));
    let ran = server.run(&["messages", "show", "x"]);
    let wanted = "chaski: Service unavailable (503): the disk is full\nTry again in 7 s.\n";
    assert_eq!((ran.code, ran.err.as_str()), (1, wanted));
}

#[test]
fn a_stranger_is_told_from_chaski() {
    let server = Server::saying(told(404, "<html>no</html>"));
    let ran = server.run(&["queues", "list"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.ends_with("is it Chaski that listens there?\n"), "{}", ran.err);
    let server = Server::saying(told(200, "<html>yes</html>"));
    let ran = server.run(&["queues", "list"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("chaski: the server's answer can't be read"), "{}", ran.err);
}

#[test]
fn a_redirect_is_not_followed_with_the_key() {
    let elsewhere = Server::saying(told(200, "{}"));
    let server = Server::saying(told(307, "").with("location", &format!("http://{}/queues", elsewhere.address)));
    assert_eq!(server.run(&["queues", "list"]).code, 1);
    assert!(elsewhere.asked().is_empty());
}

#[test]
fn an_answer_can_not_steer_the_terminal() {
    let body = r#"{"title":"Bad request","status":400,"detail":"\u001b]0;owned\u0007"}"#;
    let ran = Server::saying(told(400, body)).run(&["queues", "list"]);
    assert_eq!(ran.err, "chaski: Bad request (400): \\u{1b}]0;owned\\u{7}\n");
}

#[test]
fn wrong_usage_is_two() {
    for arguments in [
        &["nonsense"][..],
        &[],
        &["messages", "list", "--state", "lost"],
        &["messages", "list", "--from", "yesterday"],
        &["messages", "list", "--limit", "0"],
        &["messages", "list", "--limit", "1001"],
        &["messages", "cancel"],
        &["messages", "cancel", "id", "--all"],
        &["dead-letters", "replay"],
        &["messages", "show", ".."],
        &["dead-letters", "delete", ""],
        &["resume", "."],
        &["queues", "list", "--server", "127.0.0.1:8080"],
        &["completions", "tcsh"],
    ] {
        assert_eq!(run(&mut command(arguments), "").code, 2, "{arguments:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let item = |number: usize| format!(r#"{{"id":"{number}","state":"dead","subject":"{}"}}"#, "s".repeat(500));
    let items: Vec<String> = (0..1_000).map(item).collect();
    let page = format!(r#"{{"items":[{}],"next_cursor":"more"}}"#, items.join(","));
    let server = Server::saying(told(200, page));
    for arguments in [&["messages", "list", "--all-pages"][..], &["messages", "list", "--all-pages", "--json"]] {
        let url = format!("http://{}", server.address);
        let mut child = command(arguments).env("CHASKI_URL", url).spawn().unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        reader.read_line(&mut String::new()).unwrap();
        drop(reader);
        let ran = child.wait_with_output().unwrap();
        assert_eq!((ran.status.code(), String::from_utf8(ran.stderr).unwrap().as_str()), (Some(0), ""));
    }
}

#[test]
fn shells_get_their_completions() {
    for (shell, sign) in [("bash", "complete -F _chaski"), ("zsh", "#compdef chaski"), ("fish", "complete -c chaski")] {
        let out = run(&mut command(&["completions", shell]), "").quietly();
        assert!(out.contains(sign) && out.contains("dead-letters"), "{shell}");
    }
}
