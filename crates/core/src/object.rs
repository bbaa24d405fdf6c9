//! Objects: state with methods and properties, registered once and reached by every protocol.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::call::Call;
use crate::fault::{Fault, Kind};
use crate::function::{Bound, Builder, CallFuture, Function};
use crate::reply::IntoReply;
use crate::value::Text;

/// Whose object a caller meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One object for all callers; Pyro's "single".
    #[default]
    Shared,
    /// One object for each connection, dropped with it; Pyro's "session".
    PerConnection,
    /// A new object for each call; Pyro's "percall".
    PerCall,
}

/// An object of any type.
pub type Instance = Arc<dyn Any + Send + Sync>;
type Factory = Arc<dyn Fn() -> Instance + Send + Sync>;

/// Makes or finds the object that one call works on.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) object: Text,
    pub(crate) mode: Mode,
    pub(crate) make: Factory,
}

/// An object and all that can be called on it.
pub struct Object<T> {
    source: Source,
    prefix: Text,
    functions: Vec<Function>,
    state: std::marker::PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Object<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("name", &self.source.object)
            .field("mode", &self.source.mode)
            .field("functions", &self.functions)
            .finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static> Object<T> {
    /// One object for all callers. Its methods take `&self`, so it brings its own locks.
    pub fn shared(name: impl Into<Text>, object: T) -> Self {
        let object: Instance = Arc::new(object);
        Self::from_source(name.into(), Mode::Shared, Arc::new(move || object.clone()))
    }

    /// One object for each connection, made at its first call.
    pub fn per_connection(
        name: impl Into<Text>,
        make: impl Fn() -> T + Send + Sync + 'static,
    ) -> Self {
        Self::from_source(name.into(), Mode::PerConnection, Arc::new(move || Arc::new(make())))
    }

    /// A new object for each call.
    pub fn per_call(name: impl Into<Text>, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self::from_source(name.into(), Mode::PerCall, Arc::new(move || Arc::new(make())))
    }

    fn from_source(object: Text, mode: Mode, make: Factory) -> Self {
        let prefix = Text::from(format!("{object}."));
        let source = Source { object, mode, make };
        Self { source, prefix, functions: Vec::new(), state: std::marker::PhantomData }
    }

    /// Registers the methods under their own names, without the object's name before them, as
    /// pymprpc's `register_instance` does.
    #[must_use]
    pub fn flat(mut self) -> Self {
        self.prefix = Text::new();
        self
    }

    /// Starts a method; end it with [`Object::plain`], [`Object::inline`] or
    /// [`Object::asynchronous`]. `#[polyport::object]` expands to calls of these.
    #[must_use]
    pub fn build(&self, method: &str) -> Builder {
        Function::build(format!("{}{method}", self.prefix))
    }

    /// Adds a method that runs on a thread of the blocking pool.
    #[must_use]
    pub fn plain<R: IntoReply>(
        mut self,
        method: Builder,
        body: impl Fn(&T, &Call, Bound<'_>) -> R + Send + Sync + 'static,
    ) -> Self {
        let source = self.source.clone();
        self.functions.push(method.blocking(move |call, args| {
            let object = call.instance::<T>(&source)?;
            body(&object, call, args).into_reply()
        }));
        self
    }

    /// Adds a method that runs where the connection lives and returns within a millisecond.
    #[must_use]
    pub fn inline<R: IntoReply>(
        mut self,
        method: Builder,
        body: impl Fn(&T, &Call, Bound<'_>) -> R + Send + Sync + 'static,
    ) -> Self {
        let source = self.source.clone();
        self.functions.push(method.inline(move |call, args| {
            let object = call.instance::<T>(&source)?;
            body(&object, call, args).into_reply()
        }));
        self
    }

    /// Adds a method that waits.
    #[must_use]
    pub fn asynchronous(
        mut self,
        method: Builder,
        body: impl Fn(Arc<T>, Call, Bound<'_>) -> CallFuture + Send + Sync + 'static,
    ) -> Self {
        let source = self.source.clone();
        self.functions.push(method.asynchronous(
            move |call, args| match call.instance::<T>(&source) {
                Ok(object) => body(object, call, args),
                Err(fault) => Box::pin(std::future::ready(Err(fault))),
            },
        ));
        self
    }

    /// The object's functions, ready to be registered.
    #[must_use]
    pub fn into_functions(self) -> Vec<Function> {
        self.functions
    }
}

impl Source {
    pub(crate) fn downcast<T: Send + Sync + 'static>(
        &self,
        instance: Instance,
    ) -> Result<Arc<T>, Fault> {
        instance.downcast().map_err(|_| {
            Fault::new(Kind::Internal, format!("two objects share the name '{}'", self.object))
        })
    }
}
