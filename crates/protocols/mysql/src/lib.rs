//! The MySQL protocol of Polyport: functions as stored procedures, for every MySQL client.
//!
//! It is no database: there are no tables, and of SQL it knows what clients send around `CALL`.
//! Start reading at `connection.rs`, which serves one connection; `state.rs` is the handshake,
//! `commands.rs` what each command does, `resultset.rs` what a call's result looks like, `sql.rs`
//! the statements.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

pub mod config;
pub mod info;

mod codec;
mod commands;
mod connection;
mod fault;
#[cfg(fuzzing)]
pub mod fuzzing;
mod resultset;
mod sql;
mod state;
mod statements;

use std::sync::Arc;

use futures_core::future::BoxFuture;
use polyport_wire::{Accepted, Protocol};

use crate::codec::Capabilities;
use crate::codec::response::Writer;
pub use crate::config::Config;

/// The MySQL protocol.
#[derive(Debug)]
pub struct Mysql {
    config: Config,
}

impl Mysql {
    /// The protocol with these settings.
    #[must_use]
    pub fn new(config: Config) -> Arc<Self> {
        Arc::new(Self { config })
    }
}

impl Protocol for Mysql {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn default_port(&self) -> u16 {
        3308
    }

    fn starts_tls_itself(&self) -> bool {
        true
    }

    fn no_room(&self) -> Vec<u8> {
        let (mut out, mut sequence) = (Vec::new(), 0);
        let capabilities = Capabilities::PROTOCOL_41;
        let mut writer = Writer { out: &mut out, sequence: &mut sequence, capabilities };
        writer.error(1040, "08004", b"Too many connections");
        out
    }

    fn serve(self: Arc<Self>, accepted: Accepted) -> BoxFuture<'static, ()> {
        Box::pin(connection::serve(self, accepted))
    }
}
