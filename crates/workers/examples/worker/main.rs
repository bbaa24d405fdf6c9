//! A worker in Rust: blocking sockets, one call at a time, and nothing of the server's but the
//! frames of `polyport-worker`. With `workers.command = ["worker", "app.txt"]` the server runs it.
//!
//! Read it beside `docs/protocols/worker.md` to write one in another language. What is in
//! `misbehave.rs` is there for the tests of `polyport-workers`, which need a worker that hangs,
//! lies, floods or dies on command.

mod misbehave;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use polyport_core::{Arguments, Fault, Kind, Param, Ran, Reply, Signature, Text, Type, Value};
use polyport_worker::{
    Bounds, Call, Context, Declaration, Description, Frame, Hello, Nested, Origin, Pool, Sender,
    decode,
};

fn main() -> io::Result<()> {
    let app = App::load()?;
    Worker::take_socket(app)?.run()
}

/// What a function gives: a value, or items one by one.
pub(crate) enum Given {
    Value(Value),
    Stream(Box<dyn Iterator<Item = Value>>),
}

type Body = fn(&mut Worker, Origin, Vec<Value>) -> Result<Given, Fault>;

/// The settings of the application: lines of a key and a value, in the file that is the first
/// argument. A reload reads them anew.
pub(crate) struct App {
    path: Option<String>,
    settings: BTreeMap<String, String>,
}

impl App {
    fn load() -> io::Result<Self> {
        let path = std::env::args().nth(1);
        let text = path.as_ref().map(fs::read_to_string).transpose()?.unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let settings = lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Ok(Self { path, settings })
    }

    pub(crate) fn setting(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }

    fn hello(&self) -> Hello {
        let files = self.path.iter().cloned().map(Text::from).collect();
        if let Some(line) = self.setting("error").and_then(|line| line.parse::<i64>().ok()) {
            let fault = Fault::raised("BrokenApp", "this version cannot be loaded");
            let file = self.path.clone().unwrap_or_default();
            return Hello { files, loaded: Err(fault.with("file", file).with("line", line)) };
        }
        let mut description =
            Description { runtime: "Rust".into(), progress: true, ..Description::default() };
        let sticky = Pool { sticky: true, state: true, ..Pool::default() };
        for (name, params, stream, _) in functions() {
            let params = params.split_whitespace().map(param).collect();
            let pool = name.split_once('.').map_or("plain", |(pool, _)| pool);
            let shape = if pool == "sticky" { sticky.clone() } else { Pool::default() };
            description.pools.insert(pool.into(), shape);
            description.functions.push(Declaration {
                signature: Signature { params, returns: Type::Any },
                pool: pool.into(),
                stream,
                ..Declaration::new(name)
            });
        }
        if let Some(name) = self.setting("function") {
            // An application that never tells the same twice.
            let name = name.replace("PID", &std::process::id().to_string());
            description.functions.push(Declaration::new(name));
        }
        Hello { files, loaded: Ok(description) }
    }
}

fn param(text: &str) -> Param {
    match text.split_once(':') {
        Some((name, "int")) => Param::new(name.to_owned(), Type::Int),
        Some((name, _)) => Param::new(name.to_owned(), Type::Text),
        None => Param::new(text.to_owned(), Type::Any).or(Value::Null),
    }
}

/// Name, parameters, whether it gives a stream, and what runs.
type Row = (&'static str, &'static str, bool, Body);

