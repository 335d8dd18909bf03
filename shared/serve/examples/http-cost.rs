//! What HTTP costs a request, in microseconds of the server's CPU: `cargo run --release -p chaski-serve --example
//! http-cost`. `GET /` asks for next to nothing behind HTTP; the callers are a process of their own.

#![expect(clippy::print_stdout, reason = "it prints a figure")]

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use chaski_core::settings::Settings;
use chaski_serve::{Patience, run_with};
use tokio::sync::{mpsc, oneshot};

/// Open connections, each with one request at a time.
const CALLERS: usize = 32;
/// Requests of each.
const REQUESTS: usize = 4_000;
/// As a client library writes it, with a body as a message has.
const HEAD: &str = "GET / HTTP/1.1\r\nhost: 127.0.0.1:8080\r\nuser-agent: caller/1.0\r\naccept: */*\r\n\
                    accept-encoding: gzip\r\ncontent-type: application/json\r\nauthorization: Bearer ck_crm_0123456789\r\n\
                    content-length: 256\r\n\r\n";

type Failed = Box<dyn Error + Send + Sync>;

fn call(address: &str) -> Result<(), Failed> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let request = format!("{HEAD}{}", "x".repeat(256));
    let mut answer = [0; 4_096];
    for _ in 0..REQUESTS {
        stream.write_all(request.as_bytes())?;
        let size = stream.read(&mut answer)?;
        if !answer.get(..size).is_some_and(|answer| answer.starts_with(b"HTTP/1.1 200")) {
            return Err("another answer than 200".into());
        }
    }
    Ok(())
}

/// User and system time of this process, in ticks of 10 ms.
fn cpu_ticks() -> Result<u64, Failed> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    Ok(fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failed> {
    if let Some(address) = std::env::args().nth(1) {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let address = address.clone();
                thread::spawn(move || call(&address))
            })
            .collect();
        return callers.into_iter().try_for_each(|caller| caller.join().map_err(|_| "a caller broke")?);
    }
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("store").display().to_string();
    let settings = Settings::read(&format!("listen = \"127.0.0.1:0\"\ndata = {data:?}"), &|_| None)?;
    let (_orders, taken) = mpsc::channel(1);
    let (tell, told) = oneshot::channel();
    tokio::spawn(run_with(Arc::new(settings), Patience::default(), taken, |ready| {
        // Who asked for it waits below.
        let _ = tell.send(ready.address);
    }));
    let address = told.await?.to_string();
    let before = cpu_ticks()?;
    let callers = std::env::current_exe()?;
    let called = tokio::task::spawn_blocking(move || Command::new(callers).arg(address).status()).await??;
    let micros = (cpu_ticks()? - before) * 10_000 / u64::try_from(CALLERS * REQUESTS)?;
    println!("{micros} µs of CPU a request ({called})");
    Ok(())
}
