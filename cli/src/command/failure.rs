//! Why a command did not do what was asked for, and the exit code of it.

use std::io;

use crate::client::ClientError;

/// A command that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It can't be asked for like this.
    #[error("{0}")]
    Usage(String),
    /// A call has no good answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It was done, and the outcome is a bad one.
    #[error("{0}")]
    Failed(String),
    /// It failed, and all of it was said.
    #[error("failed")]
    Told,
    /// What was to be read can't be.
    #[error("{what}: {error}")]
    Input {
        /// What it is.
        what: String,
        /// What the system says.
        error: io::Error,
    },
    /// What was to be shown can't be written.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// What to say of it; nothing where all is said, or where the reader of a pipe has seen enough.
    pub(crate) fn words(&self) -> Option<String> {
        if matches!(self, Self::Told) || self.is_broken_pipe() { None } else { Some(self.to_string()) }
    }

    /// 1 failed, 2 wrong usage. A closed pipe is no failure: `| head` has what it wanted.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            _ if self.is_broken_pipe() => 0,
            Self::Usage(_) => 2,
            _ => 1,
        }
    }

    fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
