//! A MySQL client of few words, and the server it talks to, both in memory.

use std::sync::Arc;

use polyport_core::verifier::client::{sha1_answer, sha256_answer};
use polyport_core::{Core, Limits, Listener, Peer, Settings};
use polyport_mysql::{Config, Mysql};
use polyport_wire::{Accepted, Duplex, Protocol, TlsAcceptor};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

pub(crate) const MULTI_STATEMENTS: u32 = 1 << 16;
pub(crate) const MULTI_RESULTS: u32 = 1 << 17;
pub(crate) const PLUGIN_AUTH: u32 = 1 << 19;
pub(crate) const SESSION_TRACK: u32 = 1 << 23;
pub(crate) const DEPRECATE_EOF: u32 = 1 << 24;
const TLS: u32 = 1 << 11;
const BASE: u32 = 1 | 1 << 9 | 1 << 15;

/// What most clients ask for.
pub(crate) const USUAL: u32 = BASE | 1 << 3 | MULTI_RESULTS | PLUGIN_AUTH | 1 << 21;

/// A server that holds connections and no socket.
pub(crate) struct Server {
    pub(crate) core: Core,
    pub(crate) mysql: Arc<Mysql>,
    pub(crate) listener: Arc<Listener>,
    pub(crate) tls: Option<TlsAcceptor>,
    /// Bytes that the pipe to a client holds.
    pub(crate) pipe: usize,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::with(Config::default(), Limits::default())
    }

    pub(crate) fn with(config: Config, limits: Limits) -> Self {
        let databases = vec!["polyport".into(), "test".into()];
        let core = Core::new(Settings { limits, databases, keep_users: None }).unwrap();
        crate::functions::furnish(&core);
        let listener = Listener { address: "127.0.0.1:3308".into(), ..Listener::default() };
        let mysql = Mysql::new(config);
        Self { core, mysql, listener: Arc::new(listener), tls: None, pipe: 64 * 1024 }
    }

    /// Opens a connection without reading the hello.
    pub(crate) fn open(&self) -> (DuplexStream, JoinHandle<()>) {
        let (ours, theirs) = tokio::io::duplex(self.pipe);
        let guest = self.core.admit("mysql", Peer::Memory, &self.listener).expect("a place");
        let accepted = Accepted { io: Box::new(theirs), guest, tls: self.tls.clone() };
        (ours, tokio::spawn(self.mysql.clone().serve(accepted)))
    }

    /// Opens a connection and reads the hello.
    pub(crate) async fn greet(&self) -> Client {
        let (io, task) = self.open();
        let hello = Vec::new();
        let mut client =
            Client { io: Box::new(io), sequence: 0, capabilities: 0, hello, task: Some(task) };
        client.hello = client.read().await;
        client
    }

    /// Opens a connection and logs in as `testuser`.
    pub(crate) async fn login(&self) -> Client {
        self.login_with(USUAL, Login::default()).await
    }

    pub(crate) async fn login_with(&self, capabilities: u32, login: Login<'_>) -> Client {
        let mut client = self.greet().await;
        match client.login(capabilities, login).await {
            Packet::Ok { .. } => client,
            other => panic!("{other:?}"),
        }
    }
}

/// Who logs in, and how.
#[derive(Clone, Copy)]
pub(crate) struct Login<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    pub(crate) database: &'a str,
    pub(crate) plugin: &'a str,
}

impl Default for Login<'_> {
    fn default() -> Self {
        let (user, password) = ("testuser", "testpass");
        Self { user, password, database: "", plugin: "caching_sha2_password" }
    }
}

pub(crate) struct Client {
    pub(crate) io: Box<dyn Duplex>,
    pub(crate) sequence: u8,
    pub(crate) capabilities: u32,
    pub(crate) hello: Vec<u8>,
    pub(crate) task: Option<JoinHandle<()>>,
}

/// One packet of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Packet {
    Ok { affected: u8, status: u16, rest: Vec<u8> },
    Error { errno: u16, state: String, message: String },
    End { status: u16 },
    Other(Vec<u8>),
}

