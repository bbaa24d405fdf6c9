//! The server: built from functions, users and listeners; run alone or inside another program.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use polyport_core::{Core, Fault, Function, Listener, Object, Settings, User};
use polyport_wire::Protocol;
use tokio::io::DuplexStream;
use tokio_util::sync::CancellationToken;

use crate::acceptor::{Acceptor, Address, Socket};
use crate::client::Client;
use crate::config::{Config, IfTaken, Listen};
use crate::describe::{IsFunction, IsObject};
use crate::error::Error;
use crate::folder::{Folder, keeper};
use crate::protocols::{self, ByName};
use crate::threads::{Places, Threads};
use crate::tls;

/// How long workers have to exit once no connection is left.
#[cfg(feature = "workers")]
const WORKERS_EXIT: Duration = Duration::from_secs(2);

/// Why an application cannot be loaded, with its traceback.
#[cfg(feature = "workers")]
fn application_error(fault: &Fault) -> Error {
    let error = Error::new(format!("cannot load the application: {}", fault.message()));
    let trace = fault.trace().trim();
    if trace.is_empty() { error } else { error.hint(trace.to_owned()) }
}

/// How long running calls have to finish when the server stops, unless configured.
const GRACE: Duration = Duration::from_secs(10);

/// A server in the making.
#[derive(Default)]
pub struct Builder {
    config: Config,
    functions: Vec<Function>,
    users: Vec<User>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("functions", &self.functions).finish_non_exhaustive()
    }
}

impl Builder {
    /// Registers a function that has `#[polyport::function]`.
    #[must_use]
    pub fn function<F: IsFunction>(self) -> Self {
        self.functions([F::function()])
    }

    /// Registers functions built by hand.
    #[must_use]
    pub fn functions(mut self, functions: impl IntoIterator<Item = Function>) -> Self {
        self.functions.extend(functions);
        self
    }

    /// Registers one object for all callers; its methods are `name.method`.
    #[must_use]
    pub fn object<T: IsObject>(self, name: &str, object: T) -> Self {
        self.objects(T::describe(Object::shared(name.to_owned(), object)))
    }

    /// Registers an object that each connection gets its own of.
    #[must_use]
    pub fn object_per_connection<T: IsObject>(
        self,
        name: &str,
        make: impl Fn() -> T + Send + Sync + 'static,
    ) -> Self {
        self.objects(T::describe(Object::per_connection(name.to_owned(), make)))
    }

    /// Registers an object that each call gets its own of.
    #[must_use]
    pub fn object_per_call<T: IsObject>(
        self,
        name: &str,
        make: impl Fn() -> T + Send + Sync + 'static,
    ) -> Self {
        self.objects(T::describe(Object::per_call(name.to_owned(), make)))
    }

    /// Registers one object for all callers, its methods under their own names, as pymprpc's
    /// `register_instance` does.
    #[must_use]
    pub fn instance<T: IsObject>(self, object: T) -> Self {
        self.objects(T::describe(Object::shared("instance", object).flat()))
    }

