//! A server in memory and a client that writes raw HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use polyport_core::{
    Anonymous, Core, Fault, Function, Kind, Limits, Listener, Param, Peer, Reply, Rows, Settings,
    Sink, Stream, Type, User, Value,
};
use polyport_http::{Config, Http};
use polyport_wire::{Accepted, Protocol as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinHandle;

/// Calls of `wait` that were begun and not finished.
#[derive(Default)]
pub(crate) struct Waiting(AtomicUsize);

impl Waiting {
    pub(crate) fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

pub(crate) struct Server {
    pub(crate) core: Core,
    pub(crate) waiting: Arc<Waiting>,
    http: Arc<Http>,
    listener: Arc<Listener>,
}

/// Ann (password `pw`, token `t0ken`) may call all but `stats.*` and `hidden`; root everything.
pub(crate) fn server() -> Server {
    server_with(Http::new(Config::default()), Limits::default(), Anonymous::Nobody)
}

pub(crate) fn open_server() -> Server {
    let anonymous = Anonymous::Everywhere("visitor".into());
    server_with(Http::new(Config::default()), Limits::default(), anonymous)
}

pub(crate) fn server_with(http: Http, limits: Limits, anonymous: Anonymous) -> Server {
    let core = Core::new(Settings { limits, ..Settings::default() }).unwrap();
    let waiting = Arc::new(Waiting::default());
    core.register(functions(&waiting)).unwrap();
    let ann = User::new("ann", "pw").token("t0ken").right("call math.*").right("call test.*");
    core.put_user(ann);
    core.put_user(User::new("root", "rootpw").right("admin"));
    core.put_user(User::anonymous("visitor").right("call math.*").right("call test.*"));
    let listener = Arc::new(Listener { address: "127.0.0.1:8308".into(), anonymous });
    Server { core, waiting, http: Arc::new(http), listener }
}

fn functions(waiting: &Arc<Waiting>) -> Vec<Function> {
    let number = |name| Param::new(name, Type::Int);
    let waiting = waiting.clone();
    vec![
        Function::build("math.add")
            .param(number("a"))
            .param(number("b").or(10))
            .returns(Type::Int)
            .help("Adds.\n\nTwo numbers.")
            .inline(|_, mut args| Ok::<i64, Fault>(args.take::<i64>()? + args.take::<i64>()?)),
        Function::build("test.echo")
            .param(Param::new("x", Type::Any))
            .inline(|_, mut args| args.take::<Value>()),
        Function::build("test.who").inline(|call, _| call.user().to_string()),
        Function::build("test.boom")
            .inline(|_, _| Err::<(), _>(Fault::numbered(1234, "no such thing").with("n", 1))),
        Function::build("test.rows").inline(|_, _| {
            Rows::new(["i", "s"]).cells(vec![1.into(), "a".into()]).cells(vec![2.into()])
        }),
        Function::build("test.count").param(number("n")).param(number("fail").or(-1)).inline(
            |_, mut args| {
                let (n, fail) = (args.take::<i64>()?, args.take::<i64>()?);
                Ok::<_, Fault>(Stream::produce(async move |sink: Sink| {
                    for i in 0..n {
                        if i == fail {
                            return Err(Fault::raised("ValueError", "spent"));
                        }
                        sink.send(i).await?;
                    }
                    Ok(())
                }))
            },
        ),
        Function::build("test.tick").inline(|_, _| {
            Stream::produce(async |sink: Sink| {
                for i in 0.. {
                    tokio::time::sleep(Duration::from_secs(20)).await;
                    sink.send(i).await?;
                }
                Ok(())
            })
        }),
        Function::build("test.many").inline(|_, _| {
            Ok::<_, Fault>(Reply::Many(vec![
                Reply::Value(1.into()),
                Reply::Rows(Rows::new(["a"]).row([2])),
                Reply::Stream(Stream::new(futures_util::stream::iter([3, 4]))),
            ]))
        }),
        Function::build("test.wait").param(number("s")).asynchronous(move |_, mut args| {
            struct Inside(Arc<Waiting>);
            impl Drop for Inside {
                fn drop(&mut self) {
                    self.0.0.fetch_sub(1, SeqCst);
                }
            }
            waiting.0.fetch_add(1, SeqCst);
            let inside = Inside(waiting.clone());
            let seconds = args.take::<u64>();
            Box::pin(async move {
                let _inside = inside;
                tokio::time::sleep(Duration::from_secs(seconds?)).await;
                Ok(Reply::Value("waited".into()))
            })
        }),
        Function::build("hidden").inline(|_, _| ()),
        Function::build("test.fail").param(Param::new("kind", Type::Text)).inline(|_, mut args| {
            let name: String = args.take()?;
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
            Err::<(), _>(Fault::new(kind.unwrap_or(Kind::Internal), "as asked"))
        }),
    ]
}

impl Server {
    /// Opens a connection whose pipe holds so many bytes.
    pub(crate) fn connect_over(&self, pipe_bytes: usize) -> Client {
        let (ours, theirs) = tokio::io::duplex(pipe_bytes);
        let guest = self.core.admit("http", Peer::Memory, &self.listener).unwrap();
        let accepted = Accepted { io: Box::new(theirs), guest, tls: None };
        let serving = tokio::spawn(self.http.clone().serve(accepted));
        Client { pipe: ours, serving, read: Vec::new() }
    }

    pub(crate) fn connect(&self) -> Client {
        self.connect_over(1 << 20)
    }

    /// Sends one request on a connection of its own.
    pub(crate) async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect();
        client.send(request).await;
        client.answer().await
    }

    /// Calls a function as ann.
    pub(crate) async fn call(&self, name: &str, body: &str) -> Answer {
        self.ask(post(&format!("/v1/call/{name}"), "authorization: Bearer t0ken\r\n", body)).await
    }

    pub(crate) fn connection(&self) -> Arc<polyport_core::Connection> {
        self.core.connections().all().remove(0)
    }
}

pub(crate) const ANN: &str = "authorization: Bearer t0ken\r\n";
pub(crate) const ROOT: &str = "authorization: Basic cm9vdDpyb290cHc=\r\n";

pub(crate) fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n")
}