fn functions() -> Vec<Row> {
    let own: [Row; 11] = [
        ("add", "a:int b:int", false, |_, _, v| {
            Ok(Given::Value(Value::Int(int(&v, 0) + int(&v, 1))))
        }),
        ("echo", "value", false, |_, _, mut v| Ok(Given::Value(v.remove(0)))),
        ("pid", "", false, |_, _, _| Ok(Given::Value(Value::Int(std::process::id().into())))),
        ("version", "", false, |worker, _, _| {
            Ok(Given::Value(Value::from(worker.app.setting("version").unwrap_or("1").to_owned())))
        }),
        ("count", "n:int", true, |_, _, v| {
            let (n, endless) = (int(&v, 0), int(&v, 0) == 0);
            let items = (1..).take_while(move |i| endless || *i <= n);
            Ok(Given::Stream(Box::new(items.map(Value::Int))))
        }),
        ("nest", "name:text argument", false, |worker, _, mut v| {
            let (name, argument) = (text(&v, 0), v.remove(1));
            let arguments = if argument == Value::Null { vec![] } else { vec![argument] };
            worker.call(&name, Arguments::positional(arguments)).map(Given::Value)
        }),
        ("deep", "n:int", false, |worker, _, v| match int(&v, 0) {
            0 => Ok(Given::Value(Value::Int(std::process::id().into()))),
            n => worker.call("deep", [n - 1].into_iter().collect()).map(Given::Value),
        }),
        ("streams", "", false, |worker, _, _| {
            Ok(Given::Value(Value::Int(worker.streams.len().try_into().unwrap_or(-1))))
        }),
        ("sticky.sum", "n:int", false, |worker, origin, v| {
            let sum = worker.sums.entry(origin.session).or_default();
            *sum += int(&v, 0);
            Ok(Given::Value(Value::Int(*sum)))
        }),
        ("sticky.count", "", true, |_, _, _| Ok(Given::Stream(Box::new((1..).map(Value::Int))))),
        ("sticky.kept", "", false, |worker, _, _| {
            Ok(Given::Value(Value::Int(worker.sums.len().try_into().unwrap_or(-1))))
        }),
    ];
    own.into_iter().chain(misbehave::functions()).collect()
}

pub(crate) fn int(values: &[Value], at: usize) -> i64 {
    values.get(at).and_then(Value::as_int).unwrap_or_default()
}

pub(crate) fn text(values: &[Value], at: usize) -> String {
    values.get(at).and_then(Value::as_text).unwrap_or_default().to_owned()
}

/// A stream that has not ended.
struct Open {
    id: u64,
    chain: u64,
    items: Box<dyn Iterator<Item = Value>>,
    credit: u64,
}

/// The process: what it was sent and has not yet run, and what it runs.
pub(crate) struct Worker {
    pub(crate) app: App,
    pub(crate) socket: UnixStream,
    pub(crate) message_bytes: usize,
    input: Vec<u8>,
    bodies: HashMap<&'static str, Body>,
    waiting: VecDeque<Call>,
    streams: Vec<Open>,
    /// Id and chain of the calls that run, the innermost last.
    serving: Vec<(u64, u64)>,
    cancelled: HashSet<u64>,
    /// Answers to calls of its own, `None` while they have not come.
    answers: HashMap<u64, Option<Result<Reply, Fault>>>,
    last_id: u64,
    progress: Option<File>,
    begun: u64,
    pub(crate) ignores_drain: bool,
    draining: bool,
    /// What is kept for each session.
    sums: HashMap<u64, i64>,
}

impl Worker {
    fn take_socket(app: App) -> io::Result<Self> {
        // The copy is close-on-exec, and what a function starts finds the end of a file as input.
        let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        let bodies = functions().into_iter().map(|(name, _, _, body)| (name, body)).collect();
        Ok(Self {
            app,
            socket,
            message_bytes: 128 << 20,
            input: Vec::new(),
            bodies,
            waiting: VecDeque::new(),
            streams: Vec::new(),
            serving: Vec::new(),
            cancelled: HashSet::new(),
            answers: HashMap::new(),
            last_id: 0,
            progress: None,
            begun: 0,
            ignores_drain: false,
            draining: false,
            sums: HashMap::new(),
        })
    }

    fn run(mut self) -> io::Result<()> {
        misbehave::at_start(&mut self);
        let hello = self.app.hello();
        let is_broken = hello.loaded.is_err();
        self.write(&Frame::Hello(hello));
        if is_broken {
            std::process::exit(1);
        }
        loop {
            if let Some(call) = self.waiting.pop_front() {
                let began = Instant::now();
                self.serve(call);
                if began.elapsed() > Duration::from_millis(1) {
                    // Those that wait may have been taken back meanwhile.
                    self.look();
                }
            } else if !self.go_on(None) {
                if self.draining && self.streams.is_empty() && !self.ignores_drain {
                    return Ok(());
                }
                self.read();
            }
        }
    }