/// A result set, with the status it ended with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Set {
    pub(crate) columns: Vec<(String, u8)>,
    pub(crate) rows: Vec<Vec<u8>>,
    pub(crate) status: u16,
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Ok { affected: u8, status: u16 },
    Error { errno: u16, state: String, message: String },
    Set(Set),
}

impl Answer {
    /// The rows of a result set as text, `NULL` for nulls.
    pub(crate) fn texts(&self) -> Vec<Vec<String>> {
        let Self::Set(set) = self else { panic!("{self:?}") };
        set.rows.iter().map(|row| cells(row)).collect()
    }

    pub(crate) fn columns(&self) -> Vec<&str> {
        let Self::Set(set) = self else { panic!("{self:?}") };
        set.columns.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub(crate) fn errno(&self) -> u16 {
        let Self::Error { errno, .. } = self else { panic!("{self:?}") };
        *errno
    }
}

impl Client {
    pub(crate) fn salt(&self) -> Vec<u8> {
        let end = self.hello.iter().skip(1).position(|byte| *byte == 0).unwrap() + 1;
        let mut salt = self.hello[end + 5..end + 13].to_vec();
        salt.extend_from_slice(&self.hello[end + 32..end + 44]);
        salt
    }

    pub(crate) fn connection_id(&self) -> u32 {
        let end = self.hello.iter().skip(1).position(|byte| *byte == 0).unwrap() + 1;
        u32::from_le_bytes(self.hello[end + 1..end + 5].try_into().unwrap())
    }

    /// Reads one message, which may have come in several packets.
    pub(crate) async fn read(&mut self) -> Vec<u8> {
        let mut payload = Vec::new();
        loop {
            let mut header = [0; 4];
            self.io.read_exact(&mut header).await.expect("a packet");
            assert_eq!(header[3], self.sequence, "packets are numbered without a gap");
            self.sequence = header[3].wrapping_add(1);
            let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
            let start = payload.len();
            payload.resize(start + length, 0);
            self.io.read_exact(&mut payload[start..]).await.expect("a payload");
            if length < 0xff_ffff {
                return payload;
            }
        }
    }

