//! Threads for plain functions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::Semaphore;

use crate::fault::{Fault, Kind};
use crate::limits::Limits;

/// A bounded set of threads. What finds no free thread waits, and the number of those waiting is
/// bounded too.
#[derive(Debug)]
pub(crate) struct Pool {
    places: Arc<Semaphore>,
    threads: usize,
    waiting: AtomicUsize,
    most_waiting: usize,
}

impl Pool {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.threads)),
            threads: limits.threads,
            waiting: AtomicUsize::new(0),
            most_waiting: limits.waiting_calls,
        }
    }

    /// Threads that are running a function, those whose caller has gone included.
    pub(crate) fn busy(&self) -> usize {
        self.threads - self.places.available_permits().min(self.threads)
    }

    /// Runs a job on a thread. Dropping the future does not stop the job, but its place stays
    /// taken until it returns.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let place = match self.places.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => self.wait().await?,
        };
        let job = move || {
            let result = job();
            drop(place);
            result
        };
        tokio::task::spawn_blocking(job).await.map_err(|error| {
            if error.is_panic() {
                panicked(&*error.into_panic())
            } else {
                Fault::new(Kind::Unavailable, "the server is shutting down")
            }
        })
    }

    async fn wait(&self) -> Result<tokio::sync::OwnedSemaphorePermit, Fault> {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Relaxed);
            }
        }
        let before = self.waiting.fetch_add(1, Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.most_waiting {
            return Err(Fault::new(
                Kind::Busy,
                format!(
                    "all {} threads are busy and {before} calls wait already (limits.threads, limits.waiting_calls)",
                    self.threads
                ),
            ));
        }
        let closed = |_| Fault::new(Kind::Unavailable, "the server is shutting down");
        self.places.clone().acquire_owned().await.map_err(closed)
    }
}

/// The fault of a function that panicked. Rust functions of the house may panic; their callers
/// get an answer and nobody else notices.
pub(crate) fn panicked(payload: &(dyn std::any::Any + Send)) -> Fault {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into());
    Fault::raised("Panic", format!("the function panicked: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn threads_and_waiting_calls_are_bounded() {
        let limits = Limits { threads: 1, waiting_calls: 1, ..Limits::default() };
        let pool = Arc::new(Pool::new(&limits));
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let (began, begun) = tokio::sync::oneshot::channel();
        let first = tokio::spawn({
            let pool = pool.clone();
            async move {
                pool.run(move || {
                    began.send(()).unwrap();
                    held.recv().unwrap();
                })
                .await
            }
        });
        begun.await.unwrap();
        assert_eq!(pool.busy(), 1);
        let mut second = Box::pin(pool.run(|| 2));
        let poll = futures_util::FutureExt::now_or_never(&mut second);
        assert!(poll.is_none());
        assert_eq!(pool.run(|| 3).await.unwrap_err().kind(), Kind::Busy);
        hold.send(()).unwrap();
        first.await.unwrap().unwrap();
        assert_eq!(second.await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_panic_is_the_callers_fault_alone() {
        let pool = Pool::new(&Limits::default());
        let fault = pool.run(|| panic!("ouch")).await.unwrap_err();
        assert_eq!(fault.message(), "the function panicked: ouch");
        assert_eq!(pool.run(|| 1).await.unwrap(), 1);
        assert_eq!(pool.busy(), 0);
    }
}
