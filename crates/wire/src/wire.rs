//! One connection's bytes, in and out.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use polyport_core::{Connection, Guest, Interrupt};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio_rustls::TlsAcceptor;

use crate::Io;

/// Output that is worth a write of its own; replies that come row by row are sent in such pieces.
pub const HIGH_WATER_BYTES: usize = 64 * 1024;

/// Input that is read ahead while a call runs, which is how a client that leaves is noticed.
pub const READ_AHEAD_BYTES: usize = 64 * 1024;

/// Buffers up to this size are kept while the connection is idle.
const KEPT_BYTES: usize = 512;

/// What a client may still send after an error, and for how long, before its connection is cut.
/// Cutting at once would let the kernel reset the connection and take the error text with it.
const LINGER_BYTES: usize = 256 * 1024;
const LINGER: Duration = Duration::from_millis(500);

const SCRATCH_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where every connection of this thread reads to first, so that none needs a buffer of its
    /// own while it waits.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into());
}

/// Why no more input comes.
#[derive(Debug)]
pub enum Ended {
    /// The client closed its side, between messages or within one.
    Eof,
    /// The socket failed.
    Io(io::Error),
    /// The core wants the connection to end, or its call to stop.
    Interrupted(Interrupt),
    /// The memory that unfinished messages may take is used up.
    NoRoom,
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// One connection's bytes, in and out.
///
/// Input gathers in [`Wire::input`] until the protocol can decode a message and takes it with
/// [`Wire::consume`]; output gathers in [`Wire::output`] until [`Wire::flush`].
pub struct Wire {
    io: Io,
    input: Vec<u8>,
    start: usize,
    output: Vec<u8>,
    connection: Arc<Connection>,
    /// How long the client may take nothing of what is sent; zero is for ever.
    patience: Duration,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire")
            .field("connection", &self.connection.id)
            .field("input", &self.input().len())
            .field("output", &self.output.len())
            .finish_non_exhaustive()
    }
}

impl Wire {
    /// Begins with empty buffers.
    #[must_use]
    pub fn new(io: Io, guest: &Guest) -> Self {
        let connection = guest.connection().clone();
        let patience = guest.limits().unread_s;
        Self { io, input: Vec::new(), start: 0, output: Vec::new(), connection, patience }
    }

    /// The bytes that arrived and are not consumed.
    #[must_use]
    pub fn input(&self) -> &[u8] {
        self.input.get(self.start..).unwrap_or_default()
    }

