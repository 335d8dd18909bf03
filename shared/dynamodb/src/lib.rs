//! The dead letters and the control table in DynamoDB, and ending leases on AWS: what the consumers need and the ingress must not
//! carry, which is why it is a crate of its own.

mod control;
mod dead_letters;
mod item;
mod record;
mod records;
mod settle;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod trouble;
mod waits;
mod walk;

pub use control::{AwsControl, ControlTable, HELD_PARTITIONS, Held, HeldStart, Kept, MARKS, ORDERS_AGE, WaitKey};
pub use dead_letters::DeadLetters;
pub use record::{Key, Record};
pub use records::{Marked, Records, SENDING_HOLDS};
pub use settle::AwsSettle;
pub use waits::{Fetched, Schedules, Waits};

/// A client of DynamoDB, which shares its connections with the others.
#[must_use]
pub fn client(clients: &chaski_aws::Clients) -> aws_sdk_dynamodb::Client {
    let mut config = chaski_aws::tuned!(aws_sdk_dynamodb, clients.credentials(), clients.region(), clients.http());
    config.set_endpoint_url(clients.dynamodb_endpoint());
    aws_sdk_dynamodb::Client::from_conf(config.build())
}
