//! Whole sessions in memory, with the clock in the tests' hands.

mod hostile;
mod pymprpc;
mod standard;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use polyport_core::{
    Anonymous, Core, Fault, Function, Limits, Listener, Opaque, Param, Peer, Reply, Rows, Settings,
    Sink, Stream, Type, User, Value,
};
use polyport_wire::{Accepted, Protocol as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::codec::compression::Compression;
use crate::codec::frame::{MARK, find_mark};
use crate::codec::{Bounds, answer, json, value};
use crate::state::{Format, Mode};
use crate::{Config, Msgpack};

const BOUNDS: Bounds = Bounds { depth: 200, values: 1_000_000 };

/// Bytes that the pipe between client and server holds, as a socket's buffers do.
const PIPE: usize = 64 * 1024;

thread_local! {
    /// Calls and streams of this test that are alive: none, once their client has left.
    static ALIVE: Cell<usize> = const { Cell::new(0) };
}

struct Alive;

impl Alive {
    fn new() -> Self {
        ALIVE.set(ALIVE.get() + 1);
        Self
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
    }
}

struct Server {
    core: Core,
    listener: Arc<Listener>,
    protocol: Arc<Msgpack>,
}

impl Server {
    fn new() -> Self {
        Self::with(Config::default(), Limits::default(), &[("standard", "nobody")])
    }

    fn with(config: Config, limits: Limits, anonymous: &[(&'static str, &'static str)]) -> Self {
        let core = Core::new(Settings { limits, ..Settings::default() }).unwrap();
        core.register(functions()).unwrap();
        core.put_user(User::new("ann", "secret").right("call *"));
        core.put_user(User::anonymous("nobody").right("call *"));
        let users: BTreeMap<_, _> =
            anonymous.iter().map(|(dialect, user)| ((*dialect).into(), (*user).into())).collect();
        let anonymous = Anonymous::ByDialect(users);
        let listener = Arc::new(Listener { anonymous, ..Listener::default() });
        Self { core, listener, protocol: Arc::new(Msgpack::new(config)) }
    }

    fn pipe(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(PIPE);
        let guest = self.core.admit("msgpack", Peer::Memory, &self.listener).unwrap();
        let accepted = Accepted { io: Box::new(far), guest, tls: None };
        tokio::spawn(self.protocol.clone().serve(accepted));
        near
    }

    /// A pymprpc client that has not logged in.
    fn client(&self, mode: Mode) -> Client {
        Client { io: self.pipe(), mode, read: Vec::new() }
    }

    /// A pymprpc client in JSON mode that has logged in.
    async fn json(&self) -> Client {
        self.logged_in(JSON).await
    }

    async fn logged_in(&self, mode: Mode) -> Client {
        let mut client = self.client(mode);
        client.send(&login("ann", "secret")).await;
        assert_eq!(client.code().await, 100);
        client
    }
}

const JSON: Mode = mode(Format::Json, None);
const PACKED: Mode = mode(Format::Packed, None);

const fn mode(format: Format, compression: Option<Compression>) -> Mode {
    let telnet = crate::state::Telnet::No;
    Mode { format: Some(format), compression, telnet }
}

fn functions() -> Vec<Function> {
    let any = |name: &'static str| Param::new(name, Type::Any);
    vec![
        Function::build("add")
            .param(Param::new("a", Type::Int))
            .param(Param::new("b", Type::Int))
            .help("Adds.")
            .inline(|_, mut args| Ok::<i64, Fault>(args.take::<i64>()? + args.take::<i64>()?)),
        Function::build("echo").param(any("a")).inline(|_, mut args| args.take::<Value>()),
        Function::build("boom")
            .inline(|_, _| Err::<(), _>(Fault::raised("ValueError", "no such luck"))),
        Function::build("wide").inline(|_, _| Value::from_big(num_bigint::BigInt::from(1) << 64)),
        Function::build("pickle").inline(|_, _| {
            Value::Opaque(Arc::new(Opaque { dialect: "pickle", bytes: b"x".into() }))
        }),
        Function::build("table").inline(|_, _| Rows::new(["a", "b"]).row([1, 2]).row([3, 4])),
        Function::build("many")
            .inline(|_, _| Reply::Many(vec![Reply::Value(1.into()), Reply::Stream(numbers(2))])),
        Function::build("sleep").param(Param::new("ms", Type::Int)).asynchronous(|_, mut args| {
            let ms = args.take::<u64>();
            Box::pin(async move {
                let _alive = Alive::new();
                let ms = ms?;
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(Reply::Value(Value::Int(ms as i64)))
            })
        }),
        Function::build("count")
            .param(Param::new("to", Type::Int))
            .inline(|_, mut args| Ok::<_, Fault>(numbers(args.take()?))),
        Function::build("tick").param(Param::new("times", Type::Int)).inline(|_, mut args| {
            let times: u64 = args.take()?;
            Ok::<_, Fault>(Stream::produce(async move |sink: Sink| {
                let _alive = Alive::new();
                for number in 0..times {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    sink.send(number).await?;
                }
                Ok(())
            }))
        }),
        Function::build("broken").inline(|_, _| {
            Stream::produce(async |sink: Sink| {
                sink.send(1).await?;
                Err(Fault::raised("ValueError", "half-way"))
            })
        }),
        Function::build("lookup")
            .inline(|_, _| Err::<(), _>(Fault::new(polyport_core::Kind::NotFound, "no row"))),
        Function::build("admin_only")
            .inline(|_, _| Err::<(), _>(Fault::new(polyport_core::Kind::Denied, "not for you"))),
    ]
}

fn numbers(to: i64) -> Stream {
    Stream::new(futures_util::stream::iter(0..to))
}

struct Client {
    io: DuplexStream,
    mode: Mode,
    read: Vec<u8>,
}

impl Client {
    async fn send(&mut self, message: &Value) {
        let bytes = frame(message, self.mode);
        self.io.write_all(&bytes).await.unwrap();
    }

    /// Calls and waits for the answer.
    async fn call(&mut self, method: &str, args: Value) -> Value {
        self.send(&call("id", method, args)).await;
        self.receive().await
    }

    /// Waits for a frame.
    async fn receive(&mut self) -> Value {
        self.next().await.expect("the server closed the connection")
    }

    /// Waits for a frame or the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(mark) = find_mark(&self.read) {
                let mut body: Vec<u8> = self.read.drain(..mark + MARK.len()).collect();
                body.truncate(mark);
                let body = match self.mode.compression {
                    Some(compression) => compression.unpack(&body, 1 << 30).unwrap(),
                    None => body,
                };
                return Some(read(&body, self.mode.format()));
            }
            if self.io.read_buf(&mut self.read).await.unwrap() == 0 {
                assert_eq!(self.read, b"");
                return None;
            }
        }
    }

    async fn code(&mut self) -> i64 {
        code(&self.receive().await)
    }

    async fn is_closed(&mut self) -> bool {
        self.next().await.is_none()
    }
}

