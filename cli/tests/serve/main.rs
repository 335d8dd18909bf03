//! The real binary as a server: what it promises is asked of it from outside, while it is killed, stopped, crowded.

mod fairness;
mod kill;
mod process;
mod start;
mod stop;
