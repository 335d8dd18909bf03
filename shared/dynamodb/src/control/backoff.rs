//! How long a head is hidden that merely waits: for a limit, or for a host that is given a pause.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chaski_core::identity;

/// The first wait, before it is spread: SQS hides for whole seconds.
const FIRST: Duration = Duration::from_secs(1);
/// Each wait is longer than the one before by one part of so many, so that nobody waits for longer than about an
/// eighth of the time that it has waited already.
const GROWS_BY_ONE_OF: u32 = 8;
/// The longest wait, before it is spread.
const MOST: Duration = Duration::from_secs(2 * 3_600);

/// Chance from a seed: the same process never gives the same twice in a row.
#[derive(Debug)]
pub(super) struct Spread {
    seed: String,
    n: AtomicU64,
}

impl Spread {
    pub(super) fn new(seed: String) -> Self {
        Self { seed, n: AtomicU64::new(0) }
    }

    /// Something between nothing and `span`.
    pub(super) fn of(&self, span: Duration) -> Duration {
        let n = self.n.fetch_add(1, Ordering::Relaxed).to_string();
        let [first, second, ..] = identity::bytes(&[&self.seed, &n]);
        span.saturating_mul(u32::from(u16::from_be_bytes([first, second]))) / (1 << 16)
    }
}

/// How long to hide a head that was received so often, where there may be something for it after `least` at the
/// earliest. What stands behind a head was not received more often than it, so that this is a bound for all.
pub(super) fn wait(receives: u32, least: Duration, spread: &Spread) -> Duration {
    let grown = grown(receives);
    least.max(grown / 2).saturating_add(spread.of(grown))
}

fn grown(receives: u32) -> Duration {
    let mut grown = FIRST;
    for _ in 1..receives {
        if grown >= MOST {
            return MOST;
        }
        grown += grown / GROWS_BY_ONE_OF;
    }
    grown
}

#[cfg(test)]
mod tests {
    use chaski_core::limits;

    use super::*;

    /// What SQS keeps an entry at most.
    const RETENTION: Duration = Duration::from_secs(14 * 24 * 3_600);

    #[test]
    fn what_merely_waits_for_all_of_its_retention_is_received_half_as_often_as_would_bury_it() {
        // The least that chance gives.
        let mut waited = Duration::ZERO;
        let receives = (1..).find(|receives| {
            waited += grown(*receives) / 2;
            waited >= RETENTION
        });
        assert!(receives.unwrap() < limits::RECEIVES / 2, "{receives:?}");
    }

    #[test]
    fn a_wait_is_about_an_eighth_of_what_was_waited_and_never_before_its_time() {
        let spread = Spread::new("seed".to_owned());
        let mut waited = Duration::ZERO;
        for receives in 1..limits::RECEIVES {
            let wait = wait(receives, Duration::ZERO, &spread);
            assert!(wait <= waited.mul_f64(0.5) + 2 * FIRST, "{wait:?} after {waited:?}");
            waited += wait;
        }
        let day = Duration::from_secs(24 * 3_600);
        assert!((0..100).all(|_| wait(1, day, &spread) >= day));
    }

    #[test]
    fn heads_that_wait_together_do_not_come_together() {
        let spread = Spread::new("seed".to_owned());
        let waits: Vec<Duration> = (0..1_000).map(|_| wait(1, Duration::ZERO, &spread)).collect();
        for from in [500, 700, 900, 1_100, 1_300] {
            let span = Duration::from_millis(from)..Duration::from_millis(from + 200);
            let count = waits.iter().filter(|wait| span.contains(*wait)).count();
            assert!((150..250).contains(&count), "{count} from {from} ms");
        }
    }
}
