//! What a worker must not do, on command.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use polyport_core::{Arguments, Fault, Kind, Reply, Value};
use polyport_worker::{Call, Context, Frame, Nested};

use crate::{Given, Row, Worker, int, text};

pub(crate) fn functions() -> Vec<Row> {
    vec![
        // Tells that it runs, then waits to be told to go on, which never comes to a busy loop.
        ("hold", "name:text", false, |worker, _, v| {
            worker.call("test.hold", [text(&v, 0)].into_iter().collect()).map(Given::Value)
        }),
        ("spin", "name:text", false, |worker, _, v| {
            worker.call("test.note", [text(&v, 0)].into_iter().collect())?;
            loop {
                std::hint::spin_loop();
            }
        }),
        // As quick as any, but for one call.
        ("moody", "name:text", false, |worker, _, v| match text(&v, 0).as_str() {
            "" => Ok(Given::Value(Value::Int(std::process::id().into()))),
            name => {
                worker.call("test.note", [name.to_owned()].into_iter().collect())?;
                loop {
                    std::hint::spin_loop();
                }
            }
        }),
        // Leaves a trace of each time that it ran.
        ("trace", "path:text ms:int", false, |_, _, v| {
            std::thread::sleep(Duration::from_millis(int(&v, 1).unsigned_abs()));
            let file = std::fs::File::options().append(true).create(true).open(text(&v, 0));
            let written = file.and_then(|mut file| file.write_all(b"."));
            written.map_err(|error| Fault::new(Kind::Raised, error.to_string()))?;
            Ok(Given::Value(Value::Null))
        }),
        ("sleep", "ms:int", false, |_, _, v| {
            std::thread::sleep(Duration::from_millis(int(&v, 0).unsigned_abs()));
            Ok(Given::Value(Value::Int(std::process::id().into())))
        }),
        ("leak", "bytes:int", false, |_, _, v| {
            static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
            let bytes = vec![1; usize::try_from(int(&v, 0)).unwrap_or(0)];
            KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
            Ok(Given::Value(Value::Int(std::process::id().into())))
        }),
        ("big", "bytes:int", false, |_, _, v| {
            let bytes = vec![b'x'; usize::try_from(int(&v, 0)).unwrap_or(0)];
            Ok(Given::Value(Value::Bytes(bytes.into())))
        }),
        ("poison", "", false, |_, _, _| Ok(Given::Value(Value::Null))),
        ("misbehave", "how:text name", false, |worker, _, v| misbehave(worker, &v)),
        ("sticky.misbehave", "how:text name", false, |worker, _, v| misbehave(worker, &v)),
        ("overrun", "", true, |worker, _, _| {
            let id = worker.id();
            worker.write(&Frame::Stream { id, columns: Vec::new() });
            for n in 0..1_000 {
                worker.write(&Frame::Item { id, value: Value::Int(n) });
            }
            hang()
        }),
    ]
}

/// What the application's file asks for before HELLO.
pub(crate) fn at_start(worker: &mut Worker) {
    // Of all workers only the first starts.
    if let Some(path) = worker.app.setting("once") {
        let first = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
        match first {
            Ok(mut file) => drop(writeln!(file, "{}", std::process::id())),
            Err(_) => std::process::exit(8),
        }
    }
    match worker.app.setting("start") {
        Some("silent") => hang(),
        Some("close") => {
            let _ = worker.socket.shutdown(std::net::Shutdown::Both);
            hang()
        }
        Some("exit") => std::process::exit(7),
        Some("garbage") => worker.write_bytes(b"HTTP/1.1 200 OK\r\n\r\n"),
        // Promises a HELLO of 100 MB and sends a byte of it at a time.
        Some("slow") => {
            worker.write_bytes(&[0xce, 6, 0, 0, 0, 0x92]);
            hang()
        }
        Some("output") => flood(b"all work and no play\n", 4_000),
        _ => {}
    }
}

