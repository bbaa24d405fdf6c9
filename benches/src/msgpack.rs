//! A load of MessagePack-RPC requests, and the bare echo to compare with.

use std::time::Instant;

use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::Result;
use crate::load::Gauge;

/// `testfunc(1, 2)` in the standard dialect, with a message id of one byte.
pub(crate) const REQUEST: &[u8] = b"\x94\x00\x07\xa8testfunc\x92\x01\x02";

/// The same in the pymprpc dialect, after its login.
const FRAME: &[u8] = b"\x86\xa5MPRPC\xa30.1\xa2ID\xa11\xa6METHOD\xa8testfunc\xa6RETURN\xc3\
    \xa4ARGS\x92\x01\x02\xa6KWARGS\x80##PRO-END##";

const LOGIN: &[u8] = b"\x82\xa5MPRPC\xa30.1\xa4AUTH\x82\xa8USERNAME\xa5admin\
    \xa8PASSWORD\xa5admin##PRO-END##";

/// What ends a frame.
const END: &[u8] = b"##PRO-END##";

/// Its answer.
pub(crate) const RESPONSE: &[u8] = b"\x94\x01\x07\xc0\x03";

/// The MessagePack-RPC load: one connection, so many requests in flight.
#[derive(Args, Clone, Debug)]
pub(crate) struct Load {
    /// host:port
    #[arg(long)]
    pub(crate) address: String,
    /// Requests in flight.
    #[arg(long, default_value_t = 1)]
    pub(crate) in_flight: usize,
    /// How long.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// Speak the pymprpc dialect.
    #[arg(long)]
    pub(crate) pymprpc: bool,
}

impl Load {
    pub(crate) async fn run(self) -> Result {
        if self.pymprpc {
            return self.run_frames().await;
        }
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let mut gauge = Gauge::new(self.seconds);
        stream.write_all(&REQUEST.repeat(self.in_flight)).await?;
        let mut sent = std::collections::VecDeque::from(vec![Instant::now(); self.in_flight]);
        let mut buffer = vec![0; 64 * 1024];
        let mut part = 0;
        loop {
            let bytes = stream.read(&mut buffer).await?;
            if bytes == 0 {
                return Err("the server closed the connection".into());
            }
            let got = part + bytes;
            let (answers, rest) = (got / RESPONSE.len(), got % RESPONSE.len());
            check(buffer.get(..bytes).unwrap_or_default(), part)?;
            part = rest;
            let mut go_on = true;
            for _ in 0..answers {
                let since = sent.pop_front().ok_or("more answers than requests")?;
                go_on &= gauge.lap(since).is_some();
            }
            if !go_on {
                break;
            }
            sent.extend(std::iter::repeat_n(Instant::now(), answers));
            stream.write_all(&REQUEST.repeat(answers)).await?;
        }
        println!("{}", Gauge::merge(vec![gauge]));
        Ok(())
    }
}

impl Load {
    /// Frames differ from server to server in the order of their fields, so their ends are
    /// counted, and each must hold the result.
    async fn run_frames(self) -> Result {
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let mut gauge = Gauge::new(self.seconds);
        let mut buffer = Vec::new();
        stream.write_all(LOGIN).await?;
        while frames(&mut buffer).is_empty() {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err("the server closed the connection at the login".into());
            }
        }
        stream.write_all(&FRAME.repeat(self.in_flight)).await?;
        let mut sent = std::collections::VecDeque::from(vec![Instant::now(); self.in_flight]);
        loop {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
            let answers = frames(&mut buffer);
            let right = b"\xa6RESULT\x03";
            if !answers.iter().all(|frame| frame.windows(right.len()).any(|part| part == right)) {
                return Err(format!("a wrong answer: {answers:02x?}").into());
            }
            let mut go_on = true;
            for _ in &answers {
                let since = sent.pop_front().ok_or("more answers than requests")?;
                go_on &= gauge.lap(since).is_some();
            }
            if !go_on {
                break;
            }
            sent.extend(std::iter::repeat_n(Instant::now(), answers.len()));
            stream.write_all(&FRAME.repeat(answers.len())).await?;
        }
        println!("{}", Gauge::merge(vec![gauge]));
        Ok(())
    }
}

/// Takes the whole frames off the front of a buffer.
fn frames(buffer: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some(at) = buffer.windows(END.len()).position(|part| part == END) {
        let mut frame: Vec<u8> = buffer.drain(..at + END.len()).collect();
        frame.truncate(at);
        frames.push(frame);
    }
    frames
}

/// Every byte must be the one that the answer has there.
fn check(bytes: &[u8], offset: usize) -> Result {
    let wanted = RESPONSE.iter().cycle().skip(offset % RESPONSE.len());
    if bytes.iter().zip(wanted).all(|(got, want)| got == want) {
        return Ok(());
    }
    Err(format!("a wrong answer: {bytes:02x?}").into())
}

/// The bare echo.
#[derive(Args, Clone, Debug)]
pub(crate) struct Echo {
    /// host:port
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) address: String,
}

impl Echo {
    pub(crate) async fn run(self) -> Result {
        let listener = TcpListener::bind(&self.address).await?;
        println!("listening echo {}\nready", listener.local_addr()?);
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                let mut part = 0;
                while let Ok(bytes @ 1..) = stream.read(&mut buffer).await {
                    let got = part + bytes;
                    part = got % REQUEST.len();
                    let answer = RESPONSE.repeat(got / REQUEST.len());
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    }
}
