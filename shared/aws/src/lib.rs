//! AWS's clients, and SQS behind the ports of Chaski.
//!
//! A function's `main` reads [`AwsSettings`], makes [`Clients`] and hands [`SqsQueues`] to the use cases;
//! [`sqs_event`] stands between Lambda's batch and the core's leased entries.

mod client;
mod failure;
mod lanes;
mod queue_url;
mod settings;
pub mod sqs_event;
mod sqs_queues;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod transport;

pub use client::{CALL, ClientError, Clients, retries, timeouts};
pub use failure::describe;
pub use queue_url::{QueuePrefix, is_fifo, suffix};
pub use settings::{AwsSettings, AwsSettingsError};
pub use sqs_queues::{SqsQueues, VISIBILITY_ENTRIES};
