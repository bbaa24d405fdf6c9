//! What a function knows about the call it serves.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

use crate::connection::Peer;
use crate::fault::{Fault, Kind};
use crate::function::Arguments;
use crate::guard::Scope;
use crate::object::{Instance, Mode, Source};
use crate::reply::Reply;
use crate::session::Session;
use crate::value::Text;

/// The call that a function serves: who calls, until when, and what it may call itself.
#[derive(Clone)]
pub struct Call {
    session: Session,
    scope: Scope,
    flag: Option<CancelFlag>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Call {
    pub(crate) const fn new(session: Session, scope: Scope, flag: Option<CancelFlag>) -> Self {
        Self { session, scope, flag }
    }

    pub(crate) const fn scope(&self) -> Scope {
        self.scope
    }

    /// The caller's user name.
    #[must_use]
    pub fn user(&self) -> Text {
        self.session.user().name.clone()
    }

    /// The protocol that the call came through.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        self.session.connection().protocol
    }

    /// Where the caller is.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.session.connection().peer
    }

    /// The caller's session, with all that the caller may do.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// When the caller's time is over.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.scope.deadline
    }

    /// How many calls this one is inside of.
    #[must_use]
    pub const fn depth(&self) -> u8 {
        self.scope.depth
    }

    /// A number that all calls share which one client's call led to, and no others. It is made
    /// when first asked for, and calls made after that are of the same chain.
    pub fn chain(&mut self) -> NonZeroU64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let next = || NonZeroU64::new(NEXT.fetch_add(1, Relaxed)).unwrap_or(NonZeroU64::MIN);
        *self.scope.chain.get_or_insert_with(next)
    }

    /// The same call with less time: until then, if it had longer.
    #[must_use]
    pub fn until(mut self, deadline: Instant) -> Self {
        let earlier = self.scope.deadline.map_or(deadline, |outer| outer.min(deadline));
        self.scope.deadline = Some(earlier);
        self
    }

    /// Whether nobody waits for the result any more. A plain function cannot be stopped from
    /// outside, so a long one should ask now and then.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.flag.as_ref().is_some_and(|flag| flag.0.load(Relaxed))
            || self.scope.deadline.is_some_and(|at| at <= Instant::now())
    }

    /// Calls another function as the same user, within the same time.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn call(&self, name: &str, arguments: Arguments) -> Result<Reply, Fault> {
        Box::pin(self.session.call_within(name, arguments, Scope::inner(self))).await
    }

    /// Calls another function from a plain function, waiting for it.
    ///
    /// # Errors
    /// As [`Session::call`]; [`Kind::Unsupported`] from an inline or async function, which must
    /// not block.
    pub fn call_and_wait(&self, name: &str, arguments: Arguments) -> Result<Reply, Fault> {
        if self.flag.is_none() {
            return Err(Fault::new(
                Kind::Unsupported,
                "an inline or async function must not wait for another; use `call` from an async one",
            ));
        }
        tokio::runtime::Handle::current().block_on(self.call(name, arguments))
    }

    /// The object that this call works on.
    pub(crate) fn instance<T: Send + Sync + 'static>(
        &self,
        source: &Source,
    ) -> Result<Arc<T>, Fault> {
        let instance: Instance = match source.mode {
            Mode::Shared | Mode::PerCall => (source.make)(),
            Mode::PerConnection => self.session.kept(&source.object, &*source.make),
        };
        source.downcast(instance)
    }
}

/// Tells a plain function that its caller is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// Raises the flag when dropped.
    pub(crate) fn on_drop(&self) -> impl Drop + use<> {
        struct Raise(Arc<AtomicBool>);
        impl Drop for Raise {
            fn drop(&mut self) {
                self.0.store(true, Relaxed);
            }
        }
        Raise(self.0.clone())
    }
}
