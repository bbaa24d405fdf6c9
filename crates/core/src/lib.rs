//! The behaviour of Polyport, apart from any protocol: values, faults, functions, objects, users,
//! sessions, limits, statistics, and the seam to the log.
//!
//! It is no server: it opens no socket and knows no wire format. Start reading at [`Session`], all
//! that a connection can do; then [`Function`], what it calls; then `guard.rs`, the one gate
//! between the two.

pub mod call;
pub mod connection;
pub mod convert;
pub mod fault;
pub mod function;
pub mod json;
pub mod limits;
pub mod listener;
pub mod log;
pub mod object;
pub mod reply;
pub mod rights;
pub mod session;
pub mod stats;
pub mod time;
pub mod types;
pub mod users;
pub mod value;
pub mod verifier;

mod builtin;
mod core;
mod guard;
mod login;
mod pool;
mod registry;

pub use crate::call::Call;
pub use crate::connection::{Connection, Interrupt, Peer, Reason, Stage};
pub use crate::convert::{FromValue, IntoValue};
pub use crate::core::{Core, KeepUsers, SWEEP_EVERY, Settings};
pub use crate::fault::{Fault, Kind, Ran};
pub use crate::function::{Arguments, Bound, CallFuture, Function, Param, Signature};
pub use crate::limits::Limits;
pub use crate::listener::{Anonymous, Listener};
pub use crate::object::{Mode, Object};
pub use crate::reply::{Column, IntoReply, Reply, Rows, Sink, Stream};
pub use crate::session::{Guest, Session};
pub use crate::time::Time;
pub use crate::types::Type;
pub use crate::users::User;
pub use crate::value::{Blob, Opaque, Text, Value};
pub use crate::verifier::{Proof, Verifier};
