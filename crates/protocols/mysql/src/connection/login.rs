//! Logging in, and going on as another user.

use polyport_core::{Fault, Kind, Proof, Session, Text};
use polyport_wire::TlsAcceptor;

use super::{Line, Stop};
use crate::codec::handshake::{self, Hello, SALT_BYTES, Salt};
use crate::codec::response::Done;
use crate::commands::{self, Desk, Plan};
use crate::config::Config;
use crate::sql::{self, Action, Setup, SqlError};
use crate::state::{Account, Handshake, Shown, Step, Terms};

/// What is kept of a login for resets and for changes of user.
#[derive(Debug)]
pub(super) struct Login {
    handshake: Handshake,
    port: u16,
    cipher: &'static str,
}

impl Login {
    /// What a new state begins with; no database is chosen yet.
    pub(super) fn setup(&self) -> Setup {
        Setup {
            database: Text::new(),
            collation: self.handshake.asked().collation,
            port: self.port,
            cipher: Text::from(self.cipher.replace("TLS13_", "TLS_")),
        }
    }
}

/// Greets the client and lets it log in.
pub(super) async fn log_in(
    line: &mut Line,
    config: &Config,
    tls: Option<&TlsAcceptor>,
) -> Result<(Desk, Box<Login>), Stop> {
    let [salt, fresh] = [fresh_salt(line)?, fresh_salt(line)?];
    let terms = Terms { tls: tls.is_some(), require_tls: config.require_tls };
    let mut handshake = Handshake::new(terms, salt, fresh);
    let connection = line.guest.connection().id;
    let hello = Hello {
        version: sql::version(),
        connection,
        salt: &salt,
        capabilities: handshake.offered(),
        status: AUTOCOMMIT,
        plugin: config.auth,
    };
    line.writer().packet(|out| hello.write(out));
    let port = line.guest.listener().address.rsplit_once(':').and_then(|(_, p)| p.parse().ok());
    let mut cipher = "";
    loop {
        let payload = line.receive().await?;
        let step = handshake.receive(&payload, |user| account(line, user));
        line.capabilities = handshake.capabilities();
        let Ok(step) = step else {
            return Err(refuse(line, SqlError::new(1043, "08S01", "Bad handshake")));
        };
        match (step, tls) {
            (Step::StartTls, Some(tls)) => cipher = start_tls(line, tls).await?,
            (Step::Ask(packet), _) => {
                line.writer().packet(|out| out.extend_from_slice(&packet));
            }
            (Step::Check(shown), _) => {
                let session = check(line, &handshake, &shown).await?;
                let port = port.unwrap_or_default();
                let login = Box::new(Login { handshake, port, cipher });
                let desk = welcome(line, session, &login, &shown)?;
                return Ok((desk, login));
            }
            (Step::WantsTls, _) | (Step::StartTls, None) => {
                let text = "Connections using insecure transport are prohibited \
                            (protocols.mysql.require_tls)";
                return Err(refuse(line, SqlError::new(3159, "HY000", text)));
            }
        }
    }
}

/// The status of a hello. It is there from the start, since PyMySQL and its kin look at it and
/// send `SET AUTOCOMMIT = 0` only when it is set.
const AUTOCOMMIT: u16 = 2;

/// Lets the client go on as another user; the connection ends when that is refused.
pub(super) async fn change_user(
    line: &mut Line,
    login: &mut Box<Login>,
    request: &[u8],
) -> Result<Desk, Stop> {
    let Some(request) = commands::change_user(request) else {
        return Err(refuse(line, SqlError::new(1043, "08S01", "Bad handshake")));
    };
    let fresh = fresh_salt(line)?;
    let mut step = login.handshake.change_user(&request, fresh, |user| account(line, user));
    loop {
        match step {
            Step::Ask(packet) => line.writer().packet(|out| out.extend_from_slice(&packet)),
            Step::Check(shown) => {
                let session = check(line, &login.handshake, &shown).await?;
                return welcome(line, session, login, &shown);
            }
            Step::StartTls | Step::WantsTls => {
                return Err(refuse(line, SqlError::new(1043, "08S01", "Bad handshake")));
            }
        }
        let payload = line.receive().await?;
        step = match login.handshake.receive(&payload, |user| account(line, user)) {
            Ok(step) => step,
            Err(_) => return Err(refuse(line, SqlError::new(1043, "08S01", "Bad handshake"))),
        };
    }
}