    /// Runs a call and answers it.
    fn serve(&mut self, call: Call) {
        let Call { id, name, arguments, context } = call;
        let Context::Origin(origin) = context else { return };
        let chain = origin.chain;
        self.serving.push((id, chain));
        self.begun = self.begun.max(id);
        self.mark();
        let given = match self.bodies.get(name.as_str()).copied() {
            Some(body) => body(self, origin, arguments.positional),
            None => Ok(Given::Value(Value::Text(name))),
        };
        self.serving.pop();
        self.mark();
        self.cancelled.remove(&id);
        match given {
            Ok(Given::Value(value)) => {
                self.answer(id, &Frame::Done { id, reply: Reply::Value(value) })
            }
            Ok(Given::Stream(items)) => {
                self.write(&Frame::Stream { id, columns: Vec::new() });
                self.streams.push(Open { id, chain, items, credit: 16 });
            }
            Err(fault) => self.answer(id, &Frame::Fail { id, fault }),
        }
    }

    /// Sends the items that a stream may send; whether there was one that could.
    fn go_on(&mut self, chain: Option<u64>) -> bool {
        let fits = |open: &Open| open.credit > 0 && chain.is_none_or(|chain| chain == open.chain);
        let Some(at) = self.streams.iter().position(fits) else { return false };
        let mut open = self.streams.remove(at);
        while open.credit > 0 {
            let id = open.id;
            let Some(value) = open.items.next() else {
                self.write(&Frame::Done { id, reply: Reply::Value(Value::Null) });
                return true;
            };
            self.write(&Frame::Item { id, value });
            open.credit -= 1;
        }
        self.streams.push(open);
        true
    }

    /// Calls a function of the server's, and runs meanwhile what its answer may need.
    pub(crate) fn call(&mut self, name: &str, arguments: Arguments) -> Result<Value, Fault> {
        let Some(&(serving, chain)) = self.serving.last() else {
            return Err(Fault::new(Kind::Conflict, "nothing runs that it could be inside of"));
        };
        self.last_id += 1;
        let id = self.last_id;
        self.answers.insert(id, None);
        let context = Context::Nested(Nested { serving, limit_ms: None });
        self.write(&Frame::Call(Call { id, name: name.into(), arguments, context }));
        let in_chain =
            |call: &Call| matches!(&call.context, Context::Origin(o) if o.chain == chain);
        loop {
            if let Some(Some(result)) = self.answers.get_mut(&id).map(Option::take) {
                self.answers.remove(&id);
                return result.map(|reply| match reply {
                    Reply::Value(value) => value,
                    other => Value::from(format!("{other:?}")),
                });
            }
            if self.cancelled.contains(&serving) {
                self.answers.remove(&id);
                self.write(&Frame::Cancel { id });
                return Err(Fault::new(Kind::Cancelled, "the call was cancelled"));
            }
            if let Some(at) = self.waiting.iter().position(in_chain) {
                if let Some(call) = self.waiting.remove(at) {
                    self.serve(call);
                }
            } else if !self.go_on(Some(chain)) {
                self.read();
            }
        }
    }

    /// Does what the frames that have arrived say.
    fn look(&mut self) {
        self.socket.set_nonblocking(true).expect("it is a socket");
        self.read();
        self.socket.set_nonblocking(false).expect("it is a socket");
    }

