use polyport_core::{Anonymous, Kind, Limits, Value};
use polyport_http::{Config, Http};

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn arguments_come_as_list_map_wrapper_or_not_at_all() {
    let server = server();
    for (body, sum) in [
        ("[3, 4]", 7),
        ("[\"3\", 4.0]", 7),
        ("[3]", 13),
        (r#"{"a": 3, "b": 4}"#, 7),
        (r#"{"args": [3], "kwargs": {"b": 4}}"#, 7),
    ] {
        let answer = server.call("math.add", body).await;
        assert_eq!((answer.status, answer.json()), (200, result(sum)), "{body}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    assert_eq!(server.call("test.who", "").await.json(), result("ann"));
    let big = "[123456789012345678901234567890]";
    let echoed = server.call("test.echo", big).await.body;
    assert_eq!(echoed, r#"{"result":123456789012345678901234567890}"#);
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_fault_has_its_status() {
    let server = server();
    for kind in Kind::ALL {
        let answer = server.call("test.fail", &format!("[\"{}\"]", kind.name())).await;
        let wanted = match kind {
            Kind::Syntax => 400,
            Kind::Login => 401,
            Kind::Denied => 403,
            Kind::NotFound => 404,
            Kind::Conflict => 409,
            Kind::TooLarge => 413,
            Kind::Arguments | Kind::Type => 422,
            Kind::Raised | Kind::Internal => 500,
            Kind::Unsupported => 501,
            Kind::Busy | Kind::Cancelled | Kind::Unavailable => 503,
            Kind::Timeout => 504,
        };
        assert_eq!((answer.status, answer.kind().as_str()), (wanted, kind.name()));
        let retry = matches!(kind, Kind::Busy | Kind::Unavailable).then_some("1");
        assert_eq!(answer.header("retry-after"), retry);
    }
    let answer = server.call("test.boom", "").await;
    assert_eq!(
        answer.body,
        r#"{"error":{"kind":"raised","message":"no such thing","class":"LogicError","errno":1234,"attributes":{"n":1},"ran":"yes"}}"#
    );
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_the_function_never_runs_it() {
    let server = server();
    for (name, body, status, kind) in [
        ("nothing", "", 404, "not_found"),
        ("hidden", "", 404, "not_found"),
        ("math.add", "", 422, "arguments"),
        ("math.add", "[1, 2, 3]", 422, "arguments"),
        ("math.add", r#"{"a": 1, "c": 2}"#, 422, "arguments"),
        ("math.add", r#"["three"]"#, 422, "type"),
        ("math.add", "[1", 400, "syntax"),
        ("math.add", "7", 400, "syntax"),
        ("%ff", "", 400, "syntax"),
    ] {
        let answer = server.call(name, body).await;
        assert_eq!((answer.status, answer.kind().as_str()), (status, kind), "{name} {body}");
        assert!(answer.body.contains(r#""ran":"no""#));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_a_post_and_nothing_else() {
    let server = server();
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let request =
            format!("{method} /v1/call/math.add?a=1 HTTP/1.1\r\nhost: localhost\r\n{ANN}\r\n");
        let mut client = server.connect();
        client.send(request).await;
        let head = client.until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
        assert!(head.to_lowercase().contains("\r\nallow: post\r\n"), "{head}");
    }
}

#[tokio::test(start_paused = true)]
async fn tables_are_lists_of_maps() {
    let answer = server().call("test.rows", "").await;
    assert_eq!(answer.body, r#"{"result":[{"i":1,"s":"a"},{"i":2,"s":null}]}"#);
}

#[tokio::test(start_paused = true)]
async fn a_chunked_body_is_a_body() {
    let server = server();
    let head = format!(
        "POST /v1/call/math.add HTTP/1.1\r\nhost: localhost\r\n{ANN}transfer-encoding: chunked\r\n\r\n"
    );
    let mut client = server.connect();
    client.send(&head).await;
    for chunk in ["1\r\n[\r\n", "4\r\n3, 4\r\n", "1\r\n]\r\n", "0\r\nx-t: 1\r\n\r\n"] {
        settle().await;
        client.send(chunk).await;
    }
    assert_eq!(client.answer().await.json(), result(7));
    client.send(get("/livez", "")).await;
    assert_eq!(client.answer().await.body, "ok\n");
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_their_order() {
    let server = server();
    let mut client = server.connect();
    let requests: String =
        (0..50).map(|i| post("/v1/call/math.add", ANN, &format!("[{i}, 0]"))).collect();
    client.send(requests).await;
    for i in 0..50 {
        assert_eq!(client.answer().await.json(), result(i));
    }
    assert_eq!(server.core.stats().total().logins_good, 1);
    assert_eq!(server.core.stats().total().requests, 50);
}

#[tokio::test(start_paused = true)]
async fn any_cut_of_a_request_gives_the_same_answer() {
    let server = server();
    let request = post("/v1/call/math.add", ANN, "[3, 4]");
    for at in 1..request.len() {
        let mut client = server.connect();
        client.send(&request[..at]).await;
        settle().await;
        client.send(&request[at..]).await;
        assert_eq!(client.answer().await.json(), result(7), "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let limits = Limits { message_bytes: 1000, ..Limits::default() };
    let server = server_with(Http::new(Config::default()), limits, Anonymous::Nobody);
    let fits = format!("[\"{}\"]", "x".repeat(996));
    assert_eq!(server.call("test.echo", &fits).await.status, 200);

    let head = format!("POST /v1/call/test.echo HTTP/1.1\r\nhost: localhost\r\n{ANN}");
    let mut client = server.connect();
    client.send(format!("{head}content-length: 1001\r\n\r\n")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.kind().as_str()), (413, "too_large"));

    let mut client = server.connect();
    client.send(format!("{head}transfer-encoding: chunked\r\n\r\n3e9\r\n")).await;
    client.send("x".repeat(1001)).await;
    assert_eq!(client.answer().await.status, 413);
    let mut client = server.connect();
    client.send(format!("{head}content-length: 99999999999999999999\r\n\r\n")).await;
    assert_eq!(client.answer().await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn strangers_may_send_less_than_users() {
    let limits = Limits { stranger_message_bytes: 100, ..Limits::default() };
    let anonymous = Anonymous::Everywhere("visitor".into());
    let server = server_with(Http::new(Config::default()), limits, anonymous);
    let body = format!("[\"{}\"]", "x".repeat(200));
    assert_eq!(server.ask(post("/v1/call/test.echo", "", &body)).await.status, 413);
    assert_eq!(server.ask(post("/v1/call/test.echo", ANN, &body)).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn compressed_bodies_and_deep_ones_are_refused() {
    let server = server();
    let gzip = format!("{ANN}content-encoding: gzip\r\n");
    assert_eq!(server.ask(post("/v1/call/math.add", &gzip, "[1]")).await.status, 415);
    let deep = "[".repeat(101);
    assert_eq!(server.call("test.echo", &deep).await.status, 413);
}

#[tokio::test(start_paused = true)]
async fn a_stream_comes_line_by_line_or_gathered() {
    let server = server();
    let lines = format!("{ANN}accept: application/x-ndjson\r\n");
    let answer = server.ask(post("/v1/call/test.count", &lines, "[3]")).await;
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(answer.body, "0\n1\n2\n");
    assert_eq!(server.call("test.count", "[3]").await.body, r#"{"result":[0,1,2]}"#);

    let answer = server.ask(post("/v1/call/test.many", &lines, "")).await;
    assert_eq!(answer.body, "1\n{\"a\":2}\n3\n4\n");
    assert_eq!(server.call("test.many", "").await.body, r#"{"result":[1,[{"a":2}],[3,4]]}"#);
    assert_eq!(server.ask(post("/v1/call/test.who", &lines, "")).await.body, "\"ann\"\n");

    let answer = server.ask(post("/v1/call/test.count", &lines, "[100000]")).await;
    assert_eq!(answer.body.lines().count(), 100_000);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_says_so_in_its_last_line() {
    let server = server();
    let lines = format!("{ANN}accept: application/x-ndjson\r\n");
    let answer = server.ask(post("/v1/call/test.count", &lines, "[9, 2]")).await;
    assert_eq!(answer.status, 200);
    let lines: Vec<_> = answer.body.lines().collect();
    assert_eq!(lines[..2], ["0", "1"]);
    assert!(lines[2].starts_with(r#"{"error":{"kind":"raised","message":"spent""#));
    assert_eq!(lines.len(), 3);

    let gathered = server.call("test.count", "[9, 2]").await;
    assert_eq!((gathered.status, gathered.kind().as_str()), (500, "raised"));
}

#[tokio::test(start_paused = true)]
async fn events_are_told_apart_by_their_name() {
    let server = server();
    let events = format!("{ANN}accept: text/event-stream\r\n");
    let answer = server.ask(post("/v1/call/test.count", &events, "[2]")).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.body, "data: 0\n\ndata: 1\n\nevent: end\ndata: null\n\n");
    let answer = server.ask(post("/v1/call/test.count", &events, "[2, 1]")).await;
    assert!(answer.body.starts_with("data: 0\n\nevent: fault\ndata: {\"error\":"));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_of_events_shows_that_it_lives() {
    let server = server();
    let mut client = server.connect();
    let events = format!("{ANN}accept: text/event-stream\r\n");
    client.send(post("/v1/call/test.tick", &events, "")).await;
    client.until("\r\n\r\n").await;
    let chunks = [client.chunk().await, client.chunk().await, client.chunk().await];
    assert_eq!(chunks.map(Option::unwrap), [":\n\n", "data: 0\n\n", ":\n\n"]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_holds_the_stream_back() {
    let server = server();
    let mut client = server.connect_over(1024);
    let lines = format!("{ANN}accept: application/x-ndjson\r\n");
    client.send(post("/v1/call/test.count", &lines, "[10000000]")).await;
    settle().await;
    let sent = server.core.stats().total().bytes_out;
    assert!(sent < 4096, "{sent} bytes were sent to a client that reads nothing");
    assert_eq!(server.connection().in_flight(), 1);
    drop(client.pipe);
    client.serving.await.unwrap();
    assert_eq!(server.core.stats().total().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn gathering_a_stream_has_a_limit() {
    let limits = Limits { gathered_items: 5, ..Limits::default() };
    let server = server_with(Http::new(Config::default()), limits, Anonymous::Nobody);
    assert_eq!(server.call("test.count", "[5]").await.status, 200);
    assert_eq!(server.call("test.count", "[6]").await.kind(), "too_large");
}

#[tokio::test(start_paused = true)]
async fn values_that_json_lacks_become_the_nearest_it_has() {
    let server = server();
    let answer = server.call("test.echo", r#"[{"a": [1.5, "é\n", null, true]}]"#).await;
    assert_eq!(answer.body, r#"{"result":{"a":[1.5,"é\n",null,true]}}"#);
    assert_eq!(answer.json().get("result").and_then(|v| v.get("a")).map(Value::kind), Some("list"));
}
