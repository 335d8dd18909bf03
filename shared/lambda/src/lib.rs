//! What the three Lambdas share: how they start, and how their events become what the core understands.

mod api_event;
mod batches;
mod start;

pub use api_event::{ApiAnswer, ApiEvent, answer};
pub use batches::{handle_batch, until};
pub use start::start;
