//! The retry dictionary: from error class to tiers, and the verdict that follows from it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::limits;
use crate::outcome::{ErrorClass, Failure};
use crate::queue::Tier;

/// How often, and where, a message of one error class is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    steps: Vec<(Tier, u32)>,
}

impl Policy {
    /// Tiers in order, each with its number of retries.
    ///
    /// # Errors
    /// More than [`limits::ATTEMPTS`] calls in all, in words.
    pub fn new(steps: Vec<(Tier, u32)>) -> Result<Self, String> {
        let policy = Self { steps };
        let calls = policy.steps.iter().fold(1_u64, |sum, (_, retries)| sum + u64::from(*retries));
        if calls > u64::from(limits::ATTEMPTS) {
            return Err(format!("makes {calls} calls in all; at most {} are allowed", limits::ATTEMPTS));
        }
        Ok(policy)
    }

    fn of<const N: usize>(per_queue: u32, tiers: [Tier; N]) -> Self {
        Self { steps: tiers.into_iter().map(|tier| (tier, per_queue)).collect() }
    }

    /// The tier of the retry that follows `retries` earlier ones; `None` when the policy is at its end.
    #[must_use]
    pub fn tier(&self, retries: u32) -> Option<Tier> {
        let mut before = 0_u32;
        for (tier, count) in &self.steps {
            before = before.saturating_add(*count);
            if retries < before {
                return Some(*tier);
            }
        }
        None
    }

    /// The tier of its last retry.
    fn last(&self) -> Option<Tier> {
        self.steps.iter().rev().find(|(_, retries)| *retries > 0).map(|(tier, _)| *tier)
    }

    /// Calls in all, the first one included.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.steps.iter().fold(1, |sum, (_, retries)| sum.saturating_add(*retries))
    }

    /// The delays of all retries together.
    #[must_use]
    pub fn span(&self, delays: &TierDelays) -> Duration {
        self.steps.iter().map(|(tier, retries)| delays.of(*tier) * *retries).sum()
    }
}

/// The delay of each tier, rising from fast to slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierDelays {
    /// Of `retry-fast`.
    pub fast: Duration,
    /// Of `retry-medium`.
    pub medium: Duration,
    /// Of `retry-slow`.
    pub slow: Duration,
}

impl Default for TierDelays {
    fn default() -> Self {
        let [fast, medium, slow] = [10, 60, 900].map(Duration::from_secs);
        Self { fast, medium, slow }
    }
}

impl TierDelays {
    /// The delay of one tier.
    #[must_use]
    pub const fn of(&self, tier: Tier) -> Duration {
        match tier {
            Tier::Fast => self.fast,
            Tier::Medium => self.medium,
            Tier::Slow => self.slow,
        }
    }

    /// The first tier that waits at least that long; slow at most.
    #[must_use]
    pub fn covering(&self, wait: Duration) -> Tier {
        Tier::ALL.into_iter().find(|tier| self.of(*tier) >= wait).unwrap_or(Tier::Slow)
    }
}

/// How a message itself wants to be tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnRetry {
    /// Calls in all, the first one included.
    pub max_attempts: Option<u32>,
    /// The wait before each retry; the last one repeats where more attempts are asked for. Empty: those of the policy.
    pub delays: Vec<Duration>,
}

impl OwnRetry {
    /// Calls in all, the first one included, where this says so.
    fn calls(&self) -> Option<u32> {
        let by_delays = || u32::try_from(self.delays.len()).unwrap_or(u32::MAX).saturating_add(1);
        self.max_attempts.or_else(|| (!self.delays.is_empty()).then(by_delays))
    }

    /// The wait before the retry that follows `retries` earlier ones.
    fn delay(&self, retries: u32) -> Option<Duration> {
        let own = usize::try_from(retries).ok().and_then(|n| self.delays.get(n));
        own.or_else(|| self.delays.last()).copied()
    }
}

/// From error class to policy; a status of its own goes before its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryDictionary {
    classes: BTreeMap<ErrorClass, Policy>,
    statuses: BTreeMap<u16, Policy>,
}