/// A call that ends the worker before it begins, as one too large for its memory does.
pub(crate) fn at_arrival(call: &Call) {
    if call.name == "poison" {
        std::process::exit(9);
    }
}

fn misbehave(worker: &mut Worker, values: &[Value]) -> Result<Given, Fault> {
    let id = worker.id();
    match text(values, 0).as_str() {
        "exit" => std::process::exit(3),
        "abort" => std::process::abort(),
        // Long lines and short ones, and one without an end.
        "output" => {
            flood(b"all work and no play\n", 50_000);
            flood(&[b'-'; 1_000], 4_000);
        }
        // Keeps the answer to be sent with the next one, and never gets there.
        "keep and die" => {
            worker.keep(&Frame::Done { id, reply: Reply::Value(Value::Int(7)) });
            std::process::abort()
        }
        "keep and hang" => {
            worker.keep(&Frame::Done { id, reply: Reply::Value(Value::Int(7)) });
            hang()
        }
        "garbage" => {
            worker.write_bytes(&[7; 5_000]);
            hang()
        }
        "giant" => {
            worker.write_bytes(&[0xce, 0xff, 0xff, 0xff, 0xff, 0x93]);
            hang()
        }
        "half" => {
            worker.write_bytes(&[0xce, 7, 0, 0, 0, 0x93]);
            hang()
        }
        "unknown" => {
            for id in [0, id + 1_000, u64::MAX] {
                worker.write(&Frame::Done { id, reply: Reply::Value(Value::Int(1)) });
                worker.write(&Frame::Fail { id, fault: Fault::new(Kind::Raised, "no") });
                worker.write(&Frame::Item { id, value: Value::Int(1) });
                worker.write(&Frame::Stream { id, columns: Vec::new() });
                worker.write(&Frame::Cancel { id });
                worker.write(&Frame::Credit { id, count: u64::MAX });
                worker.write(&Frame::Pong(id));
            }
        }
        "twice" => worker.write(&Frame::Done { id, reply: Reply::Value(Value::Int(1)) }),
        "close" => {
            let _ = worker.socket.shutdown(std::net::Shutdown::Both);
            hang()
        }
        "deaf" => hang(),
        // Asks and asks, and never reads an answer.
        "pings" => loop {
            worker.write(&Frame::Ping(1));
        },
        "calls" => {
            for id in 1_000_000.. {
                let context = Context::Nested(Nested { serving: worker.id(), limit_ms: None });
                let (name, arguments) = ("test.big".into(), Arguments::default());
                worker.write(&Frame::Call(Call { id, name, arguments, context }));
            }
        }
        "drains" => {
            for _ in 0..1_000 {
                worker.write(&Frame::Drain);
            }
        }
        "stay" => worker.ignores_drain = true,
        // A process out of reach of the group that is killed, which writes to the socket for ever.
        #[expect(clippy::zombie_processes, reason = "it outlives the worker")]
        "fork" => {
            let socket = worker.socket.as_fd().try_clone_to_owned().expect("it can be copied");
            let mut setsid = Command::new("setsid");
            let child = setsid.args(["sh", "-c", "yes >&0"]).stdin(Stdio::from(socket));
            child.spawn().expect("there is setsid");
        }
        "heir" => {
            let socket = worker.socket.as_fd().try_clone_to_owned().expect("it can be copied");
            let mut sleep = Command::new("sleep");
            let child = sleep.arg("1000").stdin(Stdio::from(socket)).spawn();
            return Ok(Given::Value(Value::Int(child.expect("there is sleep").id().into())));
        }
        how => return Err(Fault::new(Kind::Arguments, format!("'{how}' is not known"))),
    }
    Ok(Given::Value(Value::Int(std::process::id().into())))
}

fn flood(line: &[u8], times: usize) {
    let mut out = std::io::stdout().lock();
    for _ in 0..times {
        let _ = out.write_all(line);
    }
    let _ = out.flush();
}

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}
