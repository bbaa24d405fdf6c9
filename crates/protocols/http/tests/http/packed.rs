use std::time::Duration;

use polyport_core::{Anonymous, Limits, Time, User, Value};
use polyport_http::{Config, Http};
use tokio::time::Instant;

use crate::support::*;

fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::List(items.into_iter().collect())
}

fn values() -> Value {
    list([
        Value::Null,
        Value::from_big("123456789012345678901234567890".parse().unwrap()),
        Value::Decimal(Box::new("1.50".parse().unwrap())),
        Value::Bytes(b"\x00\xff".into()),
        Value::Time(Time::parse("2026-11-21 15:04:05.000006").unwrap()),
        Value::Time(Time::parse("-01:00:00").unwrap()),
        Value::Tuple(vec![1.into(), list([])]),
        Value::Set(vec!["a".into()]),
        Value::Map(vec![(Value::Int(1), Value::Float(f64::INFINITY))]),
    ])
}

#[tokio::test(start_paused = true)]
async fn no_value_loses_anything_on_its_way_there_and_back() {
    let server = server();
    let request = post_packed("test.echo", PACKED, &list([values()]));
    let answer = server.ask(&request).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/vnd.polyport.msgpack"));
    assert_eq!(answer.packed(), result(values()));

    let named = Value::map([("args", list([3.into()])), ("kwargs", Value::map([("b", 4)]))]);
    assert_eq!(server.ask(post_packed("math.add", PACKED, &named)).await.packed(), result(7));
}

#[tokio::test(start_paused = true)]
async fn the_form_of_the_answer_is_chosen_apart_from_that_of_the_body() {
    let server = server();
    let answer = server.ask(post_packed("math.add", "", &list([3.into(), 4.into()]))).await;
    assert_eq!(answer.json(), result(7));
    let json = post("/v1/call/math.add", &format!("{ANN}{PACKED}"), "[3, 4]");
    assert_eq!(server.ask(json).await.packed(), result(7));
}

