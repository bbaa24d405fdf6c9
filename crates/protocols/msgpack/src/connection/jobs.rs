//! The running calls of one connection, polled by the connection's own task.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::future::BoxFuture;
use futures_util::StreamExt as _;
use polyport_core::{Arguments, Fault, Reply, Session, Stream, Text, Value};

/// A call or a stream that runs, and `T`, who is to be told.
pub(crate) struct Job<T>(Option<(T, Work)>);

/// What runs.
pub(crate) enum Work {
    /// A call until it returns.
    Call(BoxFuture<'static, Result<Outcome, Fault>>),
    /// A stream until its next item.
    Stream(Stream),
}

/// What a call returned.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// One value, which tables, lists of results and gathered streams have become.
    Value(Value),
    /// Values that come one by one.
    Stream(Stream),
}

/// What a job has come to.
#[derive(Debug)]
pub(crate) enum Event<T> {
    /// The call returned.
    Done(T, Result<Outcome, Fault>),
    /// The stream gave an item, failed, or, with `None`, ended.
    Item(T, Stream, Option<Result<Value, Fault>>),
}

impl Work {
    /// A call that is not begun. Without `streams` a stream is gathered into a list.
    pub(crate) fn call(
        session: &Session,
        method: Text,
        arguments: Arguments,
        streams: bool,
    ) -> Self {
        let session = session.clone();
        Self::Call(Box::pin(async move {
            match session.call(&method, arguments).await? {
                Reply::Value(value) => Ok(Outcome::Value(value)),
                Reply::Stream(stream) if streams => Ok(Outcome::Stream(stream)),
                reply => {
                    let most = session.limits().gathered_items;
                    Box::pin(reply.into_value(most)).await.map(Outcome::Value)
                }
            }
        }))
    }
}

impl<T> Job<T> {
    pub(crate) const fn new(ticket: T, work: Work) -> Self {
        Self(Some((ticket, work)))
    }

    /// Takes the job apart, which stops it.
    pub(crate) fn into_parts(self) -> Option<(T, Work)> {
        self.0
    }
}

impl<T: Unpin> Future for Job<T> {
    type Output = Event<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Event<T>> {
        let Some((ticket, mut work)) = self.0.take() else { return Poll::Pending };
        match &mut work {
            Work::Call(call) => {
                if let Poll::Ready(done) = call.as_mut().poll(cx) {
                    return Poll::Ready(Event::Done(ticket, done));
                }
            }
            Work::Stream(stream) => {
                if let Poll::Ready(item) = stream.poll_next_unpin(cx)
                    && let Work::Stream(stream) = work
                {
                    return Poll::Ready(Event::Item(ticket, stream, item));
                }
            }
        }
        self.0 = Some((ticket, work));
        Poll::Pending
    }
}
