//! Memory while large bodies are uploaded and delivered, all at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Context, anyhow, ensure};
use chaski_core::limits;
use chaski_tests::world::noise;
use serde_json::{Value, json};

use super::control::Control;
use super::delivery::{ANY_PORT, DEFAULT_SETTINGS, PATIENCE};
use super::figure::Values;
use super::load::content_length;
use super::processes;
use super::server::Server;

/// Bodies at once.
const BODIES: usize = 10;
/// What the target reads at once.
const PIECE_BYTES: usize = 65_536;

/// Ten of the largest bodies are uploaded side by side while nothing is delivered, then delivered side by side: growth
/// of the server's memory, the most it ever had over what it had before.
///
/// # Errors
/// When one is refused, or does not come as it was given.
pub(crate) fn at_once(binary: &Path, folder: &Path) -> anyhow::Result<Values> {
    let body: Arc<[u8]> = noise::bytes(0, limits::LARGE_BODY_BYTES).into();
    let (target, arriving) = target(body.clone())?;
    let server = Server::start(binary, folder, DEFAULT_SETTINGS)?;
    let mut control = server.control()?;
    let pause = control.json("POST", "/pauses", br#"{"all":true}"#)?;
    let memory = || processes::memory(&[server.pid()]);
    let idle = memory().resident;
    let began = Instant::now();
    side_by_side(|n| upload(&mut server.control()?, &body, target, n))?;
    let (uploaded, took) = (memory().most, began.elapsed());
    let pause = pause.get("id").and_then(Value::as_str).unwrap_or_default();
    control.call("DELETE", &format!("/pauses/{pause}"), b"")?;
    for delivery in arriving {
        delivery.join().map_err(|_| anyhow!("a delivery's reader has failed"))??;
    }
    control.wait_until_empty(PATIENCE)?;
    Ok(vec![
        ("bodies.growth", memory().most - idle),
        ("bodies.uploads", uploaded - idle),
        ("bodies.idle", idle),
        ("bodies.uploaded", took.as_secs_f64()),
        ("bodies.took", began.elapsed().as_secs_f64()),
    ])
}

fn side_by_side(what: impl Fn(usize) -> anyhow::Result<()> + Sync) -> anyhow::Result<()> {
    let what = &what;
    thread::scope(|scope| {
        let all: Vec<_> = (0..BODIES).map(|n| scope.spawn(move || what(n))).collect();
        all.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow!("an upload has failed"))?)
    })
}

/// An upload, and the message that names it.
fn upload(control: &mut Control, body: &[u8], target: SocketAddr, n: usize) -> anyhow::Result<()> {
    let promise = control.json("POST", "/bodies", b"{}")?;
    let reference = promise.get("body_ref").and_then(Value::as_str).context("no reference")?;
    control.call("PUT", &format!("/bodies/{reference}"), body)?;
    let message = json!({"url": format!("http://{target}/"), "body_ref": reference});
    let envelope = json!({"subject": format!("mail_{n}"), "timeout": "30s", "message": message});
    control.call("POST", "/messages", envelope.to_string().as_bytes()).map(drop)
}

/// Takes one request on each of so many connections. None is read further than its head before all of them are there.
fn target(body: Arc<[u8]>) -> anyhow::Result<(SocketAddr, Vec<JoinHandle<anyhow::Result<()>>>)> {
    let listener = Arc::new(TcpListener::bind(ANY_PORT)?);
    let (address, all_there) = (listener.local_addr()?, Arc::new(Barrier::new(BODIES)));
    let take = |_| {
        let (listener, all_there, body) = (listener.clone(), all_there.clone(), body.clone());
        thread::spawn(move || take(listener.accept()?.0, &all_there, &body))
    };
    Ok((address, (0..BODIES).map(take).collect()))
}

fn take(stream: TcpStream, all_there: &Barrier, body: &[u8]) -> anyhow::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = BufReader::new(stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(stream.read_until(b'\n', &mut head)? > 0, "a connection ended in its head");
    }
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut fields);
    request.parse(&head)?;
    let length = content_length(request.headers)?.context("a body without its length")?;
    ensure!(length == body.len(), "a body of {length} bytes");
    all_there.wait();
    let mut piece = vec![0; PIECE_BYTES];
    for expected in body.chunks(PIECE_BYTES) {
        let room = piece.get_mut(..expected.len()).context("a piece is too large")?;
        stream.read_exact(room)?;
        ensure!(room == expected, "other bytes came than were uploaded");
    }
    stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    Ok(())
}
