//! A stack instead of a server: where it is asked, with whose rights, and what is told when it can't be.
//!
//! The scripted server is CloudFormation, DynamoDB, SQS and the stack's API in one.

use std::process::Command;

use crate::common::{Asked, Ran, Server, Told, command, run, told};

/// What AWS answers of the stack `chaski-dev`, whose callers are checked by IAM or by their keys.
fn aws(authorization: &'static str) -> impl Fn(&Asked) -> Told + Send + Sync {
    move |asked| {
        let here = asked.header("host").unwrap_or_default();
        match asked.header("x-amz-target").unwrap_or_default() {
            "DynamoDB_20120810.Query" => return told(200, r#"{"Items":[]}"#),
            "DynamoDB_20120810.PutItem" | "DynamoDB_20120810.DeleteItem" => return told(200, "{}"),
            "AmazonSQS.GetQueueAttributes" => {
                return told(
                    200,
                    r#"{"Attributes":{"ApproximateNumberOfMessages":"2","ApproximateNumberOfMessagesNotVisible":"1",
                    "ApproximateNumberOfMessagesDelayed":"0","DelaySeconds":"60"}}"#,
                );
            }
            _ => {}
        }
        if asked.path == "/queues" {
            return told(200, r#"{"items":[]}"#);
        }
        if asked.path == "/messages" {
            return told(200, r#"{"id":"id-1","subject":"s","route":"all","queue":"all-0","warnings":[]}"#);
        }
        assert!(asked.body.starts_with("Action=DescribeStacks&"), "{asked:?}");
        let outputs = [
            ("ApiUrl", format!("http://{here}")),
            ("Authorization", authorization.to_owned()),
            ("QueuePrefix", format!("http://{here}/1/chaski-dev-")),
            ("TableName", "chaski-dev-dead-letters".to_owned()),
            ("ControlTableName", "chaski-dev-control".to_owned()),
            ("Route0", r#"{name = "all", pattern = "*", shards = 1}"#.to_owned()),
        ];
        let member = |(key, value): &(&str, String)| {
            format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
        };
        told(200, format!("<R><Outputs>{}</Outputs></R>", outputs.iter().map(member).collect::<String>()))
    }
}

fn with_aws(server: &Server, arguments: &[&str]) -> Command {
    let mut command = alone(arguments);
    command.env("AWS_ENDPOINT_URL", format!("http://{}", server.address));
    command.envs([("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", "hush")]);
    command
}

/// Without the AWS account of whoever runs the tests.
fn alone(arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    let own: Vec<String> = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("AWS_")).collect();
    for name in own {
        command.env_remove(name);
    }
    command.envs([("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_CONFIG_FILE", "/dev/null")]);
    command.env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command
}

fn ask(server: &Server, arguments: &[&str]) -> Ran {
    run(&mut with_aws(server, arguments), "")
}

#[test]
fn what_sqs_does_not_tell_is_left_blank() {
    let server = Server::start(aws("iam"));
    let shown = ask(&server, &["queues", "list", "--stack", "chaski-dev"]).quietly();
    let first = shown.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(first, ["all-0", "all", "busy", "3", "1", "0"], "{shown}");
    let json = ask(&server, &["queues", "list", "--stack", "chaski-dev", "--json"]).quietly();
    assert!(!json.contains("per_second") && !json.contains("oldest"), "{json}");
}

#[test]
fn an_empty_table_is_an_empty_list() {
    let server = Server::start(aws("iam"));
    let json = ask(&server, &["dead-letters", "list", "--from", "1d", "--stack", "chaski-dev", "--json"]).quietly();
    assert!(json.starts_with(r#"{"items":[]"#), "{json}");
    assert!(server.asked().iter().all(|asked| asked.header("x-amz-target") != Some("DynamoDB_20120810.Scan")));
}

/// What was put into the control table, as the names of its attributes.
fn put(server: &Server) -> Vec<serde_json::Value> {
    let puts =
        server.asked().into_iter().filter(|asked| asked.header("x-amz-target") == Some("DynamoDB_20120810.PutItem"));
    let puts = puts.map(|asked| serde_json::from_str::<serde_json::Value>(&asked.body).unwrap());
    puts.map(|put| put["Item"].clone()).collect()
}

#[test]
fn what_is_ordered_stands_in_the_control_table() {
    let server = Server::start(aws("iam"));
    let said = ask(&server, &["pause", "--target", "Example.org", "--stack", "chaski-dev"]).quietly();
    assert!(said.starts_with("target example.org paused: "), "{said}");
    let said = ask(&server, &["messages", "cancel", "m-1", "--stack", "chaski-dev"]).quietly();
    assert_eq!(said, "m-1 is being cancelled: no other attempt is made than one that runs now\n");
    let all = ["messages", "cancel", "--label", "import-7", "--stack", "chaski-dev", "--yes"];
    let said = ask(&server, &all).quietly();
    assert_eq!(said, "all messages that fit are being cancelled, each when its attempt is due\n");
    let json: serde_json::Value =
        serde_json::from_str(&ask(&server, &[&all[..], &["--json"]].concat()).quietly()).unwrap();
    assert_eq!(json, serde_json::json!({"matched": null, "cancelled": 0, "cancelling": 0}));
    let put = put(&server);
    let texts = |name: &str| put.iter().map(|item| item[name]["S"].as_str()).collect::<Vec<_>>();
    assert_eq!(texts("pk"), [Some("orders"); 4]);
    assert_eq!(texts("value"), [Some("example.org"), None, None, None]);
    assert_eq!(texts("message"), [None, Some("m-1"), None, None]);
    assert_eq!(texts("label"), [None, None, Some("import-7"), Some("import-7")]);
}

#[test]
fn what_nobody_counts_is_refused_and_not_made_up() {
    let server = Server::start(aws("iam"));
    for arguments in [&["--label", "l", "--dry-run"][..], &["--state", "retrying", "--yes"]] {
        let ran = ask(&server, &[&["messages", "cancel", "--stack", "chaski-dev"], arguments].concat());
        assert!(ran.code == 1 && ran.err.contains("keeps no list"), "{arguments:?}: {ran:?}");
    }
    assert!(put(&server).is_empty());
    let ran = ask(&server, &["resume", "nobody", "--stack", "chaski-dev"]);
    assert!(ran.code == 1 && ran.err.contains("no such pause"), "{ran:?}");
}

#[test]
fn a_message_is_signed_or_shows_its_key() {
    let send = ["send", "--subject", "s", "--url", "https://example.org", "--stack", "chaski-dev"];
    let posted = |server: &Server| server.asked().into_iter().find(|asked| asked.path == "/messages").unwrap();
    let server = Server::start(aws("iam"));
    run(with_aws(&server, &send).env("CHASKI_KEY", "ck_crm_secret"), "").quietly();
    let authorization = posted(&server).header("authorization").unwrap().to_owned();
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AK/"), "{authorization}");
    assert!(authorization.contains("/eu-west-1/execute-api/aws4_request"), "{authorization}");
    let server = Server::start(aws("producers"));
    run(with_aws(&server, &send).env("CHASKI_KEY", "ck_crm_secret"), "").quietly();
    assert_eq!(posted(&server).header("authorization"), Some("Bearer ck_crm_secret"));
}

#[test]
fn the_command_line_goes_before_the_environment() {
    let server = Server::start(aws("iam"));
    let url = format!("http://{}", server.address);
    let list = ["queues", "list", "--stack", "chaski-dev"];
    run(with_aws(&server, &list).env("CHASKI_URL", "http://127.0.0.1:1"), "").quietly();
    let both = run(&mut with_aws(&server, &[&list[..], &["--server", &url]].concat()), "");
    assert_eq!(both.code, 2);
    assert!(both.err.contains("can't be used together"), "{}", both.err);
    let both = run(with_aws(&server, &["queues", "list"]).envs([("CHASKI_STACK", "a"), ("CHASKI_URL", &url)]), "");
    assert_eq!(both.code, 2);
    let asked = server.asked().len();
    let other = run(with_aws(&server, &["queues", "list", "--server", &url]).env("CHASKI_STACK", "a"), "");
    other.quietly();
    assert_eq!(server.asked()[asked].path, "/queues");
}

#[test]
fn what_is_missing_is_named() {
    let list = ["queues", "list", "--stack", "chaski-dev"];
    let nobody = run(alone(&list).env("AWS_REGION", "eu-west-1"), "");
    assert!(nobody.code == 1 && nobody.err.contains("no AWS credentials"), "{}", nobody.err);
    let nowhere = run(&mut alone(&list), "");
    assert!(nowhere.code == 1 && nowhere.err.contains("AWS_REGION"), "{}", nowhere.err);
    let server = Server::saying(told(400, "<E><Error><Code>AccessDenied</Code><Message>no</Message></Error></E>"));
    assert_eq!(ask(&server, &list).err, "chaski: the stack chaski-dev: CloudFormation: AccessDenied: no\n");
}

#[test]
fn what_a_stack_can_not_do_is_told_before_anything_is_asked() {
    let server = Server::start(aws("iam"));
    for (arguments, code) in [
        (&["doctor"][..], 1),
        (&["selftest"], 1),
        (&["send", "--subject", "s", "--url", "https://example.org", "--wait"], 1),
        (&["serve"], 2),
    ] {
        let ran = ask(&server, &[arguments, &["--stack", "chaski-dev"]].concat());
        assert!(ran.code == code && ran.err.contains("stack"), "{arguments:?}: {ran:?}");
    }
    assert!(server.asked().is_empty());
    let ran = ask(&server, &["messages", "list", "--stack", "chaski-dev"]);
    assert!(ran.code == 1 && ran.err.contains("keeps no list"), "{ran:?}");
}