    /// Registers an object built by hand.
    #[must_use]
    pub fn objects<T: Send + Sync + 'static>(self, object: Object<T>) -> Self {
        self.functions(object.into_functions())
    }

    /// Adds a user.
    #[must_use]
    pub fn user(mut self, user: User) -> Self {
        self.users.push(user);
        self
    }

    /// Listens for a protocol at `host:port` or `unix:path`; port 0 takes a free one.
    #[must_use]
    pub fn listen(self, protocol: &str, address: &str) -> Self {
        self.listener(Listen {
            protocol: protocol.to_owned(),
            address: Some(address.to_owned()),
            ..Listen::default()
        })
    }

    /// Adds a listener with all its settings.
    #[must_use]
    pub fn listener(mut self, listen: Listen) -> Self {
        self.config.listen.push(listen);
        self
    }

    /// Keeps data in a folder; without one, nothing outlives the process.
    #[must_use]
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Self {
        self.config.data = Some(folder.into());
        self
    }

    /// All settings, to read or change.
    pub fn config(&mut self) -> &mut Config {
        &mut self.config
    }

    /// The same, as a link of the chain: `.configure(|config| config.threads = Some(2))`.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Checks everything and builds the server, which listens only when it is started.
    ///
    /// # Errors
    /// A function's name that is taken, an unknown protocol, an unsafe listener, a data folder
    /// that another server has, and whatever else is wrong with the settings.
    pub fn build(self) -> Result<Server, Error> {
        let Self { config, functions, mut users } = self;
        let folder = config.data.as_deref().map(Folder::claim).transpose()?.map(Arc::new);
        for (name, settings) in &config.users {
            users.push(settings.user(name)?);
        }
        let mut fixed_users: Vec<String> = users.iter().map(|user| user.name.to_string()).collect();
        if let Some(folder) = &folder {
            for (name, settings) in folder.users()? {
                if !fixed_users.contains(&name) {
                    users.push(settings.user(&name)?);
                }
            }
        }
        let generated = match (&folder, users.iter().any(|user| !user.verifiers.is_empty())) {
            (Some(folder), false) => Some(folder.generated_password()?),
            _ => None,
        };
        if let Some(password) = &generated {
            users.push(User::new(GENERATED_USER, password).right("admin"));
            fixed_users.push(GENERATED_USER.to_owned());
        }
        let databases = config.databases.clone().unwrap_or_else(|| vec!["polyport".to_owned()]);
        let keep_users = folder.clone().map(|folder| {
            Box::new(keeper(folder, fixed_users.clone())) as Box<polyport_core::KeepUsers>
        });
        let core = Core::new(Settings {
            limits: config.limits.clone(),
            databases: databases.into_iter().map(Into::into).collect(),
            keep_users,
        })?;
        core.register(functions)?;
        core.log_calls(Some(config.log.calls));
        for user in users {
            core.put_user(user);
        }
        let protocols = protocols::build(&config, &core, &[]);
        let listens = listens(&config, &protocols)?;
        Ok(Server { config, core, folder, generated, protocols, listens, fixed_users })
    }
}

/// The user that a server without configured users makes for itself.
pub(crate) const GENERATED_USER: &str = "polyport";

/// What to listen on: what is configured, or every protocol at its usual port.
fn listens(config: &Config, protocols: &ByName) -> Result<Vec<Listen>, Error> {
    for listen in &config.listen {
        if !protocols.contains_key(listen.protocol.as_str()) {
            let names = protocols::names().join(", ");
            return Err(Error::new(format!("there is no protocol '{}'", listen.protocol))
                .hint(format!("this build has {names}")));
        }
    }
    if !config.listen.is_empty() {
        return Ok(config.listen.clone());
    }
    Ok(usual_listeners(IfTaken::GoOn))
}

/// Every protocol of this build, on this machine at its usual port.
pub(crate) fn usual_listeners(if_taken: IfTaken) -> Vec<Listen> {
    let listen = |name: &&str| Listen { protocol: (*name).into(), if_taken, ..Listen::default() };
    protocols::names().iter().map(listen).collect()
}

/// A server that does not listen yet.
pub struct Server {
    config: Config,
    core: Core,
    folder: Option<Arc<Folder>>,
    generated: Option<String>,
    protocols: ByName,
    listens: Vec<Listen>,
    /// Users that the program or the configuration has set, which no reload touches.
    fixed_users: Vec<String>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("listens", &self.listens).finish_non_exhaustive()
    }
}

impl Server {
    /// Begins a server.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Runs the server alone, on threads of its own, until SIGINT or SIGTERM, and then lets
    /// running calls finish.
    ///
    /// # Errors
    /// When it cannot start.
    pub fn run(self) -> Result<(), Error> {
        self.run_with(|_| {})
    }

