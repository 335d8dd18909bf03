//! The store told as stories: each file a noun, real files in a folder of their own, a clock that only the test moves.

mod cancel;
mod ledger;
mod recovery;
mod world;
