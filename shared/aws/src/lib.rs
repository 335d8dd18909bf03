//! SQS and DynamoDB behind the ports of Chaski.
//!
//! The functions' `main` reads [`AwsSettings`], makes [`Clients`] and hands [`SqsQueues`] and [`AwsSettle`]
//! to the use cases; [`sqs_event`] stands between Lambda's batch and the core's leased entries.

mod client;
mod dead_letters;
mod failure;
mod item;
mod lanes;
mod queue_url;
mod settings;
mod settle;
pub mod sqs_event;
mod sqs_queues;
mod system;
#[cfg(test)]
mod testing;
mod transport;

pub use client::{ClientError, Clients};
pub use dead_letters::DeadLetters;
pub use queue_url::QueuePrefix;
pub use settings::{AwsSettings, AwsSettingsError};
pub use settle::AwsSettle;
pub use sqs_queues::SqsQueues;
pub use system::{SystemChance, SystemClock};
