//! The store told as stories: each file a noun, real files in a folder of their own, a clock that only the test moves.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]

mod backup;
mod bodies;
mod cancel;
mod clock;
mod doctor;
mod ends;
mod fixture;
mod folder;
mod full;
mod identity;
mod ledger;
mod pauses;
mod protecting;
mod recovery;
mod replay;
mod retention;
mod salvage;
mod service;
mod storm;
mod strict;
mod wake;
mod world;
