//! What a run of the tests is told by its environment.

/// A number that the environment sets.
///
/// # Panics
/// It is none.
#[must_use]
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The seed of this run: that of `CHASKI_SEED`, or a new one; printed.
#[must_use]
#[expect(clippy::print_stdout, reason = "a run that failed is repeated by its seed")]
pub fn seed() -> u64 {
    let seed = number("CHASKI_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("CHASKI_SEED={seed}");
    seed
}

/// Runs it in this thread.
///
/// # Panics
/// There is no runtime for it.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime is made").block_on(work)
}