/// A call as ann, with arguments in MessagePack.
pub(crate) fn post_packed(name: &str, headers: &str, arguments: &Value) -> Vec<u8> {
    let mut body = Vec::new();
    polyport_pack::append(&mut body, arguments).unwrap();
    let head = format!(
        "POST /v1/call/{name} HTTP/1.1\r\nhost: localhost\r\n{ANN}{headers}\
         content-type: application/vnd.polyport.msgpack\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

pub(crate) const PACKED: &str = "accept: application/vnd.polyport.msgpack\r\n";
pub(crate) const FRAMES: &str = "accept: application/vnd.polyport.msgpack-seq\r\n";

const BOUNDS: polyport_pack::Bounds =
    polyport_pack::Bounds { depth: 100, values: 1_000_000, foreign: false };

pub(crate) fn unpacked(bytes: &[u8]) -> Value {
    let mut reader = polyport_pack::Reader::new(bytes, BOUNDS);
    let value = reader.value().unwrap();
    reader.end().unwrap();
    value
}

/// The frames that a stream consists of, each as its kind and what is in it.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<(i64, Value)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(5) {
        assert_eq!(head[0], 0xce);
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let Value::List(mut frame) = unpacked(&rest[..length]) else { panic!("no array") };
        let content = frame.pop().unwrap();
        frames.push((frame.pop().and_then(|kind| kind.as_int()).unwrap(), content));
        assert!(frame.is_empty());
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty());
    frames
}

pub(crate) fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}

pub(crate) struct Client {
    pub(crate) pipe: DuplexStream,
    pub(crate) serving: JoinHandle<()>,
    read: Vec<u8>,
}

/// One answer, its chunks joined.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        polyport_core::json::parse(self.body.as_bytes()).expect(&self.body)
    }

    /// The value in a body of MessagePack.
    pub(crate) fn packed(&self) -> Value {
        unpacked(&self.bytes)
    }

    /// The kind of the fault in the body.
    pub(crate) fn kind(&self) -> String {
        let json = self.json();
        let kind = json.get("error").and_then(|error| error.get("kind"));
        kind.and_then(Value::as_text).expect(&self.body).to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(": ")?;
            own.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Client {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.pipe.write_all(bytes.as_ref()).await.unwrap();
    }

    async fn more(&mut self) -> bool {
        let before = self.read.len();
        self.pipe.read_buf(&mut self.read).await.unwrap();
        self.read.len() > before
    }

    /// Reads up to and including a text.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        loop {
            let found = self.read.windows(text.len()).position(|part| part == text.as_bytes());
            if let Some(at) = found {
                let part = self.read.drain(..at + text.len()).collect();
                return String::from_utf8(part).unwrap();
            }
            let so_far = String::from_utf8_lossy(&self.read).into_owned();
            assert!(self.more().await, "the connection ended before {text:?}: {so_far}");
        }
    }

    /// Reads so many bytes.
    async fn exactly(&mut self, bytes: usize) -> Vec<u8> {
        while self.read.len() < bytes {
            assert!(self.more().await, "the connection ended within a body");
        }
        self.read.drain(..bytes).collect()
    }

    /// Reads one answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.until("\r\n\r\n").await;
        let status = head[9..12].parse().unwrap();
        let mut answer = Answer { status, head, body: String::new(), bytes: Vec::new() };
        if let Some(length) = answer.header("content-length") {
            let length = length.parse().unwrap();
            answer.bytes = self.exactly(length).await;
        } else if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk_bytes().await {
                answer.bytes.extend(chunk);
            }
        }
        answer.body = String::from_utf8_lossy(&answer.bytes).into_owned();
        answer
    }

    /// Reads one chunk; the last one is `None`.
    pub(crate) async fn chunk(&mut self) -> Option<String> {
        self.chunk_bytes().await.map(|chunk| String::from_utf8(chunk).unwrap())
    }

    /// Reads one chunk; the last one is `None`.
    pub(crate) async fn chunk_bytes(&mut self) -> Option<Vec<u8>> {
        let size = self.until("\r\n").await;
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        let mut chunk = self.exactly(size + 2).await;
        chunk.truncate(size);
        (size > 0).then_some(chunk)
    }

    /// Reads to the end of the connection and waits until the server is done with it.
    pub(crate) async fn rest(mut self) -> String {
        while self.more().await {}
        drop(self.pipe);
        self.serving.await.unwrap();
        String::from_utf8(self.read).unwrap()
    }
}

/// Lets every other task run until all of them wait.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

pub(crate) fn result(value: impl Into<Value>) -> Value {
    Value::map([("result", value.into())])
}
