//! Power loss and disk faults for the one-machine store: a VFS of SQLite that notes every write, sync and change of
//! the folder in one order, and fails where it is told to (`vfs`, `tracer`); what a disk may hold when the power goes
//! (`disk`); the work that is done meanwhile, with what was promised by then (`work`, `book`, `body`); and the check of what
//! a store that is opened on such a disk has kept (`check`).

mod body;
mod book;
mod check;
mod disk;
mod message;
mod run;
mod setting;
mod trace;
mod tracer;
mod vfs;
mod work;

pub use body::{bytes_of, has_one};
pub use book::{Book, Fact, view};
pub use check::{Checked, check, is_well};
pub use disk::{Disk, Image, Kept};
pub use message::{START, TestClock, attempt, counted, delayed, entry, id_of, is_strict, joined, letter, options};
pub use run::{Plan, Run, Spent, images, scratch};
pub use setting::{block_on, number, seed};
pub use trace::{Event, FileId, Mark};
pub use tracer::{Fault, Op, Tracer};
pub use vfs::register;
pub use work::{Work, until};
