//! One connection, from its first byte to its last.

mod answer;
mod login;

use std::sync::Arc;

use futures_util::FutureExt as _;
use polyport_core::{Interrupt, Reason};
use polyport_wire::{Accepted, Ended, Wire};

use self::login::Login;
use crate::Mysql;
use crate::codec::column;
use crate::codec::packet;
use crate::codec::response::{Done, Writer};
use crate::codec::{Capabilities, status};
use crate::commands::{self, Desk, Plan};
use crate::config::Config;
use crate::sql::{Charset, SqlError};

/// Serves one connection until it ends.
pub(crate) async fn serve(mysql: Arc<Mysql>, accepted: Accepted) {
    let Accepted { io, guest, tls } = accepted;
    let wire = Wire::new(io, &guest);
    let mut line = Line {
        wire,
        guest,
        sequence: 0,
        capabilities: Capabilities::PROTOCOL_41,
        charset: Charset::Utf8,
    };
    // Logging in happens once, so its future is not kept with that of the idle connection.
    let login = Box::pin(login::log_in(&mut line, &mysql.config, tls.as_ref())).await;
    let stop = match login {
        Ok((desk, login)) => {
            let mut client = Client { line, desk, login, mysql };
            let stop = client.run().await;
            line = client.line;
            stop
        }
        Err(stop) => stop,
    };
    line.end(stop).await;
}

/// Why a connection ends.
#[derive(Debug)]
enum Stop {
    /// The client said so.
    Quit,
    /// An error that ends it is written.
    Told,
    /// No more input comes.
    Ended(Ended),
}

impl From<Ended> for Stop {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Ended(Ended::Io(error))
    }
}

/// The socket, and how packets are written to it.
struct Line {
    wire: Wire,
    guest: polyport_core::Guest,
    /// The number of the next packet that goes out.
    sequence: u8,
    capabilities: Capabilities,
    /// How text goes out.
    charset: Charset,
}

impl Line {
    fn writer(&mut self) -> Writer<'_> {
        Writer {
            out: self.wire.output(),
            sequence: &mut self.sequence,
            capabilities: self.capabilities,
        }
    }

    fn error(&mut self, error: &SqlError) {
        let charset = self.charset;
        match charset.encode(&error.message) {
            None => self.writer().error(error.errno, error.state, error.message.as_bytes()),
            Some(message) => self.writer().error(error.errno, error.state, &message),
        }
    }

    /// Waits for more input, sending first what is written.
    async fn fill(&mut self) -> Result<(), Stop> {
        if !self.wire.output().is_empty() {
            self.wire.flush().await?;
        }
        let filled = self.wire.fill(&self.guest).await;
        Ok(self.unless_call(filled)?)
    }

    /// Forgets that a call was to be stopped which had just ended.
    fn unless_call(&self, result: Result<(), Ended>) -> Result<(), Ended> {
        if let Err(Ended::Interrupted(Interrupt::Call)) = result {
            self.guest.connection().clear_call_interrupt();
            return Ok(());
        }
        result
    }

    /// Sends what is written once it is worth it, so that long answers go out in pieces. What
    /// never waits for anything else can be stopped here.
    async fn relieve(&mut self) -> Result<(), Ended> {
        if !self.wire.is_output_high() {
            return Ok(());
        }
        self.wire.flush().await?;
        match self.guest.connection().interrupted().now_or_never() {
            None | Some(Interrupt::Close(Reason::Shutdown)) => Ok(()),
            Some(interrupt) => Err(Ended::Interrupted(interrupt)),
        }
    }

    /// Waits for one message and takes it; for the few before and between logins.
    async fn receive(&mut self) -> Result<Vec<u8>, Stop> {
        loop {
            let limit = self.guest.connections().message_limit(self.guest.connection());
            match packet::front(self.wire.input(), limit) {
                Ok(None) => self.fill().await?,
                Ok(Some(message)) => {
                    self.sequence = message.next;
                    let raw = message.raw;
                    return Ok(packet::join(self.wire.take(raw)));
                }
                Err(too_large) => return Err(self.refuse_size(too_large)),
            }
        }
    }

    fn refuse_size(&mut self, too_large: packet::TooLarge) -> Stop {
        self.sequence = too_large.next;
        let text = "Got a packet bigger than 'max_allowed_packet' bytes";
        self.error(&SqlError::new(1153, "08S01", text));
        Stop::Told
    }

    /// Says why the connection ends, where the client can still hear it, and closes.
    async fn end(mut self, stop: Stop) {
        let normal = match &stop {
            Stop::Quit => true,
            Stop::Told => false,
            Stop::Ended(Ended::Eof) => self.wire.input().is_empty(),
            Stop::Ended(Ended::Interrupted(Interrupt::Close(Reason::Shutdown))) => true,
            Stop::Ended(_) => false,
        };
        if let Stop::Ended(ended) = &stop
            && let Some(goodbye) = goodbye(ended)
        {
            self.error(&goodbye);
        }
        self.guest.connection().closed(normal);
        self.wire.close().await;
    }
}

