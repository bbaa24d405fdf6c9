//! Standard MessagePack-RPC: requests and notifications, answered as they finish.

use std::time::Duration;

use polyport_core::{Arguments, Proof, Value};

use super::jobs::{Event, Outcome, Work};
use super::{Dialect, End};
use crate::Shared;
use crate::codec::message::{self, Message, Messages};
use crate::codec::value;
use crate::fault;

/// A request's id; a notification has none and is told nothing.
type Ticket = Option<u32>;
type Line = super::Line<Ticket>;

/// Levels that a request has around its arguments: the message and the parameters. The decoder
/// reads the message's own head apart, so only the parameters count.
const LEVELS: usize = 1;

/// One standard connection.
#[derive(Default)]
pub(super) struct Standard {
    messages: Messages,
}

impl Dialect for Standard {
    type Ticket = Ticket;

    /// The specification knows no idle time, so only the server's own limit holds.
    fn idle_limit(_: &Shared) -> Duration {
        Duration::ZERO
    }

    async fn serve_one(&mut self, line: &mut Line) -> Result<bool, End> {
        let (limit, bounds) = (line.message_limit(), line.bounds(LEVELS));
        let (message, bytes) = match self.messages.next(line.wire.input(), limit, bounds) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(false),
            Err(error) => {
                if let Some(id) = Messages::id(line.wire.input()) {
                    self.error(line, id, error.text());
                }
                return Err(error.into());
            }
        };
        line.consume(bytes);
        line.guest.connection().request();
        if let Message::Call { id, method, params } = message {
            if line.session.is_none() && !self.enter(line, id, &method, &params).await? {
                return Ok(true);
            }
            let Some(session) = &line.session else { return Ok(true) };
            let work = Work::call(session, method, Arguments::positional(params), false);
            if let Some(event) = line.begin(id, work).await {
                self.tell(line, event).await;
            }
        }
        Ok(true)
    }

    async fn tell(&mut self, line: &mut Line, event: Event<Ticket>) {
        let Event::Done(Some(id), result) = event else { return };
        match result {
            Ok(Outcome::Value(value)) => self.result(line, id, &value),
            // Streams are gathered before they come here.
            Ok(Outcome::Stream(_)) => self.error(line, id, "streams are not offered"),
            Err(fault) => self.error(line, id, &fault::standard_text(&fault)),
        }
    }

    /// The specification knows no goodbye.
    async fn say_goodbye(&mut self, _: &mut Line, _: &End) {}
}

impl Standard {
    /// Makes a stranger somebody; false when the request was to do that, or has to fail.
    async fn enter(
        &mut self,
        line: &mut Line,
        id: Ticket,
        method: &str,
        params: &[Value],
    ) -> Result<bool, End> {
        line.session = line.guest.anonymous("standard");
        if line.session.is_some() {
            return Ok(true);
        }
        if !line.shared.config.standard_login {
            if let Some(id) = id {
                self.error(line, id, "this server takes no calls without a login");
            }
            return Err(End::Refused);
        }
        if method != "login" {
            if let Some(id) = id {
                self.error(line, id, "log in first, by calling login(user, password)");
            }
            return Ok(false);
        }
        let login = match params {
            [Value::Text(user), Value::Text(password)] => {
                let login = Box::pin(line.guest.login(user, Proof::Password(password)));
                line.wire.during(login).await?
            }
            _ => {
                if let Some(id) = id {
                    self.error(line, id, "login takes a user and a password");
                }
                return Ok(false);
            }
        };
        match (login, id) {
            (Ok(session), id) => {
                line.session = Some(session);
                if let Some(id) = id {
                    self.result(line, id, &Value::Bool(true));
                }
                Ok(false)
            }
            (Err(fault), id) => {
                if let Some(id) = id {
                    self.error(line, id, fault.message());
                }
                Err(End::Refused)
            }
        }
    }

    fn result(&self, line: &mut Line, id: u32, value: &Value) {
        let out = line.wire.output();
        let start = out.len();
        message::begin_response(out, id);
        out.push(rmp::Marker::Null.to_u8());
        if let Err(why) = value::append(out, value, self.messages.new_style) {
            out.truncate(start);
            self.error(line, id, &format!("ValueError: the result cannot be sent: {why}"));
        }
    }

    fn error(&self, line: &mut Line, id: u32, text: &str) {
        let out = line.wire.output();
        message::begin_response(out, id);
        let written = value::append_text(out, text, self.messages.new_style);
        debug_assert!(written.is_ok());
        out.push(rmp::Marker::Null.to_u8());
    }
}
