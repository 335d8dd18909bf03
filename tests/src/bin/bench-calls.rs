//! What each feature costs in calls to AWS, in a table: `bench-calls`, with the local AWS up.
//!
//! The conformance suite's AWS home runs each row's story (the real handlers and adapters, and a pump that does what
//! Lambda's mappings do), and everything that it asks of AWS goes through a proxy that counts.

#[path = "../bench/calls/mod.rs"]
mod calls;
#[path = "../bench/serve.rs"]
mod serve;

use anyhow::ensure;
use calls::price::{API, INVOCATION, of_a_million, of_orders_a_month};
use calls::rows::Bench;
use calls::table::table;
use chaski_tests::home::aws::AwsHome;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
async fn main() -> anyhow::Result<()> {
    ensure!(std::env::args().len() == 1, "bench-calls takes no arguments");
    // Two TLS libraries' worth of defaults meet in this package; the choice is made by hand.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (endpoint, _) = AwsHome::local()?;
    let bench = Bench::open(&endpoint).await?;
    let seen = Box::pin(bench.run()).await?;
    println!("Calls for one message, and dollars for a million at list prices.\n\n{}", table(&seen.rows));
    println!("An HTTP API takes ${API:.2} a million more of each row, for one call a message, and each receive is an");
    println!("invocation: ${INVOCATION:.2} a million, and the time that it runs.");
    println!("A process that works reads its orders once a second: ${:.2} a month.", of_orders_a_month());
    println!("A pause and its end, by itself: {} writes and {} reads.", seen.pause.writes, seen.pause.half_reads / 2);
    println!(
        "A mark that cancels: {} write, ${:.2} for a million marks.",
        seen.mark.writes,
        of_a_million(&seen.mark, 1)
    );
    Ok(())
}
