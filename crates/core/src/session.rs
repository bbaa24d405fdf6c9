//! All that a connection can do, before its login and after.

use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::call::{Call, CancelFlag};
use crate::connection::{Connection, Interrupt, Reason, Stage};
use crate::core::Core;
use crate::fault::{Fault, Kind, Ran};
use crate::function::{Arguments, Body, Function};
use crate::guard::{Guard, Scope};
use crate::listener::Listener;
use crate::object::Instance;
use crate::pool::panicked;
use crate::reply::{Reply, Stream};
use crate::rights::{Rights, Target, Verb};
use crate::stats::Stats;
use crate::users::{Account, User};
use crate::value::Text;
use crate::verifier::{Proof, Verifier};

/// An inline function that takes longer is warned about by name.
pub const INLINE_LIMIT: Duration = Duration::from_millis(1);

/// A connection that has not logged in. It can log in, or become the listener's anonymous user.
///
/// Dropping it gives the connection's place back, so it lives as long as the connection.
#[derive(Debug)]
pub struct Guest {
    core: Core,
    connection: Arc<Connection>,
    listener: Arc<Listener>,
}

impl Guest {
    pub(crate) const fn new(
        core: Core,
        connection: Arc<Connection>,
        listener: Arc<Listener>,
    ) -> Self {
        Self { core, connection, listener }
    }

    /// The connection.
    #[must_use]
    pub const fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// The listener that accepted it.
    #[must_use]
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// The server's limits.
    #[must_use]
    pub fn limits(&self) -> &crate::limits::Limits {
        self.core.limits()
    }

    /// The live connections, for the budget of unfinished messages.
    #[must_use]
    pub fn connections(&self) -> &crate::connection::Connections {
        self.core.connections()
    }

    /// All that the server counts, for a page that the configuration shows to strangers.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        self.core.stats()
    }

    /// Whether the server was told to stop, for a load balancer that asks.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.core.is_shutting_down()
    }

    /// Whether the user has a secret that can check proofs of this kind. An unknown user has
    /// every kind, so that the answer gives no user away.
    #[must_use]
    pub fn can_check(&self, user: &str, proof: Proof<'_>) -> bool {
        match self.core.users().find(user) {
            Some(account) => account.load().verifiers.iter().any(|verifier| verifier.fits(proof)),
            None => true,
        }
    }

    /// Whether the user's only secrets are of a kind that takes the password itself.
    #[must_use]
    pub fn wants_password(&self, user: &str) -> bool {
        self.core.users().find(user).is_some_and(|account| {
            let user = account.load();
            !user.verifiers.is_empty() && user.verifiers.iter().all(Verifier::is_slow)
        })
    }

    /// Logs in.
    ///
    /// # Errors
    /// [`Kind::Login`] when the user or the proof is wrong, with one text and after one time for
    /// both; [`Kind::Busy`] when only the places kept for administrators are left.
    pub async fn login(&self, name: &str, proof: Proof<'_>) -> Result<Session, Fault> {
        let account = self.core.users().find(name);
        let user = account.as_ref().map(|account| account.load_full());
        let address = self.connection.peer.ip();
        let checked = self.core.doorman().check(user.as_deref(), name, address, proof).await;
        let (Ok(()), Some(account)) = (&checked, account) else {
            self.connection.stats.counters.logins_bad.fetch_add(1, Relaxed);
            tracing::warn!(
                target: "polyport::login",
                protocol = self.connection.protocol,
                peer = %self.connection.peer,
                user = name,
                "login refused"
            );
            return Err(checked.err().unwrap_or_else(|| Fault::new(Kind::Login, "refused")));
        };
        self.enter(account)
    }

    /// Logs in with a bearer token.
    ///
    /// # Errors
    /// As [`Guest::login`].
    pub async fn login_token(&self, token: &str) -> Result<Session, Fault> {
        match self.core.users().by_token(token) {
            Some(account) => self.enter(account),
            None => self.login("", Proof::Password(token)).await,
        }
    }

    fn enter(&self, account: Arc<Account>) -> Result<Session, Fault> {
        let user = account.load_full();
        let admin = user.rights.is_admin();
        if self.core.connections().only_reserved_left() && !admin {
            return Err(Fault::new(Kind::Busy, "too many connections"));
        }
        self.connection.stats.counters.logins_good.fetch_add(1, Relaxed);
        self.core.connections().entered(&self.connection, Stage::User, user.name.clone(), admin);
        Ok(Session::new(self.core.clone(), self.connection.clone(), account))
    }

    /// Becomes the listener's anonymous user, if it has one for the dialect.
    #[must_use]
    pub fn anonymous(&self, dialect: &str) -> Option<Session> {
        let account = self.core.users().find(self.listener.anonymous_user(dialect)?)?;
        if self.core.connections().only_reserved_left() {
            return None;
        }
        let name = account.load().name.clone();
        self.core.connections().entered(&self.connection, Stage::Anonymous, name, false);
        Some(Session::new(self.core.clone(), self.connection.clone(), account))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.core.connections().left(&self.connection);
    }
}

