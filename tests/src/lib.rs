//! The world that Chaski is tested in: scripted targets, a deployed stack, and what they saw.

pub mod world;
