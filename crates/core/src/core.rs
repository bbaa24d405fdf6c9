//! The server's state, of which every protocol is a view.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::builtin;
use crate::connection::{Connections, Peer, Reason};
use crate::fault::{Fault, Kind};
use crate::function::Function;
use crate::guard::Guarded;
use crate::limits::Limits;
use crate::listener::Listener;
use crate::login::Doorman;
use crate::object::Object;
use crate::pool::Pool;
use crate::registry::Registry;
use crate::session::Guest;
use crate::stats::Stats;
use crate::users::{User, Users};
use crate::value::Text;

/// How often overdue connections are looked for.
pub const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Keeps users that were added while the server runs; called with all that are to be kept.
pub type KeepUsers = dyn Fn(&[Arc<User>]) -> Result<(), Fault> + Send + Sync;

/// Functions, users, connections, statistics and limits. Cheap to clone.
#[derive(Clone)]
pub struct Core(Arc<Inner>);

struct Inner {
    functions: Guarded<Registry>,
    users: Users,
    keep_users: Option<Box<KeepUsers>>,
    connections: Connections,
    doorman: Doorman,
    stats: Stats,
    limits: Arc<Limits>,
    pool: Pool,
    databases: Vec<Text>,
    any_database: bool,
    logs_calls: AtomicBool,
    stopping: AtomicBool,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("connections", &self.0.connections.count())
            .finish_non_exhaustive()
    }
}

/// What a core is made of.
#[derive(Default)]
pub struct Settings {
    /// The limits.
    pub limits: Limits,
    /// Names that may stand before a function's name as its database. MySQL clients choose one of
    /// them; to all others they mean nothing. `*` among them lets every other name do, too.
    pub databases: Vec<Text>,
    /// Keeps the users that are added while the server runs; without it they are forgotten.
    pub keep_users: Option<Box<KeepUsers>>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("limits", &self.limits)
            .field("databases", &self.databases)
            .finish_non_exhaustive()
    }
}

impl Core {
    /// A core with the built-in functions and no users.
    ///
    /// # Errors
    /// [`Kind::Internal`] when the system has no random numbers.
    pub fn new(settings: Settings) -> Result<Self, Fault> {
        let Settings { limits, mut databases, keep_users } = settings;
        let any_database = databases.iter().any(|name| name == "*");
        databases.retain(|name| name != "*");
        let limits = Arc::new(limits);
        let core = Self(Arc::new(Inner {
            functions: Guarded::new(Registry::default()),
            users: Users::default(),
            keep_users,
            connections: Connections::new(limits.clone()),
            doorman: Doorman::new()?,
            stats: Stats::default(),
            pool: Pool::new(&limits),
            limits,
            databases,
            any_database,
            logs_calls: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        }));
        core.register(builtin::functions())?;
        Ok(core)
    }

    /// Registers functions; all of them or none.
    ///
    /// # Errors
    /// [`Kind::Conflict`] when a name is taken, [`Kind::Syntax`] when one is no name.
    pub fn register(&self, functions: Vec<Function>) -> Result<(), Fault> {
        self.replace(&[], functions)
    }

    /// Removes the functions of these names and registers others, in one step that no call sees
    /// half done; all of it or nothing. Calls that are running finish as they began.
    ///
    /// # Errors
    /// As [`Core::register`].
    pub fn replace(&self, old: &[Text], functions: Vec<Function>) -> Result<(), Fault> {
        self.0.functions.as_host().replace(old, functions)
    }

    /// Registers an object's methods and properties.
    ///
    /// # Errors
    /// As [`Core::register`].
    pub fn register_object<T: Send + Sync + 'static>(
        &self,
        object: Object<T>,
    ) -> Result<(), Fault> {
        self.register(object.into_functions())
    }

    /// Adds a user or replaces the one of that name, whose open sessions follow.
    pub fn put_user(&self, user: User) {
        self.0.users.put(user);
    }

    /// Removes a user; its open sessions may do nothing from then on.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is none of that name.
    pub fn remove_user(&self, name: &str) -> Result<(), Fault> {
        self.0.users.remove(name)
    }

    /// The names of all users, sorted.
    #[must_use]
    pub fn user_names(&self) -> Vec<Text> {
        self.0.users.all().iter().map(|user| user.name.clone()).collect()
    }

    /// Takes a place for a new connection, or `None` when every place is taken.
    #[must_use]
    pub fn admit(
        &self,
        protocol: &'static str,
        peer: Peer,
        listener: &Arc<Listener>,
    ) -> Option<Guest> {
        let stats = self.0.stats.protocol(protocol);
        let connection = self.0.connections.admit(protocol, peer, stats)?;
        Some(Guest::new(self.clone(), connection, listener.clone()))
    }

    /// Ends overdue connections, for ever. One task runs this.
    pub async fn sweep_for_ever(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            self.0.connections.sweep();
        }
    }

    /// Tells every connection that the server stops. Calls that are running are finished first.
    pub fn shut_down(&self) {
        self.0.stopping.store(true, Relaxed);
        self.0.connections.close_all(Reason::Shutdown);
    }

    /// Whether the server was told to stop.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.0.stopping.load(Relaxed)
    }

    /// The live connections.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.0.connections
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// All that the server counts.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.0.stats
    }

    /// Threads that are running a plain function.
    #[must_use]
    pub fn busy_threads(&self) -> usize {
        self.0.pool.busy()
    }

    pub(crate) fn databases(&self) -> &[Text] {
        &self.0.databases
    }

    pub(crate) fn is_database(&self, name: &str) -> bool {
        self.0.any_database || self.0.databases.iter().any(|database| database == name)
    }

    pub(crate) fn functions(&self) -> &Guarded<Registry> {
        &self.0.functions
    }

    pub(crate) fn users(&self) -> &Users {
        &self.0.users
    }

    /// Changes the users and keeps the change; when it cannot be kept it is not made.
    pub(crate) fn change_users(
        &self,
        put: Option<User>,
        remove: Option<&str>,
    ) -> Result<(), Fault> {
        let names =
            |name: &str| put.as_ref().is_some_and(|user| user.name == name) || remove == Some(name);
        if let Some(name) = remove
            && self.0.users.find(name).is_none()
        {
            return Err(Fault::new(Kind::NotFound, format!("there is no user '{name}'")));
        }
        if let Some(keep) = &self.0.keep_users {
            let mut kept: Vec<_> =
                self.0.users.all().into_iter().filter(|user| !names(&user.name)).collect();
            kept.extend(put.iter().cloned().map(Arc::new));
            keep(&kept)?;
        }
        if let Some(user) = put {
            self.0.users.put(user);
        }
        remove.map_or(Ok(()), |name| self.0.users.remove(name))
    }

    pub(crate) fn doorman(&self) -> &Doorman {
        &self.0.doorman
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    pub(crate) fn logs_calls(&self) -> bool {
        self.0.logs_calls.load(Relaxed)
    }

    /// Switches the log line for each call on or off, or only asks; returns how it is now.
    pub fn log_calls(&self, on: Option<bool>) -> bool {
        if let Some(on) = on {
            self.0.logs_calls.store(on, Relaxed);
        }
        self.logs_calls()
    }
}