    /// As [`Server::run`], telling once it listens.
    pub(crate) fn run_with(self, ready: impl FnOnce(&Running)) -> Result<(), Error> {
        let count = self.config.threads.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        });
        let threads = Threads::start(count)?;
        let main = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(format!("cannot start a runtime: {error}")))?;
        main.block_on(async {
            let running = self.start_on(threads.places.clone()).await?;
            ready(&running);
            running.until_signal().await;
            running.stop().await;
            Ok(())
        })
    }

    /// Starts the server inside a tokio program, on the current runtime.
    ///
    /// # Errors
    /// When an address cannot be bound, a certificate cannot be read, or the application that runs
    /// in workers cannot be loaded.
    pub async fn start(self) -> Result<Running, Error> {
        self.start_on(Places::here()).await
    }

    async fn start_on(self, places: Places) -> Result<Running, Error> {
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let mut bound = Vec::new();
        let mut addresses = Vec::new();
        for listen in &self.listens {
            let Some(protocol) = self.protocols.get(listen.protocol.as_str()) else { continue };
            let Some(socket) = self.bind(listen, protocol)? else { continue };
            let address = socket
                .address()
                .map_err(|error| Error::new(format!("a listener has no address: {error}")))?;
            addresses.push((listen.protocol.clone(), address.to_string()));
            bound.push((listen, socket, address.to_string()));
        }
        // Only now are the ports known that some protocols tell their clients.
        let protocols = protocols::build(&self.config, &self.core, &addresses);
        let mut acceptors = Vec::new();
        for (listen, socket, address) in bound {
            let Some(protocol) = protocols.get(listen.protocol.as_str()) else { continue };
            let tls = listen.tls.as_ref().map(|tls| tls::acceptor(tls, self.folder.as_deref()));
            let listener = Listener { address, anonymous: listen.anonymous.clone() };
            acceptors.push(Acceptor {
                socket,
                protocol: protocol.clone(),
                core: self.core.clone(),
                listener: Arc::new(listener),
                tls: tls.transpose()?,
                allow: listen.allow.clone(),
                places: places.clone(),
                stop: stop.clone(),
                cut: cut.clone(),
            });
        }
        let core = self.core.clone();
        #[cfg(feature = "workers")]
        let workers = match self.config.workers.is_used() {
            true => {
                let config = self.config.workers.clone();
                let started = polyport_workers::Workers::start(&core, config, places.runtimes());
                Some(started.await.map_err(|fault| application_error(&fault))?)
            }
            false => None,
        };
        let mut tasks = tokio::task::JoinSet::new();
        for acceptor in acceptors {
            tasks.spawn(acceptor.run());
        }
        tasks.spawn(async move { core.sweep_for_ever().await });
        let grace = self.config.grace_s.map_or(GRACE, Duration::from_secs);
        let Self { core, folder, generated, fixed_users, listens, .. } = self;
        Ok(Running {
            core,
            protocols,
            listens,
            addresses,
            generated,
            stop,
            cut,
            grace,
            tasks,
            folder,
            fixed_users,
            #[cfg(feature = "workers")]
            workers,
        })
    }

    fn bind(&self, listen: &Listen, protocol: &Arc<dyn Protocol>) -> Result<Option<Socket>, Error> {
        let name = &listen.protocol;
        let usual = format!("127.0.0.1:{}", protocol.default_port());
        let text = listen.address.as_deref().unwrap_or(&usual);
        let address = Address::parse(text).map_err(Error::new)?;
        if !address.is_local() {
            self.check_exposure(listen, &address)?;
        }
        let error = match Socket::bind(&address) {
            Ok(socket) => return Ok(Some(socket)),
            Err(error) => error,
        };
        match (listen.if_taken, &address) {
            (IfTaken::GoOn, _) => {
                tracing::warn!(protocol = name, %address, %error, "going on without this protocol");
                return Ok(None);
            }
            (IfTaken::Move, Address::Tcp(taken)) => {
                tracing::warn!(protocol = name, %address, %error, "taking a free port instead");
                let free = Address::Tcp(std::net::SocketAddr::new(taken.ip(), 0));
                if let Ok(socket) = Socket::bind(&free) {
                    return Ok(Some(socket));
                }
            }
            _ => {}
        }
        Err(Error::new(format!("cannot listen for {name} on {address}: {error}"))
            .hint(format!("another server may have it; try --listen {name}=127.0.0.1:0")))
    }

    /// A listener that other machines reach needs users somebody chose, and TLS.
    fn check_exposure(&self, listen: &Listen, address: &Address) -> Result<(), Error> {
        let place = format!("{} on {address} is open to other machines", listen.protocol);
        if self.generated.is_some() {
            return Err(Error::new(format!("{place}, but no users are configured"))
                .hint("add one with `polyport user add NAME`, or listen on 127.0.0.1"));
        }
        if listen.tls.is_none() && !self.config.insecure {
            return Err(Error::new(format!("{place}, but has no TLS"))
                .hint("give the listener `tls = \"self-signed\"`, or pass --insecure"));
        }
        Ok(())
    }

    /// Checks what only starting would find out: addresses, exposure, certificates.
    #[cfg(feature = "cli")]
    pub(crate) fn check(&self) -> Result<(), Error> {
        for listen in &self.listens {
            if let Some(address) = &listen.address {
                let address = Address::parse(address).map_err(Error::new)?;
                if !address.is_local() {
                    self.check_exposure(listen, &address)?;
                }
            }
            if let Some(tls) = &listen.tls {
                tls::acceptor(tls, self.folder.as_deref())?;
            }
        }
        Ok(())
    }

    /// The names of all users.
    #[cfg(feature = "cli")]
    pub(crate) fn user_names(&self) -> Vec<String> {
        self.core.user_names().iter().map(ToString::to_string).collect()
    }

    /// The functions of the application that runs in workers, found out by starting one of them.
    #[cfg(all(feature = "cli", feature = "workers"))]
    pub(crate) fn worker_functions(&self) -> Result<Vec<String>, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(format!("cannot start a runtime: {error}")))?;
        let names = polyport_workers::examine(&self.config.workers, self.core.limits());
        let names = runtime.block_on(names).map_err(|fault| application_error(&fault))?;
        Ok(names.iter().map(ToString::to_string).collect())
    }

    /// A client of the server's own functions, without any socket, as the user of this name.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn client(&self, user: &str) -> Result<Client, Fault> {
        Client::new(&self.core, user)
    }

    /// A connection of a protocol, without any socket: the bytes that a client would send and
    /// receive. It must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When there is no such protocol.
    pub fn connect(&self, protocol: &str) -> Result<DuplexStream, Error> {
        connect(&self.core, &self.protocols, &self.listens, protocol)
    }
}

