//! How long the known answer takes: the delays of the tiers and the timeout say it.

use std::time::Duration;

use crate::client::Queue;
use crate::output::age;

use super::known_answer::EACH;

/// What a server is set to. The defaults are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) fast: Duration,
    pub(super) medium: Duration,
    pub(super) slow: Duration,
    pub(super) timeout: Duration,
}

impl Pace {
    /// The defaults, with the delays that the server's queues name.
    pub(super) fn of(queues: &[Queue], timeout: Duration) -> Self {
        let delay = |name: &str, default: u64| {
            let named = queues.iter().find(|queue| queue.queue == name).and_then(|queue| queue.delay_ms);
            Duration::from_millis(named.unwrap_or(default * 1_000))
        };
        Self {
            fast: delay("retry-fast", 10),
            medium: delay("retry-medium", 60),
            slow: delay("retry-slow", 900),
            timeout,
        }
    }

    /// About how long the rounds take, which run side by side. The one subject's line is the longer: its messages
    /// to the target that is too late hold each other up for a timeout each, in the first queue as in each tier; and
    /// the tiers work beside each other, so that the last of them adds only its own way.
    pub(super) fn estimate(self) -> Duration {
        let Self { fast, medium, slow, timeout } = self;
        let line = timeout * u32::try_from(EACH).unwrap_or(u32::MAX);
        let failing = fast * 2 + medium * 2 + slow;
        let late = fast + medium + slow + timeout * 3;
        line + failing.max(late) + Duration::from_secs(1)
    }

    /// In words.
    pub(super) fn words(self) -> String {
        let tiers = [self.fast, self.medium, self.slow].map(age).join(", ");
        format!("about {} with tiers of {tiers} and a timeout of {}", age(self.estimate()), age(self.timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_take_most_of_half_an_hour() {
        let pace = Pace::of(&[], Duration::from_secs(10));
        assert_eq!(pace.words(), "about 25m 41s with tiers of 10s, 1m, 15m and a timeout of 10s");
    }

    #[test]
    fn the_delays_that_the_server_names_count() {
        let json = r#"{"queue":"retry-slow","state":"empty","delay_ms":1000}"#;
        let slow: Queue = serde_json::from_str(json).unwrap();
        let pace = Pace::of(&[slow], Duration::from_secs(1));
        assert_eq!(pace.slow, Duration::from_secs(1));
        assert_eq!(pace.fast, Duration::from_secs(10));
    }
}
