//! The commands that look: what they ask, and what a person and a program get to see.

use crate::common::{Server, command, run, told};

const RETRYING: &str = r#"{"id":"01930000-0000-7000-8000-000000000001","generation":1,"state":"retrying","tenant":"",
"subject":"pc_send_88","client":"crm","labels":["invoice","q4"],"route":"messages","queue":"retry-fast",
"target":"https://example.org/hook","target_host":"example.org","received_at":"2026-12-01T09:00:00.123Z",
"ordering":"strict","expires_at":"2026-12-02T09:00:00.000Z",
"attempts":[{"n":1,"at":"2026-12-01T09:00:01.000Z","tier":"messages-3","outcome":"http_5xx","status":503,"duration_ms":12,"version":"0.1.0"},
{"n":2,"at":"2026-12-01T09:00:11.500Z","tier":"retry-fast","outcome":"timeout","duration_ms":10001,"version":"0.1.0"}],
"answer":{"status":503,"body":"{\n  \"error\": \"down\u001b[31m\"\n}","truncated":true},
"error":{"class":"timeout","detail":"no answer within 10s","at":"2026-12-01T09:00:21.501Z"},"unknown":{"a":1.0}}"#;

const DELIVERED: &str = r#"{"id":"01930000-0000-7000-8000-000000000002","state":"delivering","cancelling":true,
"subject":"ñandú 日本語","labels":[],"route":"messages","received_at":"2026-12-01T08:59:59Z","attempts":[]}"#;

const LETTER: &str = r#"{"date":"2026-12-01#03","timestamp":"x","id":"01930000-0000-7000-8000-000000000003","generation":2,
"tenant":"","subject":"pc_send_88","target":"https://example.org/hook","received_at":"2020-12-01T09:00:00Z",
"error":{"first":{"class":"http_5xx","status":500,"detail":"","at":"2020-12-01T09:00:00Z"},
"last":{"class":"http_5xx","status":503,"detail":"the target answered 503","at":"2020-12-01T09:17:20Z"}},
"attempts":[{"n":6,"at":"2020-12-01T09:17:20Z","tier":"retry-slow","outcome":"http_5xx","status":503,"duration_ms":61000}],
"message":{"subject":"pc_send_88","message":{"url":"https://example.org/hook"}},"response_base64":"/wD/",
"died_at":"2020-12-01T09:17:21Z","created_at":"2020-12-01T09:17:21Z"}"#;

fn list(items: &[&str], cursor: &str) -> String {
    format!("{{\"items\":[{}],\"next_cursor\":{cursor}}}", items.join(","))
}

#[test]
fn messages_are_listed_as_a_table() {
    let server = Server::saying(told(200, list(&[RETRYING, DELIVERED], "null")));
    let table = "\
ID                                    STATE                   RECEIVED (UTC)       SUBJECT       TARGET                    TRIES
01930000-0000-7000-8000-000000000001  retrying                2026-12-01 09:00:00  pc_send_88    https://example.org/hook      2
01930000-0000-7000-8000-000000000002  delivering, cancelling  2026-12-01 08:59:59  ñandú 日本語                                0
";
    assert_eq!(server.run(&["messages", "list"]).quietly(), table);
    assert_eq!(server.lines(), ["GET /messages"]);
}

#[test]
fn a_narrow_terminal_gets_what_matters_most() {
    let server = Server::saying(told(200, list(&[RETRYING], "null")));
    let url = format!("http://{}", server.address);
    let ran = run(command(&["messages", "list", "--server", &url]).env("COLUMNS", "80"), "");
    let table = "\
ID                                    STATE     RECEIVED (UTC)       SUBJECT
01930000-0000-7000-8000-000000000001  retrying  2026-12-01 09:00:00  pc_send_88
";
    assert_eq!(ran.quietly(), table);
}

