//! What a call that succeeded answers.

use std::pin::Pin;

use futures_core::Stream as Items;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::convert::IntoValue;
use crate::fault::{Fault, Kind};
use crate::types::Type;
use crate::value::{Text, Value};

/// The result of a call.
///
/// What each shape becomes in each protocol stands in one table, `docs/protocols/README.md`, which
/// is also a test.
#[derive(Debug)]
pub enum Reply {
    /// One value. [`Value::Null`] alone means "no result"; `0`, `""` and `[]` are results.
    Value(Value),
    /// A table with named columns.
    Rows(Rows),
    /// Several results, one after the other.
    Many(Vec<Self>),
    /// Values that come one by one.
    Stream(Stream),
}

/// A table with named columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The columns, from left to right.
    pub columns: Vec<Column>,
    /// The rows, each as long as `columns`.
    pub rows: Vec<Vec<Value>>,
}

/// A column's name and, where the function declares it, type.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The heading.
    pub name: Text,
    /// The type of all its values; found from the values when it is [`Type::Any`].
    pub kind: Type,
}

impl<N: Into<Text>> From<N> for Column {
    fn from(name: N) -> Self {
        Self { name: name.into(), kind: Type::Any }
    }
}

impl Column {
    /// A column whose values are all of one type.
    pub fn typed(name: impl Into<Text>, kind: Type) -> Self {
        Self { name: name.into(), kind }
    }
}

impl Rows {
    /// An empty table with these columns.
    pub fn new<C: Into<Column>>(columns: impl IntoIterator<Item = C>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row. A short one is filled with nulls, a long one is cut to the columns.
    #[must_use]
    pub fn row<V: IntoValue>(self, cells: impl IntoIterator<Item = V>) -> Self {
        self.cells(cells.into_iter().map(IntoValue::into_value).collect())
    }

    /// Adds a row of values of different types. A short one is filled with nulls, a long one is
    /// cut to the columns.
    #[must_use]
    pub fn cells(mut self, cells: Vec<Value>) -> Self {
        self.push(cells);
        self
    }

    /// Adds a row in place, as [`Rows::cells`] does.
    pub fn push(&mut self, mut cells: Vec<Value>) {
        cells.resize(self.columns.len(), Value::Null);
        self.rows.push(cells);
    }

    /// The table as a list of maps from column name to value, which is what protocols without
    /// tables show. Of two columns with one name the right one wins.
    #[must_use]
    pub fn into_value(self) -> Value {
        let Self { columns, rows } = self;
        let as_map = |cells: Vec<Value>| {
            let mut pairs: Vec<(Value, Value)> = Vec::with_capacity(columns.len());
            for (column, cell) in columns.iter().zip(cells) {
                let key = Value::Text(column.name.clone());
                match pairs.iter_mut().find(|(name, _)| *name == key) {
                    Some(pair) => pair.1 = cell,
                    None => pairs.push((key, cell)),
                }
            }
            Value::Map(pairs)
        };
        Value::List(rows.into_iter().map(as_map).collect())
    }
}

/// Values that come one by one, pulled by the protocol as fast as its client takes them.
pub struct Stream {
    columns: Vec<Column>,
    items: Pin<Box<dyn Items<Item = Result<Value, Fault>> + Send>>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("columns", &self.columns).finish_non_exhaustive()
    }
}

/// Items that may wait between a stream's producer and its client, unless the producer says
/// otherwise.
pub const STREAM_BUFFER_ITEMS: usize = 16;

