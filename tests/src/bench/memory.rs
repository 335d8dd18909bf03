//! The page cache.

use std::path::Path;
use std::process::Command;

/// Empties the page cache of the machine, so that the next start reads from the disk. Whether it could:
/// without root it can't.
pub(crate) fn drop_page_cache() -> bool {
    // Dirty pages stay; what was just built has to be on the disk first.
    let synced = Command::new("sync").status().is_ok_and(|status| status.success());
    synced && std::fs::write(Path::new("/proc/sys/vm/drop_caches"), "3\n").is_ok()
}