    pub(crate) async fn send(&mut self, payload: &[u8]) {
        let bytes = self.framed(payload);
        self.io.write_all(&bytes).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// The payload in packets, numbered on from the last.
    pub(crate) fn framed(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut pieces: Vec<&[u8]> = payload.chunks(0xff_ffff).collect();
        if payload.len().is_multiple_of(0xff_ffff) {
            pieces.push(b"");
        }
        for piece in pieces {
            bytes.extend_from_slice(&(piece.len() as u32).to_le_bytes()[..3]);
            bytes.push(self.sequence);
            self.sequence = self.sequence.wrapping_add(1);
            bytes.extend_from_slice(piece);
        }
        bytes
    }

    pub(crate) async fn login(&mut self, capabilities: u32, login: Login<'_>) -> Packet {
        let payload = self.login_payload(capabilities, login);
        self.send(&payload).await;
        self.finish_login(login).await
    }

    pub(crate) fn login_payload(&mut self, capabilities: u32, login: Login<'_>) -> Vec<u8> {
        self.capabilities = capabilities;
        let answer = answer(login.plugin, login.password, &self.salt());
        let mut payload = fixed_part(capabilities);
        payload.extend_from_slice(login.user.as_bytes());
        payload.push(0);
        payload.push(answer.len() as u8);
        payload.extend_from_slice(&answer);
        if capabilities & 1 << 3 != 0 {
            payload.extend_from_slice(login.database.as_bytes());
            payload.push(0);
        }
        if capabilities & PLUGIN_AUTH != 0 {
            payload.extend_from_slice(login.plugin.as_bytes());
            payload.push(0);
        }
        payload
    }

    /// Answers what the server asks until it lets us in or refuses.
    pub(crate) async fn finish_login(&mut self, login: Login<'_>) -> Packet {
        loop {
            let payload = self.read().await;
            match payload.as_slice() {
                [1, 3] => {}
                [1, 4] => {
                    let password = [login.password.as_bytes(), b"\0"].concat();
                    self.send(&password).await;
                }
                [0xfe, rest @ ..] => {
                    let end = rest.iter().position(|byte| *byte == 0).unwrap();
                    let plugin = std::str::from_utf8(&rest[..end]).unwrap();
                    let answer = answer(plugin, login.password, &rest[end + 1..end + 21]);
                    self.send(&answer).await;
                }
                _ => return self.parse(&payload),
            }
        }
    }

    /// Asks for TLS and begins its handshake without waiting, as every client does.
    pub(crate) async fn start_tls(&mut self, tls: tokio_rustls::TlsConnector) {
        let request = fixed_part(USUAL | TLS);
        let bytes = self.framed(&request);
        let (pipe, _) = tokio::io::duplex(1);
        let plain = std::mem::replace(&mut self.io, Box::new(pipe));
        let name = "localhost".try_into().unwrap();
        // The first flight of the handshake leaves together with the request.
        let together = Together { first: Some(bytes), io: plain };
        self.io = Box::new(tls.connect(name, together).await.unwrap());
    }

    pub(crate) fn parse(&self, payload: &[u8]) -> Packet {
        let u16_at = |at: usize| u16::from_le_bytes([payload[at], payload[at + 1]]);
        match payload[0] {
            0x00 => {
                Packet::Ok { affected: payload[1], status: u16_at(3), rest: payload[7..].to_vec() }
            }
            0xff => Packet::Error {
                errno: u16_at(1),
                state: String::from_utf8(payload[4..9].to_vec()).unwrap(),
                message: String::from_utf8_lossy(&payload[9..]).into_owned(),
            },
            0xfe if payload.len() == 5 => Packet::End { status: u16_at(3) },
            0xfe if self.capabilities & DEPRECATE_EOF != 0 && payload.len() < 0xff_ffff => {
                Packet::End { status: u16_at(3) }
            }
            _ => Packet::Other(payload.to_vec()),
        }
    }

    pub(crate) async fn command(&mut self, code: u8, rest: &[u8]) {
        self.sequence = 0;
        self.send(&[&[code], rest].concat()).await;
    }

    /// Sends a command and reads its answers, up to the last.
    pub(crate) async fn ask(&mut self, code: u8, rest: &[u8]) -> Vec<Answer> {
        self.command(code, rest).await;
        self.answers(false).await
    }

    pub(crate) async fn query(&mut self, text: &str) -> Vec<Answer> {
        self.ask(3, text.as_bytes()).await
    }

    /// The only answer of a query.
    pub(crate) async fn one(&mut self, text: &str) -> Answer {
        let mut all = self.query(text).await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    pub(crate) async fn answers(&mut self, binary: bool) -> Vec<Answer> {
        let mut all = Vec::new();
        loop {
            let answer = self.answer(binary).await;
            let status = match &answer {
                Answer::Ok { status, .. } => *status,
                Answer::Error { .. } => 0,
                Answer::Set(set) => set.status,
            };
            all.push(answer);
            if status & 8 == 0 {
                return all;
            }
        }
    }

    async fn answer(&mut self, binary: bool) -> Answer {
        let payload = self.read().await;
        let count = match self.parse(&payload) {
            Packet::Ok { affected, status, .. } => return Answer::Ok { affected, status },
            Packet::Error { errno, state, message } => {
                return Answer::Error { errno, state, message };
            }
            Packet::End { status } => return Answer::Ok { affected: 0, status },
            Packet::Other(bytes) => bytes[0],
        };
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.push(column(&self.read().await));
        }
        if self.capabilities & DEPRECATE_EOF == 0 {
            assert!(matches!(self.read().await.as_slice(), [0xfe, _, _, _, _]));
        }
        let mut rows = Vec::new();
        loop {
            let payload = self.read().await;
            let row_begins_so = binary && payload[0] == 0;
            match if row_begins_so { Packet::Other(payload) } else { self.parse(&payload) } {
                Packet::End { status } => return Answer::Set(Set { columns, rows, status }),
                Packet::Error { errno, state, message } => {
                    return Answer::Error { errno, state, message };
                }
                Packet::Ok { .. } => rows.push(payload_of_empty_cell()),
                Packet::Other(row) => rows.push(row),
            }
        }
    }

    /// Prepares a statement and returns its id.
    pub(crate) async fn prepare(&mut self, text: &str) -> u32 {
        self.command(0x16, text.as_bytes()).await;
        let payload = self.read().await;
        assert_eq!(payload[0], 0, "{payload:?}");
        let parameters = u16::from_le_bytes([payload[7], payload[8]]);
        for _ in 0..parameters {
            self.read().await;
        }
        if parameters > 0 && self.capabilities & DEPRECATE_EOF == 0 {
            self.read().await;
        }
        u32::from_le_bytes(payload[1..5].try_into().unwrap())
    }

    pub(crate) async fn execute(&mut self, id: u32, parameters: &[u8]) -> Vec<Answer> {
        let mut payload = id.to_le_bytes().to_vec();
        payload.extend_from_slice(&[0, 1, 0, 0, 0]);
        payload.extend_from_slice(parameters);
        self.command(0x17, &payload).await;
        self.answers(true).await
    }

    /// Reads the error that the server sends on its own account, and sees it close.
    pub(crate) async fn farewell(&mut self) -> (u16, String) {
        self.sequence = 0;
        let payload = self.read().await;
        let Packet::Error { errno, message, .. } = self.parse(&payload) else {
            panic!("{payload:?}")
        };
        assert!(self.is_closed().await);
        (errno, message)
    }

    /// Waits for the server's end of the connection.
    pub(crate) async fn is_closed(&mut self) -> bool {
        matches!(self.io.read(&mut [0]).await, Ok(0))
    }

    /// Waits until the server is done with the connection.
    pub(crate) async fn gone(mut self) {
        let task = self.task.take().unwrap();
        drop(self);
        task.await.unwrap();
    }
}

/// A row whose only cell is an empty text looks like an OK.
fn payload_of_empty_cell() -> Vec<u8> {
    vec![0]
}

fn fixed_part(capabilities: u32) -> Vec<u8> {
    let mut payload = capabilities.to_le_bytes().to_vec();
    payload.extend_from_slice(&[0, 0, 0, 1, 45]);
    payload.extend_from_slice(&[0; 23]);
    payload
}

pub(crate) fn answer(plugin: &str, password: &str, salt: &[u8]) -> Vec<u8> {
    match plugin {
        "caching_sha2_password" => sha256_answer(password, salt),
        "mysql_clear_password" => [password.as_bytes(), b"\0"].concat(),
        _ => sha1_answer(password, salt),
    }
}

/// Name and type of a column.
fn column(payload: &[u8]) -> (String, u8) {
    let mut at = 0;
    let mut texts = Vec::new();
    for _ in 0..6 {
        let length = usize::from(payload[at]);
        texts.push(String::from_utf8(payload[at + 1..at + 1 + length].to_vec()).unwrap());
        at += 1 + length;
    }
    assert_eq!(payload[at], 12, "the fixed part has twelve bytes");
    assert_eq!(payload.len() - at, 13);
    (texts.swap_remove(4), payload[at + 7])
}

/// The cells of a text row.
fn cells(mut row: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    while let Some((first, rest)) = row.split_first() {
        let (length, rest) = match first {
            0xfb => {
                all.push("NULL".to_owned());
                row = rest;
                continue;
            }
            0xfc => (usize::from(u16::from_le_bytes([rest[0], rest[1]])), &rest[2..]),
            0xfd => (u32::from_le_bytes([rest[0], rest[1], rest[2], 0]) as usize, &rest[3..]),
            0xfe => (u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
            length => (usize::from(*length), rest),
        };
        all.push(String::from_utf8_lossy(&rest[..length]).into_owned());
        row = &rest[length..];
    }
    all
}

/// A stream that puts some bytes before the first that are written.
struct Together {
    first: Option<Vec<u8>>,
    io: Box<dyn Duplex>,
}

impl tokio::io::AsyncRead for Together {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl tokio::io::AsyncWrite for Together {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let Some(first) = self.first.take() else {
            return std::pin::Pin::new(&mut self.io).poll_write(cx, bytes);
        };
        let both = [&first, bytes].concat();
        match std::pin::Pin::new(&mut self.io).poll_write(cx, &both) {
            std::task::Poll::Ready(Ok(written)) => {
                assert_eq!(written, both.len(), "the pipe holds the first flight");
                std::task::Poll::Ready(Ok(bytes.len()))
            }
            other => other,
        }
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