/// The contract's table. The counts of `http_4xx`, `http_5xx` and `timeout` are those of Chaski 2.0.
impl Default for RetryDictionary {
    fn default() -> Self {
        use Tier::{Fast, Medium, Slow};
        let stepped = || Policy::of(1, [Fast, Fast, Medium, Medium, Slow]);
        Self {
            classes: BTreeMap::from([
                (ErrorClass::Http4xx, Policy::of(2, [Fast, Medium])),
                (ErrorClass::Http5xx, stepped()),
                (ErrorClass::Timeout, Policy::of(1, [Fast, Medium, Slow])),
                (ErrorClass::Connection, Policy::of(2, [Fast, Medium, Slow])),
                (ErrorClass::Throttled, stepped()),
            ]),
            statuses: BTreeMap::new(),
        }
    }
}

/// What the first error was, which chooses the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstError {
    /// Its class.
    pub class: ErrorClass,
    /// The target's answer, where there was one.
    pub status: Option<u16>,
}

/// What happens to a message after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Again, after the delay of this tier.
    Retry(Tier),
    /// Again, after a delay that the message asked for.
    RetryAfter(Duration),
    /// Never again: it becomes a dead letter.
    Bury,
}

impl RetryDictionary {
    /// Outlasts a day with the default tiers: one quick try, one after a minute, then every 15 minutes,
    /// as many as [`limits::ATTEMPTS`] allows (97 × 900 s + 70 s are 24 h 16 min).
    #[must_use]
    pub fn patient() -> Self {
        let steps = || Policy { steps: vec![(Tier::Fast, 1), (Tier::Medium, 1), (Tier::Slow, 97)] };
        let classes = ErrorClass::ALL.into_iter().filter(|class| class.retryable());
        Self { classes: classes.map(|class| (class, steps())).collect(), statuses: BTreeMap::new() }
    }

    /// Replaces the policy of a class.
    pub fn set_class(&mut self, class: ErrorClass, policy: Policy) {
        self.classes.insert(class, policy);
    }

    /// Sets the policy of a status, which goes before its class.
    pub fn set_status(&mut self, status: u16, policy: Policy) {
        self.statuses.insert(status, policy);
    }

    /// The policy that a first error chooses.
    #[must_use]
    pub fn policy(&self, first: FirstError) -> Option<&Policy> {
        let own = first.status.and_then(|status| self.statuses.get(&status));
        own.or_else(|| self.classes.get(&first.class))
    }

