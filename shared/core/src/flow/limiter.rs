//! A rate, kept by one process.

use std::time::Duration;

use super::limits::FlowLimits;
use crate::time::Timestamp;

/// How much sooner than its turn an attempt may begin. It makes up for whoever came late, so that a rate is reached
/// and not only kept below; and a target that counts by the second sees at most a fifth more in one of them.
const SLACK_NS: i64 = 200_000_000;
/// Nanoseconds of a millisecond.
const MILLI_NS: i64 = 1_000_000;

/// When the next attempt may begin (GCRA: one number, no queue and no ticking). In any span of time at most its share
/// of the rate begins, and what fits `SLACK_NS`, and one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limiter {
    /// When the next one has its turn, in nanoseconds since 1970.
    turn_ns: i64,
}

impl Limiter {
    /// When an attempt may begin; none if it may begin now.
    #[must_use]
    pub fn opens_at(&self, now: Timestamp, limits: &FlowLimits) -> Option<Timestamp> {
        let interval = limits.interval_ns()?;
        let opens_ns = self.turn(now, interval).saturating_sub(SLACK_NS);
        if opens_ns <= nanos(now) {
            return None;
        }
        Some(Timestamp::from_millis(opens_ns.saturating_add(MILLI_NS - 1) / MILLI_NS))
    }

    /// An attempt begins.
    pub fn begin(&mut self, now: Timestamp, limits: &FlowLimits) {
        if let Some(interval) = limits.interval_ns() {
            self.turn_ns = self.turn(now, interval).max(nanos(now)).saturating_add(interval);
        }
    }

    /// Until when it knows something that a new one would not.
    #[must_use]
    pub fn idle_at(&self) -> Timestamp {
        Timestamp::from_millis(self.turn_ns.saturating_add(MILLI_NS - 1) / MILLI_NS)
    }

    /// The next turn; never further away than these limits let it be, whatever they were before, and whatever a clock
    /// did.
    fn turn(&self, now: Timestamp, interval: i64) -> i64 {
        self.turn_ns.min(nanos(now).saturating_add(SLACK_NS).saturating_add(interval))
    }
}

/// A point in time in nanoseconds since 1970, which fit until the year 2262.
pub(super) fn nanos(at: Timestamp) -> i64 {
    at.millis().saturating_mul(MILLI_NS)
}

/// A span in nanoseconds.
pub(super) fn span_ns(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(rate: u32, per_ms: u64) -> FlowLimits {
        FlowLimits { rate: Some(rate), per: Duration::from_millis(per_ms), parallelism: None }
    }

    const START: i64 = 1_793_491_200_000;

    /// Begins an attempt whenever it may, looking at the clock after each of these waits; the times of all begins.
    fn begins(limits: FlowLimits, looks: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let mut limiter = Limiter::default();
        let (mut now, mut begun) = (START, Vec::new());
        for wait in looks {
            now += wait;
            while limiter.opens_at(Timestamp::from_millis(now), &limits).is_none() {
                limiter.begin(Timestamp::from_millis(now), &limits);
                begun.push(now);
            }
        }
        begun
    }

    #[test]
    fn ten_a_second_hold_within_a_tenth_over_30_seconds() {
        // Whoever looks is late, by up to 15 ms each time.
        let looks = (0..).map(|n| 1 + n * 7 % 15).scan(0, |at, wait| {
            *at += wait;
            (*at <= 30_000).then_some(wait)
        });
        let count = begins(limits(10, 1_000), looks).len();
        assert!((270..=330).contains(&count), "{count}");
    }

    #[test]
    fn it_says_when_it_opens_and_opens_then() {
        for limits in [limits(10, 1_000), limits(3, 1_000), limits(1, 60_000), limits(7, 10_000), limits(999, 1_000)] {
            let mut limiter = Limiter::default();
            let mut now = Timestamp::from_millis(START);
            for _ in 0..2_000 {
                match limiter.opens_at(now, &limits) {
                    None => limiter.begin(now, &limits),
                    Some(at) => {
                        let before = Timestamp::from_millis(at.millis() - 1);
                        assert!(before < now || limiter.opens_at(before, &limits).is_some(), "too late");
                        assert!(at > now && limiter.opens_at(at, &limits).is_none(), "not then");
                        now = at;
                    }
                }
            }
        }
    }

    #[test]
    fn another_rate_holds_from_the_next_attempt_on() {
        let (slow, quick) = (limits(1, 86_400_000), limits(10, 1_000));
        let mut limiter = Limiter::default();
        let now = Timestamp::from_millis(START);
        limiter.begin(now, &slow);
        assert!(limiter.opens_at(now, &slow).is_some_and(|at| at.since(now) > Duration::from_secs(86_000)));
        assert!(limiter.opens_at(now, &quick).is_none_or(|at| at.since(now) <= Duration::from_millis(100)));
        // A clock that is set back does not hold it up for longer than an interval.
        let back = Timestamp::from_millis(START - 3_600_000);
        limiter.begin(now, &quick);
        assert!(limiter.opens_at(back, &quick).is_none_or(|at| at.since(back) <= Duration::from_millis(100)));
    }

    #[test]
    fn an_idle_one_is_as_good_as_new() {
        let limits = limits(10, 1_000);
        let mut limiter = Limiter::default();
        let mut now = Timestamp::from_millis(START);
        while limiter.opens_at(now, &limits).is_none() {
            limiter.begin(now, &limits);
        }
        now = limiter.idle_at();
        let (mut fresh, mut both) = (Limiter::default(), 0);
        while limiter.opens_at(now, &limits).is_none() {
            assert!(fresh.opens_at(now, &limits).is_none());
            limiter.begin(now, &limits);
            fresh.begin(now, &limits);
            both += 1;
        }
        assert!(fresh.opens_at(now, &limits).is_some() && both == 3, "{both}");
    }

    proptest! {
        #[test]
        fn in_no_span_more_begin_than_their_share(
            rate in 1_u32..40, per_s in 1_u64..30, waits in prop::collection::vec(0_i64..900, 1..200),
        ) {
            let limits = limits(rate, per_s * 1_000);
            let begun = begins(limits, waits);
            let interval = limits.interval_ns().unwrap();
            for (n, from) in begun.iter().enumerate().step_by(97) {
                for (m, to) in begun.iter().enumerate().skip(n) {
                    let most = 1 + ((to - from) * MILLI_NS + SLACK_NS) / interval;
                    prop_assert!((m - n + 1) as i64 <= most, "{} in {} ms", m - n + 1, to - from);
                }
            }
        }
    }
}