#[test]
fn every_filter_reaches_the_server() {
    let server = Server::saying(told(200, list(&[], "null")));
    let out = server
        .run(&[
            "messages",
            "list",
            "--subject",
            "a b&c=ñ",
            "--client",
            "crm",
            "--label",
            "x",
            "--state",
            "dead",
            "--target",
            "https://example.org/h",
            "--from",
            "2026-12-01",
            "--to",
            "2026-12-01T10:00:00+01:00",
            "--limit",
            "7",
            "--cursor",
            "a+b",
        ])
        .quietly();
    assert_eq!(out, "ID  STATE  RECEIVED (UTC)  SUBJECT  TARGET  TRIES\n");
    let wanted = "GET /messages?subject=a+b%26c%3D%C3%B1&client=crm&label=x&state=dead\
        &target=https%3A%2F%2Fexample.org%2Fh&from=2026-12-01T00%3A00%3A00.000Z&to=2026-12-01T09%3A00%3A00.000Z\
        &limit=7&cursor=a%2Bb";
    assert_eq!(server.lines(), [wanted]);
}

#[test]
fn a_program_gets_the_server_s_json_unchanged() {
    let whole = list(&[RETRYING], "\"c1\"");
    let server = Server::saying(told(200, whole.clone()));
    assert_eq!(server.run(&["messages", "list", "--json"]).quietly(), format!("{whole}\n"));
    let server = Server::saying(told(200, RETRYING));
    assert_eq!(server.run(&["--json", "messages", "show", "x"]).quietly(), format!("{RETRYING}\n"));
    let server = Server::saying(told(200, LETTER));
    assert_eq!(server.run(&["dead-letters", "show", "x", "--json"]).quietly(), format!("{LETTER}\n"));
}

#[test]
fn pages_are_followed_to_the_end() {
    let pages = |asked: &crate::common::Asked| match asked.path.as_str() {
        "/messages?limit=1000" => {
            told(200, list(&["{\"id\":\"1\",\"state\":\"pending\",\"subject\":\"aaaa\"}"], "\"c/1\""))
        }
        "/messages?limit=1000&cursor=c%2F1" => {
            told(200, list(&["{\"id\":\"2\",\"state\":\"dead\",\"subject\":\"b\"}"], "null"))
        }
        other => crate::common::problem(400, "Bad request", other),
    };
    let server = Server::start(pages);
    let table = "\
ID  STATE    RECEIVED (UTC)  SUBJECT  TARGET  TRIES
1   pending                  aaaa                 0
2   dead                     b                    0
";
    assert_eq!(server.run(&["messages", "list", "--all-pages"]).quietly(), table);
    let lines = "{\"id\":\"1\",\"state\":\"pending\",\"subject\":\"aaaa\"}\n{\"id\":\"2\",\"state\":\"dead\",\"subject\":\"b\"}\n";
    assert_eq!(server.run(&["messages", "list", "--all-pages", "--json"]).quietly(), lines);
}

#[test]
fn one_page_says_how_to_go_on() {
    let server = Server::saying(told(200, list(&["{\"id\":\"1\",\"state\":\"dead\",\"subject\":\"s\"}"], "\"c1\"")));
    let ran = server.run(&["messages", "list"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, "there are more: --all-pages, or --cursor c1\n"));
}

#[test]
fn a_message_is_shown_with_its_attempts_and_the_last_answer() {
    let server = Server::saying(told(200, RETRYING));
    let out = server.run(&["messages", "show", "a/b"]).quietly();
    let (head, rest) = out.split_once("received  2026-12-01 09:00:00 UTC, ").unwrap();
    let wanted = "\
id        01930000-0000-7000-8000-000000000001
state     retrying
subject   pc_send_88
client    crm
labels    invoice, q4
target    https://example.org/hook
route     messages, in retry-fast
";
    assert_eq!(head, wanted);
    let (_, rest) = rest.split_once('\n').unwrap();
    let (asks, rest) = rest.split_once("expires   2026-12-02 09:00:00 UTC, ").unwrap();
    assert_eq!(asks, "ordering  strict\n");
    let (_, rest) = rest.split_once('\n').unwrap();
    let wanted = "\
error     timeout: no answer within 10s (at 2026-12-01 09:00:21.501 UTC)

TRY  AT (UTC)                 QUEUE       OUTCOME   STATUS     TOOK  BY
  1  2026-12-01 09:00:01.000  messages-3  http_5xx     503    12 ms  0.1.0
  2  2026-12-01 09:00:11.500  retry-fast  timeout           10.00 s  0.1.0

The target's last answer, 503, its beginning:
  {
    \"error\": \"down\\u{1b}[31m\"
  }
";
    assert_eq!(rest, wanted);
    assert_eq!(server.lines(), ["GET /messages/a%2Fb"]);
}