fn refuse(line: &mut Line, error: SqlError) -> Stop {
    line.error(&error);
    Stop::Told
}

fn fresh_salt(line: &mut Line) -> Result<Salt, Stop> {
    let mut random = [0; SALT_BYTES];
    match getrandom::fill(&mut random) {
        Ok(()) => Ok(handshake::salt(random)),
        Err(_) => {
            Err(refuse(line, SqlError::new(1105, "HY000", "the system has no random numbers")))
        }
    }
}

/// What the user has secrets for. A proof without bytes stands for every proof of its kind.
fn account(line: &Line, user: &str) -> Account {
    let none: &[u8] = &[];
    Account {
        sha1: line.guest.can_check(user, Proof::Sha1Answer { salt: none, answer: none }),
        sha256: line.guest.can_check(user, Proof::Sha256Answer { salt: none, answer: none }),
        password: line.guest.wants_password(user),
    }
}

/// Changes to TLS. The time for logging in goes on meanwhile.
async fn start_tls(line: &mut Line, tls: &TlsAcceptor) -> Result<&'static str, Stop> {
    let connection = line.guest.connection().clone();
    tokio::select! {
        biased;
        secured = line.wire.start_tls(tls) => Ok(secured?),
        interrupt = connection.interrupted() => {
            Err(Stop::Ended(polyport_wire::Ended::Interrupted(interrupt)))
        }
    }
}

/// Checks what the client showed. Without a password it may become the listener's anonymous user.
async fn check(line: &mut Line, handshake: &Handshake, shown: &Shown) -> Result<Session, Stop> {
    let asked = handshake.asked();
    if !asked.with_password
        && let Some(session) = line.guest.anonymous("mysql")
    {
        return Ok(session);
    }
    let Line { wire, guest, .. } = line;
    let login = guest.login(&asked.user, handshake.proof(shown));
    let fault = match wire.during(login).await? {
        Ok(session) => return Ok(session),
        Err(fault) => fault,
    };
    let host = line.guest.connection().peer.host();
    Err(refuse(line, refusal(&fault, &asked.user, &host, asked.with_password)))
}

fn refusal(fault: &Fault, user: &str, host: &str, with_password: bool) -> SqlError {
    if fault.kind() == Kind::Busy {
        return SqlError::new(1040, "08004", "Too many connections");
    }
    let used = if with_password { "YES" } else { "NO" };
    let text = format!("Access denied for user '{user}'@'{host}' (using password: {used})");
    SqlError::new(1045, "28000", text)
}

/// Begins a session, in the database that was asked for, and says OK.
fn welcome(line: &mut Line, session: Session, login: &Login, shown: &Shown) -> Result<Desk, Stop> {
    let mut desk = Desk::new(session, login.setup(), line.capabilities);
    let asked = &login.handshake.asked().database;
    let mut database = None;
    if !asked.is_empty() {
        match desk.choose(asked.as_bytes()) {
            Ok(Plan::Statement { action: Action::Use(chosen), .. }) => database = Some(chosen),
            Ok(_) => {}
            Err(error) => return Err(refuse(line, error)),
        }
    }
    line.charset = desk.state.results();
    let status = desk.state.status();
    let mut writer = line.writer();
    if let Some(word) = Handshake::word_before_ok(shown) {
        writer.packet(|out| out.extend_from_slice(&word));
    }
    writer.ok(Done { status, database: database.as_deref(), ..Done::default() });
    Ok(desk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_user_and_host_and_whether_a_password_was_used() {
        let fault = Fault::new(Kind::Login, "no");
        let text = "Access denied for user 'ann'@'127.0.0.1' (using password: NO)";
        assert_eq!(refusal(&fault, "ann", "127.0.0.1", false).message, text);
        let busy = Fault::new(Kind::Busy, "too many");
        assert_eq!(refusal(&busy, "ann", "h", true).errno, 1040);
    }
}
