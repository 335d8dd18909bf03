//! The operator's desk on a stack of AWS: the same calls as `chaski serve` answers, made in the operator's own
//! process and with the operator's own rights, over the stack's table and queues.
//!
//! [`Account`] is who asks, [`Stack`] what CloudFormation says of the stack, [`StackDesk`] the ports of the core.

mod account;
mod desk;
mod letters;
mod orders;
mod signer;
mod snapshot;
mod stack;

pub use account::{Account, AccountError};
pub use desk::StackDesk;
pub use signer::Signer;
pub use stack::{Stack, StackError};
