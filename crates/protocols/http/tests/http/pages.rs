use std::sync::Arc;
use std::time::Duration;

use polyport_core::{Anonymous, Limits, Value};
use polyport_http::{Config, Http};
use polyport_wire::Protocol as _;
use tokio::time::Instant;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn functions_are_listed_as_the_user_sees_them() {
    let server = server();
    let answer = server.ask(get("/v1/functions", ANN)).await;
    let listed = answer.json();
    let Some(Value::List(functions)) = listed.get("functions") else { panic!("{listed}") };
    let names: Vec<_> = functions.iter().filter_map(|f| f.get("name")?.as_text()).collect();
    assert!(names.contains(&"math.add") && !names.contains(&"hidden"));
    assert!(names.is_sorted());

    let one = server.ask(get("/v1/functions/math.add", ANN)).await;
    assert_eq!(
        one.body,
        concat!(
            r#"{"name":"math.add","signature":"(a: int, b: int = 10) -> int","#,
            r#""help":"Adds.\n\nTwo numbers.","parameters":["#,
            r#"{"name":"a","type":"int","nullable":false,"required":true,"#,
            r#""rest":false,"named_rest":false,"only_named":false},"#,
            r#"{"name":"b","type":"int","nullable":false,"required":false,"default":10,"#,
            r#""rest":false,"named_rest":false,"only_named":false}],"#,
            r#""returns":"int","property":null}"#
        )
    );
    for path in ["/v1/functions/hidden", "/v1/functions/nothing"] {
        assert_eq!(server.ask(get(path, ANN)).await.status, 404);
    }
    assert_eq!(server.ask(get("/v1/functions", "")).await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn the_openapi_document_describes_what_the_user_may_call() {
    let document = server().ask(get("/v1/openapi.json", ANN)).await.json();
    assert_eq!(document.get("openapi").and_then(Value::as_text), Some("3.1.0"));
    let paths = document.get("paths").unwrap();
    assert!(paths.get("/v1/call/hidden").is_none());
    let post = paths.get("/v1/call/math.add").and_then(|path| path.get("post")).unwrap();
    assert_eq!(post.get("summary").and_then(Value::as_text), Some("Adds."));
    let body = post.get("requestBody").unwrap().to_string();
    assert!(body.contains("'b': {'type': 'integer', 'default': 10}"), "{body}");
    assert!(body.contains("'application/vnd.polyport.msgpack': {}"), "{body}");
    let answers = post.get("responses").and_then(|all| all.get("200")?.get("content")).unwrap();
    for media_type in ["json", "x-ndjson", "vnd.polyport.msgpack", "vnd.polyport.msgpack-seq"] {
        assert!(answers.get(&format!("application/{media_type}")).is_some(), "{answers}");
    }
    let timeout = document.get("components").and_then(|all| all.get("parameters")?.get("Timeout"));
    let name = timeout.and_then(|timeout| timeout.get("name")).and_then(Value::as_text);
    assert_eq!(name, Some("Polyport-Timeout"));
}

#[tokio::test(start_paused = true)]
async fn metrics_need_the_right_or_the_setting() {
    let server = server();
    assert_eq!(server.ask(get("/metrics", "")).await.status, 401);
    assert_eq!(server.ask(get("/metrics", ANN)).await.status, 403);
    let page = server.ask(get("/metrics", ROOT)).await;
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(page.body.contains("polyport_logins_total{protocol=\"http\",outcome=\"good\"} 2\n"));
    assert!(page.body.contains("# TYPE polyport_call_duration_seconds histogram\n"));

    let config = Config { metrics_public: true, ..Config::default() };
    let server = server_with(Http::new(config), Limits::default(), Anonymous::Nobody);
    assert_eq!(server.ask(get("/metrics", "")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn bytes_and_requests_are_counted() {
    let server = server();
    let request = get("/livez", "");
    let mut client = server.connect();
    client.send(&request).await;
    let answer = client.answer().await;
    drop(client.pipe);
    client.serving.await.unwrap();
    let counts = server.core.stats().total();
    assert_eq!(counts.bytes_in, request.len() as u64);
    assert_eq!(counts.bytes_out, (answer.head.len() + answer.body.len()) as u64);
    assert_eq!((counts.requests, counts.closed_normal, counts.closed_error), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_server_is_alive_and_ready_until_it_stops() {
    let server = server();
    assert_eq!(server.ask(get("/livez", "")).await.status, 200);
    assert_eq!(server.ask(get("/readyz", "")).await.status, 200);
    server.core.shut_down();
    assert_eq!(server.ask(get("/livez", "")).await.status, 200);
    assert_eq!(server.ask(get("/readyz", "")).await.status, 503);
}

#[tokio::test(start_paused = true)]
async fn unknown_paths_and_methods_are_told_so_in_json() {
    let server = server();
    for path in ["/nothing", "/v1", "/v1/call", "/v1/call/", "/v1/call/a/b", "/pymysqlrpc"] {
        let answer = server.ask(get(path, ANN)).await;
        assert_eq!((answer.status, answer.kind().as_str()), (404, "not_found"), "{path}");
    }
    for path in ["/", "/v1/functions", "/metrics", "/livez"] {
        let answer = server.ask(post(path, ANN, "")).await;
        assert_eq!((answer.status, answer.kind().as_str()), (405, "unsupported"), "{path}");
        assert_eq!(answer.header("allow"), Some("GET,HEAD"), "{path}");
    }
    let long = format!("/{}", "x".repeat(8192));
    assert_eq!(server.ask(get(&long, "")).await.status, 414);
}

#[tokio::test(start_paused = true)]
async fn head_is_get_without_the_body() {
    let server = server();
    let mut client = server.connect();
    client.send("HEAD / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-length: "), "{head}");
    client.send(get("/livez", "")).await;
    assert_eq!(client.answer().await.body, "ok\n");
}

fn with_status_page() -> Server {
    let config = Config { status_password: Some("view/pass".into()), ..Config::default() };
    let lines = || vec![("server listen".to_owned(), "('0.0.0.0', 3308)".to_owned())];
    let http = Http::new(config).with_status(Arc::new(lines));
    server_with(http, Limits::default(), Anonymous::Nobody)
}

#[tokio::test(start_paused = true)]
async fn the_status_page_is_pymysqlrpcs() {
    let server = with_status_page();
    let page = server.ask(get("/pymysqlrpc/info/root/view%2Fpass", "")).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.body, "<pre>\nserver listen  : ('0.0.0.0', 3308)\n</pre>");
    assert_eq!(page.header("cache-control"), Some("no-store"));

    for path in ["", "/", "/x", "/info", "/info/root", "/info/root/", "/info/root/a/b"] {
        let answer = server.ask(get(&format!("/pymysqlrpc{path}"), "")).await;
        let got = (answer.status, answer.body.as_str());
        assert_eq!(got, (200, "this is one pymysqlrpc"), "{path}");
    }
    for path in ["/info/root/wrong", "/info/ann/view%2Fpass", "/info/root/%ff"] {
        let began = Instant::now();
        let answer = server.ask(get(&format!("/pymysqlrpc{path}"), "")).await;
        assert_eq!(answer.body, "this is one pymysqlrpc", "{path}");
        assert!(began.elapsed() >= Duration::from_millis(200), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_password_there_is_no_status_page() {
    let http = Http::new(Config::default()).with_status(Arc::new(Vec::new));
    let server = server_with(http, Limits::default(), Anonymous::Nobody);
    assert_eq!(server.ask(get("/pymysqlrpc/info/root/", "")).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_full_server_says_so_in_http() {
    let text = String::from_utf8(Http::new(Config::default()).no_room()).unwrap();
    assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    assert!(text.contains("too many connections"));
}
