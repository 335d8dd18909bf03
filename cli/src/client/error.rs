//! What goes wrong between the command line and a server, in words that say what to do.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// Why a call has no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody listens there. Nothing was sent.
    #[error(
        "can't reach {server}: {reason}\nIs `chaski serve` running? Another address is named by --server or CHASKI_URL."
    )]
    Unreachable {
        /// Where.
        server: String,
        /// What the system says.
        reason: String,
    },
    /// Its certificate proves nothing. Nothing was sent.
    #[error(
        "{server} is not trusted: {reason}\nSSL_CERT_FILE names a file with the certificates (PEM) to trust besides."
    )]
    Untrusted {
        /// Where.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The call may have been made, and its answer did not come.
    #[error("no answer from {server}: {reason}")]
    Unanswered {
        /// Where.
        server: String,
        /// What happened.
        reason: String,
    },
    /// IAM says no, before Chaski is asked.
    #[error("{0} does not let these AWS credentials in; they need the right execute-api:Invoke on it")]
    NotLetIn(String),
    /// The stack can't be asked.
    #[error("the stack {stack}: {reason}")]
    NoStack {
        /// Its name.
        stack: String,
        /// Why not.
        reason: String,
    },
    /// The server says no.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// Something answers that is not Chaski.
    #[error("{server} answers {status} without Chaski's problem details; is it Chaski that listens there?")]
    Stranger {
        /// Where.
        server: String,
        /// The HTTP status.
        status: u16,
    },
    /// A good answer that can't be read: another version of the API.
    #[error("the server's answer can't be read ({0}); does its version fit this one's?")]
    Unreadable(String),
    /// The client can't be made.
    #[error("{0}")]
    Unusable(String),
}

impl ClientError {
    /// The server's refusal, if it is one.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// A problem document (RFC 9457), as a call or one item of a batch gets it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Refusal {
    /// The HTTP status.
    #[serde(default)]
    pub(crate) status: u16,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<FieldError>,
    /// After how long to try again.
    #[serde(skip)]
    pub(crate) retry_after: Option<Duration>,
    /// Whether a key was shown.
    #[serde(skip)]
    pub(super) keyed: bool,
}

#[derive(Debug, Clone, Deserialize)]
struct FieldError {
    pointer: String,
    detail: String,
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// The same with what its answer says besides: when to try again, and whether a key was shown.
    pub(super) fn came(self, retry_after: Option<Duration>, keyed: bool) -> Self {
        Self { retry_after, keyed, ..self }
    }

    /// Whether the field at this JSON pointer is named.
    pub(crate) fn blames(&self, pointer: &str) -> bool {
        self.errors.iter().any(|error| error.pointer == pointer)
    }

    /// In one line, without what to do.
    pub(crate) fn brief(&self) -> String {
        let fields = self.errors.iter().map(FieldError::to_string).collect::<Vec<_>>().join("; ");
        let said = if fields.is_empty() { self.detail.as_str() } else { fields.as_str() };
        let title = if self.title.is_empty() { "Refused" } else { self.title.as_str() };
        if said.is_empty() { format!("{} {title}", self.status) } else { format!("{} {title}: {said}", self.status) }
    }

    fn advice(&self) -> Option<String> {
        match (self.status, self.keyed) {
            (401, false) => Some("Set CHASKI_KEY to a producer's key, ck_<id>_<secret>.".to_owned()),
            (401, true) => Some("The server does not know the key in CHASKI_KEY.".to_owned()),
            (403, true) => Some("The producer of the key in CHASKI_KEY needs another scope for this.".to_owned()),
            (429 | 503, _) => {
                let wait = self.retry_after.unwrap_or(Duration::from_secs(5));
                Some(format!("Try again in {} s.", wait.as_secs().max(1)))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.title, self.status)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        for error in &self.errors {
            write!(f, "\n  {error}")?;
        }
        self.advice().map_or(Ok(()), |advice| write!(f, "\n{advice}"))
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() { f.write_str(&self.detail) } else { write!(f, "{} {}", self.pointer, self.detail) }
    }
}
