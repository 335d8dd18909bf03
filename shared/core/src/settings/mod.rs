//! Settings: read whole, complained of whole. One name in `chaski.toml` and one environment variable each;
//! the environment wins, for scalars. A wrong value stops the start.

mod hosts;
mod producers;
mod reader;
mod retries;
mod routes;
mod serve;
mod signing;

use std::fmt;
use std::time::Duration;

use crate::flow::HostLimits;
use crate::guard::{AddressRule, Guard, TargetRules};
use crate::limits;
use crate::retry::{RetryDictionary, TierDelays};
use crate::route::Route;
use crate::signing::Signing;
use reader::Reader;

pub use producers::{Producer, Scope};
pub use reader::variable;
pub use serve::{Durability, LimitSettings, RetentionSettings, ServeSettings, TlsSettings};

/// The file's name, in the package of a function and in the folder of a process.
pub const FILE: &str = "chaski.toml";

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[log]`
    pub log: LogSettings,
    /// `[tiers]`: the delay of each retry queue.
    pub tiers: TierDelays,
    /// `[retry.…]`
    pub retry: RetryDictionary,
    /// `[http]`
    pub http: HttpSettings,
    /// `[targets]`
    pub guard: Guard,
    /// `targets.breaker`: whether a host that keeps failing is given pauses. On.
    pub breaker: bool,
    /// `[[targets.hosts]]`: what single hosts may be called with.
    pub hosts: HostLimits,
    /// `[[producers]]`; empty when callers are checked by the platform.
    pub producers: Vec<Producer>,
    /// `[[routes]]`, of which the first match wins.
    pub routes: Vec<Route>,
    /// `[signing]`: what requests to targets are signed with.
    pub signing: Signing,
    /// `[aws]`
    pub aws: AwsNames,
    /// What only `chaski serve` asks for: `listen`, `data`, `durability`, `[limits]`, `[retention]`, `[tls]`.
    pub serve: ServeSettings,
}

/// What is logged besides a message's own trail, which is always logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `log.level`: the least level.
    pub level: tracing::Level,
    /// `log.bodies`: whether bodies are logged, redacted. Off.
    pub bodies: bool,
}

/// Calling targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpSettings {
    /// `http.timeout`: of a whole attempt (DNS, connect, TLS, request, answer).
    pub timeout: Duration,
    /// `http.max_timeout`: what a message may ask for, and what a function's timeout comes from.
    pub max_timeout: Duration,
}

/// What a deployment on AWS is called. Empty elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsNames {
    /// `aws.queue_prefix`: the URL of a queue up to its short name.
    pub queue_prefix: String,
    /// `aws.table`: the dead-letter table.
    pub table: String,
    /// `aws.control`: the table of what is known beside the queues. Empty: none, and so nothing of that is.
    pub control: String,
    /// `aws.bucket`: where large bodies are kept. Empty: none are, and a body ends at the inline limit.
    pub bucket: String,
    /// `aws.key_window`: how long the same key and content is the same message. Zero: as long as the queue itself
    /// knows it, five minutes.
    pub key_window: Duration,
    /// `aws.sequence`: whether the strict messages of each subject are counted, for one write each.
    pub sequence: bool,
    /// `aws.schedule_group`: the schedules of long waits. Empty: none are made, and a long wait goes in steps.
    pub schedule_group: String,
    /// `aws.schedule_role`: the ARN of the role in whose name they write.
    pub schedule_role: String,
}

/// Beyond an attempt a function needs time to hand over or bury, and to give back the rest.
pub const FUNCTION_RESERVE: Duration = Duration::from_secs(12);

/// Of AWS: a queue hides a message for at least six timeouts of the function that reads it.
const VISIBILITY_TIMEOUTS: u32 = 6;

impl HttpSettings {
    /// The timeout of a function that calls targets.
    #[must_use]
    pub fn function_timeout(&self) -> Duration {
        self.max_timeout + FUNCTION_RESERVE
    }

    /// How long a queue hides what such a function received.
    #[must_use]
    pub fn visibility(&self) -> Duration {
        self.function_timeout() * VISIBILITY_TIMEOUTS
    }

    /// Whether a second run of an attempt may come after the queue's dedup window, and a hand-off of both
    /// runs be two messages: the second run begins after the visibility and lasts one timeout.
    #[must_use]
    pub fn escapes_dedup_window(&self) -> bool {
        self.visibility() + self.function_timeout() >= Duration::from_secs(limits::DEDUP_WINDOW_SECONDS)
    }
}

/// One wrong setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Its dotted name.
    pub setting: String,
    /// What is wrong, for a person.
    pub detail: String,
}

/// Every wrong setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError(pub Vec<Mistake>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} wrong setting(s):", self.0.len())?;
        self.0.iter().try_for_each(|mistake| {
            let Mistake { setting, detail } = mistake;
            write!(f, "\n  {setting} (or {}): {detail}", variable(setting))
        })
    }
}

impl std::error::Error for SettingsError {}

/// Where a function of AWS Lambda finds its Runtime API; no target may ever be that address.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

impl Settings {
    /// Reads the text of `chaski.toml` (empty where there is none) and the environment.
    ///
    /// # Errors
    /// Every wrong setting, by name.
    pub fn read(file: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(file, env);
        let tiers = read_tiers(&mut reader);
        let settings = Self {
            log: read_log(&mut reader),
            tiers,
            retry: retries::read(&mut reader),
            http: read_http(&mut reader),
            guard: read_guard(&mut reader, env(RUNTIME_API)),
            breaker: reader.boolean("targets.breaker", true),
            hosts: hosts::read(&mut reader),
            producers: producers::read(&mut reader),
            routes: routes::read(&mut reader),
            signing: signing::read(&mut reader),
            aws: read_aws(&mut reader),
            serve: serve::read(&mut reader),
        };
        reader.refuse_unknown();
        if reader.mistakes.is_empty() { Ok(settings) } else { Err(SettingsError(reader.mistakes)) }
    }
}

fn read_aws(reader: &mut Reader<'_>) -> AwsNames {
    let names = AwsNames {
        queue_prefix: reader.text("aws.queue_prefix", ""),
        table: reader.text("aws.table", ""),
        control: reader.text("aws.control", ""),
        bucket: reader.text("aws.bucket", ""),
        key_window: reader.span("aws.key_window", Duration::ZERO),
        sequence: reader.boolean("aws.sequence", false),
        schedule_group: reader.text("aws.schedule_group", ""),
        schedule_role: reader.text("aws.schedule_role", ""),
    };
    if names.key_window > limits::KEY_WINDOW {
        let most = limits::KEY_WINDOW.as_secs() / (24 * 60 * 60);
        reader.wrong("aws.key_window", format!("must be at most {most} days"));
    }
    let mut needs = |setting: &str, given: bool, other: &str, there: bool| {
        if given && !there {
            reader.wrong(other, format!("is missing beside {setting}"));
        }
    };
    let (control, scheduled) = (!names.control.is_empty(), !names.schedule_group.is_empty());
    needs("aws.key_window", !names.key_window.is_zero(), "aws.control", control);
    needs("aws.sequence", names.sequence, "aws.control", control);
    needs("aws.schedule_group", scheduled, "aws.control", control);
    needs("aws.schedule_group", scheduled, "aws.schedule_role", !names.schedule_role.is_empty());
    names
}

fn read_log(reader: &mut Reader<'_>) -> LogSettings {
    let level = reader.text("log.level", "info");
    let level = level.parse().unwrap_or_else(|_| {
        reader.wrong("log.level", "must be error, warn, info, debug or trace");
        tracing::Level::INFO
    });
    LogSettings { level, bodies: reader.boolean("log.bodies", false) }
}

fn read_tiers(reader: &mut Reader<'_>) -> TierDelays {
    let default = TierDelays::default();
    let delays = TierDelays {
        fast: reader.span("tiers.fast", default.fast),
        medium: reader.span("tiers.medium", default.medium),
        slow: reader.span("tiers.slow", default.slow),
    };
    for (name, delay) in [("tiers.fast", delays.fast), ("tiers.medium", delays.medium), ("tiers.slow", delays.slow)] {
        if delay.as_secs() > limits::TIER_DELAY_SECONDS || delay.subsec_nanos() != 0 {
            reader.wrong(name, format!("must be whole seconds, at most {}", limits::TIER_DELAY_SECONDS));
        }
    }
    if delays.fast > delays.medium || delays.medium > delays.slow {
        reader.wrong("tiers", "must rise: fast ≤ medium ≤ slow");
    }
    delays
}

fn read_http(reader: &mut Reader<'_>) -> HttpSettings {
    let least = Duration::from_millis(limits::TIMEOUT_MIN_MS);
    let max_timeout = reader.span("http.max_timeout", Duration::from_secs(30));
    let timeout = reader.span("http.timeout", Duration::from_secs(10));
    if max_timeout < least || max_timeout > limits::MAX_TIMEOUT {
        let most = limits::MAX_TIMEOUT.as_secs();
        reader.wrong("http.max_timeout", format!("must be from {} ms to {most} s", limits::TIMEOUT_MIN_MS));
    }
    if timeout < least || timeout > max_timeout {
        reader.wrong("http.timeout", format!("must be from {} ms to http.max_timeout", limits::TIMEOUT_MIN_MS));
    }
    HttpSettings { timeout, max_timeout }
}

fn read_guard(reader: &mut Reader<'_>, runtime_api: Option<String>) -> Guard {
    let allow_private = reader.boolean("targets.allow_private", false);
    let [allow, deny] = ["targets.allow", "targets.deny"].map(|setting| {
        let texts = reader.texts(setting);
        let mut rules = Vec::new();
        for text in texts {
            match AddressRule::parse(&text) {
                Ok(rule) => rules.push(rule),
                Err(detail) => reader.wrong(setting, format!("`{text}`: {detail}")),
            }
        }
        rules
    });
    let rules = TargetRules { allow_private, allow, deny };
    match Guard::new(rules, runtime_api.as_deref()) {
        Ok(guard) => guard,
        Err(error) => {
            reader.wrong("targets.allow", error.to_string());
            Guard::default()
        }
    }
}

#[cfg(test)]
mod tests;
