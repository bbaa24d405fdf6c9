//! The socket as hyper uses it: counted, and impatient with clients that take nothing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use polyport_wire::Io;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::Sleep;

use crate::connection::Visit;

/// What a client may still send after the last answer, and for how long, before its connection is
/// cut. Cutting at once would let the kernel reset the connection and take the answer with it.
const LINGER_BYTES: usize = 256 * 1024;
const LINGER: Duration = Duration::from_millis(500);

pub(super) struct Line {
    io: Io,
    visit: Arc<Visit>,
    /// Runs while the client takes nothing of what is sent to it.
    stalled: Option<Pin<Box<Sleep>>>,
    linger: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Line {
    pub(super) const fn new(io: Io, visit: Arc<Visit>) -> Self {
        Self { io, visit, stalled: None, linger: None }
    }

    /// Sends a last answer and ends, unless an earlier answer is still on its way.
    pub(super) async fn part(mut self, answer: &[u8]) {
        if self.stalled.is_none() && self.write_all(answer).await.is_ok() {
            let _ = self.shutdown().await;
        }
    }

    fn wrote(
        &mut self,
        cx: &mut Context<'_>,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match wrote {
            Poll::Ready(result) => {
                self.stalled = None;
                if let Ok(bytes) = result {
                    self.visit.connection().sent(bytes);
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                let patience = self.visit.guest().limits().unread_s;
                if patience.is_zero() {
                    return Poll::Pending;
                }
                let new = || Box::pin(tokio::time::sleep(patience));
                ready!(self.stalled.get_or_insert_with(new).as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        let bytes = buffer.filled().len() - before;
        if bytes > 0 {
            self.visit.connection().received(bytes);
            if self.visit.busy.load(Relaxed) == 0 {
                self.visit.heard.store(true, Relaxed);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.wrote(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.io).poll_write_vectored(cx, parts);
        self.wrote(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
        }
        let new = || (Box::pin(tokio::time::sleep(LINGER)), LINGER_BYTES);
        let (timer, left) = this.linger.get_or_insert_with(new);
        let mut scratch = [0; 1024];
        while *left > 0 && timer.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.io).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    *left = left.saturating_sub(buffer.filled().len());
                }
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
