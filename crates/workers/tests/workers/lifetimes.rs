//! When workers are replaced, and when they end with the server.

use std::time::Duration;

use polyport_core::{Kind, Ran};
use polyport_workers::Config;
use rustix::process::Signal;

use crate::support::{NONE, Rig, is_alive, kill, signal, within};

/// Calls until the worker has been replaced; no call may fail.
async fn replaced_without_a_failed_call(
    name: &str,
    argument: i64,
    adjust: impl FnOnce(&mut Config),
) {
    let rig = Rig::start("", adjust).await;
    let ann = rig.client().await;
    let first = rig.pid("plain").await;
    let session = ann.session.clone();
    let name = name.to_owned();
    let calls = tokio::spawn(async move {
        loop {
            session.call(&name, [argument].into_iter().collect()).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    rig.until("it is replaced", || (!is_alive(first)).then_some(())).await;
    assert!(!calls.is_finished());
    calls.abort();
    let stats = rig.stats();
    let own = stats.iter().find(|own| own.pool == "plain").unwrap();
    assert_eq!(own.restarts, 0, "{own:?}");
    assert!(own.calls > 0);
}

#[tokio::test]
async fn a_worker_is_replaced_after_its_calls() {
    replaced_without_a_failed_call("echo", 1, |config| config.recycle_calls = 50).await;
}

#[tokio::test]
async fn a_worker_is_replaced_when_it_has_grown() {
    let adjust = |config: &mut Config| config.recycle_bytes = 64 << 20;
    replaced_without_a_failed_call("leak", 100_000, adjust).await;
}

#[tokio::test]
async fn a_worker_is_replaced_when_it_is_old() {
    let adjust = |config: &mut Config| config.recycle_s = Duration::from_secs(1);
    replaced_without_a_failed_call("echo", 1, adjust).await;
}

#[tokio::test]
async fn an_idle_worker_that_hangs_is_found() {
    let rig = Rig::start("", |config| config.ping_s = Duration::from_millis(100)).await;
    let pid = rig.pid("plain").await;
    signal(pid, Signal::STOP);
    rig.until("it is replaced", || (!is_alive(pid)).then_some(())).await;
    assert_eq!(rig.client().await.int("add", [3, 4]).await.unwrap(), 7);
}

#[tokio::test]
async fn a_worker_that_hangs_before_it_begins_a_call_is_found() {
    let rig = Rig::start("", |config| config.ping_s = Duration::from_millis(100)).await;
    let ann = rig.client().await;
    signal(rig.pid("plain").await, Signal::STOP);
    // It runs, on the worker that comes after.
    assert_eq!(ann.int("add", [3, 4]).await.unwrap(), 7);
}

#[tokio::test]
async fn a_worker_that_runs_something_long_needs_not_answer() {
    let rig = Rig::start("", |config| config.ping_s = Duration::from_millis(50)).await;
    let ann = rig.client().await;
    let pid = i64::from(rig.pid("plain").await);
    assert_eq!(ann.int("sleep", [1_000]).await.unwrap(), pid);
    assert_eq!(ann.int("pid", NONE).await.unwrap(), pid);
}

#[tokio::test]
async fn calls_are_told_that_no_worker_can_be_started() {
    let rig = Rig::start("", |_| {}).await;
    let ann = rig.client().await;
    rig.write_app("start exit\n");
    kill(rig.pid("plain").await);
    let fault = ann.call("add", [3, 4]).await.unwrap_err();
    assert_eq!((fault.kind(), fault.ran()), (Kind::Unavailable, Ran::No));
    assert!(fault.message().contains("exited with status 7"), "{fault}");
    // And go on when one can.
    rig.write_app("");
    rig.until("it is there", || rig.ready("plain").first().copied()).await;
    assert_eq!(ann.int("add", [3, 4]).await.unwrap(), 7);
}

#[tokio::test]
async fn an_idle_worker_that_is_killed_again_and_again_is_there_again_at_once() {
    let rig = Rig::start("", |_| {}).await;
    let ann = rig.client().await;
    for _ in 0..10 {
        kill(rig.pid("plain").await);
        assert_eq!(ann.int("add", [3, 4]).await.unwrap(), 7);
    }
}

#[tokio::test]
async fn the_server_waits_for_calls_that_run_when_it_stops() {
    let mut rig = Rig::start("", |config| config.count = Some(2)).await;
    let ann = rig.client().await;
    let pids = rig.ready("plain");
    let (quick, slow) = (ann.begin("hold", "one"), ann.begin("spin", "two"));
    rig.begun("one").await;
    rig.begun("two").await;
    rig.release("one");
    rig.stop(Duration::from_millis(500)).await;
    within(quick).await.unwrap().unwrap();
    assert_eq!(within(slow).await.unwrap().unwrap_err().ran(), Ran::Maybe);
    for pid in pids {
        rig.until("it has ended", || (!is_alive(pid)).then_some(())).await;
    }
    assert_eq!(ann.call("add", [3, 4]).await.unwrap_err().kind(), Kind::Unavailable);
}

#[tokio::test]
async fn a_program_that_never_gets_ready_is_not_waited_for_for_ever() {
    for (start, text) in [
        ("silent", "workers.start_s"),
        ("slow", "workers.start_s"),
        ("close", "closed its socket"),
        ("exit", "exited with status 7"),
        ("garbage", "broke the protocol"),
    ] {
        let short = |config: &mut Config| config.start_s = Duration::from_millis(500);
        let fault = Rig::try_start(&format!("start {start}\n"), short).await.err().unwrap();
        assert!(fault.message().contains(text), "{start}: {fault}");
    }
    let rig = Rig::start("start output\n", |_| {}).await;
    assert_eq!(rig.client().await.int("add", [3, 4]).await.unwrap(), 7);
}
