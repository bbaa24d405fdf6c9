use super::*;
use crate::codec::value::Reader;

struct Peer(DuplexStream, Vec<u8>);

impl Peer {
    fn new(server: &Server) -> Self {
        Self(server.pipe(), Vec::new())
    }

    /// Sends as a packer since 2013 does.
    async fn send(&mut self, message: Value) {
        self.send_styled(message, true).await;
    }

    async fn send_styled(&mut self, message: Value, new_style: bool) {
        let mut bytes = Vec::new();
        value::append(&mut bytes, &message, new_style).unwrap();
        self.0.write_all(&bytes).await.unwrap();
    }

    /// The next response: id, error, result.
    async fn receive(&mut self) -> Option<(Value, Value, Value)> {
        loop {
            let mut reader = Reader::new(&self.1, BOUNDS);
            if let Ok(Value::List(message)) = reader.value() {
                let used = self.1.len() - reader.rest().len();
                self.1.drain(..used);
                let [kind, id, error, result]: [Value; 4] = message.try_into().unwrap();
                assert_eq!(kind, 1.into());
                return Some((id, error, result));
            }
            if self.0.read_buf(&mut self.1).await.unwrap() == 0 {
                assert_eq!(self.1, b"");
                return None;
            }
        }
    }

    async fn call(&mut self, id: i64, method: &str, params: Value) -> Result<Value, String> {
        self.send(ask(id, method, params)).await;
        let (answered, error, result) = self.receive().await.unwrap();
        assert_eq!(answered, id.into());
        match error {
            Value::Null => Ok(result),
            error => {
                assert_eq!(result, Value::Null);
                Err(error.as_text().unwrap().to_owned())
            }
        }
    }
}

fn ask(id: i64, method: &str, params: Value) -> Value {
    list([0.into(), id.into(), method.into(), params])
}

#[tokio::test(start_paused = true)]
async fn requests_are_answered_and_notifications_and_responses_are_not() {
    let server = Server::new();
    let mut peer = Peer::new(&server);
    assert_eq!(peer.call(0, "add", list([1, 2])).await, Ok(3.into()));
    peer.send(list([2.into(), "add".into(), list([1, 2])])).await;
    peer.send(list([2.into(), Value::from("nosuch"), none()])).await;
    peer.send(list([1.into(), 7.into(), Value::Null, Value::Null])).await;
    let last = i64::from(u32::MAX);
    assert_eq!(peer.call(last, "add", list([1, 2])).await, Ok(3.into()));
}

#[tokio::test(start_paused = true)]
async fn answers_go_out_as_calls_finish() {
    let server = Server::new();
    let mut peer = Peer::new(&server);
    peer.send(ask(1, "sleep", list([200]))).await;
    peer.send(ask(2, "sleep", list([100]))).await;
    peer.send(ask(3, "add", list([1, 2]))).await;
    for id in [3, 2, 1] {
        assert_eq!(peer.receive().await.unwrap().0, id.into());
    }
}

