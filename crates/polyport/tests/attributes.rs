//! What `#[polyport::function]` and `#[polyport::object]` make.

use std::collections::BTreeMap;
use std::sync::Mutex;

use polyport::{
    Arguments, Call, Client, Fault, IsFunction as _, Kind, Reply, Rows, Server, Stream, Type, User,
    Value,
};

/// Adds two numbers.
///
/// The second may be left out.
#[polyport::function]
fn add(a: i64, #[default(1)] b: i64) -> i64 {
    a + b
}

#[polyport::function(inline, name = "text.repeat")]
fn repeat(text: String, times: usize) -> Result<String, Fault> {
    if times > 10 {
        return Err(Fault::raised("ValueError", "too often"));
    }
    Ok(text.repeat(times))
}

#[polyport::function]
async fn later(call: Call, number: i64) -> Result<Value, Fault> {
    tokio::task::yield_now().await;
    let limit = call.session().limits().gathered_items;
    call.call("add", Arguments::from_iter([number, 10])).await?.into_value(limit).await
}

#[polyport::function]
fn count(to: i64) -> impl futures_core::Stream<Item = i64> {
    Numbers(0, to)
}

struct Numbers(i64, i64);

impl futures_core::Stream for Numbers {
    type Item = i64;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<i64>> {
        self.0 += 1;
        std::task::Poll::Ready((self.0 <= self.1).then_some(self.0))
    }
}

#[polyport::function(inline)]
fn sum(first: f64, #[rest] more: Vec<Value>) -> Result<f64, Fault> {
    more.into_iter().try_fold(first, |sum, value| match Type::Float.coerce(value) {
        Ok(Value::Float(number)) => Ok(sum + number),
        _ => Err(Fault::raised("TypeError", "not a number")),
    })
}

#[polyport::function(inline)]
fn who(call: &Call, greeting: Option<String>) -> String {
    format!("{} {}", greeting.unwrap_or_else(|| "hello".into()), call.user())
}

#[polyport::function(inline)]
fn nothing() {}

#[polyport::function(inline)]
fn table(rows: BTreeMap<String, i64>) -> Rows {
    rows.into_iter()
        .fold(Rows::new(["name", "n"]), |table, (name, n)| table.cells(vec![name.into(), n.into()]))
}

#[polyport::function(inline)]
fn parse(text: String) -> Result<i64, std::num::ParseIntError> {
    text.parse()
}

/// A shelf with room for some items.
struct Shelf {
    items: Mutex<Vec<String>>,
    room: Mutex<usize>,
}

#[polyport::object]
impl Shelf {
    fn new() -> Self {
        Self { items: Mutex::default(), room: Mutex::new(2) }
    }

    /// Puts an item on the shelf.
    pub fn put(&self, item: String) -> Result<usize, Fault> {
        let mut items = self.items.lock().unwrap();
        if items.len() == self.room() {
            return Err(Fault::raised("FullError", "the shelf is full"));
        }
        items.push(item);
        Ok(items.len())
    }

    pub async fn first(&self) -> Option<String> {
        tokio::task::yield_now().await;
        self.items.lock().unwrap().first().cloned()
    }

    #[inline_call]
    pub fn each(&self) -> Stream {
        let items: Vec<Value> =
            self.items.lock().unwrap().iter().map(|item| item.as_str().into()).collect();
        Stream::produce(async move |sink: polyport::Sink| {
            for item in items {
                sink.send(item).await?;
            }
            Ok(())
        })
    }

    /// How many items there is room for.
    #[property]
    #[inline_call]
    pub fn room(&self) -> usize {
        *self.room.lock().unwrap()
    }

    #[setter]
    pub fn set_room(&self, room: usize) {
        *self.room.lock().unwrap() = room;
    }

    #[property]
    #[inline_call]
    pub fn size(&self) -> usize {
        self.items.lock().unwrap().len()
    }

    #[skip]
    pub fn secret(&self) -> i64 {
        self.hidden()
    }

    fn hidden(&self) -> i64 {
        7
    }
}

fn client() -> Client {
    let server = Server::builder()
        .function::<add>()
        .function::<repeat>()
        .function::<later>()
        .function::<count>()
        .function::<sum>()
        .function::<who>()
        .function::<nothing>()
        .function::<table>()
        .function::<parse>()
        .object("shelf", Shelf::new())
        .object_per_connection("own", Shelf::new)
        .user(User::anonymous("ann").right("call *"))
        .build()
        .unwrap();
    server.client("ann").unwrap()
}