impl Stream {
    /// A stream from any asynchronous iterator. An `Err` item ends it.
    pub fn new<T: IntoItem + 'static>(items: impl Items<Item = T> + Send + 'static) -> Self {
        Self { columns: Vec::new(), items: Box::pin(items.map(IntoItem::into_item)) }
    }

    /// A stream of what an asynchronous task sends. The task waits while
    /// [`STREAM_BUFFER_ITEMS`] items are not yet taken, and is dropped when the client leaves.
    pub fn produce<F>(task: impl FnOnce(Sink) -> F) -> Self
    where
        F: Future<Output = Result<(), Fault>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(STREAM_BUFFER_ITEMS);
        let task = task(Sink(sender));
        Self { columns: Vec::new(), items: Box::pin(produced(task, receiver)) }
    }

    /// A stream of what another thread, task or process sends through the channel.
    #[must_use]
    pub fn from_channel(receiver: mpsc::Receiver<Result<Value, Fault>>) -> Self {
        Self { columns: Vec::new(), items: Box::pin(channel(receiver)) }
    }

    /// Declares the columns of each item, which lets MySQL send rows as they come.
    #[must_use]
    pub fn with_columns<C: Into<Column>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.columns = columns.into_iter().map(Into::into).collect();
        self
    }

    /// The declared columns; empty when none were declared.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The same stream, which holds on to something until it ends and fails past the deadline.
    pub(crate) fn kept(
        self,
        hold: impl Send + 'static,
        deadline: Option<Instant>,
        overtime: Fault,
    ) -> Self {
        let Self { columns, items } = self;
        let state = Some((items, hold, deadline, overtime));
        let items = futures_util::stream::unfold(state, async |state| {
            let (mut items, hold, deadline, overtime) = state?;
            let next = match deadline {
                None => items.next().await,
                Some(at) => match tokio::time::timeout_at(at, items.next()).await {
                    Ok(next) => next,
                    Err(_) => return Some((Err(overtime), None)),
                },
            };
            match next? {
                Ok(item) => Some((Ok(item), Some((items, hold, deadline, overtime)))),
                Err(fault) => Some((Err(fault), None)),
            }
        });
        Self { columns, items: Box::pin(items) }
    }

    /// Waits for the next item; `None` is the end. An `Err` is the last item.
    pub async fn next(&mut self) -> Option<Result<Value, Fault>> {
        self.items.next().await
    }

    /// Gathers all items into a list of at most `limit` items.
    ///
    /// # Errors
    /// The stream's own fault, or [`Kind::TooLarge`] past the limit.
    pub async fn gather(mut self, limit: usize) -> Result<Vec<Value>, Fault> {
        let mut list = Vec::new();
        while let Some(item) = self.next().await {
            if list.len() == limit {
                return Err(Fault::new(
                    Kind::TooLarge,
                    format!("the stream has more than {limit} items, too many for one answer"),
                ));
            }
            list.push(item?);
        }
        Ok(list)
    }
}

impl Items for Stream {
    type Item = Result<Value, Fault>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.items.as_mut().poll_next(cx)
    }
}

fn channel(
    receiver: mpsc::Receiver<Result<Value, Fault>>,
) -> impl Items<Item = Result<Value, Fault>> {
    futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|item| (item, receiver))
    })
}

/// Runs the producer inside the consumer's own task, so that it needs none of its own and stops
/// with it. What was sent before the producer failed still arrives before its fault.
fn produced<F>(
    task: F,
    receiver: mpsc::Receiver<Result<Value, Fault>>,
) -> impl Items<Item = Result<Value, Fault>>
where
    F: Future<Output = Result<(), Fault>> + Send + 'static,
{
    let state = (Some(Box::pin(task)), receiver, None);
    futures_util::stream::unfold(state, async |(mut task, mut receiver, mut fault)| {
        while let Some(running) = task.as_mut() {
            tokio::select! {
                biased;
                item = receiver.recv() => return item.map(|item| (item, (task, receiver, fault))),
                ended = running => {
                    task = None;
                    if let Err(failure) = ended {
                        receiver.close();
                        fault = Some(failure);
                    }
                }
            }
        }
        match receiver.recv().await {
            Some(item) => Some((item, (None, receiver, fault))),
            None => fault.take().map(|failure| (Err(failure), (None, receiver, None))),
        }
    })
}

/// The producing end of a stream.
#[derive(Clone, Debug)]
pub struct Sink(mpsc::Sender<Result<Value, Fault>>);

impl Sink {
    /// Hands over one item, waiting while the client is behind.
    ///
    /// # Errors
    /// [`Kind::Cancelled`] when the client has left; the producer should end.
    pub async fn send(&self, item: impl IntoValue) -> Result<(), Fault> {
        self.0
            .send(Ok(item.into_value()))
            .await
            .map_err(|_| Fault::new(Kind::Cancelled, "the client has left the stream"))
    }
}

