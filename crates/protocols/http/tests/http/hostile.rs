use std::time::Duration;

use polyport_core::{Anonymous, Limits};
use polyport_http::{Config, Http};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::support::*;

/// A small random number generator, so that a failure can be repeated from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

/// What real clients send: curl 7.88, Python's urllib and requests, a browser.
fn transcripts() -> Vec<Vec<u8>> {
    let chunked = "POST /v1/call/math.add HTTP/1.1\r\nHost: localhost:8308\r\n\
        User-Agent: curl/7.88.1\r\nAccept: */*\r\nAuthorization: Bearer t0ken\r\n\
        Transfer-Encoding: chunked\r\n\r\n3\r\n[3,\r\n3\r\n 4]\r\n0\r\n\r\n";
    let curl = "POST /v1/call/math.add HTTP/1.1\r\nHost: 127.0.0.1:8308\r\n\
        Authorization: Basic YW5uOnB3\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\
        Content-Length: 6\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n[3, 4]";
    let requests = "POST /v1/call/test.count HTTP/1.1\r\nHost: localhost:8308\r\n\
        User-Agent: python-requests/2.32.3\r\nAccept-Encoding: gzip, deflate\r\n\
        Accept: application/x-ndjson\r\nConnection: keep-alive\r\n\
        Authorization: Bearer t0ken\r\nContent-Length: 8\r\n\
        Content-Type: application/json\r\n\r\n{\"n\": 3}";
    let urllib = "GET /v1/functions HTTP/1.1\r\nAccept-Encoding: identity\r\n\
        Host: localhost:8308\r\nUser-Agent: Python-urllib/3.11\r\nConnection: close\r\n\r\n";
    let browser = "OPTIONS /v1/call/math.add HTTP/1.1\r\nHost: localhost:8308\r\n\
        Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n\
        Access-Control-Request-Headers: authorization\r\nSec-Fetch-Mode: cors\r\n\r\n";
    [
        chunked.to_owned(),
        curl.to_owned(),
        requests.to_owned(),
        urllib.to_owned(),
        browser.to_owned(),
        format!("{curl}{requests}{chunked}"),
        get("/pymysqlrpc/info/root/viewpass", ""),
        get("/metrics", ROOT),
    ]
    .map(String::into_bytes)
    .to_vec()
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
    const WORDS: [&str; 9] = [
        "\r\n",
        "\r\n\r\n",
        "\0",
        "chunked",
        "content-length: 5\r\n",
        "99999999999999999999",
        "\u{fffd}",
        "[[[[[[[[",
        "host: x\r\n",
    ];
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => drop(bytes.splice(at..at, WORDS[random.below(WORDS.len())].bytes())),
            4 => {
                let end = (at + random.below(40)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn mutated_requests_neither_panic_nor_hang() {
    let config = Config { status_password: Some("viewpass".into()), ..Config::default() };
    let http = Http::new(config).with_status(std::sync::Arc::new(Vec::new));
    let server = server_with(http, Limits::default(), Anonymous::Nobody);
    let transcripts = transcripts();
    let (mut good, mut bad) = (0, 0);
    for seed in 1..=10_000 {
        let mut random = Random(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
        let mut bytes = transcripts[random.below(transcripts.len())].clone();
        mutate(&mut random, &mut bytes, &transcripts);
        let mut client = server.connect();
        client.pipe.write_all(&bytes).await.unwrap();
        client.pipe.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let whole = async {
            client.pipe.read_to_end(&mut answer).await.unwrap();
            client.serving.await
        };
        let ended = timeout(Duration::from_secs(30), whole).await;
        let shown = String::from_utf8_lossy(&bytes);
        assert!(matches!(ended, Ok(Ok(()))), "seed {seed}: {shown}");
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "seed {seed}: {shown}");
        good += usize::from(answer.starts_with(b"HTTP/1.1 200"));
        bad += usize::from(answer.starts_with(b"HTTP/1.1 400"));
    }
    // Mutations that all fail at the first byte would test little.
    assert!(good > 500 && bad > 500, "{good} good, {bad} bad");
    assert_eq!(server.core.connections().count(), 0);
    assert_eq!(server.call("math.add", "[3, 4]").await.json(), result(7));
}

#[tokio::test(start_paused = true)]
async fn other_protocols_get_an_error_and_an_end() {
    let server = server();
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    let h2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let redis = b"*1\r\n$4\r\nPING\r\n".to_vec();
    for (bytes, answer) in [
        (tls, "HTTP/1.1 400 "),
        (redis, "HTTP/1.1 400 "),
        (b"\0\0\0\0\r\n\r\n".to_vec(), "HTTP/1.1 400 "),
        // An HTTP/2 client takes any text for a broken frame; the end is all it understands.
        (h2, ""),
    ] {
        let mut client = server.connect();
        client.send(&bytes).await;
        let text = timeout(Duration::from_secs(5), client.rest()).await.unwrap();
        assert!(text.starts_with(answer), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_and_too_large_headers_are_refused() {
    let server = server();
    let many = "x: y\r\n".repeat(101);
    assert_eq!(server.ask(get("/", &many)).await.status, 431);
    let large = format!("x: {}\r\n", "y".repeat(33 << 10));
    assert_eq!(server.ask(get("/", &large)).await.status, 431);
    let config = Config { header_bytes: 100, headers: 2, ..Config::default() };
    let server = server_with(Http::new(config), Limits::default(), Anonymous::Nobody);
    assert_eq!(server.ask(get("/livez", "")).await.status, 200);
    assert_eq!(server.ask(get("/livez", "a: b\r\nc: d\r\n")).await.status, 431);
    let large = format!("x: {}\r\n", "y".repeat(100));
    assert_eq!(server.ask(get("/livez", &large)).await.status, 431);
}

#[tokio::test(start_paused = true)]
async fn a_request_hidden_behind_two_lengths_is_not_answered() {
    let server = server();
    for lengths in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: +5\r\n",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: xchunked\r\n",
    ] {
        let mut client = server.connect();
        let head = format!("POST / HTTP/1.1\r\nhost: localhost\r\n{lengths}\r\n0\r\n\r\n");
        client.send(format!("{head}{}", get("/livez", ""))).await;
        let text = timeout(Duration::from_secs(200), client.rest()).await.unwrap();
        assert!(!text.contains("\r\n\r\nok\n"), "{lengths}: {text}");
    }
}
