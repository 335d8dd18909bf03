//! Second opinions: Python packages that no one here wrote, asked line by line.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// Runs a script of Python in the environment of `infra/tools/requirements/oracles.txt`, hands it the lines on its
/// standard input, and gives back the lines that it prints.
///
/// # Errors
/// The environment is not installed, or the script fails.
pub fn ask(script: &str, lines: &str) -> anyhow::Result<Vec<String>> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/oracles/bin/python");
    ensure!(python.exists(), "the oracle is not installed: run `make test`, or `make setup` first");
    let mut oracle = Command::new(python).args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = oracle.stdin.take().context("no standard input")?;
    // It may print before it has read everything.
    let said = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(lines.as_bytes()));
        oracle.wait_with_output()
    })?;
    ensure!(said.status.success(), "the oracle failed: {}", said.status);
    Ok(String::from_utf8(said.stdout)?.lines().map(str::to_owned).collect())
}