/// A logged-in connection. Cheap to clone.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    core: Core,
    connection: Arc<Connection>,
    account: Arc<Account>,
    instances: Mutex<HashMap<Text, Instance>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({}#{})", self.0.account.load().name, self.0.connection.id)
    }
}

impl Session {
    fn new(core: Core, connection: Arc<Connection>, account: Arc<Account>) -> Self {
        Self(Arc::new(Inner { core, connection, account, instances: Mutex::default() }))
    }

    pub(crate) fn core(&self) -> &Core {
        &self.0.core
    }

    pub(crate) fn account(&self) -> &Account {
        &self.0.account
    }

    /// The connection.
    #[must_use]
    pub fn connection(&self) -> &Arc<Connection> {
        &self.0.connection
    }

    /// The user as it is now.
    #[must_use]
    pub fn user(&self) -> Arc<User> {
        self.0.account.load_full()
    }

    /// Whether the user may do everything.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.0.account.load().rights.is_admin()
    }

    /// The names that may stand before a function's name as its database.
    #[must_use]
    pub fn databases(&self) -> &[Text] {
        self.0.core.databases()
    }

    /// Whether this may stand before a function's name as its database.
    #[must_use]
    pub fn is_database(&self, name: &str) -> bool {
        self.0.core.is_database(name)
    }

    /// The server's limits.
    #[must_use]
    pub fn limits(&self) -> &crate::limits::Limits {
        self.0.core.limits()
    }

    /// The functions that the user sees, under the names the user knows, in the names' order.
    #[must_use]
    pub fn functions(&self) -> Vec<(Text, Arc<Function>)> {
        let guard = Guard::look(self);
        let all = self.0.core.functions().open(&guard).all();
        let user = guard.user();
        match &user.exports {
            Some(exports) => exports
                .iter()
                .filter_map(|(name, own)| Some((name.clone(), all.get(own)?.clone())))
                .collect(),
            None => all
                .iter()
                .filter(|(name, _)| may_call(&user.rights, name))
                .map(|(name, function)| (name.clone(), function.clone()))
                .collect(),
        }
    }

    /// The function that the user knows under a name.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<Arc<Function>> {
        Guard::look(self).resolve(name)
    }

    /// Calls a function. Dropping the future stops an async function; a plain one runs on, with
    /// its [`Call::is_cancelled`] set.
    ///
    /// # Errors
    /// The function's own fault; [`Kind::NotFound`], [`Kind::Arguments`] or [`Kind::Type`] before
    /// it ran; [`Kind::Timeout`] past the user's time limit; [`Kind::Busy`] at a limit.
    pub async fn call(&self, name: &str, arguments: Arguments) -> Result<Reply, Fault> {
        self.call_within(name, arguments, Scope::OUTER).await
    }

    /// Calls a function that must have answered by then, its streams ended. The user's own time
    /// limit holds as well.
    ///
    /// # Errors
    /// As [`Session::call`], and [`Kind::Timeout`] past the deadline.
    pub async fn call_until(
        &self,
        name: &str,
        arguments: Arguments,
        deadline: Instant,
    ) -> Result<Reply, Fault> {
        let scope = Scope { deadline: Some(deadline), ..Scope::OUTER };
        self.call_within(name, arguments, scope).await
    }

    pub(crate) async fn call_within(
        &self,
        name: &str,
        arguments: Arguments,
        scope: Scope,
    ) -> Result<Reply, Fault> {
        let (mut guard, function) = Guard::call(self, name)?;
        let mut result = self.run(&guard, &function, arguments, &scope).await;
        let took = guard.note(&result);
        if matches!(function.body, Body::Inline(_)) && took > INLINE_LIMIT {
            warn_of_slow(&function, took);
        }
        if let Ok(reply) = &mut result {
            keep_streams(reply, &mut guard, scope);
        }
        result
    }

    async fn run(
        &self,
        guard: &Guard<'_>,
        function: &Arc<Function>,
        arguments: Arguments,
        scope: &Scope,
    ) -> Result<Reply, Fault> {
        let most = self.limits().call_depth;
        if scope.depth > most {
            return Err(Fault::new(
                Kind::Busy,
                format!("functions call each other more than {most} deep (limits.call_depth)"),
            ));
        }
        if scope.deadline.is_some_and(|at| at <= guard.began()) {
            let text = "the time for the call was over before it began";
            return Err(Fault::new(Kind::Timeout, text).with_ran(Ran::No));
        }
        let values = function.signature().bind(function.name(), arguments)?;
        let deadline = deadline(guard, *scope);
        let overtime = || overtime(guard, *scope);
        let inner = Scope { deadline, ..*scope };
        match &function.body {
            Body::Inline(body) => {
                let call = Call::new(self.clone(), inner, None);
                let run = AssertUnwindSafe(|| body(&call, function.bound(values)));
                std::panic::catch_unwind(run).unwrap_or_else(|payload| Err(panicked(&*payload)))
            }
            Body::Async(body) => {
                let call = Call::new(self.clone(), inner, None);
                let run = AssertUnwindSafe(|| body(call, function.bound(values)));
                let future = match std::panic::catch_unwind(run) {
                    Ok(future) => AssertUnwindSafe(future).catch_unwind(),
                    Err(payload) => return Err(panicked(&*payload)),
                };
                let done = within(deadline, overtime, future).await?;
                done.unwrap_or_else(|payload| Err(panicked(&*payload)))
            }
            Body::Blocking(body) => {
                let flag = CancelFlag::default();
                let call = Call::new(self.clone(), inner, Some(flag.clone()));
                let (body, owned) = (body.clone(), function.clone());
                let _cancel = flag.on_drop();
                let job = self.0.core.pool().run(move || body(&call, owned.bound(values)));
                within(deadline, overtime, job).await??
            }
        }
    }

    /// What is kept under a name for this session, made when it is first asked for. It is dropped
    /// when the session ends or is reset.
    pub fn kept(&self, name: &Text, make: &dyn Fn() -> Instance) -> Instance {
        let mut instances = self.0.instances.lock().unwrap_or_else(PoisonError::into_inner);
        instances.entry(name.clone()).or_insert_with(make).clone()
    }

    /// Drops the objects that were made for this connection alone, as a client's reset asks.
    pub fn reset(&self) {
        let kept = {
            let mut instances = self.0.instances.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *instances)
        };
        // Whatever their ends do, they do it without the lock.
        drop(kept);
    }

    /// The connections that the user may see: the user's own, or all for an administrator.
    #[must_use]
    pub fn connections(&self) -> Vec<Arc<Connection>> {
        let (all, admin, name) = (self.0.core.connections().all(), self.is_admin(), self.user());
        all.into_iter().filter(|c| admin || c.user().0 == name.name).collect()
    }

    /// Ends a connection, or only the call that it is making.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is none of this id, [`Kind::Denied`] when it is another
    /// user's and this one is no administrator.
    pub fn kill(&self, id: u32, only_call: bool) -> Result<(), Fault> {
        let Some(connection) = self.0.core.connections().find(id) else {
            return Err(Fault::new(Kind::NotFound, format!("there is no connection {id}")));
        };
        if !self.is_admin() && connection.user().0 != self.user().name {
            return Err(Fault::new(Kind::Denied, format!("connection {id} is another user's")));
        }
        connection.interrupt(match only_call {
            true => Interrupt::Call,
            false => Interrupt::Close(Reason::Killed),
        });
        Ok(())
    }

    /// All that the server counts.
    ///
    /// # Errors
    /// [`Kind::Denied`] without the right to call `stats.snapshot`.
    pub fn stats(&self) -> Result<&Stats, Fault> {
        if may_call(&self.0.account.load().rights, "stats.snapshot") {
            return Ok(self.0.core.stats());
        }
        Err(Fault::new(Kind::Denied, "reading the statistics needs the right \"call stats.*\""))
    }

    /// Switches the log line for each call on or off, or only asks; returns how it is now.
    ///
    /// # Errors
    /// [`Kind::Denied`] for all but administrators.
    pub fn log_calls(&self, on: Option<bool>) -> Result<bool, Fault> {
        let mut guard = Guard::enter(self, Verb::Admin, Target::Function, "system.log_calls")?;
        let result = Ok(self.0.core.log_calls(on));
        guard.note(&result);
        result
    }
}