#[tokio::test(start_paused = true)]
async fn any_cut_of_a_packed_request_gives_the_same_answer() {
    let server = server();
    let request = post_packed("test.echo", PACKED, &list([values()]));
    for at in 1..request.len() {
        let mut client = server.connect();
        client.send(&request[..at]).await;
        settle().await;
        client.send(&request[at..]).await;
        assert_eq!(client.answer().await.packed(), result(values()), "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn tables_are_tables_and_streams_are_gathered() {
    let server = server();
    let answer = server.ask(post_packed("test.rows", PACKED, &list([]))).await;
    // A table is the extension 16, which is no value.
    let table = b"\x81\xa6result\xc9\0\0\0\x0e\x10\x92\x92\xa1i\xa1s\x92\x92\x01\xa1a\x92\x02\xc0";
    assert_eq!(answer.bytes, table);
    let counted = server.ask(post_packed("test.count", PACKED, &list([3.into()]))).await;
    assert_eq!(counted.packed(), result(list([0.into(), 1.into(), 2.into()])));
    let many = server.ask(post_packed("test.many", PACKED, &list([]))).await;
    assert_eq!(many.status, 200);
    assert_eq!((many.bytes[8], many.bytes[13]), (0xc9, 17), "several replies are the extension 17");
}

#[tokio::test(start_paused = true)]
async fn faults_are_packed_where_that_was_asked_for() {
    let server = server();
    let boom = server.ask(post_packed("test.boom", PACKED, &list([]))).await;
    assert_eq!(boom.status, 500);
    let fault = boom.packed().get("error").unwrap().clone();
    for (key, value) in [
        ("kind", Value::from("raised")),
        ("message", "no such thing".into()),
        ("class", "LogicError".into()),
        ("errno", 1234.into()),
        ("attributes", Value::map([("n", 1)])),
        ("ran", "yes".into()),
    ] {
        assert_eq!(fault.get(key), Some(&value), "{key}");
    }
    let kind = |answer: &Answer| {
        let value = answer.packed();
        let kind = value.get("error").and_then(|error| error.get("kind"));
        kind.and_then(Value::as_text).unwrap().to_owned()
    };
    let login = post("/v1/call/math.add", PACKED, "[3, 4]");
    let refused = server.ask(login).await;
    assert_eq!((refused.status, kind(&refused).as_str()), (401, "login"));
    assert!(refused.header("www-authenticate").is_some());
    let busy = server.ask(post_packed("test.fail", FRAMES, &list(["busy".into()]))).await;
    assert_eq!((busy.status, kind(&busy).as_str()), (503, "busy"));
    assert_eq!(busy.header("retry-after"), Some("1"));
    let broken = post("/v1/call/math.add", &format!("{ANN}{PACKED}content-encoding: br\r\n"), "");
    assert_eq!(kind(&server.ask(broken).await), "unsupported");
}

#[tokio::test(start_paused = true)]
async fn limits_are_those_of_json() {
    let config = Config { values: 100, ..Config::default() };
    let limits = Limits { message_bytes: 1_000, depth: 5, ..Limits::default() };
    let server = server_with(Http::new(config), limits, Anonymous::Nobody);
    let text = |bytes: usize| list([Value::Text("x".repeat(bytes).into())]);
    assert_eq!(server.ask(post_packed("test.echo", PACKED, &text(996))).await.status, 200);
    assert_eq!(server.ask(post_packed("test.echo", PACKED, &text(998))).await.status, 413);
    let many = |values| list([list(vec![Value::Null; values])]);
    assert_eq!(server.ask(post_packed("test.echo", PACKED, &many(98))).await.status, 200);
    assert_eq!(server.ask(post_packed("test.echo", PACKED, &many(101))).await.status, 413);
    let deep = |levels| (0..levels).fold(Value::Null, |value, _| list([value]));
    assert_eq!(server.ask(post_packed("test.echo", PACKED, &deep(5))).await.status, 200);
    assert_eq!(server.ask(post_packed("test.echo", PACKED, &deep(6))).await.status, 413);
    let json = format!("[[{}0]]", "0,".repeat(100));
    assert_eq!(server.call("test.echo", &json).await.status, 413);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_frames_with_a_clear_end() {
    let server = server();
    let counted = server.ask(post_packed("test.count", FRAMES, &list([2.into()]))).await;
    let media_type = Some("application/vnd.polyport.msgpack-seq");
    assert_eq!((counted.status, counted.header("content-type")), (200, media_type));
    let wanted = [(4, 0.into()), (4, 1.into()), (5, Value::Null)];
    assert_eq!(frames(&counted.bytes), wanted);

    let failed = server.ask(post_packed("test.count", FRAMES, &list([9.into(), 1.into()]))).await;
    let failed = frames(&failed.bytes);
    assert_eq!(failed[..1], [(4, 0.into())]);
    assert_eq!((failed.len(), failed[1].0), (2, 6));
    assert_eq!(failed[1].1.get("message"), Some(&"spent".into()));
    assert_eq!(failed[1].1.get("trace"), None);

    let many = server.ask(post_packed("test.many", FRAMES, &list([]))).await;
    let wanted = [
        (4, 1.into()),
        (3, list(["a".into()])),
        (4, list([2.into()])),
        (3, Value::Null),
        (4, 3.into()),
        (4, 4.into()),
        (5, Value::Null),
    ];
    assert_eq!(frames(&many.bytes), wanted);
    let one = server.ask(post_packed("test.who", FRAMES, &list([]))).await;
    assert_eq!(frames(&one.bytes), [(4, "ann".into()), (5, Value::Null)]);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_of_frames_shows_that_it_lives() {
    let server = server();
    let mut client = server.connect();
    client.send(post_packed("test.tick", FRAMES, &list([]))).await;
    client.until("\r\n\r\n").await;
    for wanted in [(9, 0.into()), (4, 0.into()), (9, 0.into()), (4, 1.into())] {
        assert_eq!(frames(&client.chunk_bytes().await.unwrap()), [wanted]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_or_reads_nothing_stops_a_stream_of_frames() {
    let server = server();
    let mut client = server.connect_over(1024);
    client.send(post_packed("test.count", FRAMES, &list([10_000_000.into()]))).await;
    settle().await;
    let sent = server.core.stats().total().bytes_out;
    assert!(sent < 4096, "{sent} bytes were sent to a client that reads nothing");
    assert_eq!(server.connection().in_flight(), 1);
    drop(client.pipe);
    client.serving.await.unwrap();
    assert_eq!(server.core.stats().total().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_when_the_time_that_its_client_gave_it_is_over() {
    let server = server();
    let timeout = |text: &str| format!("{ANN}polyport-timeout: {text}\r\n");
    let began = Instant::now();
    let late = server.ask(post("/v1/call/test.wait", &timeout("2.5"), "[10]")).await;
    assert_eq!((late.status, late.kind().as_str()), (504, "timeout"));
    assert!(late.body.contains(r#""ran":"maybe""#));
    assert_eq!(began.elapsed().as_millis(), 2_500);
    assert_eq!(server.waiting.count(), 0);
    let good = server.ask(post("/v1/call/test.wait", &timeout("11"), "[10]")).await;
    assert_eq!(good.json(), result("waited"));
    let long = "9".repeat(300);
    let good = server.ask(post("/v1/call/test.wait", &timeout(&long), "[10]")).await;
    assert_eq!(good.status, 200);

    let none = server.ask(post("/v1/call/test.wait", &timeout("0"), "[10]")).await;
    assert_eq!((none.status, none.kind().as_str()), (504, "timeout"));
    assert!(none.body.contains(r#""ran":"no""#));
    for text in ["soon", "-1", "1s", "", "1\r\npolyport-timeout: 2"] {
        let wrong = server.ask(post("/v1/call/test.who", &timeout(text), "")).await;
        assert_eq!((wrong.status, wrong.kind().as_str()), (400, "syntax"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_cannot_take_longer_than_its_user_may() {
    let server = server();
    let limit = Duration::from_secs(3);
    let slow = User::new("ann", "pw").token("t0ken").right("call *").time_limit("http", limit);
    server.core.put_user(slow);
    for (given, took) in [("2", 2), ("100", 3)] {
        let began = Instant::now();
        let headers = format!("{ANN}polyport-timeout: {given}\r\n");
        let late = server.ask(post("/v1/call/test.wait", &headers, "[10]")).await;
        assert_eq!((late.status, began.elapsed().as_secs()), (504, took));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_a_fault_when_its_time_is_over() {
    let server = server();
    let headers = format!("{FRAMES}polyport-timeout: 50\r\n");
    let answer = server.ask(post_packed("test.tick", &headers, &list([]))).await;
    let frames = frames(&answer.bytes);
    let items = frames.iter().filter(|(kind, _)| *kind == 4).count();
    let (kind, fault) = frames.last().unwrap();
    assert_eq!((items, *kind), (2, 6));
    assert_eq!(fault.get("kind"), Some(&"timeout".into()));
    assert_eq!(server.core.stats().total().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_mutated_bodies_neither_panic_nor_hang() {
    let server = server();
    let whole = post_packed("test.echo", PACKED, &list([values()]));
    let start = whole.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4;
    let mut client = server.connect();
    let mut seed = 0x5eed_u64;
    let mut below = |limit: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % limit as u64) as usize
    };
    let (mut good, mut bad) = (0, 0);
    for round in 0..10_000 {
        let mut bytes = whole.clone();
        for _ in 0..=below(3) {
            let at = start + below(bytes.len() - start);
            bytes[at] = match below(3) {
                0 => bytes[at] ^ (1 << below(8)),
                1 => [0xc1, 0xc7, 0xc9, 0xdb, 0xdd, 0xdf][below(6)],
                _ => u8::try_from(below(256)).unwrap(),
            };
        }
        client.send(&bytes).await;
        let answered = tokio::time::timeout(Duration::from_secs(10), client.answer()).await;
        let status = answered.unwrap_or_else(|_| panic!("round {round} hangs")).status;
        assert!(matches!(status, 200 | 400 | 413 | 422 | 501), "round {round}: {status}");
        good += usize::from(status == 200);
        bad += usize::from(status != 200);
    }
    assert!(good > 500 && bad > 500, "{good} good, {bad} bad");
}