    /// Takes bytes off the front of the input.
    pub fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.input.len());
        if self.start == self.input.len() {
            self.input.clear();
            self.start = 0;
        }
    }

    /// Takes bytes off the front of the input, as a buffer of their own. A message that is all
    /// there is comes without being copied.
    pub fn take(&mut self, bytes: usize) -> Vec<u8> {
        if self.start == 0 && bytes == self.input.len() {
            return std::mem::take(&mut self.input);
        }
        let taken = self.input().get(..bytes).unwrap_or_default().to_vec();
        self.consume(bytes);
        taken
    }

    /// What is to be sent; the protocol appends to it.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Whether so much output waits that it should be sent before more is made.
    #[must_use]
    pub fn is_output_high(&self) -> bool {
        self.output.len() >= HIGH_WATER_BYTES
    }

    /// Waits for more input.
    ///
    /// # Errors
    /// When none comes; [`Ended::Interrupted`] also while some could.
    pub async fn fill(&mut self, guest: &Guest) -> Result<(), Ended> {
        let unfinished = self.input().len();
        if !guest.connections().pending(&self.connection, unfinished) {
            return Err(Ended::NoRoom);
        }
        poll_fn(|cx| {
            if let Poll::Ready(interrupt) = self.connection.poll_interrupted(cx) {
                return Poll::Ready(Err(Ended::Interrupted(interrupt)));
            }
            let read = self.poll_read(cx);
            if read.is_pending() {
                self.release();
            }
            read
        })
        .await
    }

    /// Waits for a call while reading ahead, so that a client that leaves ends it.
    ///
    /// # Errors
    /// When the client left or the core wants the call to stop; the future is then dropped.
    /// [`polyport_core::Reason::Shutdown`] lets the call finish.
    pub async fn during<T>(&mut self, call: impl Future<Output = T>) -> Result<T, Ended> {
        let mut call = pin!(call);
        poll_fn(|cx| {
            if let Poll::Ready(done) = call.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            match self.connection.poll_interrupted(cx) {
                Poll::Ready(Interrupt::Close(polyport_core::Reason::Shutdown)) | Poll::Pending => {}
                Poll::Ready(interrupt) => {
                    return Poll::Ready(Err(Ended::Interrupted(interrupt)));
                }
            }
            while self.input().len() < READ_AHEAD_BYTES {
                ready!(self.poll_read(cx))?;
            }
            Poll::Pending
        })
        .await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        if self.start > 0 {
            self.input.drain(..self.start);
            self.start = 0;
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            let bytes = buffer.filled();
            if bytes.is_empty() {
                return Poll::Ready(Err(Ended::Eof));
            }
            self.connection.received(bytes.len());
            self.input.extend_from_slice(bytes);
            Poll::Ready(Ok(()))
        })
    }

    /// Gives back the buffers of an idle connection.
    fn release(&mut self) {
        if self.input.is_empty() && self.input.capacity() > KEPT_BYTES {
            self.input = Vec::new();
        }
        if self.output.is_empty() && self.output.capacity() > KEPT_BYTES {
            self.output = Vec::new();
        }
    }

    /// Sends all output, in one write where the socket takes it.
    ///
    /// # Errors
    /// The socket's own; [`io::ErrorKind::TimedOut`] when the client takes nothing for
    /// `limits.unread_s`; [`io::ErrorKind::ConnectionAborted`] when the connection was killed.
    pub async fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.output.len() {
            let rest = self.output.get(sent..).unwrap_or_default();
            let wrote = poll_fn(|cx| {
                let wrote = Pin::new(&mut self.io).poll_write(cx, rest);
                Poll::Ready(match wrote {
                    Poll::Ready(result) => Some(result),
                    Poll::Pending => None,
                })
            })
            .await;
            let bytes = match wrote {
                Some(result) => result?,
                None => {
                    let Self { io, connection, patience, .. } = self;
                    write_patiently(io, connection, rest, *patience).await?
                }
            };
            if bytes == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            sent += bytes;
        }
        self.connection.sent(sent);
        self.output.clear();
        // A TLS stream holds back what it has encrypted until it is flushed; for a socket this
        // costs nothing.
        self.io.flush().await
    }

    /// Sends all output and closes, giving the client time to read it.
    pub async fn close(mut self) {
        if self.flush().await.is_err() || self.io.shutdown().await.is_err() {
            return;
        }
        let drain = async {
            let mut left = LINGER_BYTES;
            let mut scratch = [0; 1024];
            while left > 0 {
                match self.io.read(&mut scratch).await {
                    Ok(0) | Err(_) => return,
                    Ok(bytes) => left = left.saturating_sub(bytes),
                }
            }
        };
        let _ = tokio::time::timeout(LINGER, drain).await;
    }

    /// Changes to TLS. What has arrived already is the beginning of the handshake: a client whose
    /// protocol has no answer to the request for TLS does not wait for one. It never becomes input
    /// of the protocol, so nothing sent in the clear is taken for protected. Returns the name of the
    /// cipher suite.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn start_tls(&mut self, tls: &TlsAcceptor) -> io::Result<&'static str> {
        self.flush().await?;
        let first = self.input().to_vec();
        self.consume(first.len());
        let plain = std::mem::replace(&mut self.io, Box::new(tokio::io::empty()));
        let rewound = Rewound { first: io::Cursor::new(first), io: plain };
        let secure = Box::pin(tls.accept(rewound)).await?;
        let suite = secure.get_ref().1.negotiated_cipher_suite();
        self.io = Box::new(secure);
        Ok(suite.and_then(|suite| suite.suite().as_str()).unwrap_or_default())
    }
}

/// A stream whose first bytes were read already and are read once more.
struct Rewound {
    first: io::Cursor<Vec<u8>>,
    io: Io,
}

impl tokio::io::AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.first.get_ref().len() as u64 - self.first.position();
        if left > 0 {
            return Pin::new(&mut self.first).poll_read(cx, buffer);
        }
        self.first = io::Cursor::default();
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl tokio::io::AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

async fn write_patiently(
    io: &mut Io,
    connection: &Connection,
    bytes: &[u8],
    patience: Duration,
) -> io::Result<usize> {
    let write = poll_fn(|cx| {
        if let Poll::Ready(Interrupt::Close(reason)) = connection.poll_interrupted(cx)
            && reason != polyport_core::Reason::Shutdown
        {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut *io).poll_write(cx, bytes)
    });
    if patience.is_zero() {
        return write.await;
    }
    tokio::time::timeout(patience, write)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use polyport_core::{Core, Limits, Listener, Peer, Settings};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_waited_for_as_long_as_configured() {
        for (seconds, waited) in [(60, Some(60)), (5, Some(5)), (0, None)] {
            let unread_s = Duration::from_secs(seconds);
            let limits = Limits { unread_s, ..Limits::default() };
            let core = Core::new(Settings { limits, ..Settings::default() }).unwrap();
            let guest = core.admit("mysql", Peer::Memory, &Arc::new(Listener::default())).unwrap();
            let (_ours, theirs) = tokio::io::duplex(10);
            let mut wire = Wire::new(Box::new(theirs), &guest);
            wire.output.extend_from_slice(&[0; 100]);
            let began = tokio::time::Instant::now();
            let hour = Duration::from_secs(3_600);
            let flushed = tokio::time::timeout(hour, wire.flush()).await;
            assert_eq!(flushed.is_ok(), waited.is_some());
            if let (Ok(flushed), Some(waited)) = (flushed, waited) {
                assert_eq!(flushed.unwrap_err().kind(), io::ErrorKind::TimedOut);
                assert_eq!(began.elapsed().as_secs(), waited);
            }
        }
    }
}
