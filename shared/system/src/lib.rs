//! The clock and the chance of the machine.

use std::time::{Duration, Instant, SystemTime};

use chaski_core::ports::{Chance, Clock};
use chaski_core::time::Timestamp;

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// `elapsed` counts from now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A wall clock before 1970 reads as 1970.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The kernel's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemChance;

impl Chance for SystemChance {
    /// # Panics
    /// The kernel gives no random numbers. An id that can be guessed, or that two messages share, would be
    /// worse than an answer 500.
    fn ten_bytes(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        if let Err(error) = getrandom::fill(&mut bytes) {
            panic!("the kernel gives no random numbers: {error}");
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_shows_today_and_never_goes_back() {
        let clock = SystemClock::start();
        assert!(clock.now() > Timestamp::parse("2025-01-01T00:00:00Z").unwrap());
        assert!(clock.elapsed() <= clock.elapsed());
    }

    #[test]
    fn chance_does_not_repeat() {
        assert_ne!(SystemChance.ten_bytes(), SystemChance.ten_bytes());
    }
}
