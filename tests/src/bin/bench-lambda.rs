//! Speed and size of the functions' release binaries, in a table: `bench-lambda [--runs N] [--strict] [FOLDER]`.
//!
//! FOLDER holds `<function>/bootstrap` (`target/lambda`); `bench-hello` is found beside this program.
//! `--strict` fails when a figure is not reached: on a machine that does nothing else.

#[path = "../bench/mod.rs"]
mod bench;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use bench::figures::{measure, subjects};
use bench::table::{Row, table};
use bench::world::World;

struct Arguments {
    folder: PathBuf,
    runs: usize,
    strict: bool,
}

fn arguments() -> anyhow::Result<Arguments> {
    let mut read = Arguments { folder: PathBuf::from("target/lambda"), runs: 20, strict: false };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--strict" => read.strict = true,
            "--runs" => read.runs = given.next().and_then(|runs| runs.parse().ok()).context("--runs takes a number")?,
            folder => read.folder = PathBuf::from(folder),
        }
    }
    ensure!((1..=1_000).contains(&read.runs), "--runs is 1 to 1,000");
    Ok(read)
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
async fn main() -> anyhow::Result<()> {
    let Arguments { folder, runs, strict } = arguments()?;
    // Two TLS libraries' worth of defaults meet in this package; the choice is made by hand.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let world = World::start().await?;
    let hello = std::env::current_exe()?.with_file_name("bench-hello");
    let hello = world.program("hello", &hello);
    let rows = measure(&world, &subjects(&world, &folder), &hello, runs).await?;
    println!("medians of {runs}; hello is a function that does nothing\n\n{}", table(&rows));
    ensure!(!(strict && rows.iter().any(Row::over)), "a figure was not reached");
    Ok(())
}
