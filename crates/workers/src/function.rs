//! A worker's function as a function of the server.

use std::sync::{Arc, Weak};

use polyport_core::{Arguments, Call, Fault, Function, Kind, Reply, Signature, Stream, Text};
use polyport_worker::Declaration;

use crate::pool::{NoPlace, Pace, Place, Pool};
use crate::supervisor::Inner;
use crate::traces::Traces;
use crate::worker::{Answered, Unsent, lost};

/// Other workers that a call is given to when it had not begun on one that ended.
const ATTEMPTS: u32 = 3;

/// What a function's body needs to reach a worker.
#[derive(Debug)]
struct Target {
    name: Text,
    signature: Signature,
    pool: Arc<Pool>,
    pace: Arc<Pace>,
    traces: Traces,
    /// Not its owner: the functions belong to the core, which the supervisor has.
    supervisor: Weak<Inner>,
}

/// The function that a worker declares.
pub(crate) fn function(
    declaration: &Declaration,
    pool: Arc<Pool>,
    supervisor: Weak<Inner>,
) -> Function {
    let Declaration { name, signature, help, property, .. } = declaration;
    let mut function = Function::build(name.clone()).help(help).returns(signature.returns);
    match property {
        Some(writable) => function = function.property(*writable),
        None => {
            for param in &signature.params {
                function = function.param(param.clone());
            }
        }
    }
    let (name, signature) = (name.clone(), signature.clone());
    let (pace, traces) = (Arc::default(), Traces::default());
    let target = Target { name, signature, pool, pace, traces, supervisor };
    let target = Arc::new(target);
    function.asynchronous(move |call, mut arguments| {
        let arguments = Arguments::positional(arguments.values());
        Box::pin(target.clone().run(call, arguments))
    })
}

impl Target {
    async fn run(self: Arc<Self>, mut call: Call, arguments: Arguments) -> Result<Reply, Fault> {
        let mut attempts = 0;
        loop {
            let place = self.place(&mut call).await?;
            let worker = place.worker().clone();
            let pending = match worker.send(&self.name, &arguments, &mut call, place) {
                Ok(pending) => pending,
                Err(Unsent::Gone) => continue,
                Err(Unsent::Fault(fault)) => return Err(fault),
            };
            let answered = pending.answer().await;
            match answered.inspect_err(|fault| self.traces.note(&self.name, &call, fault))? {
                Answered::Reply(reply) => return Ok(reply),
                Answered::Stream(columns, source) => {
                    let state = (source, self, call);
                    let items =
                        futures_util::stream::unfold(state, async |(mut source, own, call)| {
                            let item = source.next().await?;
                            let item =
                                item.inspect_err(|fault| own.traces.note(&own.name, &call, fault));
                            Some((item, (source, own, call)))
                        });
                    return Ok(Reply::Stream(Stream::new(items).with_columns(columns)));
                }
                // One that ends each worker that it is sent to must not end them all.
                Answered::Again(None) => {}
                Answered::Again(Some(why)) if attempts == ATTEMPTS => {
                    return Err(lost(&why, false));
                }
                Answered::Again(Some(_)) => attempts += 1,
            }
        }
    }

    /// Waits for a worker that can take the call.
    async fn place(&self, call: &mut Call) -> Result<Place, Fault> {
        let chain = call.chain();
        let mut pool = self.pool.clone();
        loop {
            let Some(supervisor) = self.supervisor.upgrade() else { return Err(stopping()) };
            let bound = match pool.shape.sticky {
                true => supervisor.sessions.find(&pool.name, call)?,
                false => None,
            };
            let found = match &bound {
                Some((worker, pool)) => pool.place(chain, &self.pace, Some(worker)).await,
                None => pool.place(chain, &self.pace, None).await,
            };
            match found {
                Ok(place) => {
                    let sessions = &supervisor.sessions;
                    if !pool.shape.sticky
                        || bound.is_some()
                        || sessions.bind(place.pool(), place.worker(), call)
                    {
                        return Ok(place);
                    }
                }
                Err(NoPlace::Fault(fault)) => return Err(fault),
                Err(NoPlace::Closed) if bound.is_some() => {
                    return Err(supervisor.sessions.forget(&pool.name, call));
                }
                Err(NoPlace::Closed) => {
                    pool = supervisor.successor(&pool, &self.name, &self.signature)?;
                }
            }
        }
    }
}

/// The server ends, and its workers with it.
pub(crate) fn stopping() -> Fault {
    Fault::new(Kind::Unavailable, "the server is shutting down")
}
