//! What the three Lambdas share: how they start, and how their events become what the core understands.

mod api_event;
mod start;

pub use api_event::{ApiAnswer, ApiEvent, answer};
pub use start::start;
