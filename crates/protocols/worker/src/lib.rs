//! The worker protocol: the frames between the server and the processes that run functions.
//!
//! It is bytes to frames and back, for both sides, and starts no process: that is the task of
//! `polyport-workers`. Start reading at [`Frame`], then [`decode`].
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::panic))]

mod codec;
#[cfg(fuzzing)]
pub mod fuzzing;

pub use crate::codec::description::{Declaration, Description, Hello, Pool};
pub use crate::codec::frame::{
    Call, Context, Frame, Level, Log, Nested, Origin, Sender, Welcome, decode, encode_call,
};
pub use crate::codec::{Bounds, Error, VERSION};
