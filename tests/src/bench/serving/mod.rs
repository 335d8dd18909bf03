//! What `bench-serve` is made of: a load and a target that are cheap enough to share two processors with the server
//! between them, `chaski serve` as a process, what is measured of it, and the same for its peers.

pub(crate) mod batches;
pub(crate) mod bodies;
pub(crate) mod control;
pub(crate) mod delivery;
pub(crate) mod fairness;
pub(crate) mod figure;
pub(crate) mod links;
pub(crate) mod load;
pub(crate) mod machine;
pub(crate) mod mark;
pub(crate) mod meter;
pub(crate) mod options;
pub(crate) mod processes;
pub(crate) mod recovery;
pub(crate) mod report;
pub(crate) mod seen;
pub(crate) mod server;
pub(crate) mod storm;
pub(crate) mod target;
pub(crate) mod work;