async fn value(client: &Client, name: &str, arguments: &[&str]) -> Value {
    client.value(name, arguments.iter().copied()).await.unwrap()
}

#[test]
fn doc_comments_and_types_become_help_and_signature() {
    let function = add::function();
    assert_eq!(function.name(), "add");
    assert_eq!(function.help(), "Adds two numbers.\n\nThe second may be left out.");
    assert_eq!(function.signature().to_string(), "(a: int, b: int = 1) -> int");
    assert_eq!(repeat::function().name(), "text.repeat");
    assert_eq!(who::function().signature().to_string(), "(greeting: str | None) -> str");
    assert_eq!(sum::function().signature().to_string(), "(first: float, *more) -> float");
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_async_and_streaming_functions_are_called_alike() {
    let client = client();
    assert_eq!(value(&client, "add", &["3", "4"]).await, Value::Int(7));
    assert_eq!(value(&client, "add", &["3"]).await, Value::Int(4));
    assert_eq!(value(&client, "text.repeat", &["ab", "2"]).await, "abab".into());
    assert_eq!(value(&client, "later", &["1"]).await, Value::Int(11));
    let three = Value::List(vec![Value::Int(1), Value::Int(2), Value::Int(3)]);
    assert_eq!(value(&client, "count", &["3"]).await, three);
    assert_eq!(value(&client, "sum", &["1", "2", "3.5"]).await, Value::Float(6.5));
    assert_eq!(value(&client, "nothing", &[]).await, Value::Null);
    let named = Arguments::default().named("greeting", Value::Null);
    let reply = client.call_with("who", named).await.unwrap();
    assert!(matches!(reply, Reply::Value(Value::Text(text)) if text == "hello ann"));
    let map = Value::map([("a", 1), ("b", 2)]);
    let Reply::Rows(table) = client.call("table", [map]).await.unwrap() else {
        panic!("the function makes a table")
    };
    assert_eq!(table.rows.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_keep_class_and_text() {
    let client = client();
    let raised = client.value("text.repeat", ["ab", "11"]).await.unwrap_err();
    assert_eq!((raised.class(), raised.message()), ("ValueError", "too often"));
    let error = client.value("parse", ["x"]).await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (Kind::Raised, "ParseIntError"));
    let kind = client.value("add", ["x"]).await.unwrap_err();
    assert_eq!(kind.message(), "argument 'a' takes int, not 'x'");
    let range = client.value("text.repeat", ["ab", "-1"]).await.unwrap_err();
    assert_eq!(range.kind(), Kind::Type);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_objects_methods_and_properties_are_functions_under_its_name() {
    let client = client();
    assert_eq!(value(&client, "shelf.put", &["book"]).await, Value::Int(1));
    assert_eq!(value(&client, "shelf.put", &["vase"]).await, Value::Int(2));
    let full = client.value("shelf.put", ["clock"]).await.unwrap_err();
    assert_eq!(full.class(), "FullError");
    assert_eq!(value(&client, "shelf.room", &[]).await, Value::Int(2));
    assert_eq!(value(&client, "shelf.room", &["3"]).await, Value::Null);
    assert_eq!(value(&client, "shelf.room", &[]).await, Value::Int(3));
    assert_eq!(value(&client, "shelf.put", &["clock"]).await, Value::Int(3));
    assert_eq!(value(&client, "shelf.first", &[]).await, "book".into());
    assert_eq!(value(&client, "shelf.size", &[]).await, Value::Int(3));
    assert_eq!(value(&client, "own.size", &[]).await, Value::Int(0));
    let each = Value::List(vec!["book".into(), "vase".into(), "clock".into()]);
    assert_eq!(value(&client, "shelf.each", &[]).await, each);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_for_clients_is_not_there() {
    assert_eq!(Shelf::new().secret(), 7);
    let client = client();
    for name in ["shelf.secret", "shelf.hidden", "shelf.new", "shelf.set_room"] {
        let fault = client.call::<&str>(name, []).await.unwrap_err();
        assert_eq!(fault.kind(), Kind::NotFound, "{name}");
    }
    let wrong = client.value("shelf.size", ["1"]).await.unwrap_err();
    assert_eq!(wrong.kind(), Kind::Arguments);
    let twice = client.value("shelf.room", ["1", "2"]).await.unwrap_err();
    assert_eq!(twice.kind(), Kind::Arguments);
}
