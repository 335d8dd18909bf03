//! Asking before many things are changed at once.

use std::io::{self, IsTerminal};

use clap::Args;

use super::Failure;
use crate::output::talk;

/// How a batch action is meant.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Intent {
    /// Only say how many it would be
    #[arg(long, conflicts_with = "yes")]
    pub(super) dry_run: bool,
    /// Don't ask
    #[arg(long, short)]
    pub(super) yes: bool,
}

impl Intent {
    /// Whether a person has to be asked.
    ///
    /// # Errors
    /// One has to be, and none is there.
    pub(super) fn asks(self) -> Result<bool, Failure> {
        if self.yes {
            return Ok(false);
        }
        if io::stdin().is_terminal() && io::stderr().is_terminal() {
            return Ok(true);
        }
        Err(Failure::Usage("there is no terminal to ask at: say --yes, or look first with --dry-run".to_owned()))
    }
}

/// Asks; goes on with a yes only.
pub(super) fn ask(question: &str) -> Result<(), Failure> {
    talk(&format!("{question} [y/N]"));
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.map_err(|error| Failure::Input { what: "standard input".to_owned(), error })?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Failure::Failed("nothing was done".to_owned()))
    }
}
