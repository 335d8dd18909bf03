//! `chaski completions`: what the shell can offer after a tab.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Failure};
use crate::output::Output;

/// Print a shell's completions
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chaski completions bash > ~/.local/share/bash-completion/completions/chaski
  chaski completions zsh > ~/.zfunc/_chaski          # a folder in $fpath
  chaski completions fish > ~/.config/fish/completions/chaski.fish")]
pub(super) struct Completions {
    /// Which shell
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(["bash", "zsh", "fish"]))]
    shell: String,
}

impl Completions {
    pub(super) fn run(&self, output: Output) -> Result<(), Failure> {
        let shell = match self.shell.as_str() {
            "zsh" => Shell::Zsh,
            "fish" => Shell::Fish,
            _ => Shell::Bash,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "chaski", &mut script);
        Ok(output.line(&String::from_utf8_lossy(&script))?)
    }
}