/// What a stream's items can be: values, or results of them.
pub trait IntoItem {
    /// Turns the item into a value or the fault that ends the stream.
    ///
    /// # Errors
    /// The item's own error.
    fn into_item(self) -> Result<Value, Fault>;
}

impl<T: IntoValue> IntoItem for T {
    fn into_item(self) -> Result<Value, Fault> {
        Ok(self.into_value())
    }
}

impl<T: IntoValue, E: Into<Fault>> IntoItem for Result<T, E> {
    fn into_item(self) -> Result<Value, Fault> {
        self.map(IntoValue::into_value).map_err(Into::into)
    }
}

impl Reply {
    /// The reply as one value: a table as a list of maps, several replies as a list, a stream
    /// gathered into a list of at most `limit` items.
    ///
    /// # Errors
    /// The stream's own fault, or [`Kind::TooLarge`] past the limit.
    pub async fn into_value(self, limit: usize) -> Result<Value, Fault> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Rows(rows) => Ok(rows.into_value()),
            Self::Stream(stream) => Ok(Value::List(stream.gather(limit).await?)),
            Self::Many(replies) => {
                let mut list = Vec::with_capacity(replies.len());
                for reply in replies {
                    list.push(Box::pin(reply.into_value(limit)).await?);
                }
                Ok(Value::List(list))
            }
        }
    }
}

/// What a function may return.
#[diagnostic::on_unimplemented(
    message = "a function that clients call cannot return `{Self}`",
    label = "this type has no form that clients know",
    note = "return a number, text, `Vec`, map, tuple, `Option`, `Value`, `Rows`, `Reply`, `Stream`, or a `Result` of one whose error is a `Fault` or an `Error`"
)]
pub trait IntoReply {
    /// The type that stands in the function's signature.
    const TYPE: Type = Type::Any;

    /// Turns the function's result into a reply or a fault.
    ///
    /// # Errors
    /// The function's own error.
    fn into_reply(self) -> Result<Reply, Fault>;
}

impl<T: IntoValue> IntoReply for T {
    const TYPE: Type = T::TYPE;

    fn into_reply(self) -> Result<Reply, Fault> {
        Ok(Reply::Value(self.into_value()))
    }
}

impl IntoReply for Reply {
    fn into_reply(self) -> Result<Reply, Fault> {
        Ok(self)
    }
}

impl IntoReply for Rows {
    fn into_reply(self) -> Result<Reply, Fault> {
        Ok(Reply::Rows(self))
    }
}

impl IntoReply for Stream {
    fn into_reply(self) -> Result<Reply, Fault> {
        Ok(Reply::Stream(self))
    }
}

impl<T: IntoReply, E: Into<Fault>> IntoReply for Result<T, E> {
    const TYPE: Type = T::TYPE;

    fn into_reply(self) -> Result<Reply, Fault> {
        self.map_err(Into::into)?.into_reply()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_produced_stream_gives_items_then_its_fault() {
        let mut stream = Stream::produce(async |sink: Sink| {
            for number in 0..40 {
                sink.send(number).await?;
            }
            Err(Fault::raised("ValueError", "spent"))
        });
        for number in 0..40 {
            assert_eq!(stream.next().await.unwrap().unwrap(), Value::Int(number));
        }
        assert_eq!(stream.next().await.unwrap().unwrap_err().message(), "spent");
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn gathering_stops_at_the_limit() {
        let endless = || Stream::new(futures_util::stream::repeat(1));
        let fault = endless().gather(10).await.unwrap_err();
        assert_eq!(fault.kind(), Kind::TooLarge);
        let three = Stream::new(futures_util::stream::iter([1, 2, 3])).gather(3).await.unwrap();
        assert_eq!(three.len(), 3);
    }

    #[test]
    fn a_table_becomes_a_list_of_maps() {
        let rows = Rows::new(["a", "b", "a"]).row([1, 2, 3]);
        let map = Value::map([("a", Value::Int(3)), ("b", Value::Int(2))]);
        assert_eq!(rows.into_value(), Value::List(vec![map]));
    }
}
