//! Calls that a worker makes of the server's functions.

use std::num::NonZeroU64;
use std::sync::Arc;

use polyport_core::{Fault, Kind, Reply, Value};
use polyport_worker::{Context, Frame, Nested as Serving};
use tokio::sync::Semaphore;
use tokio::time::{Duration, Instant};

use crate::pool::Pool;
use crate::worker::{CREDIT, NESTED_CALLS, Nested, Worker};

/// Begins a call that a worker makes inside the one it serves.
pub(crate) fn begin(worker: &Arc<Worker>, frame: polyport_worker::Call) -> Result<(), String> {
    let polyport_worker::Call { id, name, arguments, context } = frame;
    let Context::Nested(Serving { serving, limit_ms }) = context else {
        return Err("it sent a call with a server's context".to_owned());
    };
    let mut state = worker.lock();
    if state.nested.contains_key(&id) {
        return Err("it used the id of a call that is running".to_owned());
    }
    let refuse = |kind, text: &str| Err(Fault::new(kind, text.to_owned()));
    let outer = match state.sent.get(&serving) {
        None => refuse(Kind::Conflict, "a call can be made only inside of one that is running"),
        Some(_) if state.nested.len() >= NESTED_CALLS => {
            refuse(Kind::Busy, "the worker has too many calls of its own running")
        }
        Some(sent) if sent.cancelled => {
            refuse(Kind::Cancelled, "the call that this one is made in was cancelled")
        }
        Some(sent) => Ok((sent.call.clone(), sent.chain, sent.place.pool().clone())),
    };
    let (call, chain, pool) = match outer {
        Ok(outer) => outer,
        Err(fault) => {
            drop(state);
            return worker.respond(&Frame::Fail { id, fault });
        }
    };
    let limit = limit_ms.and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
    let call = limit.map_or(call.clone(), |at| call.until(at));
    let credit = Arc::new(Semaphore::new(CREDIT as usize));
    let parked = Parked::new(worker.clone(), pool, chain);
    let task = tokio::spawn({
        let (worker, credit) = (worker.clone(), credit.clone());
        async move {
            let most = call.session().limits().gathered_items;
            let result = match call.call(&name, arguments).await {
                Ok(Reply::Many(replies)) => gathered(replies, most).await,
                result => result,
            };
            answer(&worker, id, result, &credit).await;
            // Until its end, since the items of a stream may come from a call of the same chain.
            drop(parked);
        }
    });
    state.nested.insert(id, Nested { inside: serving, task: task.abort_handle(), credit });
    Ok(())
}

/// The worker does not want the result any more. It is still answered, so that it can forget.
pub(crate) fn cancel(worker: &Worker, id: u64) -> Result<(), String> {
    let Some(nested) = worker.lock().nested.remove(&id) else { return Ok(()) };
    nested.task.abort();
    let fault = Fault::new(Kind::Cancelled, "the call was cancelled by its caller");
    worker.respond(&Frame::Fail { id, fault })
}

/// The worker can take more items of a stream.
pub(crate) fn credit(worker: &Worker, id: u64, count: u64) {
    let state = worker.lock();
    if let Some(nested) = state.nested.get(&id) {
        let most = Semaphore::MAX_PERMITS - nested.credit.available_permits();
        nested.credit.add_permits(usize::try_from(count).unwrap_or(most).min(most));
    }
}

async fn answer(worker: &Worker, id: u64, result: Result<Reply, Fault>, credit: &Semaphore) {
    worker.has_room().await;
    let mut stream = match result {
        Ok(Reply::Stream(stream)) => stream,
        other => return finish(worker, id, other),
    };
    let columns = stream.columns().to_vec();
    if let Err(fault) = worker.answer_nested(id, &Frame::Stream { id, columns }, false) {
        return finish(worker, id, Err(fault));
    }
    loop {
        let Ok(permit) = credit.acquire().await else { return };
        permit.forget();
        worker.has_room().await;
        let item = match stream.next().await {
            None => return finish(worker, id, Ok(Reply::Value(Value::Null))),
            Some(Err(fault)) => return finish(worker, id, Err(fault)),
            Some(Ok(value)) => Frame::Item { id, value },
        };
        if let Err(fault) = worker.answer_nested(id, &item, false) {
            return finish(worker, id, Err(fault));
        }
    }
}

/// Gives the worker the end of its call, or, if that cannot be said, why.
fn finish(worker: &Worker, id: u64, result: Result<Reply, Fault>) {
    let frame = match result {
        Ok(reply) => Frame::Done { id, reply },
        Err(fault) => Frame::Fail { id, fault },
    };
    if let Err(fault) = worker.answer_nested(id, &frame, true) {
        let _ = worker.answer_nested(id, &Frame::Fail { id, fault }, true);
    }
}

/// Streams among several replies become lists, since only a stream that is the whole reply can be
/// sent as one.
async fn gathered(replies: Vec<Reply>, most: usize) -> Result<Reply, Fault> {
    let mut all = Vec::with_capacity(replies.len());
    for reply in replies {
        all.push(match reply {
            Reply::Stream(stream) => Reply::Value(Value::List(stream.gather(most).await?)),
            Reply::Many(replies) => Box::pin(gathered(replies, most)).await?,
            other => other,
        });
    }
    Ok(Reply::Many(all))
}

/// A worker that waits for a call of its own, until it is dropped.
struct Parked {
    worker: Arc<Worker>,
    pool: Arc<Pool>,
    chain: NonZeroU64,
}

impl Parked {
    fn new(worker: Arc<Worker>, pool: Arc<Pool>, chain: NonZeroU64) -> Self {
        pool.park(&worker, chain);
        Self { worker, pool, chain }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.pool.unpark(&self.worker, self.chain);
    }
}
