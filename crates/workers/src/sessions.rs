//! Which worker keeps what belongs to one client's connection.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use polyport_core::{Call, Fault, Kind, Ran, Text};

use crate::pool::Pool;
use crate::worker::Worker;

/// The workers that sessions are bound to, by pool and session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions(Arc<Mutex<Table>>);

type Table = HashMap<(Text, u32), Bound>;

/// A worker, and the pool it is in.
pub(crate) type Bound = (Arc<Worker>, Arc<Pool>);

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker that the caller's session is bound to in a pool, if it is.
    ///
    /// # Errors
    /// When that worker is gone, and with it what it kept. The next call begins anew.
    pub(crate) fn find(&self, pool: &Text, call: &Call) -> Result<Option<Bound>, Fault> {
        let session = call.session().connection().id;
        let mut table = self.lock();
        let key = (pool.clone(), session);
        match table.get(&key) {
            Some((worker, _)) if worker.is_gone() => {
                table.remove(&key);
                Err(lost(pool))
            }
            found => Ok(found.cloned()),
        }
    }

    /// The worker that the caller's session is bound to takes no calls any more: what it kept is
    /// lost.
    pub(crate) fn forget(&self, pool: &Text, call: &Call) -> Fault {
        self.lock().remove(&(pool.clone(), call.session().connection().id));
        lost(pool)
    }

    /// Binds the caller's session to a worker, until the session ends or is reset. False when
    /// another call of the session was quicker and has bound it to another.
    pub(crate) fn bind(&self, pool: &Arc<Pool>, worker: &Arc<Worker>, call: &Call) -> bool {
        let session = call.session().connection().id;
        match self.lock().entry((pool.name.clone(), session)) {
            Entry::Occupied(bound) if !Arc::ptr_eq(&bound.get().0, worker) => return false,
            Entry::Occupied(_) => {}
            Entry::Vacant(free) => drop(free.insert((worker.clone(), pool.clone()))),
        }
        let leaver = || {
            let (sessions, pool) = (self.clone(), pool.name.clone());
            Arc::new(Leaver { sessions, pool, session }) as polyport_core::object::Instance
        };
        call.session().kept(&Text::from(format!("worker pool {}", pool.name)), &leaver);
        true
    }

    /// Whether any session is bound to a worker.
    pub(crate) fn has_any(&self, worker: &Arc<Worker>) -> bool {
        self.lock().values().any(|(bound, _)| Arc::ptr_eq(bound, worker))
    }
}

fn lost(pool: &Text) -> Fault {
    let text = format!(
        "what '{pool}' kept for this connection was lost with its worker; the next call begins anew"
    );
    Fault::new(Kind::Unavailable, text).with_ran(Ran::No)
}

/// Tells the worker that a session is over.
struct Leaver {
    sessions: Sessions,
    pool: Text,
    session: u32,
}

impl Drop for Leaver {
    fn drop(&mut self) {
        let found = self.sessions.lock().remove(&(self.pool.clone(), self.session));
        if let Some((worker, pool)) = found {
            worker.leave(self.session);
            pool.changed.notify_waiters();
        }
    }
}
