//! What is noted, in the order in which it happened.

use std::sync::Arc;

use crate::book::Fact;

/// A file by its content, whatever names it has had: an inode.
pub type FileId = usize;

/// One thing that happened to the disk, or that somebody was told.
#[derive(Debug, Clone)]
pub enum Event {
    /// A file came into the folder.
    Create {
        /// Its name.
        name: String,
        /// The file.
        file: FileId,
    },
    /// A file left the folder.
    Remove {
        /// Its name.
        name: String,
    },
    /// Bytes were written.
    Write {
        /// The file.
        file: FileId,
        /// Where in it.
        at: usize,
        /// What.
        bytes: Arc<[u8]>,
    },
    /// A file was cut, or made longer with zeros.
    Truncate {
        /// The file.
        file: FileId,
        /// Its size from then on.
        size: usize,
    },
    /// A sync has ended: what was written to the file before event `before` is on the disk.
    Sync {
        /// The file.
        file: FileId,
        /// Where the trace stood when the sync began.
        before: usize,
    },
    /// A sync has failed: nobody knows of what was written before it, and no later sync makes that good.
    SyncFailed {
        /// The file.
        file: FileId,
        /// Where the trace stood when the sync began.
        before: usize,
    },
    /// The folder's own sync has ended: names that came or went before event `before` are on the disk.
    SyncFolder {
        /// Where the trace stood when the sync began.
        before: usize,
    },
    /// Not the disk's.
    Mark(Mark),
}

/// What the workload or the VFS says between the writes.
#[derive(Debug, Clone)]
pub enum Mark {
    /// A store is open in the folder, for the first time or again.
    Opened,
    /// Somebody asks for a change; once it is done, this is so.
    Asked {
        /// What changes.
        key: String,
        /// What is so afterwards.
        then: Fact,
    },
    /// A message tells of the end of another one's generation: the one is there if the other is.
    Tells {
        /// The message that tells.
        callback: String,
        /// The one that it tells of.
        of: String,
        /// Whose end it is.
        generation: u32,
    },
    /// The change that was asked for last was answered: it is durable.
    Answered {
        /// What has changed.
        key: String,
    },
    /// The VFS has failed as it was told to.
    Failed,
}
