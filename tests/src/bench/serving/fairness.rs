//! One subject's messages, while others hang or have very many waiting.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::batches::fill;
use super::control::Control;
use super::delivery::{ANY_PORT, DEFAULT_SETTINGS, SUBJECTS, work};
use super::figure::Values;
use super::server::Server;
use super::target::Target;
use super::work::Work;
use crate::columns::Samples;

/// Messages of the quiet subject, one after the other, each sent when the one before has arrived.
const QUIET: usize = 1_000;
/// Messages to the target that hangs, each of another subject: more than there are slots for one host.
const HANGING: usize = 200;
/// A loopback address of its own, which is a host of its own.
const HANGS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, 10)), 0);
const PATIENCE: Duration = Duration::from_secs(30);

/// From the POST to the target of a quiet subject: alone, and beside a target that hangs and a subject with `loud`
/// messages waiting, which are being delivered meanwhile.
///
/// # Errors
/// When a message was refused or lost, or the loud subject was done before the quiet one.
pub(crate) fn fairness(binary: &Path, folder: &Path, loud: usize) -> anyhow::Result<Values> {
    let server = Server::start(binary, folder, DEFAULT_SETTINGS)?;
    let mut control = server.control()?;
    let (quiet, arrivals) = quiet_target()?;
    let envelope = format!(r#"{{"subject":"quiet","message":{{"url":"http://{quiet}/hook","body":{{}}}}}}"#);
    let alone = one_by_one(&mut control, &envelope, &arrivals)?;

    // Its listener takes connections and reads none of them.
    let hangs = TcpListener::bind(HANGS)?;
    let hanging = Work { first: SUBJECTS, subjects: HANGING, ..work(HANGING, hangs.local_addr()?) };
    fill(&mut control, hanging, HANGING)?;
    let target = Target::start(ANY_PORT)?;
    fill(&mut control, Work { subjects: 1, ..work(loud, target.address) }, loud)?;
    let beside = one_by_one(&mut control, &envelope, &arrivals)?;
    ensure!(target.count() < loud, "the loud subject's {loud} messages were all delivered before the quiet one's");
    Ok(vec![
        ("fair.p50", alone.median()),
        ("fair.p99", alone.percentile(99)),
        ("fair.beside.p50", beside.median()),
        ("fair.beside.p99", beside.percentile(99)),
        ("fair.times", beside.percentile(99) / alone.percentile(99)),
    ])
}

/// Milliseconds from each POST to its arrival.
fn one_by_one(control: &mut Control, envelope: &str, arrivals: &Receiver<Instant>) -> anyhow::Result<Samples> {
    let mut times = Vec::with_capacity(QUIET);
    for _ in 0..QUIET {
        let sent = Instant::now();
        control.call("POST", "/messages", envelope.as_bytes())?;
        let arrived = arrivals.recv_timeout(PATIENCE).context("a message of the quiet subject did not arrive")?;
        times.push(arrived.saturating_duration_since(sent).as_secs_f64() * 1e3);
    }
    Ok(Samples::new(times))
}

/// A target for one message at a time, that tells when each came: it waits for bytes and looks for nothing else.
fn quiet_target() -> anyhow::Result<(SocketAddr, Receiver<Instant>)> {
    let listener = TcpListener::bind(ANY_PORT)?;
    let address = listener.local_addr()?;
    let (told, arrivals) = channel();
    std::thread::Builder::new().name("quiet-target".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            let told = told.clone();
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut request = [0; 16_384];
                // A request this small comes in one piece over the loopback.
                while let Ok(1..) = stream.read(&mut request) {
                    let answered = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                    if told.send(Instant::now()).is_err() || answered.is_err() {
                        return;
                    }
                }
            });
        }
    })?;
    Ok((address, arrivals))
}