#[tokio::test(start_paused = true)]
async fn errors_are_text() {
    let server = Server::new();
    let mut peer = Peer::new(&server);
    let cases = [
        ("nosuch", none(), "there is no function 'nosuch'"),
        ("boom", none(), "ValueError: no such luck"),
        ("wide", none(), "ValueError: the result cannot be sent: an integer is wider than 64 bits"),
        ("pickle", none(), "ValueError: the result cannot be sent: an object of another dialect"),
    ];
    for (method, params, text) in cases {
        assert_eq!(peer.call(1, method, params).await, Err(text.to_owned()));
    }
    assert!(peer.call(1, "add", list([1])).await.is_err());
    assert_eq!(peer.call(2, "add", list([1, 2])).await, Ok(3.into()));
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_reply_is_one_value() {
    let limits = Limits { gathered_items: 10, ..Limits::default() };
    let server = Server::with(Config::default(), limits, &[("standard", "nobody")]);
    let mut peer = Peer::new(&server);
    assert_eq!(peer.call(1, "count", list([3])).await, Ok(list([0, 1, 2])));
    assert_eq!(peer.call(1, "many", none()).await, Ok(list([Value::Int(1), list([0, 1])])));
    let rows = [Value::map([("a", 1), ("b", 2)]), Value::map([("a", 3), ("b", 4)])];
    assert_eq!(peer.call(1, "table", none()).await, Ok(list(rows)));
    assert!(peer.call(1, "count", list([11])).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn text_and_bytes_are_raw_until_the_peer_shows_that_it_knows_better() {
    let server = Server::new();
    let mut peer = Peer::new(&server);
    let long = "x".repeat(40);
    peer.send_styled(ask(1, "echo", list([long.as_str()])), false).await;
    let mut answer = vec![0; 4 + 3 + 40];
    peer.0.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[..7], [0x94, 1, 1, 0xc0, 0xda, 0, 40]);
    peer.send_styled(ask(2, "echo", list([long.as_str()])), true).await;
    let mut answer = vec![0; 4 + 2 + 40];
    peer.0.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[..6], [0x94, 1, 2, 0xc0, 0xd9, 40]);
    let bytes = Value::Bytes(b"a".into());
    assert_eq!(peer.call(3, "echo", list([bytes.clone()])).await, Ok(bytes));
}

#[tokio::test(start_paused = true)]
async fn a_malformed_message_is_answered_where_it_has_an_id_and_ends_the_connection() {
    let server = Server::new();
    let mut peer = Peer::new(&server);
    peer.send(ask(7, "add", "no array".into())).await;
    assert_eq!(peer.receive().await.unwrap().0, 7.into());
    assert!(peer.receive().await.is_none());
    for bytes in [&b"\x90"[..], b"\x93\x05\x01\x02", b"\x94\x00\xc0\xa1f\x90", b"\xdc\0\x09\0"] {
        let mut peer = Peer::new(&server);
        peer.0.write_all(bytes).await.unwrap();
        assert!(peer.receive().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_announces_too_much_is_refused_at_once() {
    let server = Server::new();
    let mut peer = Peer::new(&server);
    peer.0.write_all(b"\x94\0\x05\xa4echo\x91\xdb\xff\xff\xff\xff").await.unwrap();
    assert_eq!(peer.receive().await.unwrap().0, 5.into());
    assert!(peer.receive().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn without_an_anonymous_user_a_peer_logs_in_by_a_call() {
    let server = Server::with(Config::default(), Limits::default(), &[]);
    let mut peer = Peer::new(&server);
    assert!(peer.call(1, "add", list([1, 2])).await.unwrap_err().contains("log in"));
    assert!(peer.call(2, "login", list(["ann"])).await.is_err());
    assert_eq!(peer.call(3, "login", list(["ann", "secret"])).await, Ok(true.into()));
    assert_eq!(peer.call(4, "add", list([1, 2])).await, Ok(3.into()));

    let mut peer = Peer::new(&server);
    assert!(peer.call(1, "login", list(["ann", "wrong"])).await.is_err());
    assert!(peer.receive().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_login_call_can_be_switched_off() {
    let config = Config { standard_login: false, ..Config::default() };
    let server = Server::with(config, Limits::default(), &[]);
    let mut peer = Peer::new(&server);
    assert!(peer.call(1, "login", list(["ann", "secret"])).await.is_err());
    assert!(peer.receive().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn thousands_of_requests_in_one_write_are_all_answered() {
    let server = Server::new();
    let peer = Peer::new(&server);
    let mut bytes = Vec::new();
    for id in 0..5000 {
        value::append(&mut bytes, &ask(id, "add", list([id, 1])), true).unwrap();
    }
    let (mut read, mut write) = tokio::io::split(peer.0);
    tokio::spawn(async move { write.write_all(&bytes).await.unwrap() });
    let mut answers = Vec::new();
    let mut sums = 0;
    while sums < 5000 {
        assert!(read.read_buf(&mut answers).await.unwrap() > 0);
        let mut reader = Reader::new(&answers, BOUNDS);
        let mut used = 0;
        while let Ok(Value::List(message)) = reader.value() {
            assert_eq!(message[3].as_int(), message[1].as_int().map(|id| id + 1));
            used = answers.len() - reader.rest().len();
            sums += 1;
        }
        answers.drain(..used);
    }
}

#[tokio::test(start_paused = true)]
async fn at_shutdown_calls_finish_and_the_connection_closes() {
    let server = Server::new();
    let mut peer = Peer::new(&server);
    peer.send(ask(1, "sleep", list([500]))).await;
    settle().await;
    server.core.shut_down();
    assert_eq!(peer.receive().await.unwrap().2, 500.into());
    assert!(peer.receive().await.is_none());
}
