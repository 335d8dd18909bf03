//! A load that is accepted and delivered; the same for Chaski and for its peers.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use super::control::Control;
use super::figure::{LOAD_CPU, OTHERS, TARGET_CPU, Values};
use super::load::{Endpoint, Sent, send};
use super::meter::Meter;
use super::seen::tally;
use super::server::Server;
use super::target::Target;
use super::work::{Ask, Work};
use crate::columns::Samples;

/// Bytes of each message's body.
pub(crate) const BODY_BYTES: usize = 256;
pub(crate) const CONNECTIONS: usize = 32;
pub(crate) const SUBJECTS: usize = 1_000;
/// A dispatcher that delivers nothing for so long has lost the rest.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Nothing is set: routes, ledger, look-ups and log are those of a new installation.
pub(crate) const DEFAULT_SETTINGS: &str = "# the defaults\n";
/// What a peer, whose queues can't be asked, is given to send a message twice.
const QUIET: Duration = Duration::from_millis(500);

/// A free port of this machine.
pub(crate) const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// The messages of the figures, to this target.
pub(crate) fn work(messages: usize, target: SocketAddr) -> Work {
    let ask = Ask { method: "POST", url: format!("http://{target}/hook"), body_bytes: BODY_BYTES };
    Work { first: 0, subjects: SUBJECTS.min(messages), messages, asks: vec![ask] }
}

/// Accepted while nothing is delivered, then delivered: what taking alone can do.
///
/// # Errors
/// When a message was refused, lost, delivered twice or out of order.
pub(crate) fn accept_alone(binary: &Path, folder: &Path, messages: usize) -> anyhow::Result<Values> {
    let target = Target::start(ANY_PORT)?;
    let server = Server::start(binary, folder, DEFAULT_SETTINGS)?;
    let mut control = server.control()?;
    let pause = control.json("POST", "/pauses", br#"{"all":true}"#)?;
    let work = work(messages, target.address);
    let roots = [server.pid()];
    let meter = Meter::start(&roots);
    let sent = send(&work, &server.messages(), CONNECTIONS)?;
    let taken = meter.stop(sent.cpu);
    ensure!(target.count() == 0, "{} were delivered during a pause", target.count());
    let pause = pause.get("id").and_then(serde_json::Value::as_str).unwrap_or_default();
    control.call("DELETE", &format!("/pauses/{pause}"), b"")?;
    target.wait_for(messages, PATIENCE)?;
    control.wait_until_empty(PATIENCE)?;
    whole(&work, &target, true)?;
    let [p50, p99] = percentiles(&sent);
    Ok(vec![
        ("accept.rate", rate(messages, sent.took)),
        ("accept.p50", p50),
        ("accept.p99", p99),
        ("accept.cpu", taken.cpu.as_secs_f64() * 1e3 / count(messages)),
        (OTHERS, taken.others_percent),
    ])
}

/// Accepted and delivered by Chaski, in order.
///
/// # Errors
/// When a message was refused, lost, delivered twice or out of order.
pub(crate) fn chaski(binary: &Path, folder: &Path, messages: usize) -> anyhow::Result<Values> {
    let server = Server::start(binary, folder, DEFAULT_SETTINGS)?;
    measure(&server.messages(), &[server.pid()], messages, true, Some(&mut server.control()?))
}

/// Accepted and delivered by a server that these processes and their children are.
///
/// # Errors
/// When a message was refused, lost or delivered twice; or out of order, where that is asked.
pub(crate) fn measure(
    to: &Endpoint,
    roots: &[u32],
    messages: usize,
    ordered: bool,
    chaski: Option<&mut Control>,
) -> anyhow::Result<Values> {
    let target = Target::start(ANY_PORT)?;
    let work = work(messages, target.address);
    let meter = Meter::start(roots);
    let sent = send(&work, to, CONNECTIONS)?;
    let took = target.wait_for(messages, PATIENCE)?.duration_since(sent.began);
    match chaski {
        Some(control) => control.wait_until_empty(PATIENCE)?,
        None => std::thread::sleep(QUIET),
    }
    let target_cpu = target.cpu();
    let taken = meter.stop(sent.cpu + target_cpu);
    let disorder = whole(&work, &target, ordered)?;
    let [p50, p99] = percentiles(&sent);
    Ok(vec![
        ("deliver.rate", rate(messages, took)),
        ("deliver.accepted", rate(messages, sent.took)),
        ("deliver.p50", p50),
        ("deliver.p99", p99),
        ("deliver.cpu", taken.cpu.as_secs_f64() * 1e3 / count(messages)),
        ("deliver.most", taken.memory.most),
        ("deliver.now", taken.memory.proportional),
        ("deliver.disorder", count(disorder)),
        (LOAD_CPU, sent.cpu.as_secs_f64() * 1e6 / count(messages)),
        (TARGET_CPU, target_cpu.as_secs_f64() * 1e6 / count(messages)),
        (OTHERS, taken.others_percent),
    ])
}

/// How many came out of order.
///
/// # Errors
/// When not every message came exactly once; and in order, where that is asked.
pub(crate) fn whole(work: &Work, target: &Target, ordered: bool) -> anyhow::Result<usize> {
    let seen = target.take();
    let tally = tally(work, &seen);
    let well = tally.lost == 0 && tally.twice == 0 && tally.strange == 0 && (!ordered || tally.out_of_order == 0);
    ensure!(well, "of {} messages: {tally}", work.messages);
    Ok(tally.out_of_order)
}

/// p50 and p99 of one POST, in milliseconds.
pub(crate) fn percentiles(sent: &Sent) -> [f64; 2] {
    let samples = Samples::new(sent.latencies.iter().map(|&micros| f64::from(micros) / 1e3).collect());
    [samples.median(), samples.percentile(99)]
}

/// A second.
pub(crate) fn rate(messages: usize, took: Duration) -> f64 {
    count(messages) / took.as_secs_f64()
}

pub(crate) fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}
