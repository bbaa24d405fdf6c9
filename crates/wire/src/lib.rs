//! What every protocol needs from a socket, and what the server needs from every protocol.
//!
//! It knows no wire format. A protocol crate implements [`Protocol`] and talks through a [`Wire`],
//! which holds no buffer while the connection is idle, sends one write per batch of replies, and
//! ends when the core says so.

mod wire;

use std::sync::Arc;

use futures_core::future::BoxFuture;
use polyport_core::Guest;
use tokio::io::{AsyncRead, AsyncWrite};

pub use tokio_rustls::TlsAcceptor;

pub use crate::wire::{Ended, HIGH_WATER_BYTES, READ_AHEAD_BYTES, Wire};

/// Both directions of a connection: a socket, a TLS stream, or a pipe in a test.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Both directions of a connection, of any kind.
pub type Io = Box<dyn Duplex>;

/// A connection that a listener accepted.
pub struct Accepted {
    /// Its bytes.
    pub io: Io,
    /// What it may do, which is to log in.
    pub guest: Guest,
    /// The listener's certificate, for protocols that change to TLS in mid-connection. For all
    /// others the server has already shaken hands, and this is `None`.
    pub tls: Option<TlsAcceptor>,
}

impl std::fmt::Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accepted").field("guest", &self.guest).finish_non_exhaustive()
    }
}

/// A protocol: serves connections until they end.
pub trait Protocol: Send + Sync + 'static {
    /// The name of the protocol's folder, cargo feature and configuration table.
    fn name(&self) -> &'static str;

    /// The port it listens on unless told otherwise.
    fn default_port(&self) -> u16;

    /// Whether its connections begin in the clear and change to TLS by the protocol's own message.
    fn starts_tls_itself(&self) -> bool {
        false
    }

    /// What a connection is told, before it is closed, when there is no place for it.
    fn no_room(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Serves one connection until it ends. It returns when the last byte is sent; dropping the
    /// future ends the connection at once.
    fn serve(self: Arc<Self>, accepted: Accepted) -> BoxFuture<'static, ()>;
}
