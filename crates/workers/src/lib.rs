//! Runs the functions of the server that are written in Python and other languages, each in a
//! process of its own.
//!
//! [`Workers`] starts an application's processes, registers the functions they have, gives each
//! call to one of them, and replaces those that die, hang, grow or are outdated. What is said
//! between them is the worker protocol, `docs/protocols/worker.md`.
//!
//! Read it in this order: `supervisor.rs` has the generations, `generation.rs` the pools, `pool.rs`
//! decides which worker runs a call, `worker.rs` is where calls go in and answers come out,
//! `driver.rs` is the task beside it, `slot.rs` starts the next one.
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod config;
mod driver;
mod function;
mod generation;
mod launch;
mod nested;
mod orphans;
mod pool;
mod process;
mod sessions;
mod slot;
mod supervisor;
mod traces;
mod watch;
mod worker;

pub use crate::config::Config;
pub use crate::supervisor::{Workers, examine};