fn connect(
    core: &Core,
    protocols: &ByName,
    listens: &[Listen],
    name: &str,
) -> Result<DuplexStream, Error> {
    let protocol =
        protocols.get(name).ok_or_else(|| Error::new(format!("there is no protocol '{name}'")))?;
    let configured = listens.iter().find(|listen| listen.protocol == name);
    let anonymous = configured.map(|listen| listen.anonymous.clone()).unwrap_or_default();
    let listener = Arc::new(Listener { address: "memory".into(), anonymous });
    let guest = core
        .admit(protocol.name(), polyport_core::Peer::Memory, &listener)
        .ok_or_else(|| Error::new("there is no place for another connection"))?;
    let (near, far) = tokio::io::duplex(64 * 1024);
    let accepted = polyport_wire::Accepted { io: Box::new(far), guest, tls: None };
    tokio::spawn(protocol.clone().serve(accepted));
    Ok(near)
}

/// A server that listens. Dropping it ends everything at once; [`Running::stop`] is the polite way.
pub struct Running {
    core: Core,
    protocols: ByName,
    listens: Vec<Listen>,
    addresses: Vec<(String, String)>,
    generated: Option<String>,
    stop: CancellationToken,
    cut: CancellationToken,
    grace: Duration,
    tasks: tokio::task::JoinSet<()>,
    folder: Option<Arc<Folder>>,
    fixed_users: Vec<String>,
    #[cfg(feature = "workers")]
    workers: Option<polyport_workers::Workers>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Running {
    /// The address of a protocol's first listener, as `host:port` or `unix:path`.
    #[must_use]
    pub fn address(&self, protocol: &str) -> Option<&str> {
        let found = self.addresses.iter().find(|(name, _)| name == protocol);
        found.map(|(_, address)| address.as_str())
    }

    /// All listeners, as protocol and address.
    #[must_use]
    pub fn addresses(&self) -> &[(String, String)] {
        &self.addresses
    }

    /// The password that the server made for the user `polyport`, when none was configured.
    #[must_use]
    pub fn generated_password(&self) -> Option<&str> {
        self.generated.as_deref()
    }

    /// A client of the server's own functions, without any socket, as the user of this name.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn client(&self, user: &str) -> Result<Client, Fault> {
        Client::new(&self.core, user)
    }

