//! The one gate to the server's state.
//!
//! What a session may reach lies in a [`Guarded`], which opens only to a [`Guard`], and a guard is
//! made only after the right was checked, with the clock and the counters running. So an operation
//! that forgets one of these does not compile.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jiff::Zoned;
use tokio::time::Instant;

use crate::call::Call;
use crate::connection::Connection;
use crate::fault::{Fault, Kind};
use crate::function::Function;
use crate::rights::{Target, Verb};
use crate::session::Session;
use crate::stats::SlowCall;
use crate::users::User;

/// State that opens only to a guard.
#[derive(Debug, Default)]
pub(crate) struct Guarded<T>(T);

impl<T> Guarded<T> {
    pub(crate) const fn new(state: T) -> Self {
        Self(state)
    }

    pub(crate) fn open<'a>(&'a self, _guard: &'a Guard<'_>) -> &'a T {
        &self.0
    }

    /// The state as the program that runs the server reaches it. Never for a session's sake.
    pub(crate) const fn as_host(&self) -> &T {
        &self.0
    }
}

/// A permitted operation while it runs.
#[derive(Debug)]
pub(crate) struct Guard<'s> {
    session: &'s Session,
    user: Arc<User>,
    began: Instant,
    name: &'s str,
    outcome: Option<bool>,
    ended: Option<Instant>,
    running: Option<Running>,
}

/// Counts as a running call until it is dropped.
#[derive(Debug)]
pub(crate) struct Running(Arc<Connection>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.end_call();
    }
}

impl<'s> Guard<'s> {
    fn begin(session: &'s Session, name: &'s str) -> Result<Self, Fault> {
        let connection = session.connection();
        let user = session.account().load_full();
        if connection.begin_call() as usize >= session.core().limits().calls_per_connection {
            connection.end_call();
            return Err(Fault::new(
                Kind::Busy,
                "this connection has too many calls running (limits.calls_per_connection)",
            ));
        }
        let running = Some(Running(connection.clone()));
        let began = Instant::now();
        Ok(Self { session, user, began, name, outcome: None, ended: None, running })
    }

    /// Permits an operation on something other than a function.
    pub(crate) fn enter(
        session: &'s Session,
        verb: Verb,
        target: Target,
        name: &'s str,
    ) -> Result<Self, Fault> {
        let mut guard = Self::begin(session, name)?;
        if guard.user.rights.allow(verb, target, name) {
            return Ok(guard);
        }
        guard.outcome = Some(false);
        let (user, verb, kind) = (&guard.user.name, verb.word(), target.word());
        let message = format!("user '{user}' lacks the right \"{verb} {kind}:{name}\"");
        Err(Fault::new(Kind::Denied, message))
    }

    /// Permits a look at what the user may see anyway.
    pub(crate) fn look(session: &'s Session) -> Self {
        let user = session.account().load_full();
        let began = Instant::now();
        let (outcome, ended, running) = (Some(true), None, None);
        Self { session, user, began, name: "", outcome, ended, running }
    }

    /// Resolves a function's name through the user and permits the call.
    ///
    /// A dotted name is tried whole first; only then is a known database taken off its front. What
    /// the user may not call is reported as not there.
    pub(crate) fn call(
        session: &'s Session,
        name: &'s str,
    ) -> Result<(Self, Arc<Function>), Fault> {
        let mut guard = Self::begin(session, name)?;
        let found = guard.resolve(name).or_else(|| {
            let (database, rest) = name.split_once('.')?;
            session.core().is_database(database).then(|| guard.resolve(rest)).flatten()
        });
        match found {
            Some(function) => Ok((guard, function)),
            None => {
                guard.outcome = Some(false);
                Err(Fault::new(Kind::NotFound, format!("there is no function '{name}'"))
                    .with("function", name))
            }
        }
    }

    /// The function that the user knows under a name.
    pub(crate) fn resolve(&self, name: &str) -> Option<Arc<Function>> {
        let functions = self.session.core().functions().open(self);
        match &self.user.exports {
            Some(exports) => functions.find(exports.get(name)?),
            None => functions
                .find(name)
                .filter(|f| self.user.rights.allow(Verb::Call, Target::Function, f.name())),
        }
    }

    pub(crate) fn user(&self) -> &Arc<User> {
        &self.user
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// When the user's time for a call of this protocol is over.
    pub(crate) fn limit(&self) -> Option<Duration> {
        self.user.time_limit_for(self.session.connection().protocol)
    }

    /// Notes the outcome, which is counted when the guard is dropped; without a note it counts as
    /// a failure, since the operation was cut off. Returns how long the operation took.
    pub(crate) fn note<T>(&mut self, result: &Result<T, Fault>) -> Duration {
        let now = Instant::now();
        self.outcome = Some(result.is_ok());
        self.ended = Some(now);
        now.saturating_duration_since(self.began)
    }

    #[cold]
    fn note_slow(&self, took: Duration, good: bool) {
        /// What stands before a function's name as its database can be of any length.
        const NAME_CHARS: usize = 200;
        let name: String = self.name.chars().take(NAME_CHARS).collect();
        let connection = self.session.connection();
        connection.stats.counters.calls_slow.fetch_add(1, Relaxed);
        tracing::warn!(
            target: "polyport::slow",
            protocol = connection.protocol,
            connection = connection.id,
            user = %self.user.name,
            name,
            good,
            took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "slow call"
        );
        self.session.core().stats().was_slow(SlowCall {
            ended: Zoned::now(),
            took,
            name: name.into(),
            user: self.user.name.clone(),
            protocol: connection.protocol,
            good,
        });
    }

    /// Hands over the mark that the call is running, for a stream that outlives it.
    pub(crate) fn keep_running(&mut self) -> Option<Running> {
        self.running.take()
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.name.is_empty() {
            return;
        }
        let connection = self.session.connection();
        let now = self.ended.unwrap_or_else(Instant::now);
        let took = now.saturating_duration_since(self.began);
        let good = self.outcome.unwrap_or(false);
        let counters = &connection.stats.counters;
        let counter = if good { &counters.calls_good } else { &counters.calls_bad };
        counter.fetch_add(1, Relaxed);
        connection.stats.latency.record(took);
        connection.touch_at(now);
        let slow = self.session.core().limits().slow_s;
        if !slow.is_zero() && took > slow {
            self.note_slow(took, good);
        }
        if self.session.core().logs_calls() {
            tracing::info!(
                target: "polyport::calls",
                protocol = connection.protocol,
                connection = connection.id,
                user = %self.user.name,
                name = self.name,
                good,
                took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                "call"
            );
        }
    }
}

/// What a call may still do: how long, and how deep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) deadline: Option<Instant>,
    pub(crate) depth: u8,
    /// The same for all calls that one client's call led to, once a body has asked for it.
    pub(crate) chain: Option<NonZeroU64>,
}

impl Scope {
    /// The scope of a call that a client makes.
    pub(crate) const OUTER: Self = Self { deadline: None, depth: 0, chain: None };

    /// The scope of a call made inside another: the same deadline, one level down.
    pub(crate) fn inner(call: &Call) -> Self {
        let outer = call.scope();
        Self { depth: outer.depth.saturating_add(1), ..outer }
    }
}
