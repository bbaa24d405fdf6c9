//! A call through HTTP.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use polyport_core::{Value, json};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio_rustls::rustls::ClientConfig;

use super::{Request, Target, show};
use crate::error::Error;

/// Asks for one item a line and for the connection to end after the answer, so that the answer is
/// what comes until then: HTTP/1.0, which every server speaks, has no chunks to be undone.
pub(super) async fn call(
    target: &Target,
    tls: Option<Arc<ClientConfig>>,
    request: Request,
) -> Result<(), Error> {
    let named = request.named.into_iter().map(|(name, value)| (Value::Text(name), value));
    let body = json::to_vec(&Value::map([
        ("args", Value::List(request.positional)),
        ("kwargs", Value::Map(named.collect())),
    ]));
    let login = BASE64.encode(format!("{}:{}", target.user, target.password));
    let plain = |c: char| c.is_alphanumeric() || c == '.' || c == '_';
    if !request.name.chars().all(plain) {
        return Err(Error::new(format!("'{}' is no function name", request.name)));
    }
    let head = format!(
        "POST /v1/call/{} HTTP/1.0\r\nHost: {}:{}\r\nAuthorization: Basic {login}\r\n\
         Accept: application/x-ndjson, application/json;q=0.9\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        encoded(&request.name),
        target.host,
        target.port,
        body.len(),
    );
    let mut io = target.open(tls).await?;
    io.write_all(head.as_bytes()).await.map_err(lost)?;
    io.write_all(&body).await.map_err(lost)?;
    io.flush().await.map_err(lost)?;
    let mut answer = BufReader::new(io);
    let head = headers(&mut answer).await?;
    if head.streams {
        return items(&mut answer).await;
    }
    let mut text = Vec::new();
    answer.read_to_end(&mut text).await.map_err(lost)?;
    let document = json::parse(&text)
        .map_err(|_| Error::new(format!("the server answered {} and no JSON", head.status)))?;
    match document.get("result") {
        Some(result) => show(result),
        None => return Err(failure(&document, head.status)),
    }
    Ok(())
}

/// Percent-encodes what is beyond ASCII in a function's name.
fn encoded(name: &str) -> String {
    name.bytes()
        .map(
            |byte| {
                if byte.is_ascii() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
            },
        )
        .collect()
}

async fn items(answer: &mut (impl AsyncBufRead + Unpin)) -> Result<(), Error> {
    let mut lines = answer.lines();
    while let Some(line) = lines.next_line().await.map_err(lost)? {
        let item = json::parse(line.as_bytes())
            .map_err(|_| Error::new("the stream was cut off in the middle of an item"))?;
        // An item may well have a field `error`; only the end of a stream has one with a kind.
        match item.get("error").and_then(|error| error.get("kind")) {
            Some(_) => return Err(failure(&item, 200)),
            None => show(&item),
        }
    }
    Ok(())
}

struct Head {
    status: u16,
    streams: bool,
}

async fn headers(answer: &mut (impl AsyncBufRead + Unpin)) -> Result<Head, Error> {
    let mut lines = answer.lines();
    let mut head = Head { status: 0, streams: false };
    let mut first = true;
    while let Some(line) = lines.next_line().await.map_err(lost)? {
        if std::mem::take(&mut first) {
            let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
            head.status = status.ok_or_else(|| Error::new("the answer is no HTTP"))?;
            continue;
        }
        if line.is_empty() {
            return Ok(head);
        }
        let line = line.to_ascii_lowercase();
        head.streams |= line.starts_with("content-type: application/x-ndjson");
    }
    Err(Error::new("the server closed the connection"))
}

fn failure(document: &Value, status: u16) -> Error {
    let error = document.get("error");
    let text = |key| error.and_then(|error| error.get(key)).and_then(Value::as_text);
    match (text("kind"), text("message")) {
        (Some(kind), Some(message)) => Error::new(format!("{kind}: {message}")),
        _ => Error::new(format!("the server answered {status}: {}", json::to_string(document))),
    }
}

fn lost(error: std::io::Error) -> Error {
    Error::new(format!("the connection was lost: {error}"))
}
