//! Why a store can't be opened, and why one can't go on.

use std::path::PathBuf;

/// Why a store was not opened. Nothing in it has changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder can't be made or written.
    #[error("data: the folder {folder} can't be used: {detail}")]
    Folder {
        /// As it was given.
        folder: PathBuf,
        /// The system's words.
        detail: String,
    },
    /// Another process has it open.
    #[error("data: another process has the store in {0} open; end it, or choose another folder")]
    InUse(PathBuf),
    /// It is no store, or one of another kind.
    #[error("data: {0} is no store of Chaski")]
    Foreign(PathBuf),
    /// A store was there, and its database is gone or empty.
    #[error(
        "data: the database of the store in {0} is gone or empty; put a backup there as chaski.db, or choose another \
         folder to begin anew"
    )]
    Gone(PathBuf),
    /// A later version wrote it.
    #[error("data: the store in {folder} has format {found}, this version knows up to {known}; use a newer chaski")]
    Later {
        /// The store's folder.
        folder: PathBuf,
        /// The format found.
        found: i32,
        /// The latest known one.
        known: i32,
    },
    /// An earlier version wrote it, and none of those was released.
    #[error(
        "data: the store in {folder} has format {found}, which was never released, and this version reads {known}; let \
         the chaski that wrote it deliver what waits, and begin with an empty folder"
    )]
    Earlier {
        /// The store's folder.
        folder: PathBuf,
        /// The format found.
        found: i32,
        /// The one that is read.
        known: i32,
    },
    /// The database says no.
    #[error("data: the store in {folder} can't be opened: {detail}; `chaski doctor --data {folder}` tells more")]
    Database {
        /// The store's folder.
        folder: PathBuf,
        /// The database's words.
        detail: String,
    },
}

/// Why the store can't go on. The process has to end; the next start recovers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store can't go on: {0}")]
pub struct StoreError(pub String);
