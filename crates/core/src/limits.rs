//! Every limit of the core: its name, its default, its configuration key.

use std::time::Duration;

use serde::Deserialize;

/// Limits that hold for all protocols. The configuration table `[limits]` has these keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at once, logged in or not. Default 16,384.
    pub connections: usize,
    /// Of those, connections that are not logged in. Default 1,024. When they are all taken, the
    /// oldest that has sent nothing gives way to the next.
    pub guests: usize,
    /// Of `connections`, places kept for users with the right `admin`. Default 3, as pymysqlrpc
    /// keeps for its root.
    pub reserved: usize,
    /// Seconds a connection may take to log in. Default 10.
    #[serde(with = "seconds")]
    pub login_s: Duration,
    /// Seconds within which a message that has begun must end or bring at least
    /// [`STALL_BYTES`]. Default 10.
    #[serde(with = "seconds")]
    pub stall_s: Duration,
    /// Seconds a client may take nothing of what is sent to it; 0 is for ever. Default 60.
    #[serde(with = "seconds")]
    pub unread_s: Duration,
    /// Seconds a logged-in connection may be idle; 0 is for ever. Default 0. Administrators are
    /// exempt.
    #[serde(with = "seconds")]
    pub idle_s: Duration,
    /// Bytes of one message from a logged-in user. Default 128 MiB.
    pub message_bytes: usize,
    /// Bytes of one message from a stranger: a connection before its login, or an anonymous one.
    /// Default 1 MiB.
    pub stranger_message_bytes: usize,
    /// Bytes that all unfinished messages of strangers may take together. Default 64 MiB. The
    /// first [`FREE_BYTES`] of each connection are not counted, so small requests always pass.
    pub stranger_buffer_bytes: usize,
    /// Bytes that all unfinished messages of users may take together. Default 1 GiB.
    pub buffer_bytes: usize,
    /// Nesting levels of a value. Default 100.
    pub depth: usize,
    /// Calls that one connection may have running. Default 1,000.
    pub calls_per_connection: usize,
    /// Plain functions that run at once, each on a thread. Default 64.
    pub threads: usize,
    /// Calls of plain functions that may wait for a thread. Default 10,000.
    pub waiting_calls: usize,
    /// Calls of functions inside functions, one within the other. Default 16.
    pub call_depth: u8,
    /// Seconds after which a call counts as slow, is logged and is listed by `stats.slow_calls`; 0
    /// is never. Default 1.
    #[serde(with = "seconds")]
    pub slow_s: Duration,
    /// Items of a stream gathered for a protocol that has no streams. Default 1,000,000.
    pub gathered_items: usize,
}

/// Bytes that a slow message must bring within each [`Limits::stall_s`] to be let go on.
pub const STALL_BYTES: u64 = 4 * 1024;

/// Bytes of an unfinished message that are not counted against the shared budgets.
pub const FREE_BYTES: usize = 64 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            guests: 1_024,
            reserved: 3,
            login_s: Duration::from_secs(10),
            stall_s: Duration::from_secs(10),
            unread_s: Duration::from_secs(60),
            idle_s: Duration::ZERO,
            message_bytes: 128 << 20,
            stranger_message_bytes: 1 << 20,
            stranger_buffer_bytes: 64 << 20,
            buffer_bytes: 1 << 30,
            depth: 100,
            calls_per_connection: 1_000,
            threads: 64,
            waiting_calls: 10_000,
            call_depth: 16,
            slow_s: Duration::from_secs(1),
            gathered_items: 1_000_000,
        }
    }
}

/// Durations written as a number of seconds, whole or not.
pub mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer};

    /// Reads a duration from a number of seconds.
    ///
    /// # Errors
    /// When the number is negative or out of range.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(from)?;
        Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
    }
}
