//! Signed calls to AWS's services for which an SDK would be megabytes in a function that starts cold.
//!
//! [`Signer`] signs (Signature Version 4), [`Service`] makes a call with a deadline and bounded tries over the
//! connections of `chaski-aws`; [`S3`], [`DynamoDb`] and [`Scheduler`] are what Chaski asks of the three,
//! [`S3Bodies`] keeps large bodies, and [`KeyWindow`] knows idempotency keys for longer than SQS does.

mod bodies;
mod dynamodb;
mod error;
mod key_rows;
mod key_window;
mod place;
mod s3;
mod scheduler;
mod service;
mod signer;
#[cfg(test)]
mod testing;

pub use bodies::S3Bodies;
pub use dynamodb::DynamoDb;
pub use error::SignedError;
pub use key_rows::KeyRows;
pub use key_window::KeyWindow;
pub use place::endpoint;
pub use s3::{Object, Presigned, S3};
pub use scheduler::{OneTime, Scheduler};
pub use service::{Answer, Call, Patience, Service};
pub use signer::Signer;
