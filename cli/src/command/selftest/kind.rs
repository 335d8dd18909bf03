//! The four kinds of targets, and what the contract says becomes of messages to them.

/// What a target does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Answers 200.
    Good,
    /// Answers 400.
    Refusing,
    /// Answers 500.
    Failing,
    /// Answers too late.
    Late,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Good, Self::Refusing, Self::Failing, Self::Late];

    /// As its path names it.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Good => "200",
            Self::Refusing => "400",
            Self::Failing => "500",
            Self::Late => "late",
        }
    }

    pub(super) fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.path() == path)
    }

    /// What it answers; `None` where it does not in time.
    pub(super) const fn status(self) -> Option<u16> {
        match self {
            Self::Good => Some(200),
            Self::Refusing => Some(400),
            Self::Failing => Some(500),
            Self::Late => None,
        }
    }

    /// Calls of one message in all, with the default policies.
    pub(super) const fn calls(self) -> u64 {
        match self {
            Self::Good => 1,
            Self::Refusing => 5,
            Self::Failing => 6,
            Self::Late => 4,
        }
    }

    /// The class that its dead letters end with.
    pub(super) const fn class(self) -> Option<&'static str> {
        match self {
            Self::Good => None,
            Self::Refusing => Some("http_4xx"),
            Self::Failing => Some("http_5xx"),
            Self::Late => Some("timeout"),
        }
    }
}
