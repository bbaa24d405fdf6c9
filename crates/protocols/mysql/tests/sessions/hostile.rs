use polyport_core::Limits;
use polyport_mysql::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Answer, Login, MULTI_STATEMENTS, Server, USUAL};

/// Commands of every kind, as real clients send them.
fn transcript() -> Vec<Vec<u8>> {
    let commands: [&[u8]; 17] = [
        b"\x03call myadd(3,4)",
        b"\x0e",
        b"\x03SET @`_myadd_0`=3,@`_myadd_1`='it\\'s'",
        b"\x03CALL `myadd`(@`_myadd_0`,@`_myadd_1`)",
        b"\x16call myadd(?, ?)",
        b"\x17\x01\0\0\0\0\x01\0\0\0\0\x01\x03\0\x08\0\x03\0\0\0\x04\0\0\0\0\0\0\0",
        b"\x18\x01\0\0\0\0\0abc",
        b"\x17\x01\0\0\0\0\x01\0\0\0\0\x01\xfd\0\xfd\0\x02ab\x01c",
        b"\x1a\x01\0\0\0",
        b"\x19\x01\0\0\0",
        b"\x09",
        b"\x1b\0\0",
        b"\x03select 1; call two(); select @@version",
        b"\x04t\0%",
        b"\x02test",
        b"\x1f",
        b"\x11testuser\0\0\0\x2d\0mysql_native_password\0",
    ];
    commands.map(<[u8]>::to_vec).to_vec()
}

fn framed(commands: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for command in commands {
        bytes.extend_from_slice(&(command.len() as u32).to_le_bytes()[..3]);
        bytes.push(0);
        bytes.extend_from_slice(command);
    }
    bytes
}

/// All that the server sends for these bytes after a login, until it closes or we do.
async fn replies(server: &Server, pieces: &[&[u8]]) -> Vec<u8> {
    let client = server.login_with(USUAL | MULTI_STATEMENTS, Login::default()).await;
    let (mut read, mut write) = tokio::io::split(client.io);
    let reading = tokio::spawn(async move {
        let mut all = Vec::new();
        let _ = read.read_to_end(&mut all).await;
        all
    });
    for piece in pieces {
        // The server may have closed after an error.
        let _ = write.write_all(piece).await;
        tokio::task::yield_now().await;
    }
    let _ = write.shutdown().await;
    client.task.unwrap().await.expect("no panic");
    reading.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn many_commands_in_one_segment_are_answered_in_order() {
    let mut client = Server::new().login().await;
    let mut bytes = Vec::new();
    for number in 0..100 {
        client.sequence = 0;
        bytes.extend(client.framed(format!("\x03call myadd({number},1)").as_bytes()));
    }
    client.io.write_all(&bytes).await.unwrap();
    for number in 0..100 {
        client.sequence = 1;
        let answer = client.answers(false).await.remove(0);
        assert_eq!(answer.texts(), [[(number + 1).to_string()]]);
    }
}

#[tokio::test(start_paused = true)]
async fn every_split_of_the_input_gives_the_same_answers() {
    let server = Server::new();
    // The change of user asks for an answer to a random salt, and statistics count.
    let mut commands = transcript();
    commands.retain(|command| !matches!(command[0], 0x11 | 0x09));
    let bytes = framed(&commands);
    let whole = replies(&server, &[&bytes]).await;
    assert!(whole.len() > 500);
    for at in 1..bytes.len() {
        let (a, b) = bytes.split_at(at);
        assert!(replies(&server, &[a, b]).await == whole, "split at {at}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert!(replies(&server, &single).await == whole);
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_limit_is_refused_at_once() {
    let limits = Limits { message_bytes: 1000, stranger_message_bytes: 300, ..Limits::default() };
    let server = Server::with(Config::default(), limits);
    let mut client = server.login().await;
    assert_eq!(client.one(&format!("call echo('{}')", "x".repeat(980))).await.texts().len(), 1);
    client.io.write_all(b"\xe9\x03\0\0").await.unwrap();
    client.sequence = 1;
    assert_eq!(client.answers(false).await[0].errno(), 1153);
    assert!(client.is_closed().await);

    let mut guest = server.greet().await;
    guest.io.write_all(b"\x2d\x01\0\x01").await.unwrap();
    guest.sequence = 2;
    let answer = guest.answers(false).await.remove(0);
    let Answer::Error { errno: 1153, state, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(state, "08S01");
    assert!(guest.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn a_broken_login_is_a_bad_handshake() {
    let server = Server::new();
    for payload in [&b""[..], b"\x01", &[0xff; 40], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut client = server.greet().await;
        client.send(payload).await;
        assert_eq!(client.answers(false).await[0].errno(), 1043);
        assert!(client.is_closed().await);
    }
}

/// A small generator of random numbers that gives the same ones each time.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most.max(1) as u64) as usize
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes[at] = self.below(256) as u8,
                1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes.truncate(at.max(1)),
                3 => bytes.insert(at, self.below(256) as u8),
                _ => {
                    let end = (at + self.below(20)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_mutated_sessions_neither_panic_nor_hang() {
    let server = Server::new();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let commands = transcript();
    for _ in 0..10_000 {
        let mut some = Vec::new();
        for _ in 0..=random.below(3) {
            some.push(commands[random.below(commands.len())].clone());
        }
        // Half of the time the frames stay whole, so that the damage is in the commands.
        let bytes = if random.below(2) == 0 {
            some.iter_mut().for_each(|command| random.mutate(command));
            framed(&some)
        } else {
            let mut bytes = framed(&some);
            random.mutate(&mut bytes);
            bytes
        };
        replies(&server, &[&bytes]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_mutated_logins_neither_panic_nor_hang() {
    let server = Server::new();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..10_000 {
        let mut client = server.greet().await;
        let payload = client.login_payload(USUAL, Login::default());
        let mut bytes = client.framed(&payload);
        random.mutate(&mut bytes);
        let _ = client.io.write_all(&bytes).await;
        let _ = client.io.shutdown().await;
        let mut rest = Vec::new();
        let _ = client.io.read_to_end(&mut rest).await;
        client.gone().await;
    }
}
