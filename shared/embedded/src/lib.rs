//! The one-machine store of Chaski: the core's ports over SQLite, in one file that an operator can open.
//!
//! One thread writes and groups commits (`writer`), readers look at snapshots (`look`), and what may be attempted
//! next is known in memory (`schedule`), of which the file is the truth: a kill loses nothing of it. `FORMAT.md`
//! describes the file.

mod backup;
mod doctor;
mod error;
mod finds;
mod folder;
mod loader;
mod look;
mod maintenance;
mod queues;
mod repair;
mod row;
mod salvage;
mod schedule;
mod schema;
mod store;
mod writer;

pub use doctor::{Finding, Report, examine};
pub use error::{OpenError, StoreError};
pub use folder::{DATABASE, Folder};
pub use repair::{Repaired, repair};
pub use schedule::Pressure;
pub use store::{Options, ReceiveError, Receiving, Store};