fn read(body: &[u8], format: Format) -> Value {
    match format {
        Format::Json => json::read(body, BOUNDS).unwrap(),
        Format::Packed => value::Reader::new(body, BOUNDS).value().unwrap(),
    }
}

fn frame(message: &Value, mode: Mode) -> Vec<u8> {
    let mut body = Vec::new();
    match mode.format() {
        Format::Json => json::append(&mut body, message).unwrap(),
        Format::Packed => value::append(&mut body, message, false).unwrap(),
    }
    if let Some(compression) = mode.compression {
        body = compression.pack(&body).unwrap();
    }
    [&body, MARK].concat()
}

fn request<const N: usize>(fields: [(&'static str, Value); N]) -> Value {
    Value::map([("MPRPC", answer::VERSION.into())].into_iter().chain(fields))
}

fn login(user: &str, password: &str) -> Value {
    let auth = Value::map([("USERNAME", Value::from(user)), ("PASSWORD", password.into())]);
    request([("AUTH", auth)])
}

fn call(id: &str, method: &str, args: Value) -> Value {
    request([
        ("ID", id.into()),
        ("METHOD", method.into()),
        ("RETURN", true.into()),
        ("ARGS", args),
        ("KWARGS", Value::Map(Vec::new())),
    ])
}

/// A call that wants no answer.
fn delay(id: &str, method: &str, args: Value) -> Value {
    let fields = [("ID", id.into()), ("METHOD", method.into()), ("RETURN", false.into())];
    request([fields[0].clone(), fields[1].clone(), fields[2].clone(), ("ARGS", args)])
}

fn list<V: Into<Value>>(items: impl IntoIterator<Item = V>) -> Value {
    Value::List(items.into_iter().map(Into::into).collect())
}

fn none() -> Value {
    Value::List(Vec::new())
}

fn code(answer: &Value) -> i64 {
    assert_eq!(answer.get("MPRPC"), Some(&"0.1".into()));
    answer.get("CODE").and_then(Value::as_int).expect("a code")
}

fn part(answer: &Value, name: &str) -> Value {
    answer.get("MESSAGE").and_then(|message| message.get(name)).cloned().expect(name)
}

fn result(answer: &Value) -> Value {
    assert_eq!(code(answer), 200, "{answer}");
    part(answer, "RESULT")
}

fn error(answer: &Value) -> (i64, String) {
    (code(answer), part(answer, "MESSAGE").as_text().unwrap().to_owned())
}

/// Lets everything run that can without time passing.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Ten thousand idle connections are to cost little, and the future is most of what this crate
/// adds to each.
#[tokio::test]
async fn a_connection_that_waits_is_small() {
    let server = Server::new();
    let (_near, far) = tokio::io::duplex(PIPE);
    let guest = server.core.admit("msgpack", Peer::Memory, &server.listener).unwrap();
    let accepted = Accepted { io: Box::new(far), guest, tls: None };
    let future = crate::connection::serve(server.protocol.0.clone(), accepted);
    assert!(size_of_val(&future) <= 1500, "{} bytes", size_of_val(&future));
}