/// What a client is told when the server ends the connection. PyMySQL and the connectors of
/// MariaDB take an error that comes unasked, with the number 0, for the loss of the connection.
fn goodbye(ended: &Ended) -> Option<SqlError> {
    let (errno, state, message) = match ended {
        Ended::Eof | Ended::Io(_) | Ended::Interrupted(Interrupt::Call) => return None,
        Ended::NoRoom => (1041, "HY000", "Out of memory for unfinished messages; try again later"),
        Ended::Interrupted(Interrupt::Close(reason)) => match reason {
            Reason::Shutdown => (1053, "08S01", "Server shutdown in progress"),
            Reason::Killed => (3169, "HY000", "The session was killed"),
            Reason::Idle => (
                4031,
                "HY000",
                "The client was disconnected by the server because of inactivity. See \
                 limits.idle_s for configuring this behavior.",
            ),
            Reason::Evicted => (1040, "08004", "Too many connections"),
            Reason::LoginTimeout | Reason::Stalled => {
                (1159, "08S01", "Got timeout reading communication packets")
            }
        },
    };
    Some(SqlError::new(errno, state, message))
}

/// A connection that is logged in.
struct Client {
    line: Line,
    desk: Desk,
    login: Box<Login>,
    mysql: Arc<Mysql>,
}

impl Client {
    fn config(&self) -> &Config {
        &self.mysql.config
    }

    /// Answers commands until the connection ends.
    async fn run(&mut self) -> Stop {
        loop {
            match self.step().await {
                Ok(()) => {}
                Err(stop) => return stop,
            }
        }
    }

    /// Answers one command, or waits for more of it.
    async fn step(&mut self) -> Result<(), Stop> {
        let Self { line, desk, mysql, .. } = self;
        let limit = line.guest.connections().message_limit(line.guest.connection());
        let (plan, raw) = match packet::front(line.wire.input(), limit) {
            Ok(Some(message)) => {
                line.sequence = message.next;
                (message.payload.map(|payload| desk.plan(payload, &mysql.config)), message.raw)
            }
            Ok(None) => {
                // What the server says on its own account has the number 0.
                let flushed = line.wire.flush().await;
                line.sequence = 0;
                flushed?;
                return line.fill().await;
            }
            Err(too_large) => return Err(line.refuse_size(too_large)),
        };
        let plan = match plan {
            Some(plan) => {
                line.wire.consume(raw);
                plan
            }
            None => desk.plan(&packet::join(line.wire.take(raw)), &mysql.config),
        };
        line.charset = desk.state.results();
        line.guest.connection().request();
        self.carry_out(plan).await?;
        let relieved = self.line.relieve().await;
        Ok(self.line.unless_call(relieved)?)
    }

    async fn carry_out(&mut self, plan: Plan) -> Result<(), Stop> {
        if let Plan::Statement { action, rest, format } = plan {
            return self.statements(action, &rest, format).await;
        }
        self.line.guest.connection().touch();
        match plan {
            Plan::Quit => return Err(Stop::Quit),
            Plan::Silence => {}
            Plan::Done => self.done(0, false, None),
            Plan::End => self.end_of_rows(false),
            Plan::Error(error) => self.line.error(&error),
            Plan::Statistics => {
                let text = commands::statistics(&self.line.guest);
                self.line.writer().packet(|out| out.extend_from_slice(text.as_bytes()));
            }
            Plan::Prepared { id, parameters } => self.prepared(id, parameters),
            Plan::Fields(fields) => {
                let charset = self.line.charset;
                let mut writer = self.line.writer();
                for (name, default) in fields {
                    writer.packet(|out| {
                        column::write_field(out, &name, default.as_deref(), charset);
                    });
                }
                self.end_of_rows(false);
            }
            Plan::ChangeUser(request) => Box::pin(self.change_user(&request)).await?,
            Plan::Reset => {
                self.desk.reset(self.login.setup());
                self.done(0, false, None);
            }
            Plan::Statement { .. } => {}
        }
        Ok(())
    }

    fn status(&self, more: bool) -> u16 {
        self.desk.state.status() | if more { status::MORE_RESULTS } else { 0 }
    }

    fn done(&mut self, affected: u64, more: bool, database: Option<&str>) {
        let (status, warnings) = (self.status(more), self.desk.state.warnings());
        let done = Done { affected, status, warnings, database, ..Done::default() };
        self.line.writer().ok(done);
    }

    fn end_of_rows(&mut self, more: bool) {
        let (status, warnings) = (self.status(more), self.desk.state.warnings());
        self.line.writer().end_of_rows(status, warnings);
    }

    fn prepared(&mut self, id: u32, parameters: u16) {
        let status = self.status(false);
        let mut writer = self.line.writer();
        writer.prepared(id, parameters);
        if parameters > 0 {
            for _ in 0..parameters {
                writer.packet(column::write_parameter);
            }
            writer.end_of_columns(status);
        }
    }

    async fn change_user(&mut self, request: &[u8]) -> Result<(), Stop> {
        self.desk = login::change_user(&mut self.line, &mut self.login, request).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use polyport_core::{Core, Listener, Peer, Settings};

    use super::*;

    /// What one idle connection costs beside its socket; ten thousand of them have to be cheap.
    const MOST_BYTES: usize = 3_500;

    #[test]
    fn the_future_of_a_connection_is_small() {
        let core = Core::new(Settings::default()).unwrap();
        let guest = core.admit("mysql", Peer::Memory, &Arc::new(Listener::default())).unwrap();
        let accepted = Accepted { io: Box::new(tokio::io::empty()), guest, tls: None };
        let future = serve(Mysql::new(Config::default()), accepted);
        let size = size_of_val(&future);
        assert!(size <= MOST_BYTES, "{size}");
    }
}
