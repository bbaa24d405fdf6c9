//! New versions of an application, good and bad, while it is in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use polyport_core::{Arguments, Kind};

use crate::support::{NONE, Rig, is_alive, kill, until, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_versions_change() {
    let rig = Rig::start("version 0\n", |config| config.count = Some(2)).await;
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = Vec::new();
    for _ in 0..8 {
        let (client, stop, calls) = (rig.client().await, stop.clone(), calls.clone());
        clients.push(tokio::spawn(async move {
            let mut n = 0;
            while !stop.load(Relaxed) {
                n += 1;
                assert_eq!(client.int("add", [n, 1]).await.unwrap(), n + 1);
                assert_eq!(client.int("sticky.sum", [1]).await.unwrap(), n);
                calls.fetch_add(2, Relaxed);
            }
        }));
    }
    for version in 1..=10 {
        rig.write_app(&format!("version {version}\n"));
        let summary = rig.reload().await.unwrap();
        assert!(summary.contains(&format!("generation {}", version + 1)), "{summary}");
        let seen = calls.load(Relaxed);
        until("calls go on", || (calls.load(Relaxed) > seen + 20).then_some(())).await;
        let told = rig.client().await.call("version", NONE).await.unwrap();
        assert_eq!(told.as_text(), Some(version.to_string().as_str()));
    }
    stop.store(true, Relaxed);
    for client in clients {
        within(client).await.unwrap();
    }
    assert!(rig.stats().iter().all(|own| own.restarts == 0), "{:?}", rig.stats());
}

#[tokio::test]
async fn a_broken_version_never_takes_over_and_its_place_is_told() {
    let rig = Rig::start("", |config| config.count = Some(2)).await;
    let ann = rig.client().await;
    let before = rig.ready("plain");
    rig.write_app("error 12\n");
    let fault = rig.reload().await.unwrap_err();
    let place = format!("{}, line 12: BrokenApp: ", rig.app_path().display());
    assert!(fault.message().starts_with(&place), "{fault}");
    for start in ["exit", "close", "garbage"] {
        rig.write_app(&format!("start {start}\n"));
        rig.reload().await.unwrap_err();
    }
    assert_eq!(rig.ready("plain"), before);
    assert_eq!(ann.int("add", [3, 4]).await.unwrap(), 7);
    rig.write_app("function extra\n");
    assert!(rig.reload().await.unwrap().contains("new: extra"));
    assert_eq!(ann.call("extra", NONE).await.unwrap().as_text(), Some("extra"));
}

#[tokio::test]
async fn a_version_of_which_one_worker_fails_leaves_no_process_behind() {
    let rig = Rig::start("", |config| config.count = Some(3)).await;
    let before = rig.stats();
    // The first worker of it starts, the others do not.
    let marker = rig.app_path().with_extension("pids");
    rig.write_app(&format!("once {}\n", marker.display()));
    let fault = rig.reload().await.unwrap_err();
    assert!(fault.message().contains("exited with status 8"), "{fault}");
    let started: u32 = std::fs::read_to_string(&marker).unwrap().trim().parse().unwrap();
    until("it has ended", || (!is_alive(started)).then_some(())).await;
    assert_eq!(
        rig.stats().iter().map(|own| own.pid).collect::<Vec<_>>(),
        before.iter().map(|own| own.pid).collect::<Vec<_>>()
    );
    assert_eq!(rig.client().await.int("add", [3, 4]).await.unwrap(), 7);
}

#[tokio::test]
async fn calls_that_wait_go_to_the_new_version() {
    let rig = Rig::start("version 1\n", |_| {}).await;
    let ann = rig.client().await;
    let held = ann.begin("hold", "one");
    rig.begun("one").await;
    let session = ann.session.clone();
    let waiting = tokio::spawn(async move { session.call("version", Arguments::default()).await });
    tokio::task::yield_now().await;
    rig.write_app("version 2\n");
    rig.reload().await.unwrap();
    let told = within(waiting).await.unwrap().unwrap().into_value(1).await.unwrap();
    assert_eq!(told.as_text(), Some("2"));
    rig.release("one");
    within(held).await.unwrap().unwrap();
}

#[tokio::test]
async fn only_administrators_may_reload() {
    let rig = Rig::start("", |_| {}).await;
    let fault = rig.client().await.call("worker.reload", NONE).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::Denied);
    let told = rig.client_as("root").await.call("worker.reload", NONE).await.unwrap();
    assert!(told.as_text().unwrap().starts_with("generation 2"), "{told}");
}

#[tokio::test]
async fn a_worker_that_ignores_that_it_is_to_go_is_ended() {
    let rig = Rig::start("", |_| {}).await;
    let ann = rig.client().await;
    let old = u32::try_from(ann.int("misbehave", ["stay"]).await.unwrap()).unwrap();
    rig.reload().await.unwrap();
    until("it has ended", || (!is_alive(old)).then_some(())).await;
}

#[tokio::test]
async fn a_call_that_never_ends_holds_an_old_worker_only_so_long() {
    let rig = Rig::start("", |config| config.drain_s = Duration::from_millis(300)).await;
    let ann = rig.client().await;
    let old = rig.pid("plain").await;
    let spinning = ann.begin("spin", "one");
    rig.begun("one").await;
    rig.reload().await.unwrap();
    assert_eq!(ann.int("add", [3, 4]).await.unwrap(), 7);
    within(spinning).await.unwrap().unwrap_err();
    until("it has ended", || (!is_alive(old)).then_some(())).await;
}

#[tokio::test]
async fn an_application_that_never_tells_the_same_twice_is_loaded_once() {
    let rig = Rig::start("function random_PID\n", |config| config.count = Some(3)).await;
    let ann = rig.client().await;
    for _ in 0..5 {
        kill(rig.pid("plain").await);
        assert_eq!(ann.int("add", [3, 4]).await.unwrap(), 7);
    }
    assert!(rig.stats().iter().all(|own| own.generation == 1), "{:?}", rig.stats());
    // Unless its file has changed.
    rig.write_app("function other\n");
    kill(rig.pid("plain").await);
    let generation = || rig.stats().iter().all(|own| own.generation == 2).then_some(());
    rig.until("it is loaded anew", generation).await;
    assert_eq!(ann.call("other", NONE).await.unwrap().as_text(), Some("other"));
}
