use std::time::Duration;

use polyport_core::{Anonymous, Interrupt, Limits, Reason};
use polyport_http::{Config, Http};
use tokio::time::{Instant, timeout};

use crate::support::*;

/// What the server does besides serving: it ends overdue connections.
fn sweep(server: &Server) {
    let core = server.core.clone();
    tokio::spawn(async move { core.sweep_for_ever().await });
}

async fn took(work: impl Future) -> Duration {
    let began = Instant::now();
    work.await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_sends_nothing_is_closed_in_time() {
    let server = server();
    let took = took(server.connect().rest()).await;
    assert!((10..=11).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn headers_that_drip_are_cut_off_with_a_408() {
    let server = server();
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nhost: localhost\r\n").await;
    let began = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        use tokio::io::AsyncWriteExt as _;
        if client.pipe.write_all(b"x: y\r\n").await.is_err() || client.serving.is_finished() {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(15));
    }
    let text = client.rest().await;
    assert!(text.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_cut_off_with_a_408() {
    let server = server();
    sweep(&server);
    let mut client = server.connect();
    let head = "POST /v1/call/math.add HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n";
    client.send(format!("{head}{ANN}\r\n")).await;
    let began = Instant::now();
    let answer = timeout(Duration::from_secs(60), client.answer()).await.unwrap();
    assert_eq!((answer.status, answer.kind().as_str()), (408, "timeout"));
    assert!(began.elapsed() < Duration::from_secs(15));
    timeout(Duration::from_secs(5), client.rest()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_kept_alive_connection_is_closed_when_it_was_idle_too_long() {
    let config = Config { keep_alive_s: Duration::from_secs(30), ..Config::default() };
    let server = server_with(Http::new(config), Limits::default(), Anonymous::Nobody);
    sweep(&server);
    let mut client = server.connect();
    for _ in 0..3 {
        client.send(post("/v1/call/test.who", ANN, "")).await;
        assert_eq!(client.answer().await.status, 200);
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    let took = took(client.rest()).await;
    assert!((10..=11).contains(&took.as_secs()), "{took:?}");
    assert_eq!(server.core.stats().total().closed_normal, 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_call_is_not_idle() {
    let server = server();
    sweep(&server);
    assert_eq!(server.call("test.wait", "[1000]").await.json(), result("waited"));
    let mut client = server.connect();
    let lines = format!("{ANN}accept: application/x-ndjson\r\n");
    client.send(post("/v1/call/test.tick", &lines, "")).await;
    client.until("\n99\n").await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_its_call() {
    let server = server();
    let mut client = server.connect();
    client.send(post("/v1/call/test.wait", ANN, "[1000]")).await;
    settle().await;
    assert_eq!(server.waiting.count(), 1);
    drop(client.pipe);
    let took = took(client.serving).await;
    assert_eq!(server.waiting.count(), 0);
    assert!(took < Duration::from_secs(1));
    assert_eq!(server.core.stats().total().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_its_stream() {
    let server = server();
    let mut client = server.connect();
    let lines = format!("{ANN}accept: application/x-ndjson\r\n");
    client.send(post("/v1/call/test.tick", &lines, "")).await;
    client.until("0\n").await;
    drop(client.pipe);
    let took = took(client.serving).await;
    assert!(took < Duration::from_secs(1));
    assert_eq!(server.core.stats().total().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_for_too_long_is_cut_off() {
    for (unread_s, cut) in [(60, true), (5, true), (0, false)] {
        let limits = Limits { unread_s: Duration::from_secs(unread_s), ..Limits::default() };
        let server = server_with(Http::new(Config::default()), limits, Anonymous::Nobody);
        let mut client = server.connect_over(1024);
        let lines = format!("{ANN}accept: application/x-ndjson\r\n");
        client.send(post("/v1/call/test.count", &lines, "[1000000]")).await;
        let took = timeout(Duration::from_secs(3600), &mut client.serving).await;
        assert_eq!(took.is_ok(), cut);
        assert_eq!(server.core.stats().total().in_flight, i64::from(!cut));
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_stops_a_call_and_the_connection_goes_on() {
    let server = server();
    let mut client = server.connect();
    client.send(post("/v1/call/test.wait", ANN, "[1000]")).await;
    settle().await;
    server.connection().interrupt(Interrupt::Call);
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.kind().as_str()), (503, "cancelled"));
    assert_eq!(server.waiting.count(), 0);

    // One that comes between two requests has nothing to stop.
    server.connection().interrupt(Interrupt::Call);
    settle().await;
    client.send(post("/v1/call/test.wait", ANN, "[1]")).await;
    assert_eq!(client.answer().await.json(), result("waited"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_stopped_ends_with_the_reason() {
    let server = server();
    let mut client = server.connect();
    let lines = format!("{ANN}accept: application/x-ndjson\r\n");
    client.send(post("/v1/call/test.tick", &lines, "")).await;
    client.until("0\n").await;
    server.connection().interrupt(Interrupt::Call);
    client.until(r#"{"error":{"kind":"cancelled""#).await;
    client.until("0\r\n\r\n").await;
    client.send(get("/livez", "")).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_killed_connection_is_told_and_closed() {
    let server = server();
    let mut client = server.connect();
    client.send(post("/v1/call/test.wait", ANN, "[1000]")).await;
    settle().await;
    server.connection().interrupt(Interrupt::Close(Reason::Killed));
    assert_eq!(client.answer().await.kind(), "cancelled");
    timeout(Duration::from_secs(2), client.rest()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_finishes_calls_and_closes_idle_connections_at_once() {
    let server = server();
    let (mut busy, mut idle, fresh) = (server.connect(), server.connect(), server.connect());
    idle.send(get("/livez", "")).await;
    idle.answer().await;
    busy.send(post("/v1/call/test.wait", ANN, "[5]")).await;
    settle().await;
    let began = Instant::now();
    server.core.shut_down();
    idle.rest().await;
    fresh.rest().await;
    assert!(began.elapsed() < Duration::from_secs(1));
    let answer = busy.answer().await;
    assert_eq!(answer.json(), result("waited"));
    assert_eq!(answer.header("connection"), Some("close"));
    busy.rest().await;
    assert!(began.elapsed() < Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_cut_off() {
    let server = server();
    let mut client = server.connect_over(256);
    let lines = format!("{ANN}accept: application/x-ndjson\r\n");
    client.send(post("/v1/call/test.count", &lines, "[10000000]")).await;
    let took = took(client.serving).await;
    assert!((60..=62).contains(&took.as_secs()), "{took:?}");
    assert_eq!(server.core.stats().total().closed_error, 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_body_that_is_not_read_still_arrives() {
    let server = server();
    let mut client = server.connect();
    let head =
        "POST /v1/call/math.add HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n";
    client.send(head).await;
    client.send("x".repeat(50_000)).await;
    assert_eq!(client.answer().await.status, 401);
    client.rest().await;
}