    /// A connection of a protocol, without any socket: the bytes that a client would send and
    /// receive.
    ///
    /// # Errors
    /// When there is no such protocol.
    pub fn connect(&self, protocol: &str) -> Result<DuplexStream, Error> {
        connect(&self.core, &self.protocols, &self.listens, protocol)
    }

    /// Stops: accepts no more, lets running calls finish within the time they have, says goodbye
    /// in each protocol's own words, and cuts off what is left.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.core.shut_down();
        let emptied = async {
            while self.core.connections().count() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(self.grace, emptied).await.is_err() {
            let left = self.core.connections().count();
            tracing::warn!(connections = left, "cutting off connections that did not end in time");
        }
        self.cut.cancel();
        self.tasks.shutdown().await;
        #[cfg(feature = "workers")]
        if let Some(workers) = self.workers.take() {
            workers.stop(WORKERS_EXIT).await;
        }
    }

    /// Loads the application that runs in workers anew: new workers start, take over when all of
    /// them are ready, and the old ones finish what they have. Returns what has changed, as a
    /// sentence.
    ///
    /// # Errors
    /// Why the new version cannot be loaded, with file and line where these are known; the old one
    /// goes on then. Also when no functions run in workers.
    #[cfg(feature = "workers")]
    pub async fn reload(&self) -> Result<String, Error> {
        match &self.workers {
            Some(workers) => {
                let summary = workers.reload().await.map_err(|fault| application_error(&fault))?;
                Ok(summary.to_string())
            }
            None => Err(Error::new("no functions run in workers")),
        }
    }

    /// Reads the users kept in the data folder again: new ones can log in, changed ones change in
    /// their open sessions too, removed ones may do nothing from then on.
    ///
    /// # Errors
    /// When the users cannot be read; nothing is changed then.
    pub fn reload_users(&self) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let kept = folder.users()?;
        let is_fixed = |name: &str| self.fixed_users.iter().any(|fixed| fixed == name);
        let users: Result<Vec<User>, Error> = kept
            .iter()
            .filter(|(name, _)| !is_fixed(name))
            .map(|(name, settings)| settings.user(name))
            .collect();
        for user in users? {
            self.core.put_user(user);
        }
        for name in self.core.user_names() {
            if !is_fixed(&name) && !kept.contains_key(name.as_str()) {
                self.core.remove_user(&name)?;
            }
        }
        Ok(())
    }

    /// Waits for SIGINT or SIGTERM; SIGHUP reads the users and loads the application again.
    async fn until_signal(&self) {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
            signal(SignalKind::hangup()),
        ) else {
            tracing::warn!("cannot listen for signals; the server runs until it is killed");
            return std::future::pending().await;
        };
        let name = loop {
            tokio::select! {
                _ = terminate.recv() => break "SIGTERM",
                _ = interrupt.recv() => break "SIGINT",
                _ = hangup.recv() => {
                    match self.reload_users() {
                        Ok(()) => tracing::info!("read the users again"),
                        Err(error) => tracing::error!(%error, "the users stay as they were"),
                    }
                    #[cfg(feature = "workers")]
                    if let Some(workers) = &self.workers {
                        workers.ask_to_reload();
                    }
                }
            }
        };
        tracing::info!(signal = name, "stopping; running calls may finish");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        self.cut.cancel();
    }
}
