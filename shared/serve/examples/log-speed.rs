//! What a line of the log costs, in nanoseconds: `cargo run --release -p chaski-serve --example log-speed`.
//!
//! The line is that of an attempt, the longest of a message's trail; it goes the whole way from the macro to the
//! thread that writes, which writes to nowhere.

#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::io::Write;
use std::thread;
use std::time::Instant;

use chaski_core::logger::{self, Service, TRAIL};
use chaski_serve::LogWriter;
use chaski_system::SystemClock;
use tracing::subscriber::with_default;
use tracing::{Dispatch, Level, dispatcher, info};

/// Lines of a round, few enough that none is dropped for want of room.
const LINES: u32 = 5_000;
const ROUNDS: u32 = 40;

fn tell(lines: u32) {
    for n in 0..lines {
        info!(
            target: TRAIL,
            {
                event.action = "attempt",
                trace.id = "0af7651916cd43dd8448eb211c80319c",
                chaski.id = "0199a0a0-0000-7000-8000-000000000000",
                chaski.subject = "pc_consume_108_5699",
                chaski.client = Some("108"),
                chaski.producer = "crm",
                chaski.route = "messages",
                chaski.queue = "messages-3",
                chaski.target = Some("https://example.org/hook"),
                chaski.target_host = Some("example.org"),
                chaski.attempt = n,
                chaski.generation = 1,
                chaski.outcome = "delivered",
                chaski.status = 200,
                chaski.duration_ms = 3,
                attempts = 1,
                attempt_duration_ms = 3,
                delivery_delay_ms = 12,
            },
            "{}",
            "delivered"
        );
    }
}

fn measure(name: &str, threads: u32, out: impl Write + Send + 'static, between: impl Fn()) {
    let service = Service { name: "chaski", version: "0.1.0", level: Level::INFO, cloudwatch: false };
    let subscriber = Dispatch::new(logger::subscriber(service, SystemClock::start(), out));
    let mut best = u128::MAX;
    for _ in 0..ROUNDS {
        between();
        let began = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| dispatcher::with_default(&subscriber, || tell(LINES)));
            }
        });
        best = best.min(began.elapsed().as_nanos() / u128::from(LINES * threads));
    }
    println!("{name}, {threads} threads: {best} ns a line");
}

fn main() -> std::io::Result<()> {
    with_default(tracing::subscriber::NoSubscriber::new(), || measure("formatting alone", 1, std::io::sink(), || ()));
    for threads in [1, 2] {
        let log = LogWriter::start(std::io::sink())?;
        // What was told before is written before the next round.
        measure("with the writer", threads, log.clone(), || thread::sleep(std::time::Duration::from_millis(120)));
        log.close();
    }
    Ok(())
}
