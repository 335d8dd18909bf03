//! The store's folder: its lock and the names of its files.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// The database's name in its folder.
pub const DATABASE: &str = "chaski.db";
/// Held by the process that has the store open.
const LOCK: &str = "lock";
/// Stands in the lock's file once a store was made in the folder.
const MARK: &[u8; 13] = b"chaski store\n";
/// Disk that is kept free for deliveries when the rest is full.
const RESERVE: &str = "reserve";
/// Says that the database was found damaged, and is to be salvaged at the next start.
const DAMAGED: &str = "damaged";

/// A folder that this process has locked. The lock ends with it, also when the process is killed.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    lock: File,
}

impl Folder {
    /// Makes the folder, where there is none, and locks it.
    ///
    /// # Errors
    /// The folder can't be used, or another process uses it; known at once.
    pub fn lock(path: &Path) -> Result<Self, OpenError> {
        let unusable = |error: std::io::Error| Self::unusable(path, &error);
        std::fs::create_dir_all(path).map_err(unusable)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path.join(LOCK))
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    pub(crate) fn unusable(path: &Path, error: &std::io::Error) -> OpenError {
        OpenError::Folder { folder: path.to_owned(), detail: error.to_string() }
    }

    /// Whether a store was made here: then no other is made in its place.
    pub(crate) fn was_store(&self) -> bool {
        let mut mark = [0; MARK.len()];
        self.lock.read_exact_at(&mut mark, 0).is_ok() && mark == *MARK
    }

    /// Notes that there is a store.
    pub(crate) fn note_store(&self) -> std::io::Result<()> {
        if !self.was_store() {
            self.lock.write_all_at(MARK, 0)?;
            self.lock.sync_all()?;
        }
        Ok(())
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

    /// The database's journal, which is there while the database is made, and after a kill.
    pub(crate) fn journal(&self) -> PathBuf {
        self.path.join(format!("{DATABASE}-journal"))
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
        assert!(!first.was_store());
        first.note_store().unwrap();
        drop(first);
        assert!(Folder::lock(folder.path()).unwrap().was_store());
    }

    #[test]
    fn a_file_in_the_folder_s_place_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "").unwrap();
        assert!(matches!(Folder::lock(&path), Err(OpenError::Folder { .. })));
    }
}
