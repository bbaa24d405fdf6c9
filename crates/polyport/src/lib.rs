//! One server for the clients you already have: write a function once, and MySQL,
//! MessagePack-RPC and HTTP clients all call it, unmodified.
//!
//! ```no_run
//! /// Adds two numbers.
//! #[polyport::function]
//! fn add(a: i64, b: i64) -> i64 {
//!     a + b
//! }
//!
//! # fn main() -> Result<(), polyport::Error> {
//! polyport::Server::builder()
//!     .function::<add>()
//!     .user(polyport::User::new("ann", "a long password").right("call *"))
//!     .listen("mysql", "127.0.0.1:3308")
//!     .listen("http", "127.0.0.1:8308")
//!     .build()?
//!     .run()
//! # }
//! ```
//!
//! Then `mariadb -h 127.0.0.1 -P 3308 -u ann -p -e 'CALL add(3, 4)'`.
//!
//! # Where things are
//! - [`Builder`] is what a server is made of; [`Server::run`] runs it alone, [`Server::start`]
//!   inside a tokio program.
//! - [`macro@function`] and [`macro@object`] make Rust functions and objects callable.
//! - [`Value`], [`Reply`], [`Rows`], [`Stream`] and [`Fault`] are what goes in and comes out.
//! - [`Call`] is what a function knows of its caller.
//! - [`Client`] calls from within the same process, for tests.
//! - [`cli`] gives your program the flags of the `polyport` command.

// The attributes expand to paths through the crate's own name, here too.
extern crate self as polyport;

mod acceptor;
mod client;
mod config;
mod describe;
mod error;
mod folder;
mod protocols;
mod server;
mod threads;
mod tls;

#[cfg(feature = "cli")]
pub mod cli;

pub use polyport_core::{
    Anonymous, Arguments, Blob, Bound, Call, CallFuture, Column, Fault, FromValue, Function,
    IntoReply, IntoValue, Kind, Limits, Mode, Object, Param, Peer, Ran, Reply, Rows, Session,
    Signature, Sink, Stream, Text, Time, Type, User, Value, Verifier, convert, fault,
    function as functions, json, limits, reply, rights, stats, types, value,
};
pub use polyport_macros::{function, object};
pub use polyport_wire::Protocol;

pub use crate::client::Client;
pub use crate::config::{Config, IfTaken, Listen, LogFormat, LogSettings, Tls, UserSettings};
pub use crate::describe::{IsFunction, IsObject};
pub use crate::error::Error;
pub use crate::protocols::{Protocols, names as protocol_names};
pub use crate::server::{Builder, Running, Server};

/// The guide's snippets, compiled and run with the documentation tests.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../../../docs/guide/first-steps.md")]
    mod first_steps {}
    #[doc = include_str!("../../../docs/guide/functions.md")]
    mod functions {}
    #[doc = include_str!("../../../docs/guide/objects.md")]
    mod objects {}
    #[doc = include_str!("../../../docs/guide/embedding.md")]
    mod embedding {}
}
