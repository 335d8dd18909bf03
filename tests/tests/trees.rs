//! What each crate stands on: the core names no vendor, no HTTP client and no async runtime, and a function carries
//! nothing that it does not need. Read from `cargo tree`, over all that an ordinary build of the crate links.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::process::Command;

fn tree(package: &str) -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments =
        ["tree", "--offline", "--locked", "-e", "normal", "--prefix", "none", "--format", "{p}", "-p", package];
    let said = Command::new(cargo).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let text = String::from_utf8(said.stdout).unwrap();
    let mut names: Vec<String> = text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

fn assert_free_of(package: &str, unwanted: &[&str]) {
    let names = tree(package);
    for name in unwanted {
        let found: Vec<&String> = names
            .iter()
            .filter(|other| other == name || name.ends_with('*') && other.starts_with(name.trim_end_matches('*')))
            .collect();
        assert!(found.is_empty(), "{package} stands on {found:?}");
    }
}

#[test]
fn the_core_names_no_vendor_no_http_and_no_runtime() {
    assert_free_of(
        "chaski-core",
        &["aws*", "lambda*", "tokio*", "async-std", "smol", "hyper*", "http", "reqwest", "rustls*"],
    );
}

#[test]
fn the_ingress_calls_no_target_and_buries_nothing() {
    assert_free_of(
        "api-ingress",
        &[
            "reqwest",
            "aws-sdk-dynamodb",
            "chaski-http",
            "chaski-dynamodb",
            "aws-config",
            "openssl*",
            "aws-lc*",
            "h2",
            "chaski-operator",
        ],
    );
}

#[test]
fn the_consumers_carry_one_tls_and_no_loader_of_profiles() {
    for function in ["sqs-consumer", "sqs-error-consumer"] {
        assert_free_of(
            function,
            &["aws-config", "chaski-operator", "openssl", "openssl-sys", "native-tls", "aws-lc*", "h2"],
        );
    }
}

#[test]
fn the_command_line_carries_one_tls() {
    assert_free_of("chaski", &["openssl", "openssl-sys", "native-tls", "aws-lc*"]);
}
