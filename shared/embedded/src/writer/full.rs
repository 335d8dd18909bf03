//! A full disk: taking stops, deliveries go on from a reserve, and taking begins again by itself.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tracing::{info, warn};

use super::{Job, Transaction};
use crate::store::Shared;

/// What a producer is told.
pub(crate) const REASON: &str = "the disk is full";

/// The reserve: what the log of some thousand settlements needs.
const RESERVE_BYTES: u64 = 32 * 1_024 * 1_024;
/// Taking begins again when the disk has room for the reserve and so much more.
const SPARE_BYTES: u64 = 32 * 1_024 * 1_024;
/// Between two looks at the disk.
const LOOK: Duration = Duration::from_secs(1);

/// A file that holds space back.
pub(crate) struct Reserve {
    path: PathBuf,
    used: bool,
    looked: Instant,
}

impl Reserve {
    /// Makes the reserve, where the disk has room for it; without one nothing is taken.
    pub(crate) fn open(path: PathBuf, shared: &Shared) -> Self {
        let used = match fill(&path) {
            Ok(()) => false,
            Err(error) => {
                warn!(event.action = "disk_full", "the disk has no room for the reserve, nothing is taken: {error}");
                let _ = std::fs::remove_file(&path);
                shared.set_taking(Some(REASON.to_owned()));
                true
            }
        };
        Self { path, used, looked: Instant::now() }
    }

    /// Whether the disk was full, and the reserve is in use.
    pub(crate) fn is_used(&self) -> bool {
        self.used
    }

    /// Gives the reserve to the deliveries; `false` when it was given before.
    pub(crate) fn release(&mut self, shared: &Shared) -> bool {
        if self.used || std::fs::remove_file(&self.path).is_err() {
            return false;
        }
        warn!(event.action = "disk_full", "the disk is full: nothing is taken until there is room, deliveries go on");
        self.used = true;
        shared.set_taking(Some(REASON.to_owned()));
        true
    }

    /// Takes the reserve back as soon as the disk has room.
    pub(crate) fn restore(&mut self, shared: &Shared) {
        if !self.used || self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        if free_bytes(&self.path).is_some_and(|free| free >= RESERVE_BYTES + SPARE_BYTES) && fill(&self.path).is_ok() {
            info!(event.action = "disk_free", "the disk has room again: messages are taken");
            self.used = false;
            shared.set_taking(None);
        }
    }
}

/// Looks whether the disk has room again; handed in while nothing is taken, when maybe nobody else has anything to
/// write.
pub(crate) struct LookForRoom;

impl Job for LookForRoom {
    /// While the reserve is in use nothing of it is written.
    fn takes(&self) -> bool {
        true
    }

    fn apply(&mut self, _: &mut Transaction<'_>) -> rusqlite::Result<()> {
        Ok(())
    }

    fn done(self: Box<Self>, _: &Shared, _: &Connection) {}

    fn failed(self: Box<Self>, _: &Shared, _: &str) {}
}

fn fill(path: &PathBuf) -> std::io::Result<()> {
    if path.metadata().is_ok_and(|file| file.len() == RESERVE_BYTES) {
        return Ok(());
    }
    let mut file: File = OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
    let zeros = vec![0; 1 << 20];
    for _ in 0..RESERVE_BYTES >> 20 {
        file.write_all(&zeros)?;
    }
    file.sync_all()
}

fn free_bytes(path: &std::path::Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path.parent()?).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}
