//! The store's folder: its lock and the names of its files.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// The database's name in its folder.
pub const DATABASE: &str = "chaski.db";
/// Held by the process that has the store open.
const LOCK: &str = "lock";
/// Disk that is kept free for deliveries when the rest is full.
const RESERVE: &str = "reserve";
/// Says that the database was found damaged, and is to be salvaged at the next start.
const DAMAGED: &str = "damaged";

/// A folder that this process has locked. The lock ends with it, also when the process is killed.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder, where there is none, and locks it.
    ///
    /// # Errors
    /// The folder can't be used, or another process uses it; known at once.
    pub fn lock(path: &Path) -> Result<Self, OpenError> {
        let unusable = |error: std::io::Error| OpenError::Folder { folder: path.to_owned(), detail: error.to_string() };
        std::fs::create_dir_all(path).map_err(unusable)?;
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// The reserve.
    pub(crate) fn reserve(&self) -> PathBuf {
        self.path.join(RESERVE)
    }

    /// The mark of a damaged database.
    pub(crate) fn damaged(&self) -> PathBuf {
        self.path.join(DAMAGED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_at_once_and_the_first_ends_with_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let first = Folder::lock(folder.path()).unwrap();
        assert!(matches!(Folder::lock(folder.path()), Err(OpenError::InUse(_))));
        drop(first);
        assert!(Folder::lock(folder.path()).is_ok());
    }

    #[test]
    fn a_file_in_the_folder_s_place_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "").unwrap();
        assert!(matches!(Folder::lock(&path), Err(OpenError::Folder { .. })));
    }
}
