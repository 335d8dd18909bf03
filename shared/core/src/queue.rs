//! Queue names, short and the same on every home: `messages-0`, `retry-fast`, `last-net`.

use std::fmt;

/// A queue's short name. On AWS the stack's name stands before it and `.fifo` behind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QueueName {
    /// One FIFO queue of a route.
    Shard {
        /// The route's name.
        route: String,
        /// From 0.
        shard: u32,
    },
    /// A delayed retry queue.
    Tier(Tier),
    /// Messages whose time has not come; each is a line of its own.
    Wake,
    /// What `wake` was received of too often, and what could not be put there; read.
    WakeNet,
    /// Where a queue puts what was received too often; read, and buried.
    LastNet,
}

/// A delayed retry queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// The shortest delay, 10 s by default.
    Fast,
    /// 60 s by default.
    Medium,
    /// The longest delay, 900 s by default.
    Slow,
}

impl Tier {
    /// All of them, from the shortest delay to the longest.
    pub const ALL: [Self; 3] = [Self::Fast, Self::Medium, Self::Slow];

    /// `fast`, `medium`, `slow`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Medium => "medium",
            Self::Slow => "slow",
        }
    }

    /// The tier of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }
}

const LAST_NET: &str = "last-net";
const WAKE: &str = "wake";
const WAKE_NET: &str = "wake-net";
const TIER_PREFIX: &str = "retry-";

impl QueueName {
    /// Reads a short name. `None` when it is of none of these forms.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            LAST_NET => return Some(Self::LastNet),
            WAKE => return Some(Self::Wake),
            WAKE_NET => return Some(Self::WakeNet),
            _ => {}
        }
        if let Some(tier) = name.strip_prefix(TIER_PREFIX).and_then(Tier::parse) {
            return Some(Self::Tier(tier));
        }
        let (route, shard) = name.rsplit_once('-')?;
        let shard = shard.parse().ok()?;
        (!route.is_empty()).then(|| Self::Shard { route: route.to_owned(), shard })
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shard { route, shard } => write!(f, "{route}-{shard}"),
            Self::Tier(tier) => write!(f, "{TIER_PREFIX}{}", tier.name()),
            Self::Wake => f.write_str(WAKE),
            Self::WakeNet => f.write_str(WAKE_NET),
            Self::LastNet => f.write_str(LAST_NET),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_what_they_write() {
        for name in ["messages-0", "a-b-12", "retry-fast", "retry-medium", "retry-slow", "wake", "wake-net", "last-net"]
        {
            assert_eq!(QueueName::parse(name).unwrap().to_string(), name);
        }
        for name in ["", "messages", "messages-", "-1", "messages-x", "retry-other"] {
            assert_eq!(QueueName::parse(name), None, "{name}");
        }
    }
}
