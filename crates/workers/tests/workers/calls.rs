//! Which worker runs a call, and what becomes of calls whose worker ends.

use std::time::{Duration, Instant};

use polyport_core::{Kind, Ran, Value};

use rustix::process::Signal;

use crate::support::{NONE, Rig, is_alive, kill, quicken, signal, within};

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
    quicken(&ann).await;
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

#[tokio::test]
async fn a_call_that_ends_every_worker_before_it_begins_does_not_end_them_all() {
    let rig = Rig::start("", |_| {}).await;
    let ann = rig.client().await;
    let fault = ann.call("poison", NONE).await.unwrap_err();
    assert_eq!((fault.kind(), fault.ran()), (Kind::Unavailable, Ran::No));
    assert!(fault.message().contains("exited with status 9"), "{fault}");
    assert_eq!(ann.int("add", [3, 4]).await.unwrap(), 7);
    assert!(rig.stats()[0].restarts < 10, "{:?}", rig.stats());
}

#[tokio::test]
async fn a_busy_loop_ends_at_its_time_limit_and_the_call_behind_it_runs() {
    let rig = Rig::start("", |_| {}).await;
    let (ann, hasty) = (rig.client().await, rig.client_as("hasty").await);
    quicken(&ann).await;
    let pid = rig.pid("plain").await;
    let spinning = hasty.begin("spin", "one");
    rig.begun("one").await;
    assert_eq!(ann.int("add", [3, 4]).await.unwrap(), 7);
    assert_eq!(within(spinning).await.unwrap().unwrap_err().kind(), Kind::Timeout);
    rig.until("it has ended", || (!is_alive(pid)).then_some(())).await;
}

#[tokio::test]
async fn a_call_whose_client_has_left_has_a_while_to_end() {
    let rig = Rig::start("", |config| config.leave_s = Duration::from_millis(200)).await;
    let ann = rig.client().await;
    let pid = rig.pid("plain").await;
    let spinning = ann.begin("spin", "one");
    rig.begun("one").await;
    let left = Instant::now();
    spinning.abort();
    assert_eq!(ann.int("add", [3, 4]).await.unwrap(), 7);
    assert!(left.elapsed() >= Duration::from_millis(200));
    rig.until("it has ended", || (!is_alive(pid)).then_some(())).await;
}

#[tokio::test]
async fn a_call_within_a_call_has_room_on_the_only_worker() {
    let rig = Rig::start("", |_| {}).await;
    let ann = rig.client().await;
    let pid = i64::from(rig.pid("plain").await);
    assert_eq!(ann.int("deep", [3]).await.unwrap(), pid);
    // So that several chains wait for the one worker and for themselves.
    let sessions: Vec<_> = (0..8).map(|_| ann.session.clone()).collect();
    let calls = sessions.into_iter().map(|session| {
        tokio::spawn(async move { session.call("deep", [3].into_iter().collect()).await })
    });
    for call in calls.collect::<Vec<_>>() {
        let value = within(call).await.unwrap().unwrap().into_value(1).await.unwrap();
        assert_eq!(value.as_int(), Some(pid));
    }
}

#[tokio::test]
async fn a_call_within_a_call_ends_when_that_is_cancelled() {
    let rig = Rig::start("", |_| {}).await;
    let ann = rig.client().await;
    let pid = rig.pid("plain").await;
    let outer = ann.begin("hold", "one");
    rig.begun("one").await;
    let left = Instant::now();
    outer.abort();
    assert_eq!(ann.int("add", [3, 4]).await.unwrap(), 7);
    assert!(left.elapsed() < Duration::from_secs(2));
    assert_eq!(rig.pid("plain").await, pid);
}

#[tokio::test]
async fn a_worker_killed_while_it_waits_for_its_own_call_takes_nobody_along() {
    let rig = Rig::start("", |config| config.count = Some(2)).await;
    let ann = rig.client().await;
    for n in 0..10 {
        let name = format!("hold {n}");
        let held = ann.begin("hold", &name);
        rig.begun(&name).await;
        let busy = rig.stats().iter().find(|own| own.running == 1).map(|own| own.pid).unwrap();
        kill(busy);
        assert_eq!(within(held).await.unwrap().unwrap_err().ran(), Ran::Maybe);
        ann.int("deep", [2]).await.unwrap();
    }
    rig.until("both are there", || (rig.ready("plain").len() == 2).then_some(())).await;
    assert!(rig.stats().iter().all(|own| own.running == 0), "{:?}", rig.stats());
}

#[tokio::test]
async fn calls_behind_one_that_hangs_though_it_used_to_be_quick_run_elsewhere() {
    let rig = Rig::start("", |config| config.count = Some(2)).await;
    let ann = rig.client().await;
    for _ in 0..20 {
        ann.call("moody", [""]).await.unwrap();
    }
    let hanging = ann.begin("moody", "one");
    let others: Vec<_> = (0..20).map(|_| ann.begin("moody", "")).collect();
    rig.begun("one").await;
    for other in others {
        within(other).await.unwrap().unwrap();
    }
    assert!(!hanging.is_finished());
    assert_eq!(rig.stats().iter().map(|own| own.restarts).sum::<u64>(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_taken_back_run_once() {
    let rig = Rig::start("", |config| config.count = Some(2)).await;
    let trace = rig.app_path().with_extension("trace");
    let path = trace.to_str().unwrap();
    let mut clients = Vec::new();
    for n in 0..16 {
        let (client, path) = (rig.client().await, path.to_owned());
        clients.push(tokio::spawn(async move {
            for round in 0..100 {
                // Around the time after which a call counts as long.
                let ms = if (n + round) % 23 == 0 { 8 + round % 30 } else { 0 };
                client.call("trace", [Value::from(path.clone()), Value::Int(ms)]).await.unwrap();
            }
        }));
    }
    for client in clients {
        within(client).await.unwrap();
    }
    assert_eq!(std::fs::metadata(&trace).unwrap().len(), 1_600);
    assert!(rig.stats().iter().all(|own| own.running == 0), "{:?}", rig.stats());
}

#[test]
fn a_worker_of_another_thread_is_taken_when_the_near_one_is_busy() {
    // As the server has it: runtimes of one thread each, with workers on all of them.
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let far = runtime();
    let places = vec![far.handle().clone()];
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || far.block_on(stopped));
    runtime().block_on(async {
        let places = [places, vec![tokio::runtime::Handle::current()]].concat();
        let rig = Rig::start_at("", places, |config| config.count = Some(2)).await.unwrap();
        let ann = rig.client().await;
        let holds: Vec<_> = ["one", "two"].map(|name| ann.begin("hold", name)).into();
        for name in ["one", "two"] {
            rig.begun(name).await;
        }
        rig.release("one");
        rig.release("two");
        for hold in holds {
            within(hold).await.unwrap().unwrap();
        }
    });
    let _ = stop.send(());
    thread.join().unwrap().unwrap();
}
