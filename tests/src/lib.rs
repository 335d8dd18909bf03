//! The world that Chaski is tested in: scripted targets, a deployed stack and what they saw; and the rules that every
//! home of the use cases is held to.

pub mod conformance;
pub mod home;
pub mod stories;
pub mod world;
