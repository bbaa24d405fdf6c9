//! What our server costs and withstands over time: memory, idle connections, its own end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Result;
use crate::compare::SETTLE;
use crate::measure::{memory, peak};
use crate::msgpack::{REQUEST, RESPONSE};
use crate::mysql::Client;
use crate::server::Server;

async fn login(server: &Server) -> Result<Client> {
    Client::connect(server.address("mysql")?, "testuser", "testpass", "").await
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Idle connections.
#[derive(Args)]
pub(crate) struct Idle {
    /// How many.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
}

impl Idle {
    pub(crate) async fn run(self) -> Result {
        let server = Server::ours(None)?;
        let mut honest = login(&server).await?;
        honest.query("call myadd(1,1)").await?;
        let before = memory(server.pid)?;
        let mut clients = Vec::with_capacity(self.connections);
        let mut slowest = Duration::ZERO;
        for index in 0..self.connections {
            clients.push(login(&server).await?);
            if index % 100 == 0 {
                let began = Instant::now();
                honest.query("call myadd(1,1)").await?;
                slowest = slowest.max(began.elapsed());
            }
        }
        tokio::time::sleep(SETTLE).await;
        let grown = memory(server.pid)?.saturating_sub(before);
        honest.query("call myadd(1,1)").await?;
        println!(
            "{} idle logged-in connections: {:.1} MiB, {:.2} KiB each; slowest answer meanwhile {slowest:?}",
            self.connections,
            mib(grown),
            grown as f64 / 1024.0 / self.connections as f64,
        );
        Ok(())
    }
}

/// Growth over many calls.
#[derive(Args)]
pub(crate) struct Leak {
    /// How many calls of each protocol.
    #[arg(long, default_value_t = 1_000_000)]
    calls: usize,
}

impl Leak {
    pub(crate) async fn run(self) -> Result {
        let server = Server::ours(None)?;
        let mut client = login(&server).await?;
        let mut stream = TcpStream::connect(server.address("msgpack")?).await?;
        let mut answer = vec![0; RESPONSE.len() * 100];
        let warm = 10_000;
        let mut before = 0;
        for call in 0..self.calls + warm {
            if call == warm {
                before = memory(server.pid)?;
            }
            client.query("call myadd(3,4)").await?;
            if call % 100 == 0 {
                stream.write_all(&REQUEST.repeat(100)).await?;
                stream.read_exact(&mut answer).await?;
            }
        }
        let grown = memory(server.pid)?.saturating_sub(before);
        println!("{} calls of each protocol: memory grew by {:.2} MiB", self.calls, mib(grown));
        Ok(())
    }
}

/// What ends a frame of the pymprpc dialect.
const END: &[u8] = b"##PRO-END##";

/// A 64 MiB text.
#[derive(Args)]
pub(crate) struct Big {
    /// Bytes of the text.
    #[arg(long, default_value_t = 64 << 20)]
    bytes: usize,
}

impl Big {
    pub(crate) async fn run(self) -> Result {
        self.mysql("MySQL, text received", &format!("call big({})", self.bytes)).await?;
        let text = format!("call echo('{}')", "x".repeat(self.bytes));
        self.mysql("MySQL, text sent and given back", &text).await?;
        self.msgpack().await
    }

    async fn mysql(&self, what: &str, statement: &str) -> Result {
        let server = Server::ours(None)?;
        let mut client = login(&server).await?;
        client.query(statement).await?;
        self.report(what, &server)
    }

    async fn msgpack(&self) -> Result {
        let server = Server::ours(None)?;
        let mut stream = TcpStream::connect(server.address("msgpack")?).await?;
        let mut login =
            b"\x82\xa5MPRPC\xa30.1\xa4AUTH\x82\xa8USERNAME\xa5admin\xa8PASSWORD\xa5admin".to_vec();
        login.extend_from_slice(END);
        stream.write_all(&login).await?;
        let mut buffer = vec![0; 1 << 20];
        let _ = stream.read(&mut buffer).await?;
        let mut head =
            b"\x85\xa5MPRPC\xa30.1\xa2ID\xa11\xa6METHOD\xa4echo\xa6RETURN\xc3\xa4ARGS\x91\xdb"
                .to_vec();
        head.extend_from_slice(&u32::try_from(self.bytes)?.to_be_bytes());
        stream.write_all(&head).await?;
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..self.bytes >> 20 {
            stream.write_all(&piece).await?;
        }
        stream.write_all(END).await?;
        let mut left = self.bytes;
        while left > 0 {
            let bytes = stream.read(&mut buffer).await?;
            if bytes == 0 {
                return Err("the server closed the connection".into());
            }
            left = left.saturating_sub(bytes);
        }
        self.report("MessagePack, text sent and given back", &server)
    }

    fn report(&self, what: &str, server: &Server) -> Result {
        let peak = peak(server.pid)?;
        println!(
            "{what}: {:.0} MiB, peak memory {:.0} MiB, {:.2} times its size",
            mib(self.bytes as u64),
            mib(peak),
            peak as f64 / self.bytes as f64,
        );
        Ok(())
    }
}

/// SIGTERM under load.
#[derive(Args)]
pub(crate) struct Stop {
    /// Clients that call in a loop.
    #[arg(long, default_value_t = 50)]
    clients: usize,
}

impl Stop {
    pub(crate) async fn run(self) -> Result {
        let mut server = Server::ours(None)?;
        let (whole, clear) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for index in 0..self.clients {
            let mut client = login(&server).await?;
            let (whole, clear) = (whole.clone(), clear.clone());
            // Half of the clients make calls that take a while, so that some are running.
            let statement = if index % 2 == 0 { "call slow(0.2)" } else { "call myadd(3,4)" };
            tasks.spawn(async move {
                loop {
                    match client.query(statement).await {
                        Ok(()) => whole.fetch_add(1, Relaxed),
                        Err(error) => {
                            let text = error.to_string();
                            let ended = text.contains("shutdown") || text.contains("closed");
                            let reset = text.contains("reset") || text.contains("pipe");
                            if ended || reset {
                                clear.fetch_add(1, Relaxed);
                            }
                            return text;
                        }
                    };
                }
            });
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        let pid = server.pid.to_string();
        std::process::Command::new("kill").args(["-TERM", &pid]).status()?;
        let mut endings = std::collections::BTreeMap::<String, usize>::new();
        while let Some(ended) = tasks.join_next().await {
            *endings.entry(ended?).or_default() += 1;
        }
        let status = server.ended_within(Duration::from_secs(10))?;
        println!(
            "{} clients: {} calls answered whole, {} ended in a clear error, server ended with {status} after {:?}",
            self.clients,
            whole.load(Relaxed),
            clear.load(Relaxed),
            began.elapsed(),
        );
        for (text, count) in endings {
            println!("  {count} × {text:?}");
        }
        Ok(())
    }
}