    /// Waits for bytes, and does what the frames in them say.
    pub(crate) fn read(&mut self) {
        let mut bytes = [0; 64 * 1024];
        match self.socket.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // A closed socket ends the worker, with whatever it was doing.
            Ok(0) | Err(_) => std::process::exit(0),
            Ok(length) => self.input.extend_from_slice(&bytes[..length]),
        }
        let bounds = Bounds { bytes: self.message_bytes, depth: 100, values: 10_000_000 };
        let mut used = 0;
        while let Some((frame, length)) =
            decode(&self.input[used..], Sender::Server, bounds).expect("the server keeps to it")
        {
            used += length;
            self.frame(frame);
        }
        self.input.drain(..used);
    }

    fn frame(&mut self, frame: Frame) {
        match frame {
            Frame::Welcome(welcome) => {
                self.message_bytes = usize::try_from(welcome.message_bytes).unwrap_or(usize::MAX);
                let open = |path: Text| File::options().write(true).open(path.as_str());
                self.progress = welcome.progress.map(open).transpose().expect("it is there");
            }
            Frame::Call(call) => {
                misbehave::at_arrival(&call);
                self.waiting.push_back(call);
            }
            Frame::Done { id, reply } => self.answered(id, Ok(reply)),
            Frame::Fail { id, fault } => self.answered(id, Err(fault)),
            Frame::Cancel { id } => self.cancel(id),
            Frame::Credit { id, count } => {
                if let Some(open) = self.streams.iter_mut().find(|open| open.id == id) {
                    open.credit += count;
                }
            }
            Frame::Ping(number) => self.write(&Frame::Pong(number)),
            Frame::Drain => self.draining = true,
            Frame::Leave { session } => drop(self.sums.remove(&session)),
            // A nested call that answers with a stream is more than this example takes.
            _ => {}
        }
    }

    fn answered(&mut self, id: u64, result: Result<Reply, Fault>) {
        if let Some(answer) = self.answers.get_mut(&id) {
            *answer = Some(result);
        }
    }

    fn cancel(&mut self, id: u64) {
        let (waiting, open) = (self.waiting.len(), self.streams.len());
        self.waiting.retain(|call| call.id != id);
        self.streams.retain(|stream| stream.id != id);
        if (waiting, open) == (self.waiting.len(), self.streams.len()) {
            self.cancelled.insert(id);
            return;
        }
        let ran = if open == self.streams.len() { Ran::No } else { Ran::Yes };
        let fault = Fault::new(Kind::Cancelled, "the call was cancelled").with_ran(ran);
        self.write(&Frame::Fail { id, fault });
    }

    /// Tells the progress file what runs. A plain write does as well as a mapping.
    fn mark(&self) {
        if let Some(file) = &self.progress {
            let running = self.serving.last().map_or(0, |(id, _)| *id);
            let bytes = [running.to_le_bytes(), self.begun.to_le_bytes()].concat();
            file.write_all_at(&bytes, 0).expect("it can be written");
        }
    }

    /// Puts an answer into the progress file's outbox. This worker sends every answer at once; only
    /// the tests need it to keep one.
    pub(crate) fn keep(&self, frame: &Frame) {
        let mut kept = Vec::new();
        frame.encode(&mut kept, self.message_bytes).expect("it is short");
        let file = self.progress.as_ref().expect("there is a progress file");
        file.write_all_at(&kept, 24).expect("it can be written");
        let word = u64::try_from(kept.len()).expect("it is short");
        file.write_all_at(&word.to_le_bytes(), 16).expect("it can be written");
    }

    /// Answers a call, or says why the answer cannot be sent.
    fn answer(&mut self, id: u64, frame: &Frame) {
        let mut out = Vec::new();
        match frame.encode(&mut out, self.message_bytes) {
            Ok(()) => self.write_bytes(&out),
            Err(fault) => self.write(&Frame::Fail { id, fault: fault.with_ran(Ran::Yes) }),
        }
    }

    pub(crate) fn write(&mut self, frame: &Frame) {
        let mut out = Vec::new();
        frame.encode(&mut out, self.message_bytes).expect("it is short");
        self.write_bytes(&out);
    }

    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) {
        if self.socket.write_all(bytes).is_err() {
            std::process::exit(0);
        }
    }

    /// The call that is running.
    pub(crate) fn id(&self) -> u64 {
        self.serving.last().map_or(0, |(id, _)| *id)
    }
}
