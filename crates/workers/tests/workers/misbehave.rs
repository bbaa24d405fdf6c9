//! Workers that break the protocol, or themselves, while others are in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use polyport_core::{Fault, Kind, Ran, Value};
use tokio::task::JoinHandle;

use crate::support::{Client, NONE, Rig, is_alive, kill, quicken, until, within};

/// Two workers, and a client that calls all the time and must never see a fault.
async fn rig() -> (Rig, Client, Honest) {
    let rig = Rig::start("", |config| config.count = Some(2)).await;
    let client = rig.client().await;
    let honest = Honest::start(rig.client().await);
    (rig, client, honest)
}

struct Honest {
    stop: Arc<AtomicBool>,
    task: JoinHandle<i64>,
}

impl Honest {
    fn start(client: Client) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn({
            let stop = stop.clone();
            async move {
                let mut n = 0;
                while !stop.load(Relaxed) {
                    assert_eq!(client.int("echo", [n]).await.unwrap(), n);
                    n += 1;
                }
                n
            }
        });
        Self { stop, task }
    }

    async fn end(self) {
        self.stop.store(true, Relaxed);
        assert!(within(self.task).await.unwrap() > 0);
    }
}

async fn misbehave(client: &Client, how: &str) -> Result<Value, Fault> {
    client.call("misbehave", [how]).await
}

async fn whole(rig: &Rig) {
    rig.until("all are there", || (rig.ready("plain").len() == 2).then_some(())).await;
}

#[tokio::test]
async fn a_worker_that_ends_or_breaks_the_protocol_fails_its_own_call_alone() {
    for (how, why) in [
        ("exit", "exited with status 3"),
        ("abort", "signal ABORT"),
        ("garbage", "broke the protocol"),
        ("giant", "broke the protocol"),
        ("close", "closed its socket"),
        ("pings", "does not read the answers"),
    ] {
        let (rig, client, honest) = rig().await;
        let fault = misbehave(&client, how).await.unwrap_err();
        assert_eq!((fault.kind(), fault.ran()), (Kind::Unavailable, Ran::Maybe), "{how}");
        assert!(fault.message().to_lowercase().contains(&why.to_lowercase()), "{how}: {fault}");
        whole(&rig).await;
        honest.end().await;
        assert_eq!(client.int("add", [3, 4]).await.unwrap(), 7);
    }
}

#[tokio::test]
async fn a_worker_that_asks_and_never_reads_costs_bounded_memory() {
    let (rig, client, honest) = rig().await;
    let before = memory();
    let fault = misbehave(&client, "calls").await.unwrap_err();
    assert!(fault.message().contains("does not read the answers"), "{fault}");
    let grown = memory().saturating_sub(before);
    assert!(grown < 512 << 20, "{grown}");
    whole(&rig).await;
    honest.end().await;
}

#[tokio::test]
async fn a_worker_that_says_what_nobody_asked_is_not_minded() {
    let (rig, client, honest) = rig().await;
    for how in ["unknown", "output"] {
        misbehave(&client, how).await.unwrap();
    }
    // The first answer counts.
    assert_eq!(misbehave(&client, "twice").await.unwrap().as_int(), Some(1));
    for _ in 0..20 {
        assert_eq!(client.int("add", [3, 4]).await.unwrap(), 7);
    }
    assert!(rig.stats().iter().all(|own| own.restarts == 0), "{:?}", rig.stats());
    honest.end().await;
}

#[tokio::test]
async fn a_worker_that_wants_to_be_replaced_is_replaced_once() {
    let (rig, client, honest) = rig().await;
    let old = u32::try_from(misbehave(&client, "drains").await.unwrap().as_int().unwrap()).unwrap();
    rig.until("it has ended", || (!is_alive(old)).then_some(())).await;
    whole(&rig).await;
    assert!(rig.stats().iter().all(|own| own.restarts == 0), "{:?}", rig.stats());
    honest.end().await;
}

#[tokio::test]
async fn a_worker_that_hangs_is_replaced_at_the_time_limit_of_its_call() {
    let (rig, _, honest) = rig().await;
    let hasty = rig.client_as("hasty").await;
    for how in ["half", "deaf"] {
        assert_eq!(misbehave(&hasty, how).await.unwrap_err().kind(), Kind::Timeout, "{how}");
        until("it is replaced", || {
            let restarts: u64 = rig.stats().iter().map(|own| own.restarts).sum();
            (restarts >= if how == "half" { 1 } else { 2 }).then_some(())
        })
        .await;
        whole(&rig).await;
    }
    honest.end().await;
}

