//! A load of MySQL statements, by a client that does no more than it must.

use std::time::Instant;

use clap::Args;
use polyport_core::verifier::client::{sha1_answer, sha256_answer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Result;
use crate::load::Gauge;

/// The MySQL load.
#[derive(Args, Clone, Debug)]
pub(crate) struct Load {
    /// host:port
    #[arg(long)]
    pub(crate) address: String,
    /// Whom to log in as.
    #[arg(long, default_value = "testuser")]
    pub(crate) user: String,
    /// The password.
    #[arg(long, default_value = "testpass")]
    pub(crate) password: String,
    /// The database to choose.
    #[arg(long, default_value = "")]
    pub(crate) database: String,
    /// Connections, each with one statement in flight.
    #[arg(long, default_value_t = 1)]
    pub(crate) connections: usize,
    /// How long.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// What to send.
    #[arg(long, default_value = "call myadd(3,4)")]
    pub(crate) statement: String,
}

impl Load {
    pub(crate) async fn run(self) -> Result {
        let local = tokio::task::LocalSet::new();
        let mut clients = Vec::new();
        for _ in 0..self.connections {
            let (user, password) = (&self.user, &self.password);
            clients.push(Client::connect(&self.address, user, password, &self.database).await?);
        }
        let mut tasks = Vec::new();
        for mut client in clients {
            let packet = command(3, self.statement.as_bytes());
            let mut gauge = Gauge::new(self.seconds);
            tasks.push(local.spawn_local(async move {
                let mut since = Instant::now();
                loop {
                    client.send(&packet).await?;
                    client.finish().await?;
                    match gauge.lap(since) {
                        Some(now) => since = now,
                        None => return Result::Ok(gauge),
                    }
                }
            }));
        }
        let gauges = local
            .run_until(async {
                let mut gauges = Vec::new();
                for task in tasks {
                    gauges.push(task.await??);
                }
                Result::Ok(gauges)
            })
            .await?;
        println!("{}", Gauge::merge(gauges));
        Ok(())
    }
}

/// The most bytes in one packet; a longer message goes on in the next.
const PACKET: usize = 0xFF_FF_FF;

fn command(code: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![code];
    message.extend_from_slice(body);
    let mut packets = Vec::with_capacity(message.len() + 64);
    let mut chunks = message.chunks(PACKET).peekable();
    for sequence in 0_u8.. {
        let chunk = chunks.next().unwrap_or_default();
        let length = u32::try_from(chunk.len()).unwrap_or_default().to_le_bytes();
        packets.extend_from_slice(&[length[0], length[1], length[2], sequence]);
        packets.extend_from_slice(chunk);
        if chunk.len() < PACKET {
            break;
        }
    }
    packets
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
}

impl Client {
    /// Logs in with whichever of the two usual plugins the server asks for.
    pub(crate) async fn connect(
        address: &str,
        user: &str,
        password: &str,
        database: &str,
    ) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, buffer: Vec::new(), start: 0 };
        let (_, hello) = client.packet().await?;
        if hello.first() == Some(&0xFF) {
            return Err(format!("refused: {}", String::from_utf8_lossy(&hello)).into());
        }
        let end = 1 + hello.iter().skip(1).position(|b| *b == 0).ok_or("no version")?;
        let mut salt = hello.get(end + 5..end + 13).ok_or("no salt")?.to_vec();
        salt.extend_from_slice(hello.get(end + 32..end + 44).ok_or("no salt")?);
        let plugin = text(hello.get(end + 45..).unwrap_or_default());
        let mut caps: u32 = 1 | 1 << 9 | 1 << 15 | 1 << 17 | 1 << 19 | 1 << 13;
        if !database.is_empty() {
            caps |= 1 << 3;
        }
        let mut login = caps.to_le_bytes().to_vec();
        login.extend_from_slice(&0x0100_0000_u32.to_le_bytes());
        login.push(45);
        login.extend_from_slice(&[0; 23]);
        login.extend_from_slice(user.as_bytes());
        login.push(0);
        let proof = answer(&plugin, password, &salt);
        login.push(u8::try_from(proof.len())?);
        login.extend_from_slice(&proof);
        if !database.is_empty() {
            login.extend_from_slice(database.as_bytes());
            login.push(0);
        }
        login.extend_from_slice(plugin.as_bytes());
        login.push(0);
        client.reply(1, &login).await?;
        loop {
            let (sequence, packet) = client.packet().await?;
            match packet.first() {
                Some(0) => return Ok(client),
                Some(1) => {}
                Some(0xFE) => {
                    let plugin = text(packet.get(1..).unwrap_or_default());
                    let salt = packet.get(2 + plugin.len()..).unwrap_or_default();
                    let salt = salt.get(..20).ok_or("short salt")?.to_vec();
                    client.reply(sequence + 1, &answer(&plugin, password, &salt)).await?;
                }
                _ => return Err(format!("refused: {}", String::from_utf8_lossy(&packet)).into()),
            }
        }
    }

    async fn reply(&mut self, sequence: u8, body: &[u8]) -> Result {
        let mut packet = u32::try_from(body.len())?.to_le_bytes().to_vec();
        if let Some(last) = packet.last_mut() {
            *last = sequence;
        }
        packet.extend_from_slice(body);
        self.send(&packet).await
    }

    pub(crate) async fn query(&mut self, statement: &str) -> Result {
        self.send(&command(3, statement.as_bytes())).await?;
        self.finish().await
    }

    async fn send(&mut self, packet: &[u8]) -> Result {
        Ok(self.stream.write_all(packet).await?)
    }

    /// Reads the answer to one statement, whatever it has in it.
    async fn finish(&mut self) -> Result {
        loop {
            let more = match self.head().await? {
                (0, body) => status(&body, 1),
                (0xFF, body) => {
                    return Err(String::from_utf8_lossy(&body).into_owned().into());
                }
                _ => {
                    self.skip_to_end_mark().await?;
                    self.skip_to_end_mark().await?
                }
            };
            if !more {
                return Ok(());
            }
        }
    }

    /// The first byte of the next packet, and as much of the packet as an OK or ERR has.
    async fn head(&mut self) -> Result<(u8, Vec<u8>)> {
        let (_, packet) = self.packet().await?;
        Ok((packet.first().copied().unwrap_or(0xFF), packet))
    }

    /// Skips packets up to an EOF; returns whether more results follow.
    async fn skip_to_end_mark(&mut self) -> Result<bool> {
        loop {
            let (_, packet) = self.packet().await?;
            match packet.first() {
                Some(0xFE) if packet.len() < 9 => {
                    return Ok(packet.get(3).is_some_and(|status| status & 8 != 0));
                }
                Some(0xFF) => return Err(String::from_utf8_lossy(&packet).into_owned().into()),
                _ => {}
            }
        }
    }

    async fn packet(&mut self) -> Result<(u8, Vec<u8>)> {
        loop {
            let rest = self.buffer.get(self.start..).unwrap_or_default();
            if let [a, b, c, sequence, body @ ..] = rest {
                let length = usize::from(*a) | usize::from(*b) << 8 | usize::from(*c) << 16;
                if let Some(body) = body.get(..length) {
                    let packet = (*sequence, body.to_vec());
                    self.start += 4 + length;
                    return Ok(packet);
                }
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
}

fn answer(plugin: &str, password: &str, salt: &[u8]) -> Vec<u8> {
    match plugin {
        "caching_sha2_password" => sha256_answer(password, salt),
        _ => sha1_answer(password, salt),
    }
}

/// Whether the status of an OK says that more follows. The counters before it are short here.
fn status(ok: &[u8], counters: usize) -> bool {
    ok.get(counters + 2).is_some_and(|status| status & 8 != 0)
}
