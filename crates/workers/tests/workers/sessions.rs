//! What a worker keeps for a client's connection.

use polyport_core::{Kind, Ran, Reply};

use crate::support::{NONE, Rig, kill, until, within};

#[tokio::test]
async fn all_calls_of_a_session_go_to_one_worker() {
    let rig = Rig::start("", |config| config.count = Some(3)).await;
    let (ann, bob) = (rig.client().await, rig.client().await);
    for n in 1..=20 {
        assert_eq!(ann.int("sticky.sum", [1]).await.unwrap(), n);
        assert_eq!(bob.int("sticky.sum", [10]).await.unwrap(), 10 * n);
    }
}

#[tokio::test]
async fn the_first_calls_of_a_session_may_come_at_once() {
    let rig = Rig::start("", |config| config.count = Some(4)).await;
    for _ in 0..10 {
        let ann = rig.client().await;
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let session = ann.session.clone();
                tokio::spawn(async move {
                    session.call("sticky.sum", [1].into_iter().collect()).await.map(drop)
                })
            })
            .collect();
        for call in calls {
            within(call).await.unwrap().unwrap();
        }
        assert_eq!(ann.int("sticky.sum", [0]).await.unwrap(), 20);
    }
}

#[tokio::test]
async fn what_is_kept_for_a_session_goes_when_it_ends_or_is_reset() {
    let rig = Rig::start("", |_| {}).await;
    let ann = rig.client().await;
    for n in 2..10 {
        let bob = rig.client().await;
        assert_eq!(bob.int("sticky.sum", [5]).await.unwrap(), 5);
        assert_eq!(ann.int("sticky.sum", [1]).await.unwrap(), n - 1);
        assert_eq!(ann.int("sticky.kept", NONE).await.unwrap(), 2);
        drop(bob);
        assert_eq!(ann.int("sticky.kept", NONE).await.unwrap(), 1);
    }
    ann.session.reset();
    assert_eq!(ann.int("sticky.kept", NONE).await.unwrap(), 0);
    assert_eq!(ann.int("sticky.sum", [1]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_lost_session_is_told_once_and_then_begins_anew() {
    let rig = Rig::start("", |_| {}).await;
    let ann = rig.client().await;
    assert_eq!(ann.int("sticky.sum", [5]).await.unwrap(), 5);
    let pid = rig.pid("sticky").await;
    kill(pid);
    rig.until("it is replaced", || rig.ready("sticky").first().filter(|new| **new != pid).copied())
        .await;
    let fault = ann.int("sticky.sum", [5]).await.unwrap_err();
    assert_eq!((fault.kind(), fault.ran()), (Kind::Unavailable, Ran::No));
    assert!(fault.message().contains("lost with its worker"), "{fault}");
    assert_eq!(ann.int("sticky.sum", [5]).await.unwrap(), 5);
    assert_eq!(ann.int("sticky.sum", [5]).await.unwrap(), 10);
}

#[tokio::test]
async fn a_session_stays_with_the_version_it_began_with() {
    let rig = Rig::start("", |_| {}).await;
    let (ann, bob) = (rig.client().await, rig.client().await);
    assert_eq!(ann.int("sticky.sum", [5]).await.unwrap(), 5);
    let old = rig.pid("sticky").await;
    rig.reload().await.unwrap();
    assert_eq!(ann.int("sticky.sum", [5]).await.unwrap(), 10);
    assert_eq!(bob.int("sticky.sum", [5]).await.unwrap(), 5);
    assert!(crate::support::is_alive(old));
    drop(ann);
    until("the old one has ended", || (!crate::support::is_alive(old)).then_some(())).await;
    assert_eq!(bob.int("sticky.sum", [5]).await.unwrap(), 10);
}

#[tokio::test]
async fn a_stream_that_is_dropped_costs_nothing_that_is_kept() {
    let rig = Rig::start("", |_| {}).await;
    let ann = rig.client().await;
    assert_eq!(ann.int("sticky.sum", [5]).await.unwrap(), 5);
    for _ in 0..20 {
        let reply = ann.reply("sticky.count", NONE.into_iter().collect()).await.unwrap();
        let Reply::Stream(mut stream) = reply else { panic!("{reply:?}") };
        within(stream.next()).await.unwrap().unwrap();
        drop(stream);
    }
    assert_eq!(ann.int("sticky.sum", [5]).await.unwrap(), 10);
}
