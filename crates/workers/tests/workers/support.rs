//! A server with real workers, and clients of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use polyport_core::stats::{WorkerState, WorkerStats};
use polyport_core::{
    Arguments, Core, Fault, Function, Guest, Limits, Listener, Param, Peer, Proof, Reply, Session,
    Settings, Type, User, Value,
};
use polyport_workers::{Config, Workers};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What everything in these tests takes less than.
const LIMIT: Duration = Duration::from_secs(30);

/// A server whose functions run in workers of `examples/worker`.
pub(crate) struct Rig {
    pub(crate) core: Core,
    workers: Option<Workers>,
    holds: Holds,
    folder: TempDir,
}

impl Rig {
    /// Starts workers of an application with these settings.
    pub(crate) async fn start(app: &str, config: impl FnOnce(&mut Config)) -> Self {
        Self::try_start(app, config).await.unwrap()
    }

    pub(crate) async fn try_start(
        app: &str,
        adjust: impl FnOnce(&mut Config),
    ) -> Result<Self, Fault> {
        Self::start_at(app, vec![], adjust).await
    }

    /// Starts workers on these runtimes.
    pub(crate) async fn start_at(
        app: &str,
        places: Vec<Handle>,
        adjust: impl FnOnce(&mut Config),
    ) -> Result<Self, Fault> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.txt");
        std::fs::write(&path, app).unwrap();
        let command = vec![program(), path.to_str().unwrap().to_owned()];
        let mut config = Config { command, count: Some(1), ..Config::default() };
        adjust(&mut config);
        let limits = Limits { slow_s: Duration::ZERO, ..Limits::default() };
        let core = Core::new(Settings { limits, databases: vec![], keep_users: None }).unwrap();
        let holds = Holds::default();
        core.register(holds.functions()).unwrap();
        core.put_user(User::new("root", "secret").right("admin"));
        core.put_user(User::new("ann", "secret").right("call *"));
        let limit = Duration::from_millis(500);
        core.put_user(User::new("hasty", "secret").right("call *").time_limit("test", limit));
        let workers = Some(within(Workers::start(&core, config, places)).await?);
        Ok(Self { core, workers, holds, folder })
    }

    /// Writes the application's settings, for the next reload.
    pub(crate) fn write_app(&self, app: &str) {
        std::fs::write(self.app_path(), app).unwrap();
    }

    pub(crate) fn app_path(&self) -> PathBuf {
        self.folder.path().join("app.txt")
    }

    pub(crate) async fn reload(&self) -> Result<String, Fault> {
        let workers = self.workers.as_ref().unwrap();
        within(workers.reload()).await.map(|summary| summary.to_string())
    }

    pub(crate) async fn stop(&mut self, within_s: Duration) {
        within(self.workers.take().unwrap().stop(within_s)).await;
    }

    pub(crate) async fn client(&self) -> Client {
        self.client_as("ann").await
    }

    pub(crate) async fn client_as(&self, user: &str) -> Client {
        let listener = Arc::new(Listener::default());
        let guest = self.core.admit("test", Peer::Memory, &listener).unwrap();
        let session = guest.login(user, Proof::Password("secret")).await.unwrap();
        Client { session, guest }
    }

    /// Waits until a worker's `hold` or `spin` of this name has begun.
    pub(crate) async fn begun(&self, name: &str) {
        within(self.holds.wait(|names| match names.get_mut(name) {
            Some(hold) if hold.begun > 0 => {
                hold.begun -= 1;
                true
            }
            _ => false,
        }))
        .await;
    }

    /// Lets the call of this name go on.
    pub(crate) fn release(&self, name: &str) {
        self.holds.change(name, |hold| hold.released += 1);
    }

    pub(crate) fn stats(&self) -> Vec<WorkerStats> {
        self.core.stats().workers()
    }

    /// The process of the worker in a pool's first place; waits while there is none.
    pub(crate) async fn pid(&self, pool: &str) -> u32 {
        self.until("the worker is there", || self.ready(pool).first().copied()).await
    }

    /// The processes of the workers of a pool that take calls.
    pub(crate) fn ready(&self, pool: &str) -> Vec<u32> {
        let ready = |own: &WorkerStats| own.pool == *pool && own.state == WorkerState::Ready;
        self.stats().iter().filter(|own| ready(own)).map(|own| own.pid).collect()
    }

    /// Waits for a condition.
    pub(crate) async fn until<T>(&self, what: &str, condition: impl FnMut() -> Option<T>) -> T {
        until(what, condition).await
    }
}

