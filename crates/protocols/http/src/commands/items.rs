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
use polyport_core::{Column, Fault, Reply, Rows, Stream, Value};
use tokio::time::{Instant, Sleep};

use super::answer;
use crate::codec::Format;
use crate::connection::Visit;

/// Items that are ready together are sent together, up to so many bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// How long a stream may be quiet before it shows that it lives, where it can.
const STILL_HERE: Duration = Duration::from_secs(15);

/// A reply's items, pulled by hyper as fast as the client takes them.
pub(super) struct Items {
    visit: Arc<Visit>,
    format: Format,
    sources: VecDeque<Source>,
    /// Whether what was gathered last has columns.
    columns: bool,
    quiet: Pin<Box<Sleep>>,
}

enum Source {
    Columns(Vec<Column>),
    Ready(VecDeque<Value>),
    Stream(Stream),
}

/// What is written next.
enum Part {
    Columns(Vec<Column>),
    Item(Value),
}

impl Items {
    /// The items of a reply: a stream's items, a table's rows (as maps where columns have no form
    /// of their own), the items of several replies one after the other, or the one value.
    pub(super) fn new(visit: Arc<Visit>, format: Format, reply: Reply) -> Self {
        let quiet = Box::pin(tokio::time::sleep(STILL_HERE));
        let mut items = Self { visit, format, sources: VecDeque::new(), columns: false, quiet };
        items.gather(reply);
        items
    }

    fn gather(&mut self, reply: Reply) {
        let source = match reply {
            Reply::Many(replies) => {
                return replies.into_iter().for_each(|reply| self.gather(reply));
            }
            Reply::Rows(Rows { columns, rows }) if self.format.has_columns() => {
                self.declare(columns);
                Source::Ready(rows.into_iter().map(Value::List).collect())
            }
            Reply::Rows(rows) => match rows.into_value() {
                Value::List(rows) => Source::Ready(rows.into()),
                other => Source::Ready([other].into()),
            },
            Reply::Value(value) => {
                self.declare(Vec::new());
                Source::Ready([value].into())
            }
            Reply::Stream(stream) => {
                self.declare(stream.columns().to_vec());
                Source::Stream(stream)
            }
        };
        self.sources.push_back(source);
    }

    /// Notes the columns of the items that follow, where that says something new.
    fn declare(&mut self, columns: Vec<Column>) {
        let some = !columns.is_empty();
        if self.format.has_columns() && (some || self.columns) {
            self.columns = some;
            self.sources.push_back(Source::Columns(columns));
        }
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
            let format = self.format;
            let written = self.poll_part(cx).map(|part| {
                part.map(|part| match part? {
                    Part::Columns(columns) => format.columns(&mut chunk, &columns),
                    Part::Item(item) => format.item(&mut chunk, item),
                })
            });
            match written {
                Poll::Ready(Some(Ok(()))) => {}
                Poll::Ready(Some(Err(fault))) => {
                    self.format.fault(&mut chunk, &fault);
                    return Poll::Ready((chunk.into(), false));
                }
                Poll::Ready(None) => {
                    self.format.end(&mut chunk);
                    return Poll::Ready((chunk.into(), false));
                }
                Poll::Pending if chunk.is_empty() => {
                    std::task::ready!(self.quiet.as_mut().poll(cx));
                    self.format.still_here(&mut chunk);
                    if chunk.is_empty() {
                        return Poll::Pending;
                    }
                    break;
                }
                Poll::Pending => break,
            }
        }
        self.quiet.as_mut().reset(Instant::now() + STILL_HERE);
        Poll::Ready((chunk.into(), true))
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, Fault>>> {
        if let Poll::Ready(fault) = self.visit.poll_stopped(cx) {
            return Poll::Ready(Some(Err(fault)));
        }
        while let Some(source) = self.sources.front_mut() {
            let next = match source {
                Source::Columns(columns) => {
                    let columns = std::mem::take(columns);
                    self.sources.pop_front();
                    return Poll::Ready(Some(Ok(Part::Columns(columns))));
                }
                Source::Ready(items) => items.pop_front().map(Ok),
                Source::Stream(stream) => {
                    match futures_core::Stream::poll_next(Pin::new(stream), cx) {
                        Poll::Ready(next) => next,
                        Poll::Pending => return Poll::Pending,
                    }
                }
            };
            if let Some(item) = next {
                return Poll::Ready(Some(item.map(Part::Item)));
            }
            self.sources.pop_front();
        }
        Poll::Ready(None)
    }
}
