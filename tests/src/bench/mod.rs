//! What `bench-lambda` is made of: a local Runtime API, a stub of AWS that speaks TLS, a target, the
//! functions' processes, and what is measured of them.

pub(crate) mod aws_stub;
pub(crate) mod columns;
pub(crate) mod events;
pub(crate) mod figures;
pub(crate) mod function;
pub(crate) mod memory;
pub(crate) mod runtime_api;
pub(crate) mod serve;
pub(crate) mod table;
pub(crate) mod world;