pub(crate) const NONE: [i64; 0] = [];

/// Calls a function until the server has seen that it is quick, and sends calls of it ahead to a
/// worker that still runs another.
pub(crate) async fn quicken(client: &Client) {
    for n in 0..20 {
        assert_eq!(client.int("add", [n, 1]).await.unwrap(), n + 1);
    }
}

/// Waits for a condition.
pub(crate) async fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = std::time::Instant::now();
    loop {
        if let Some(met) = condition() {
            return met;
        }
        assert!(began.elapsed() < LIMIT, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("it takes too long")
}

/// Whether there is such a process that has not ended.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

pub(crate) fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// The example that these tests run. It is built with them.
fn program() -> String {
    let own = std::env::current_exe().unwrap();
    let folder = own.parent().and_then(|deps| deps.parent()).unwrap();
    folder.join("examples/worker").to_str().unwrap().to_owned()
}

/// One logged-in connection.
pub(crate) struct Client {
    pub(crate) session: Session,
    #[expect(dead_code, reason = "the connection ends with it")]
    guest: Guest,
}

impl Client {
    pub(crate) async fn reply(&self, name: &str, arguments: Arguments) -> Result<Reply, Fault> {
        within(self.session.call(name, arguments)).await
    }

    pub(crate) async fn call<T: Into<Value>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = T>,
    ) -> Result<Value, Fault> {
        within(self.reply(name, arguments.into_iter().collect()).await?.into_value(1_000_000)).await
    }

    pub(crate) async fn int<T: Into<Value>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = T>,
    ) -> Result<i64, Fault> {
        self.call(name, arguments).await.map(|value| value.as_int().unwrap())
    }

    /// Begins a call and goes on. The call ends when the handle is aborted.
    pub(crate) fn begin(&self, name: &str, argument: &str) -> JoinHandle<Result<Value, Fault>> {
        let (session, name, arguments) =
            (self.session.clone(), name.to_owned(), [argument.to_owned()].into_iter().collect());
        tokio::spawn(
            async move { session.call(&name, arguments).await?.into_value(1_000_000).await },
        )
    }
}

/// Calls that wait in the server until the test lets them go on.
#[derive(Clone, Default)]
struct Holds(Arc<Table>);

#[derive(Default)]
struct Table {
    names: Mutex<HashMap<String, Hold>>,
    changed: Notify,
}

#[derive(Default)]
struct Hold {
    begun: usize,
    released: usize,
}

impl Holds {
    fn change(&self, name: &str, change: impl FnOnce(&mut Hold)) {
        change(self.0.names.lock().unwrap().entry(name.to_owned()).or_default());
        self.0.changed.notify_waiters();
    }

    async fn wait(&self, mut condition: impl FnMut(&mut HashMap<String, Hold>) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if condition(&mut self.0.names.lock().unwrap()) {
                return;
            }
            changed.await;
        }
    }

    fn functions(&self) -> Vec<Function> {
        let (hold, note) = (self.clone(), self.clone());
        let name = || Param::new("name", Type::Text);
        vec![
            Function::build("test.hold").param(name()).asynchronous(move |_, mut arguments| {
                let (hold, name) = (hold.clone(), arguments.take::<String>());
                Box::pin(async move {
                    let name = name?;
                    hold.change(&name, |hold| hold.begun += 1);
                    hold.wait(|names| match names.get_mut(&name) {
                        Some(hold) if hold.released > 0 => {
                            hold.released -= 1;
                            true
                        }
                        _ => false,
                    })
                    .await;
                    Ok(Reply::Value(name.into()))
                })
            }),
            Function::build("test.note").param(name()).inline(move |_, mut arguments| {
                let name: String = arguments.take()?;
                note.change(&name, |hold| hold.begun += 1);
                Ok::<_, Fault>(())
            }),
            Function::build("test.big").inline(|_, _| "x".repeat(64 * 1024)),
        ]
    }
}