#[tokio::test]
async fn a_process_that_a_worker_leaves_its_socket_to_harms_nobody() {
    let (rig, client, honest) = rig().await;
    // It begins to write at some time, and that breaks the protocol.
    let old = misbehave(&client, "fork").await.map(|pid| pid.as_int().unwrap());
    if let Ok(old) = old {
        let old = u32::try_from(old).unwrap();
        rig.until("it is ended", || (!is_alive(old)).then_some(())).await;
    }
    whole(&rig).await;
    let child = misbehave(&client, "heir").await.unwrap().as_int().unwrap();
    let child = u32::try_from(child).unwrap();
    for pid in rig.ready("plain") {
        kill(pid);
    }
    rig.until("it is ended too", || (!is_alive(child)).then_some(())).await;
    whole(&rig).await;
    drop(honest);
    assert_eq!(client.int("add", [3, 4]).await.unwrap(), 7);
}

#[tokio::test]
async fn a_result_beyond_the_limit_fails_its_call_alone() {
    let rig = Rig::start("", |config| config.message_bytes = 1 << 20).await;
    let ann = rig.client().await;
    let fault = ann.call("big", [2 << 20]).await.unwrap_err();
    assert_eq!(fault.kind(), Kind::TooLarge, "{fault}");
    let big = ann.call("big", [1_000_000]).await.unwrap();
    assert!(matches!(big, Value::Bytes(bytes) if bytes.len() == 1_000_000));
    let long = "x".repeat(2 << 20);
    assert_eq!(ann.call("echo", [long]).await.unwrap_err().kind(), Kind::TooLarge);
    let long = "x".repeat(1_000_000);
    assert_eq!(ann.call("echo", [long.clone()]).await.unwrap().as_text(), Some(long.as_str()));
    assert_eq!(ann.int("pid", NONE).await.unwrap(), i64::from(rig.pid("plain").await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_ends_while_workers_are_killed() {
    let rig = Rig::start("", |config| config.count = Some(3)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..16 {
        let (client, stop) = (rig.client().await, stop.clone());
        clients.push(tokio::spawn(async move {
            let (mut good, mut bad) = (0, 0);
            while !stop.load(Relaxed) {
                match client.int("add", [good, bad]).await {
                    Ok(sum) => {
                        assert_eq!(sum, good + bad);
                        good += 1;
                    }
                    Err(fault) => {
                        assert_eq!(fault.kind(), Kind::Unavailable, "{fault}");
                        assert_eq!(fault.ran(), Ran::Maybe, "{fault}");
                        bad += 1;
                    }
                }
            }
            (good, bad)
        }));
    }
    for n in 0..30 {
        let ready =
            rig.until("one is there", || Some(rig.ready("plain")).filter(|r| !r.is_empty()));
        let ready = ready.await;
        kill(ready[n % ready.len()]);
        let began = std::time::Instant::now();
        rig.until("all are there", || (rig.ready("plain").len() == 3).then_some(())).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, Relaxed);
    let (mut good, mut bad) = (0, 0);
    for client in clients {
        let (more_good, more_bad) = within(client).await.unwrap();
        (good, bad) = (good + more_good, bad + more_bad);
    }
    assert!(good > 1_000 && bad <= 60, "{good} good, {bad} bad");
}

fn memory() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test]
async fn answers_that_a_worker_keeps_are_found_when_it_dies() {
    let rig = Rig::start("", |_| {}).await;
    let client = rig.client().await;
    assert_eq!(misbehave(&client, "keep and die").await.unwrap(), Value::Int(7));
    assert_eq!(client.int("add", [1, 2]).await.unwrap(), 3);
}

#[tokio::test]
async fn answers_that_a_worker_keeps_are_found_when_it_hangs() {
    let rig = Rig::start("", |_| {}).await;
    let client = rig.client().await;
    quicken(&client).await;
    // With another call behind it, the worker has a reason to keep its answer.
    let hangs = client.begin("misbehave", "keep and hang");
    let behind = client.begin("pid", "");
    assert_eq!(within(hangs).await.unwrap().unwrap(), Value::Int(7));
    behind.abort();
}
