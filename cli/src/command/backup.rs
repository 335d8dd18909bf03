//! `chaski backup`: a copy of the store while it is used.

use std::path::PathBuf;

use clap::Args;

use super::{Context, Failure};
use crate::client::BackupTaken;
use crate::output::{Progress, count, plain};

/// Copy the store of the running server into a new file, while it goes on
///
/// The server writes the file, so it is a path on the server's machine; a relative one is taken from this folder.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  chaski backup /var/backups/chaski-2026-12-01.db")]
pub(super) struct Backup {
    /// The file to write; it must not exist
    file: PathBuf,
}

impl Backup {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let path = std::path::absolute(&self.file)
            .map_err(|error| Failure::Input { what: self.file.display().to_string(), error })?;
        let path = path.to_str().ok_or_else(|| Failure::Usage("the path is not UTF-8".to_owned()))?;
        let progress = Progress::new(None);
        progress.at(0, format!("the server copies its store to {}", plain(path)));
        let answer = context.client.backup(path).await?;
        drop(progress);
        let taken: BackupTaken = answer.read()?;
        context.say(&answer, &format!("{} holds the copy, {}", plain(&taken.to), count(taken.bytes, "byte")))
    }
}
