use std::time::Duration;

use polyport_core::{Anonymous, Limits, Listener, Peer, User};
use polyport_http::{Config, Http};
use polyport_wire::Protocol as _;
use tokio::time::Instant;

use crate::support::*;

fn who(headers: &str) -> String {
    post("/v1/call/test.who", headers, "")
}

#[tokio::test(start_paused = true)]
async fn tokens_and_passwords_are_let_in() {
    let server = server();
    for headers in [
        "authorization: Bearer t0ken\r\n",
        "Authorization: bearer t0ken\r\n",
        "authorization: Basic YW5uOnB3\r\n",
        "authorization: basic YW5uOnB3\r\n",
    ] {
        let answer = server.ask(who(headers)).await;
        assert_eq!(answer.json(), result("ann"), "{headers}");
    }
    assert_eq!(server.ask(who(ROOT)).await.json(), result("root"));
}

#[tokio::test(start_paused = true)]
async fn all_else_is_refused_with_both_ways_to_log_in() {
    let server = server();
    for headers in [
        "",
        "authorization: Bearer wrong\r\n",
        "authorization: Basic YW5uOm5v\r\n",
        "authorization: Basic bm9ib2R5OnB3\r\n",
        "authorization: Basic ???\r\n",
        "authorization: Digest x\r\n",
    ] {
        let answer = server.ask(who(headers)).await;
        assert_eq!((answer.status, answer.kind().as_str()), (401, "login"), "{headers}");
        assert!(answer.head.contains("www-authenticate: Bearer realm=\"polyport\""));
        assert!(answer.head.contains("www-authenticate: Basic realm=\"polyport\""));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_takes_its_time() {
    let server = server();
    let began = Instant::now();
    server.ask(who("authorization: Bearer wrong\r\n")).await;
    assert!(began.elapsed() >= Duration::from_millis(200));
}

#[tokio::test(start_paused = true)]
async fn strangers_are_the_listeners_anonymous_user_where_it_has_one() {
    let server = open_server();
    assert_eq!(server.ask(who("")).await.json(), result("visitor"));
    assert_eq!(server.ask(who(ANN)).await.json(), result("ann"));
    assert_eq!(server.ask(who("authorization: Bearer wrong\r\n")).await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn each_request_of_a_connection_is_its_own_users() {
    let server = open_server();
    let mut client = server.connect();
    let wrong = "authorization: Bearer wrong\r\n";
    for (headers, user) in
        [(ANN, "ann"), ("", "visitor"), (ANN, "ann"), (ANN, "ann"), (wrong, ""), (ROOT, "root")]
    {
        client.send(who(headers)).await;
        let answer = client.answer().await;
        match user {
            "" => assert_eq!(answer.status, 401),
            user => assert_eq!(answer.json(), result(user)),
        }
    }
    assert_eq!(server.connection().user().0, "root");
}

#[tokio::test(start_paused = true)]
async fn a_connection_pays_for_a_login_once() {
    let server = server();
    let mut client = server.connect();
    for _ in 0..5 {
        client.send(who(ANN)).await;
        client.answer().await;
    }
    assert_eq!(server.core.stats().total().logins_good, 1);
}

#[tokio::test(start_paused = true)]
async fn a_user_who_is_changed_is_changed_in_open_connections() {
    let server = server();
    let mut client = server.connect();
    client.send(who(ANN)).await;
    assert_eq!(client.answer().await.status, 200);
    server.core.put_user(User::new("ann", "pw").token("t0ken"));
    client.send(who(ANN)).await;
    assert_eq!(client.answer().await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn requests_for_other_hosts_are_refused() {
    let server = server();
    let ask = async |host: &str| {
        let request = format!("GET / HTTP/1.1\r\n{host}\r\n");
        server.ask(request).await.status
    };
    for host in ["host: localhost:8308\r\n", "host: 10.0.0.7\r\n", "host: [::1]:80\r\n"] {
        assert_eq!(ask(host).await, 200, "{host}");
    }
    assert_eq!(ask("host: evil.example\r\n").await, 421);
    for host in ["", "host: localhost\r\nhost: localhost\r\n", "host: a b\r\n", "host: \r\n"] {
        assert_eq!(ask(host).await, 400, "{host}");
    }
    assert_eq!(server.ask("GET / HTTP/1.0\r\n\r\n").await.status, 200);
    let absolute = "GET http://evil.example/ HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert_eq!(server.ask(absolute).await.status, 421);

    // A load balancer's probe names what it likes.
    let probe = "GET /livez HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    assert_eq!(server.ask(probe).await.status, 200);

    let config = Config { allowed_hosts: vec!["*.example".into()], ..Config::default() };
    let server = server_with(Http::new(config), Limits::default(), Anonymous::Nobody);
    let request = "GET / HTTP/1.1\r\nhost: api.example\r\n\r\n";
    assert_eq!(server.ask(request).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_unix_socket_has_no_host() {
    let server = server();
    let (mut ours, theirs) = tokio::io::duplex(4096);
    let guest = server.core.admit("http", Peer::Unix, &Listener::default().into()).unwrap();
    let accepted = polyport_wire::Accepted { io: Box::new(theirs), guest, tls: None };
    tokio::spawn(std::sync::Arc::new(Http::new(Config::default())).serve(accepted));
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    ours.write_all(b"GET / HTTP/1.0\r\nhost: my.socket\r\n\r\n").await.unwrap();
    let mut text = String::new();
    ours.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.0 200 "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn pages_of_other_origins_send_nothing() {
    let config =
        Config { allowed_origins: vec!["https://app.example".into()], ..Config::default() };
    let server = server_with(Http::new(config), Limits::default(), Anonymous::Nobody);
    let call = |origin: &str| who(&format!("{ANN}origin: {origin}\r\n"));

    for origin in ["http://evil.example", "null", "http://localhost:9999", "https://app.example.x"]
    {
        let answer = server.ask(call(origin)).await;
        assert_eq!((answer.status, answer.kind().as_str()), (403, "denied"), "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let own = server.ask(call("http://localhost")).await;
    assert_eq!((own.status, own.header("access-control-allow-origin")), (200, None));

    let allowed = server.ask(call("https://app.example")).await;
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(allowed.header("vary"), Some("origin"));
    // The page must be able to read why it was refused, too.
    let refused = server.ask(who("origin: https://app.example\r\n")).await;
    assert_eq!(refused.status, 401);
    assert!(refused.header("access-control-allow-origin").is_some());
}

#[tokio::test(start_paused = true)]
async fn browsers_that_ask_first_are_answered_for_allowed_origins_only() {
    let config =
        Config { allowed_origins: vec!["https://app.example".into()], ..Config::default() };
    let server = server_with(Http::new(config), Limits::default(), Anonymous::Nobody);
    let asking = |origin: &str| {
        format!(
            "OPTIONS /v1/call/test.who HTTP/1.1\r\nhost: localhost\r\norigin: {origin}\r\n\
             access-control-request-method: POST\r\n\r\n"
        )
    };
    let answer = server.ask(asking("https://app.example")).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, HEAD, POST"));
    assert!(answer.header("access-control-allow-headers").unwrap().contains("authorization"));
    assert_eq!(server.ask(asking("https://evil.example")).await.status, 403);
}
