//! What stops a start, and what it says then.

use std::process::Output;

use crate::process::{Chaski, command};

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_second_process_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = Chaski::start(&data, &[]);
    let second = command(&data, &[]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(words(&second).contains("another process has the store"), "{}", words(&second));
    assert_eq!(first.get("/health").await["status"], "ok");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_chaski"))
        .args(["serve", "--listen", &address, "--data"])
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("listen: ") && words(&output).contains(&address), "{}", words(&output));
}

#[tokio::test]
async fn every_wrong_setting_is_named_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("chaski.toml");
    std::fs::write(&config, "listen = \"here\"\ncolour = 1\n[limits]\nconcurrency = 0\n").unwrap();
    let mut command = command(&folder.path().join("data"), &[("CHASKI_TIERS_FAST", "soon")]);
    let output = command.arg("--config").arg(&config).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    for setting in ["colour", "limits.concurrency", "tiers.fast", "CHASKI_LIMITS_CONCURRENCY"] {
        assert!(words(&output).contains(setting), "{setting} is not named: {}", words(&output));
    }
}

#[tokio::test]
async fn an_open_door_without_keys_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_chaski"))
        .args(["serve", "--listen", "0.0.0.0:0", "--data"])
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("[[producers]]"), "{}", words(&output));
}
