//! Listening and accepting: who is let near a protocol at all.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use polyport_core::{Core, Guest, Listener, Peer};
use polyport_wire::{Accepted, Io, Protocol, TlsAcceptor};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::threads::Places;

/// Connections that the kernel may hold for us before they are accepted.
const BACKLOG: i32 = 1_024;

/// How long to wait when the process is out of file descriptors.
const BREATHER: Duration = Duration::from_millis(50);

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// Reads `host:port` or `unix:path`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        let resolved = text.to_socket_addrs().map(|mut all| all.next());
        match resolved {
            Ok(Some(address)) => Ok(Self::Tcp(address)),
            _ => Err(format!("'{text}' is no address; write host:port or unix:path")),
        }
    }

    /// Whether only this machine reaches it.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A bound socket. Nothing else can bind the same address, so that a second server fails to start
/// and no connection waits on a socket that nobody accepts from.
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Socket {
    pub(crate) fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => {
                let domain = socket2::Domain::for_address(*address);
                let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
                socket.set_reuse_address(true)?;
                socket.set_nonblocking(true)?;
                socket.bind(&(*address).into())?;
                socket.listen(BACKLOG)?;
                TcpListener::from_std(socket.into()).map(Self::Tcp)
            }
            Address::Unix(path) => {
                remove_stale(path)?;
                UnixListener::bind(path).map(|socket| Self::Unix(socket, path.clone()))
            }
        }
    }

    pub(crate) fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(Address::Tcp),
            Self::Unix(_, path) => Ok(Address::Unix(path.clone())),
        }
    }

    async fn accept(&self) -> io::Result<(Raw, Peer)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                Ok((Raw::Tcp(stream.into_std()?), Peer::Ip(peer)))
            }
            Self::Unix(socket, _) => {
                let (stream, _) = socket.accept().await?;
                Ok((Raw::Unix(stream.into_std()?), Peer::Unix))
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Removes the socket file of a server that was killed; one that is alive keeps its own.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// An accepted socket on its way to the runtime that will serve it.
enum Raw {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Raw {
    /// Registers the socket with the runtime this is called on.
    fn into_io(self) -> io::Result<Io> {
        Ok(match self {
            Self::Tcp(stream) => {
                stream.set_nodelay(true)?;
                Box::new(TcpStream::from_std(stream)?)
            }
            Self::Unix(stream) => Box::new(UnixStream::from_std(stream)?),
        })
    }
}

/// One listener and all it needs to serve connections.
pub(crate) struct Acceptor {
    pub(crate) socket: Socket,
    pub(crate) protocol: Arc<dyn Protocol>,
    pub(crate) core: Core,
    pub(crate) listener: Arc<Listener>,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) allow: Vec<IpNet>,
    pub(crate) places: Places,
    /// Ends accepting.
    pub(crate) stop: CancellationToken,
    /// Cuts off the connections that are still there when their time to end is over.
    pub(crate) cut: CancellationToken,
}

impl Acceptor {
    /// Accepts until told to stop.
    pub(crate) async fn run(self) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((raw, peer)) => self.admit(raw, peer),
                Err(error) if is_transient(&error) => {}
                Err(error) => {
                    tracing::warn!(protocol = self.protocol.name(), %error, "cannot accept");
                    tokio::time::sleep(BREATHER).await;
                }
            }
        }
    }

    fn admit(&self, raw: Raw, peer: Peer) {
        let allowed = |ip| self.allow.iter().any(|net| net.contains(&ip));
        if !self.allow.is_empty() && !peer.ip().is_none_or(allowed) {
            tracing::debug!(protocol = self.protocol.name(), %peer, "address not allowed");
            return;
        }
        let Some((place, seat)) = self.places.least_loaded() else { return };
        let protocol = self.protocol.clone();
        let (tls, cut) = (self.tls.clone(), self.cut.clone());
        match self.core.admit(protocol.name(), peer, &self.listener) {
            Some(guest) => drop(place.runtime.spawn(async move {
                tokio::select! {
                    () = serve(protocol, raw, guest, tls) => {}
                    () = cut.cancelled() => {}
                }
                drop(seat);
            })),
            None => drop(place.runtime.spawn(async move {
                let refuse = refuse(raw, protocol.no_room());
                let _ = tokio::time::timeout(Duration::from_secs(1), refuse).await;
                drop(seat);
            })),
        }
    }
}

/// Errors of one connection that was gone before it was accepted.
fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

async fn refuse(raw: Raw, goodbye: Vec<u8>) -> io::Result<()> {
    let mut io = raw.into_io()?;
    io.write_all(&goodbye).await?;
    io.shutdown().await
}

async fn serve(protocol: Arc<dyn Protocol>, raw: Raw, guest: Guest, tls: Option<TlsAcceptor>) {
    let Ok(mut io) = raw.into_io() else { return guest.connection().closed(false) };
    if let Some(tls) = tls.as_ref().filter(|_| !protocol.starts_tls_itself()) {
        let handshake = Box::pin(tls.accept(io));
        match tokio::time::timeout(guest.limits().login_s, handshake).await {
            Ok(Ok(stream)) => io = Box::new(stream),
            Ok(Err(_)) | Err(_) => return guest.connection().closed(false),
        }
    }
    let tls = tls.filter(|_| protocol.starts_tls_itself());
    protocol.serve(Accepted { io, guest, tls }).await;
}