fn may_call(rights: &Rights, name: &str) -> bool {
    rights.allow(Verb::Call, Target::Function, name)
}

/// The earlier of the user's limit and the deadline of the call this one is made in.
fn deadline(guard: &Guard<'_>, scope: Scope) -> Option<Instant> {
    let own = guard.limit().and_then(|limit| guard.began().checked_add(limit));
    match (own, scope.deadline) {
        (Some(own), Some(outer)) => Some(own.min(outer)),
        (own, outer) => own.or(outer),
    }
}

/// What is answered past the deadline.
fn overtime(guard: &Guard<'_>, scope: Scope) -> Fault {
    let own =
        guard.limit().filter(|limit| match (scope.deadline, guard.began().checked_add(*limit)) {
            (Some(outer), Some(own)) => own <= outer,
            (outer, _) => outer.is_none(),
        });
    let text = match own {
        Some(limit) => format!("the call took longer than its limit of {limit:?}"),
        None if scope.depth == 0 => "the call took longer than its client gave it".into(),
        None => "the call took longer than the call it was made in may".into(),
    };
    Fault::new(Kind::Timeout, text)
}

async fn within<T>(
    deadline: Option<Instant>,
    overtime: impl Fn() -> Fault,
    future: impl Future<Output = T>,
) -> Result<T, Fault> {
    match deadline {
        None => Ok(future.await),
        Some(at) => tokio::time::timeout_at(at, future).await.map_err(|_| overtime()),
    }
}

/// Lets each stream of a reply count as running, and end at the deadline, after the call itself
/// has returned.
fn keep_streams(reply: &mut Reply, guard: &mut Guard<'_>, scope: Scope) {
    match reply {
        Reply::Stream(stream) => {
            let inner =
                std::mem::replace(stream, Stream::from_channel(tokio::sync::mpsc::channel(1).1));
            let (deadline, overtime) = (deadline(guard, scope), overtime(guard, scope));
            *stream = inner.kept(guard.keep_running(), deadline, overtime);
        }
        Reply::Many(replies) => {
            replies.iter_mut().for_each(|reply| keep_streams(reply, guard, scope));
        }
        Reply::Value(_) | Reply::Rows(_) => {}
    }
}

fn warn_of_slow(function: &Function, took: Duration) {
    if function.slow_runs().fetch_add(1, Relaxed).is_power_of_two() {
        tracing::warn!(
            target: "polyport::calls",
            function = function.name(),
            took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "an inline function took over a millisecond and held up other connections; drop `inline`"
        );
    }
}
