//! Which worker runs a call, and what becomes of calls whose worker ends.

use polyport_core::{Kind, Ran};

use rustix::process::Signal;

use crate::support::{Rig, is_alive, kill, signal, within};

const NONE: [i64; 0] = [];

#[tokio::test]
async fn a_call_is_run_and_answered() {
    let rig = Rig::start("", |_| {}).await;
    let ann = rig.client().await;
    assert_eq!(ann.int("add", [3, 4]).await.unwrap(), 7);
    assert_eq!(ann.call("add", ["x", "y"]).await.unwrap_err().kind(), Kind::Type);
}

#[tokio::test]
async fn the_worker_with_the_least_to_do_runs_the_next_call() {
    let rig = Rig::start("", |config| config.count = Some(3)).await;
    let ann = rig.client().await;
    let held = [ann.begin("hold", "one"), ann.begin("hold", "two")];
    rig.begun("one").await;
    rig.begun("two").await;
    let free = ann.int("pid", NONE).await.unwrap();
    assert_eq!(ann.int("pid", NONE).await.unwrap(), free);
    let busy: Vec<_> = rig.stats().iter().filter(|own| own.running == 1).map(|o| o.pid).collect();
    assert!(busy.len() == 2 && busy.iter().all(|pid| i64::from(*pid) != free), "{busy:?}");
    rig.release("one");
    rig.release("two");
    for held in held {
        within(held).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn calls_beyond_those_that_may_wait_are_told_that_all_are_busy() {
    let rig = Rig::start("", |config| config.waiting_calls = 2).await;
    let ann = rig.client().await;
    let running = ann.begin("hold", "one");
    rig.begun("one").await;
    let waiting = [ann.begin("hold", "two"), ann.begin("hold", "three")];
    tokio::task::yield_now().await;
    let fault = ann.call("add", [1, 2]).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Busy);
    assert!(fault.message().contains("workers.waiting_calls"), "{fault}");
    // Who stops waiting makes room.
    let [two, three] = waiting;
    two.abort();
    assert!(two.await.unwrap_err().is_cancelled());
    let four = ann.begin("hold", "four");
    for name in ["one", "three", "four"] {
        rig.release(name);
    }
    for call in [running, three, four] {
        within(call).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_call_that_had_not_begun_on_a_killed_worker_runs_on_another() {
    let rig = Rig::start("", |_| {}).await;
    let ann = rig.client().await;
    // Functions that were seen to be quick are sent ahead to a worker that still runs another.
    for n in 0..20 {
        assert_eq!(ann.int("add", [n, 1]).await.unwrap(), n + 1);
    }
    let pid = rig.pid("plain").await;
    signal(pid, Signal::STOP);
    let session = ann.session.clone();
    let calls: Vec<_> = (0..3)
        .map(|n| {
            let session = session.clone();
            tokio::spawn(async move { session.call("add", [n, 1].into_iter().collect()).await })
        })
        .collect();
    rig.until("the calls are there", || {
        rig.stats().iter().any(|own| own.running > 0).then_some(())
    })
    .await;
    kill(pid);
    for (n, call) in (0_i64..).zip(calls) {
        let value = within(call).await.unwrap().unwrap().into_value(1).await.unwrap();
        assert_eq!(value.as_int(), Some(n + 1));
    }
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_call_that_had_begun_on_a_killed_worker_may_have_run() {
    let rig = Rig::start("", |_| {}).await;
    let ann = rig.client().await;
    let held = ann.begin("hold", "one");
    rig.begun("one").await;
    kill(rig.pid("plain").await);
    let fault = within(held).await.unwrap().unwrap_err();
    assert_eq!((fault.kind(), fault.ran()), (Kind::Unavailable, Ran::Maybe));
    assert!(fault.message().contains("signal KILL"), "{fault}");
    assert_eq!(ann.int("add", [3, 4]).await.unwrap(), 7);
}
