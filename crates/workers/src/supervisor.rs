//! All workers of an application, from generation to generation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use polyport_core::{Core, Fault, Function, Kind, Limits, Ran, Signature, Text, Type, Value};
use polyport_worker::Bounds;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::driver::bounds;
use crate::function::stopping;
use crate::generation::{Generation, Started};
use crate::launch::{Failure, launch};
use crate::pool::Pool;
use crate::sessions::Sessions;
use crate::slot::{Slot, Totals};
use crate::watch::Watch;

/// The functions of an application that runs in workers, while the server runs.
#[derive(Debug)]
pub struct Workers {
    inner: Arc<Inner>,
    tasks: JoinSet<()>,
}

pub(crate) struct Inner {
    core: Core,
    pub(crate) config: Config,
    pub(crate) bounds: Bounds,
    pub(crate) sessions: Sessions,
    /// Something says that the application has changed.
    pub(crate) changed: Notify,
    places: Vec<Handle>,
    totals: Mutex<BTreeMap<(Text, u32), Totals>>,
    /// The server ends: nothing more is loaded.
    stopping: CancellationToken,
    current: Mutex<Option<Started>>,
    /// Held while a generation is started, so that there is one at a time.
    loading: tokio::sync::Mutex<Loaded>,
}

/// What the last attempt to load the application came to.
#[derive(Debug, Default)]
struct Loaded {
    number: u64,
    files: Vec<Text>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Workers {
    /// Starts the workers and registers their functions. They live on the runtimes that are given,
    /// which should be those that connections live on.
    ///
    /// # Errors
    /// Why the application cannot be loaded, with file and line where these are known.
    pub async fn start(core: &Core, config: Config, places: Vec<Handle>) -> Result<Self, Fault> {
        let bounds = bounds(&config, core.limits());
        let inner = Arc::new(Inner {
            core: core.clone(),
            config,
            bounds,
            sessions: Sessions::default(),
            changed: Notify::new(),
            places: if places.is_empty() { vec![Handle::current()] } else { places },
            totals: Mutex::default(),
            stopping: CancellationToken::new(),
            current: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
        });
        inner.load().await?;
        core.register(vec![reload_function(&inner)])?;
        let told = Arc::downgrade(&inner);
        core.stats().set_workers(Box::new(move || {
            let slots = told.upgrade().map(|inner| inner.slots_now()).unwrap_or_default();
            slots.iter().map(|slot| slot.stats()).collect()
        }));
        let mut tasks = JoinSet::new();
        tasks.spawn(follow_changes(inner.clone()));
        Ok(Self { inner, tasks })
    }

    /// Loads the application anew: new workers start, take over when all of them are ready, and the
    /// old ones finish what they have. Returns what has changed, as a sentence.
    ///
    /// # Errors
    /// Why the new version cannot be loaded; the old one goes on then.
    pub async fn reload(&self) -> Result<Text, Fault> {
        self.inner.load().await
    }

    /// Loads the application anew as soon as possible. What comes of it is logged.
    pub fn ask_to_reload(&self) {
        self.inner.changed.notify_one();
    }

    /// Lets the workers finish what they have for at most so long, and ends them.
    pub async fn stop(mut self, within: Duration) {
        self.inner.stopping.cancel();
        self.tasks.shutdown().await;
        let current = self.inner.current().take();
        if let Some(current) = current {
            // Whatever is left is ended when this is dropped.
            let _ = tokio::time::timeout(within, current.end()).await;
        }
    }
}

/// The names of an application's functions, as one worker that is started for it alone says.
///
/// # Errors
/// Why the application cannot be loaded, with file and line where these are known.
pub async fn examine(config: &Config, limits: &Limits) -> Result<Vec<Text>, Fault> {
    match launch(config, bounds(config, limits)).await {
        Ok(candidate) => {
            Ok(candidate.description.functions.iter().map(|own| own.name.clone()).collect())
        }
        Err(failure) => Err(explained(failure.fault)),
    }
}

/// Loads the application anew whenever it has changed or somebody says so.
async fn follow_changes(inner: Arc<Inner>) {
    let mut watch = Watch::new(inner.config.reload);
    loop {
        let files = inner.loading.lock().await.files.clone();
        tokio::select! {
            () = inner.changed.notified() => {}
            () = watch.until_changed(&files) => tracing::info!("the application has changed"),
        }
        match inner.load().await {
            Ok(summary) => tracing::info!("loaded the application anew: {summary}"),
            Err(fault) => tracing::error!(
                trace = fault.trace(),
                "the new version of the application cannot be loaded, the old one goes on: {fault}"
            ),
        }
    }
}

/// `worker.reload`.
fn reload_function(inner: &Arc<Inner>) -> Function {
    let inner = Arc::downgrade(inner);
    Function::build("worker.reload")
        .help(
            "Loads the application anew; a version that cannot be loaded never takes over. \
             Needs admin.",
        )
        .returns(Type::Text)
        .asynchronous(move |call, _| {
            let inner = inner.upgrade();
            Box::pin(async move {
                if !call.session().is_admin() {
                    return Err(Fault::new(Kind::Denied, "reloading needs the right \"admin\""));
                }
                let inner = inner.ok_or_else(stopping)?;
                // It goes on when the caller leaves: half a reload is none.
                let loaded = tokio::spawn(async move { inner.load().await }).await;
                let summary = loaded.unwrap_or_else(|_| Err(stopping()))?;
                Ok(polyport_core::Reply::Value(Value::Text(summary)))
            })
        })
}

impl Inner {
    fn current(&self) -> std::sync::MutexGuard<'_, Option<Started>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runtime for the worker of this number.
    pub(crate) fn place(&self, number: usize) -> &Handle {
        let index = number % self.places.len().max(1);
        self.places.get(index).unwrap_or_else(|| unreachable!("there is always a place"))
    }

