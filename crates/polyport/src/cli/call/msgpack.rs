//! A call through the MessagePack-RPC protocol, in the JSON mode of its pymprpc dialect, which has
//! logins, arguments by name, and streams.

use std::sync::Arc;

use polyport_core::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::rustls::ClientConfig;

use super::{Request, Target, show};
use crate::error::Error;

const END: &[u8] = b"##PRO-END##";

pub(super) async fn call(
    target: &Target,
    tls: Option<Arc<ClientConfig>>,
    request: Request,
) -> Result<(), Error> {
    let mut wire = Frames { io: target.open(tls).await?, buffer: Vec::new() };
    let login = Value::map([
        ("USERNAME", Value::from(target.user.as_str())),
        ("PASSWORD", target.password.as_str().into()),
    ]);
    wire.send(Value::map([("MPRPC", Value::from("0.1")), ("AUTH", login)])).await?;
    let answer = wire.receive().await?;
    if answer.get("CODE") != Some(&Value::Int(100)) {
        return Err(Error::new("the server refused the login")
            .hint("check the user and the password in --to"));
    }
    let named = request.named.into_iter().map(|(name, value)| (Value::Text(name), value));
    let call = Value::map([
        ("MPRPC", Value::from("0.1")),
        ("ID", "1".into()),
        ("METHOD", request.name.into()),
        ("RETURN", true.into()),
        ("ARGS", Value::List(request.positional)),
        ("KWARGS", Value::Map(named.collect())),
    ]);
    wire.send(call).await?;
    loop {
        let answer = wire.receive().await?;
        let message = answer.get("MESSAGE").cloned().unwrap_or_default();
        match answer.get("CODE").and_then(Value::as_int) {
            Some(201) => {}
            Some(200) => {
                show(message.get("RESULT").unwrap_or(&Value::Null));
                return Ok(());
            }
            Some(202) => show(message.get("RESULT").unwrap_or(&Value::Null)),
            Some(206) => match message.get("MESSAGE").and_then(Value::as_text) {
                Some(text) => return Err(Error::new(text)),
                None => return Ok(()),
            },
            code => {
                let text = message.get("MESSAGE").and_then(Value::as_text).map(str::to_owned);
                let unknown = || format!("the server answered {}", json::to_string(&answer));
                let text = text.unwrap_or_else(unknown);
                return Err(Error::new(match code {
                    Some(code) => format!("{code}: {text}"),
                    None => text,
                }));
            }
        }
    }
}

/// Frames of JSON that end with a mark.
struct Frames {
    io: polyport_wire::Io,
    buffer: Vec<u8>,
}

impl Frames {
    async fn send(&mut self, message: Value) -> Result<(), Error> {
        // The mark may stand in a text; `#` can be written another way there.
        let text = json::to_string(&message).replace("##PRO-END##", "\\u0023#PRO-END##");
        let mut frame = text.into_bytes();
        frame.extend_from_slice(END);
        self.io.write_all(&frame).await.map_err(lost)?;
        self.io.flush().await.map_err(lost)
    }

    async fn receive(&mut self) -> Result<Value, Error> {
        let mut seen = 0;
        loop {
            let at = self
                .buffer
                .get(seen..)
                .and_then(|rest| rest.windows(END.len()).position(|window| window == END));
            if let Some(at) = at {
                let frame: Vec<u8> = self.buffer.drain(..seen + at + END.len()).collect();
                let body = frame.get(..frame.len() - END.len()).unwrap_or_default();
                return json::parse(body)
                    .map_err(|error| Error::new(format!("the answer is no JSON: {error}")));
            }
            seen = self.buffer.len().saturating_sub(END.len());
            if self.io.read_buf(&mut self.buffer).await.map_err(lost)? == 0 {
                return Err(Error::new("the server closed the connection"));
            }
        }
    }
}

fn lost(error: std::io::Error) -> Error {
    Error::new(format!("the connection was lost: {error}"))
}
