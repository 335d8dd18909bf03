//! The words, the decisions, the ports and the use cases of Chaski.

pub mod api;
pub mod app;
pub mod dead_letter;
pub mod envelope;
pub mod filter;
pub mod flow;
pub mod guard;
pub mod headers;
pub mod history;
pub mod identity;
pub mod json;
pub mod ledger;
pub mod limits;
pub mod logger;
pub mod outcome;
pub mod pause;
pub mod ports;
pub mod problem;
pub mod queue;
pub mod redact;
pub mod retry;
pub mod route;
pub mod secret;
pub mod settings;
pub mod shown_target;
pub mod time;