    /// A place for a worker, whose counts go on from generation to generation.
    pub(crate) fn slot(&self, pool: &Text, index: u32) -> Arc<Slot> {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let totals = totals.entry((pool.clone(), index)).or_default().clone();
        Arc::new(Slot::new(pool.clone(), index, totals))
    }

    fn slots_now(&self) -> Vec<Arc<Slot>> {
        self.current().as_ref().map(|started| started.slots.clone()).unwrap_or_default()
    }

    /// The pool that runs a function now that the one that did is closed.
    pub(crate) fn successor(
        &self,
        old: &Arc<Pool>,
        name: &Text,
        signature: &Signature,
    ) -> Result<Arc<Pool>, Fault> {
        let current = self.current();
        let started = current.as_ref().ok_or_else(stopping)?;
        let Generation { description, pools, .. } = &*started.generation;
        let declared = description.functions.iter().find(|function| function.name == *name);
        let new = declared.and_then(|function| Some((function, pools.get(&function.pool)?)));
        match new {
            Some((_, new)) if Arc::ptr_eq(new, old) => Err(stopping()),
            // Its arguments are those that the old version takes.
            Some((function, _)) if function.signature != *signature => {
                let text =
                    "the application was loaded anew, and the function takes other arguments";
                Err(Fault::new(Kind::Conflict, text).with_ran(Ran::No))
            }
            Some((_, new)) => Ok(new.clone()),
            None => {
                let text = "the function is gone: the application was loaded anew without it";
                Err(Fault::new(Kind::NotFound, text))
            }
        }
    }

    /// Starts the next generation and lets it take over.
    async fn load(self: &Arc<Self>) -> Result<Text, Fault> {
        let mut loading = self.loading.lock().await;
        let number = loading.number + 1;
        let started = self.stopping.run_until_cancelled(Generation::start(self, number)).await;
        let started = match started.ok_or_else(stopping)? {
            Ok(started) => started,
            Err(Failure { fault, files }) => {
                // Of these a change may be the mending; the others still matter too.
                loading.files.extend(files);
                loading.files.sort();
                loading.files.dedup();
                return Err(explained(fault));
            }
        };
        let before = self.current().as_ref().map(|old| old.generation.names()).unwrap_or_default();
        if let Err(fault) = self.core.replace(&before, started.generation.functions()) {
            started.end().await;
            return Err(fault);
        }
        let after = started.generation.names();
        loading.number = number;
        loading.files.clone_from(&started.generation.files);
        let old = {
            let mut current = self.current();
            if self.stopping.is_cancelled() {
                return Err(stopping());
            }
            current.replace(started)
        };
        if let Some(old) = old {
            tokio::spawn(old.end());
        }
        Ok(summary(number, &before, &after))
    }
}

/// Puts the place of an application's mistake before its text.
fn explained(fault: Fault) -> Fault {
    let file = fault.attribute("file").and_then(Value::as_text).map(str::to_owned);
    let Some(file) = file else { return fault };
    let line = fault.attribute("line").and_then(Value::as_int);
    let place = line.map_or_else(|| file.clone(), |line| format!("{file}, line {line}"));
    let text = format!("{place}: {}: {}", fault.class(), fault.message());
    Fault::new(Kind::Unavailable, text)
        .with_class(fault.class().to_owned())
        .with_trace(fault.trace().to_owned())
}

fn summary(number: u64, before: &[Text], after: &[Text]) -> Text {
    let list = |what: &str, of: &[Text], without: &[Text]| {
        let names: Vec<&str> =
            of.iter().filter(|name| !without.contains(name)).map(|name| name.as_str()).collect();
        if names.is_empty() { String::new() } else { format!("; {what} {}", names.join(", ")) }
    };
    let (new, gone) = (list("new:", after, before), list("gone:", before, after));
    format!("generation {number} has {} functions{new}{gone}", after.len()).into()
}
