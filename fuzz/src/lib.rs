//! Whole sessions in memory, driven by whatever a fuzzer thinks of.
//!
//! A session is what a stranger can reach, so it fuzzes the codec, the state and the commands of a
//! protocol together. Time is paused: a server that waits for more input is at its limit at once.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use polyport_core::{
    Anonymous, Core, Fault, Function, Listener, Param, Peer, Rows, Settings, Sink, Stream, Type,
    User, Value,
};
use polyport_wire::{Accepted, Protocol};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime::{Builder, Runtime};

/// After so much paused time a session that has lost its client hangs.
const HANG: Duration = Duration::from_secs(600);

/// A server of one protocol.
pub struct Server {
    runtime: Runtime,
    core: Core,
    listener: Arc<Listener>,
    protocol: Arc<dyn Protocol>,
}

/// What a client does before the fuzzer's bytes are sent.
pub type Prologue =
    for<'a> fn(&'a mut DuplexStream) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;

impl Server {
    fn new(protocol: Arc<dyn Protocol>) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let core = Core::new(Settings::default()).expect("the core starts");
        core.register(functions()).expect("the names are free");
        core.put_user(User::new("ann", "pw").token("t0ken").right("call *"));
        core.put_user(User::anonymous("visitor").right("call *"));
        let anonymous = Anonymous::Everywhere("visitor".into());
        let listener = Arc::new(Listener { address: "127.0.0.1:1".into(), anonymous });
        Self { runtime: runtime.expect("the runtime starts"), core, listener, protocol }
    }

    /// Serves one connection. The first byte says in how large pieces the others arrive.
    fn session(&self, prologue: Option<Prologue>, data: &[u8]) {
        let Some((pieces, data)) = data.split_first() else { return };
        let size = if *pieces == 0 { data.len().max(1) } else { usize::from(*pieces) };
        self.runtime.block_on(async {
            let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
            let guest = self.core.admit(self.protocol.name(), Peer::Memory, &self.listener);
            let guest = guest.expect("there is room");
            let accepted = Accepted { io: Box::new(theirs), guest, tls: None };
            let serving = tokio::spawn(self.protocol.clone().serve(accepted));
            if let Some(prologue) = prologue {
                prologue(&mut ours).await;
            }
            let (mut reading, mut writing) = tokio::io::split(ours);
            let draining = tokio::spawn(async move {
                let mut sink = vec![0; 4096];
                while reading.read(&mut sink).await.is_ok_and(|bytes| bytes > 0) {}
            });
            for piece in data.chunks(size) {
                if writing.write_all(piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            let _ = writing.shutdown().await;
            let ended = tokio::time::timeout(HANG, serving).await;
            ended.expect("the session hangs").expect("the session panics");
            draining.await.expect("the reader ends");
        });
        assert_eq!(self.core.connections().count(), 0);
    }
}

/// Serves one connection of a protocol that is made once.
pub fn run(make: fn() -> Arc<dyn Protocol>, prologue: Option<Prologue>, data: &[u8]) {
    thread_local! {
        static SERVER: OnceCell<Server> = const { OnceCell::new() };
    }
    SERVER.with(|server| server.get_or_init(|| Server::new(make())).session(prologue, data));
}

fn functions() -> Vec<Function> {
    let number = |name| Param::new(name, Type::Int);
    vec![
        Function::build("add").param(number("a")).param(number("b").or(10)).inline(
            |_, mut args| {
                let (a, b) = (args.take::<i64>()?, args.take::<i64>()?);
                a.checked_add(b).ok_or_else(|| Fault::numbered(1264, "out of range"))
            },
        ),
        Function::build("echo")
            .param(Param::new("x", Type::Any).rest())
            .inline(|_, mut args| args.take::<Value>()),
        Function::build("rows").inline(|_, _| Rows::new(["i", "s"]).cells(vec![1.into()])),
        Function::build("count").param(number("n")).inline(|_, mut args| {
            let most = args.take::<u8>()?;
            Ok::<_, Fault>(Stream::produce(async move |sink: Sink| {
                for number in 0..most {
                    sink.send(i64::from(number)).await?;
                }
                Ok(())
            }))
        }),
    ]
}
