//! MessagePack-RPC for Polyport: pymprpc in its five modes, and standard MessagePack-RPC, told
//! apart by the first byte of each connection.
//!
//! It is no client, and asks its peers nothing. Start reading at `state.rs`, what the first byte
//! tells; then `connection.rs`, one connection's life; then `connection/pymprpc.rs`.
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::panic))]

mod codec;
mod commands;
mod config;
mod connection;
mod fault;
#[cfg(fuzzing)]
pub mod fuzzing;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_core::future::BoxFuture;
use polyport_core::Value;
use polyport_wire::{Accepted, Protocol};

pub use crate::config::Config;

/// MessagePack-RPC, both dialects.
#[derive(Debug)]
pub struct Msgpack(Arc<Shared>);

/// What all connections share.
#[derive(Debug)]
struct Shared {
    config: Config,
    /// The `DESC` of the login answer.
    description: Value,
    /// The `TIMEOUT` of the login answer.
    timeout: Value,
}

impl Msgpack {
    /// The protocol with these settings.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let (description, timeout) = (description(&config), timeout(&config));
        Self(Arc::new(Shared { config, description, timeout }))
    }
}

impl Protocol for Msgpack {
    fn name(&self) -> &'static str {
        "msgpack"
    }

    fn default_port(&self) -> u16 {
        5000
    }

    fn serve(self: Arc<Self>, accepted: Accepted) -> BoxFuture<'static, ()> {
        Box::pin(connection::serve(self.0.clone(), accepted))
    }
}

/// The description, with blanks added until it passes through a telnet layer.
fn description(config: &Config) -> Value {
    if config.description.is_empty() {
        return Value::Null;
    }
    let mut text = config.description.replace(['\0', '\x11'], " ");
    loop {
        let value = Value::from(text.as_str());
        if passes_telnet(&value) {
            return value;
        }
        text.push(' ');
    }
}

/// The idle time in whole seconds, less where that does not pass through a telnet layer. It is an
/// integer since a float is full of zero bytes.
fn timeout(config: &Config) -> Value {
    let seconds = config.idle_s.as_secs_f64().ceil() as i64;
    let mut passing = (1..=seconds).rev().map(Value::Int).filter(passes_telnet);
    passing.next().unwrap_or_default()
}

/// Whether pymprpc's sync client receives the value whole: it drops each `00` and `11` and takes
/// `ff` for a command. At login nothing tells yet that it is the one that reads.
fn passes_telnet(value: &Value) -> bool {
    let mut bytes = Vec::new();
    let written = codec::value::append(&mut bytes, value, true);
    written.is_ok() && !bytes.iter().any(|byte| matches!(byte, 0x00 | 0x11 | 0xff))
}

#[cfg(test)]
mod telnet {
    use super::*;

    #[test]
    fn the_login_answer_passes_through_a_telnet_layer() {
        for length in [1, 16, 17, 31, 32, 255, 256, 0x1100] {
            let config = Config { description: "d".repeat(length), ..Config::default() };
            let value = description(&config);
            assert!(passes_telnet(&value));
            assert_eq!(value.as_text().unwrap().trim_end().len(), length);
        }
        let after = |seconds| {
            let idle_s = std::time::Duration::from_secs(seconds);
            timeout(&Config { idle_s, ..Config::default() })
        };
        let seconds = [(180, 180), (17, 16), (256, 254), (3600, 3600)];
        for (idle, told) in seconds {
            assert_eq!(after(idle), Value::Int(told));
        }
        assert_eq!(after(0), Value::Null);
    }
}
