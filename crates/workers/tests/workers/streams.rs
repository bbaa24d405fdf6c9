//! Streams, and those who do not read them.

use polyport_core::{Kind, Ran, Reply, Stream};

use crate::support::{Client, NONE, Rig, kill, within};

async fn stream(client: &Client, name: &str, items: Option<i64>) -> Stream {
    match client.reply(name, items.into_iter().collect()).await.unwrap() {
        Reply::Stream(stream) => stream,
        other => panic!("{other:?}"),
    }
}

async fn next(stream: &mut Stream) -> i64 {
    within(stream.next()).await.unwrap().unwrap().as_int().unwrap()
}

#[tokio::test]
async fn a_stream_comes_whole() {
    let rig = Rig::start("", |_| {}).await;
    let mut items = stream(&rig.client().await, "count", Some(1_000)).await;
    for n in 1..=1_000 {
        assert_eq!(next(&mut items).await, n);
    }
    assert!(within(items.next()).await.is_none());
}

#[tokio::test]
async fn who_reads_slowly_does_not_hold_the_worker() {
    let rig = Rig::start("", |_| {}).await;
    let ann = rig.client().await;
    let (mut slow, mut slower) =
        (stream(&ann, "count", Some(0)).await, stream(&ann, "count", Some(0)).await);
    assert_eq!(next(&mut slow).await, 1);
    assert_eq!(ann.int("add", [3, 4]).await.unwrap(), 7);
    assert_eq!(ann.int("streams", NONE).await.unwrap(), 2);
    for n in 2..200 {
        assert_eq!(next(&mut slow).await, n);
    }
    assert_eq!(next(&mut slower).await, 1);
    // Dropping one ends it.
    drop(slow);
    drop(slower);
    assert_eq!(ann.int("streams", NONE).await.unwrap(), 0);
    assert_eq!(rig.stats().iter().map(|own| own.restarts).sum::<u64>(), 0);
}

#[tokio::test]
async fn a_stream_of_a_killed_worker_ends_in_a_fault() {
    let rig = Rig::start("", |_| {}).await;
    let ann = rig.client().await;
    let mut items = stream(&ann, "count", Some(0)).await;
    assert_eq!(next(&mut items).await, 1);
    kill(rig.pid("plain").await);
    let fault = loop {
        if let Err(fault) = within(items.next()).await.unwrap() {
            break fault;
        }
    };
    assert_eq!((fault.kind(), fault.ran()), (Kind::Unavailable, Ran::Maybe));
    assert!(within(items.next()).await.is_none());
    assert_eq!(ann.int("add", [3, 4]).await.unwrap(), 7);
}

#[tokio::test]
async fn items_beyond_what_was_asked_for_end_the_worker() {
    let rig = Rig::start("", |_| {}).await;
    let ann = rig.client().await;
    let mut items = stream(&ann, "overrun", None).await;
    // Nothing is taken, and so nothing more allowed, until the worker has gone too far.
    let ended = || rig.stats().iter().any(|worker| worker.restarts > 0).then_some(());
    rig.until("the worker is ended", ended).await;
    let mut seen = 0;
    let fault = loop {
        match within(items.next()).await.unwrap() {
            Ok(_) => seen += 1,
            Err(fault) => break fault,
        }
    };
    assert!(seen <= 16 && fault.message().contains("more items than it may"), "{seen} {fault}");
    assert_eq!(ann.int("add", [3, 4]).await.unwrap(), 7);
}

#[tokio::test]
async fn a_stream_that_waits_for_its_client_outlives_a_reload() {
    let rig = Rig::start("", |_| {}).await;
    let ann = rig.client().await;
    let mut items = stream(&ann, "count", Some(100)).await;
    assert_eq!(next(&mut items).await, 1);
    rig.write_app("version 2\n");
    rig.reload().await.unwrap();
    assert_eq!(ann.call("version", NONE).await.unwrap().as_text(), Some("2"));
    // Longer than a worker that has nothing to do may take to exit.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    for n in 2..=100 {
        assert_eq!(next(&mut items).await, n);
    }
    assert!(within(items.next()).await.is_none());
}