    /// Judges a failed attempt. The policy of the first error says how often, unless the message itself does; what
    /// came now may end it at once, or choose the tier by its `Retry-After`. `attempts` counts this one.
    #[must_use]
    pub fn decide(
        &self,
        delays: &TierDelays,
        own: Option<&OwnRetry>,
        first: FirstError,
        now: &Failure,
        attempts: u32,
    ) -> Verdict {
        let calls = own.and_then(OwnRetry::calls);
        if !now.class.retryable() || calls.is_some_and(|calls| attempts >= calls) {
            return Verdict::Bury;
        }
        let retries = attempts.saturating_sub(1);
        if let Some(delay) = own.and_then(|own| own.delay(retries)) {
            let asked = now.retry_after.map_or(Duration::ZERO, |wait| wait.min(delays.slow));
            return Verdict::RetryAfter(delay.max(asked));
        }
        let policy = self.policy(first);
        // Who asks for more attempts than the policy has gets its last tier again.
        let beyond = || calls.map(|_| policy.and_then(Policy::last).unwrap_or(Tier::Fast));
        match policy.and_then(|policy| policy.tier(retries)).or_else(beyond) {
            None => Verdict::Bury,
            Some(tier) => Verdict::Retry(now.retry_after.map_or(tier, |wait| delays.covering(wait))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Tier::{Fast, Medium, Slow};

    fn failure(class: ErrorClass) -> Failure {
        Failure::without_answer(class, "")
    }

    fn tiers(dictionary: &RetryDictionary, class: ErrorClass) -> Vec<Tier> {
        let first = FirstError { class, status: None };
        (1..)
            .map_while(|attempt| {
                match dictionary.decide(&TierDelays::default(), None, first, &failure(class), attempt) {
                    Verdict::Retry(tier) => Some(tier),
                    Verdict::Bury | Verdict::RetryAfter(_) => None,
                }
            })
            .collect()
    }

    #[test]
    fn the_default_table_is_the_contract_s() {
        let default = RetryDictionary::default();
        assert_eq!(tiers(&default, ErrorClass::Http4xx), [Fast, Fast, Medium, Medium]);
        assert_eq!(tiers(&default, ErrorClass::Http5xx), [Fast, Fast, Medium, Medium, Slow]);
        assert_eq!(tiers(&default, ErrorClass::Timeout), [Fast, Medium, Slow]);
        assert_eq!(tiers(&default, ErrorClass::Connection), [Fast, Fast, Medium, Medium, Slow, Slow]);
        assert_eq!(tiers(&default, ErrorClass::Throttled), [Fast, Fast, Medium, Medium, Slow]);
        for class in ErrorClass::ALL.into_iter().filter(|class| !class.retryable()) {
            assert_eq!(tiers(&default, class), []);
        }
    }

    #[test]
    fn the_known_answer_is_800_requests() {
        let calls = |class| {
            let first = FirstError { class, status: None };
            RetryDictionary::default().policy(first).map_or(1, Policy::calls)
        };
        let of_50_each = 1 + calls(ErrorClass::Http4xx) + calls(ErrorClass::Http5xx) + calls(ErrorClass::Timeout);
        assert_eq!(50 * of_50_each, 800);
    }

    #[test]
    fn the_first_error_counts_and_the_last_may_end_it() {
        let (dictionary, delays) = (RetryDictionary::default(), TierDelays::default());
        let first = FirstError { class: ErrorClass::Timeout, status: None };
        let decide = |now: &Failure, attempts| dictionary.decide(&delays, None, first, now, attempts);
        assert_eq!(decide(&failure(ErrorClass::Http5xx), 3), Verdict::Retry(Slow));
        assert_eq!(decide(&failure(ErrorClass::Http5xx), 4), Verdict::Bury);
        for class in [ErrorClass::Gone, ErrorClass::Rejected, ErrorClass::Blocked] {
            assert_eq!(decide(&failure(class), 1), Verdict::Bury);
        }
    }

    #[test]
    fn retry_after_chooses_the_first_tier_that_covers_it() {
        let first = FirstError { class: ErrorClass::Throttled, status: Some(429) };
        for (seconds, tier) in
            [(0, Fast), (10, Fast), (11, Medium), (60, Medium), (61, Slow), (900, Slow), (u64::MAX, Slow)]
        {
            let mut now = failure(ErrorClass::Throttled);
            now.retry_after = Some(Duration::from_secs(seconds));
            let verdict = RetryDictionary::default().decide(&TierDelays::default(), None, first, &now, 4);
            assert_eq!(verdict, Verdict::Retry(tier), "{seconds} s");
        }
    }

    #[test]
    fn a_status_goes_before_its_class() {
        let mut dictionary = RetryDictionary::default();
        dictionary.set_status(404, Policy::new(vec![(Slow, 1)]).unwrap());
        let first = FirstError { class: ErrorClass::Http4xx, status: Some(404) };
        let now = failure(ErrorClass::Http4xx);
        assert_eq!(dictionary.decide(&TierDelays::default(), None, first, &now, 1), Verdict::Retry(Slow));
        assert_eq!(dictionary.decide(&TierDelays::default(), None, first, &now, 2), Verdict::Bury);
    }

    #[test]
    fn a_policy_ends_at_a_hundred_calls_and_patience_outlasts_a_day() {
        assert!(Policy::new(vec![(Fast, 99)]).is_ok());
        assert!(Policy::new(vec![(Fast, 100)]).is_err());
        let patient = RetryDictionary::patient();
        let policy = patient.policy(FirstError { class: ErrorClass::Connection, status: None }).unwrap();
        assert_eq!(policy.calls(), limits::ATTEMPTS);
        assert!(policy.span(&TierDelays::default()) > Duration::from_secs(86_400));
    }
}
