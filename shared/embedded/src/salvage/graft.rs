//! A first page that says where the tables are, in the place of one that is damaged.
//!
//! Every store's tables stand at the same pages, as they are made in the same order; so a new store's first page
//! finds a damaged one's rows.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// SQLite's page size, here as everywhere.
const PAGE: usize = 4_096;
/// Where the header has the version that wrote the number of pages; where that is no longer true, SQLite looks at
/// the file.
const VERSION_VALID_FOR: usize = 92;

/// Puts `fresh`'s first page into `damaged`, which is a copy.
pub(super) fn graft(fresh: &Path, damaged: &Path) -> std::io::Result<()> {
    let mut page = vec![0; PAGE];
    std::fs::File::open(fresh)?.read_exact(&mut page)?;
    if let Some(version) = page.get_mut(VERSION_VALID_FOR..VERSION_VALID_FOR + 4) {
        version.fill(0xff);
    }
    // Read and write versions: with a log, which stands beside it.
    if let Some(versions) = page.get_mut(18..20) {
        versions.fill(2);
    }
    let mut file = OpenOptions::new().write(true).open(damaged)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&page)?;
    file.sync_all()
}
