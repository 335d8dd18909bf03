//! A process that is killed with very many messages waiting: how soon the next one goes on.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::batches::fill;
use super::delivery::{ANY_PORT, DEFAULT_SETTINGS, PATIENCE, work};
use super::figure::Values;
use super::seen::tally;
use super::server::Server;
use super::target::Target;

/// Deliveries before the kill: it comes in the middle of the work.
const BEFORE: usize = 100;
/// What a killed process sent is read within this time.
const ECHO: Duration = Duration::from_millis(200);

/// From the start of a process on a killed one's store to its first delivery, and to the end of the work.
///
/// # Errors
/// When a message was refused or lost.
pub(crate) fn after_kill(binary: &Path, folder: &Path, messages: usize) -> anyhow::Result<Values> {
    let target = Target::start(ANY_PORT)?;
    let mut server = Server::start(binary, folder, DEFAULT_SETTINGS)?;
    let mut control = server.control()?;
    let pause = control.json("POST", "/pauses", br#"{"all":true}"#)?;
    let work = work(messages, target.address);
    fill(&mut control, work.clone(), messages)?;
    let pause = pause.get("id").and_then(serde_json::Value::as_str).unwrap_or_default();
    control.call("DELETE", &format!("/pauses/{pause}"), b"")?;
    target.wait_for(BEFORE, PATIENCE)?;
    server.kill()?;
    std::thread::sleep(ECHO);
    let before = target.count();
    ensure!(before < messages, "all {messages} were delivered before the kill");

    let began = Instant::now();
    server.start_again(binary)?;
    let listens = began.elapsed();
    let first = target.wait_for(before + 1, PATIENCE)?.duration_since(began);
    server.control()?.wait_until_empty(PATIENCE)?;
    let lost = tally(&work, &target.take()).lost;
    ensure!(lost == 0, "{lost} of {messages} were lost");
    Ok(vec![("kill.listens", listens.as_secs_f64() * 1e3), ("kill.first", first.as_secs_f64())])
}