#[test]
fn a_wait_is_the_server_s_and_ends_with_the_message() {
    let server = Server::saying(told(200, RETRYING.replace("retrying", "dead")));
    server.run(&["messages", "show", "x", "--wait", "90s", "--json"]).quietly();
    assert_eq!(server.lines(), ["GET /messages/x?wait=1m"]);
}

#[test]
fn dead_letters_are_listed_and_shown() {
    let server = Server::saying(told(200, list(&[LETTER], "null")));
    let table = "\
ID                                    ERROR         DIED (UTC)           SUBJECT     TARGET                    TRIES
01930000-0000-7000-8000-000000000003  http_5xx 503  2020-12-01 09:17:21  pc_send_88  https://example.org/hook      1
";
    let arguments =
        ["dead-letters", "list", "--error", "503", "--replayed", "--client", "crm", "--target", "example.org"];
    assert_eq!(server.run(&arguments).quietly(), table);
    assert_eq!(server.lines(), ["GET /dead-letters?client=crm&target=example.org&error=503&replayed=true"]);

    let server = Server::saying(told(200, LETTER));
    let out = server.run(&["dead-letters", "show", "x", "--generation", "2"]).quietly();
    assert_eq!(server.lines(), ["GET /dead-letters/x?generation=2"]);
    let wanted = "\
first error  http_5xx 500 (at 2020-12-01 09:00:00.000 UTC)
error        http_5xx 503: the target answered 503 (at 2020-12-01 09:17:20.000 UTC)

TRY  AT (UTC)                 QUEUE       OUTCOME   STATUS   TOOK  BY
  6  2020-12-01 09:17:20.000  retry-slow  http_5xx     503  1m 1s

The message:
  {
    \"subject\": \"pc_send_88\",
    \"message\": {
      \"url\": \"https://example.org/hook\"
    }
  }

The target's last answer: 3 bytes that are no text (--json has them as base64)
";
    assert_eq!(out.split_once("first error").map(|(_, rest)| format!("first error{rest}")).unwrap(), wanted);
    assert!(out.starts_with("id           01930000-0000-7000-8000-000000000003\ngeneration   2\n"), "{out}");
}

#[test]
fn queues_are_listed() {
    let queues = r#"{"items":[
        {"queue":"messages-0","route":"messages","state":"busy","depth":12345,"in_flight":64,"delayed":0,
         "oldest_age_ms":192000,"in_per_second":1234.5,"out_per_second":99.95,"failed_per_second":0.01},
        {"queue":"retry-slow","state":"empty","depth":0,"in_flight":0,"delayed":0,
         "in_per_second":0,"out_per_second":0,"failed_per_second":0}]}"#;
    let server = Server::saying(told(200, queues));
    let table = "\
QUEUE       ROUTE     STATE  DEPTH  IN FLIGHT  DELAYED  OLDEST  IN/S  OUT/S  FAILED/S
messages-0  messages  busy   12345         64        0  3m 12s  1234  100.0      <0.1
retry-slow            empty      0          0        0             0      0         0
";
    assert_eq!(server.run(&["queues", "list"]).quietly(), table);
    assert_eq!(server.lines(), ["GET /queues"]);
    assert_eq!(server.run(&["queues", "list", "--json"]).quietly(), format!("{queues}\n"));
}

#[test]
fn pauses_are_listed() {
    let pauses = r#"{"items":[{"id":"p1","scope":{"all":true},"created_at":"2026-12-01T09:00:00Z"},
        {"id":"p2","scope":{"subject":"s","tenant":"t"},"created_at":"2026-12-01T09:00:00Z"},
        {"id":"p3","scope":{"target":"example.org"},"created_at":"2026-12-01T09:00:00Z"}]}"#;
    let server = Server::saying(told(200, pauses));
    let table = "\
ID  SINCE (UTC)          PAUSED
p1  2026-12-01 09:00:00  everything
p2  2026-12-01 09:00:00  subject s of tenant t
p3  2026-12-01 09:00:00  target example.org
";
    assert_eq!(server.run(&["pauses"]).quietly(), table);
}
