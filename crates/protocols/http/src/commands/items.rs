//! Answers that go out item by item.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use polyport_core::{Fault, Reply, Stream, Value};
use tokio::time::{Instant, Sleep};

use super::answer;
use crate::codec::Format;
use crate::connection::Visit;

/// Items that are ready together are sent together, up to so many bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// How long a stream of events may be quiet before a comment shows that it lives.
const STILL_HERE: Duration = Duration::from_secs(15);

/// A reply's items, pulled by hyper as fast as the client takes them.
pub(super) struct Items {
    visit: Arc<Visit>,
    format: Format,
    sources: VecDeque<Source>,
    quiet: Pin<Box<Sleep>>,
}

enum Source {
    Ready(VecDeque<Value>),
    Stream(Stream),
}

impl Items {
    /// The items of a reply: a stream's items, a table's rows as maps, the items of several
    /// replies one after the other, or the one value.
    pub(super) fn new(visit: Arc<Visit>, format: Format, reply: Reply) -> Self {
        let mut sources = VecDeque::new();
        gather(&mut sources, reply);
        let quiet = Box::pin(tokio::time::sleep(STILL_HERE));
        Self { visit, format, sources, quiet }
    }

    pub(super) fn into_response(self) -> Response {
        let media_type = self.format.media_type();
        let chunks = futures_util::stream::unfold(Some(self), async |items| {
            let mut items = items?;
            let (chunk, more) = std::future::poll_fn(|cx| items.poll_chunk(cx)).await;
            Some((Ok::<_, Infallible>(chunk), more.then_some(items)))
        });
        let mut response = answer(media_type, Body::from_stream(chunks));
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // nginx holds answers back until they fill its buffers, unless told not to.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }

    /// All that is ready, and whether more can come.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<(Bytes, bool)> {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK_BYTES {
            match self.poll_item(cx) {
                Poll::Ready(Some(Ok(item))) => self.format.item(&mut chunk, &item),
                Poll::Ready(Some(Err(fault))) => {
                    self.format.fault(&mut chunk, &fault);
                    return Poll::Ready((chunk.into(), false));
                }
                Poll::Ready(None) => {
                    self.format.end(&mut chunk);
                    return Poll::Ready((chunk.into(), false));
                }
                Poll::Pending if chunk.is_empty() => {
                    if self.format != Format::Events || self.quiet.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    self.format.still_here(&mut chunk);
                    break;
                }
                Poll::Pending => break,
            }
        }
        self.quiet.as_mut().reset(Instant::now() + STILL_HERE);
        Poll::Ready((chunk.into(), true))
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Value, Fault>>> {
        if let Poll::Ready(fault) = self.visit.poll_stopped(cx) {
            return Poll::Ready(Some(Err(fault)));
        }
        while let Some(source) = self.sources.front_mut() {
            let next = match source {
                Source::Ready(items) => items.pop_front().map(Ok),
                Source::Stream(stream) => {
                    match futures_core::Stream::poll_next(Pin::new(stream), cx) {
                        Poll::Ready(next) => next,
                        Poll::Pending => return Poll::Pending,
                    }
                }
            };
            if next.is_some() {
                return Poll::Ready(next);
            }
            self.sources.pop_front();
        }
        Poll::Ready(None)
    }
}

fn gather(sources: &mut VecDeque<Source>, reply: Reply) {
    match reply {
        Reply::Value(value) => sources.push_back(Source::Ready([value].into())),
        Reply::Rows(rows) => {
            if let Value::List(rows) = rows.into_value() {
                sources.push_back(Source::Ready(rows.into()));
            }
        }
        Reply::Many(replies) => replies.into_iter().for_each(|reply| gather(sources, reply)),
        Reply::Stream(stream) => sources.push_back(Source::Stream(stream)),
    }
}
