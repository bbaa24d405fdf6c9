//! `polyport call`: one call through any of the protocols, with this program as the client.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use polyport_core::{Text, Value, json};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::DATA;
use crate::error::Error;
use crate::folder::Folder;
use crate::server::GENERATED_USER;

mod http;
mod msgpack;
mod mysql;

/// `polyport call …`
#[derive(Args)]
#[command(after_help = "Examples:\n  polyport call hello\n  \
    polyport call --to mysql://testuser:testpass@127.0.0.1:3308 myadd 3 4\n  \
    polyport call --to msgpack://admin:admin@127.0.0.1:5000 count 10\n  \
    polyport call --to http://admin:admin@127.0.0.1:8308 hello --named name=Ann\n\n\
    Arguments are JSON where they can be, text otherwise: 3, '[1, 2]', hello.\n\
    Results are JSON; a stream is one line an item, as it comes.\n\
    With mysqls, msgpacks or https the connection is encrypted.")]
pub(super) struct CallCommand {
    /// Where to call: PROTOCOL://USER:PASSWORD@HOST:PORT, with protocol mysql, msgpack or http.
    /// Without it, the server on this machine whose data folder is here.
    #[arg(short, long, value_name = "URL", env = "POLYPORT_URL")]
    to: Option<String>,
    /// A certificate (PEM) to trust, such as the server's own tls.crt.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// An argument by name, NAME=VALUE; may be given several times.
    #[arg(long = "named", value_name = "NAME=VALUE")]
    named: Vec<String>,
    /// The function.
    name: String,
    /// The arguments.
    #[arg(allow_negative_numbers = true)]
    arguments: Vec<String>,
}

/// `polyport reload …`
#[derive(Args)]
#[command(after_help = "Examples:\n  polyport reload\n  \
    polyport reload --to http://admin:secret@127.0.0.1:8308\n\n\
    A version that cannot be loaded never takes over; its error is shown.")]
pub(super) struct ReloadCommand {
    /// Where the server is: PROTOCOL://USER:PASSWORD@HOST:PORT. Without it, the server on this
    /// machine whose data folder is here.
    #[arg(short, long, value_name = "URL", env = "POLYPORT_URL")]
    to: Option<String>,
    /// A certificate (PEM) to trust, such as the server's own tls.crt.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl ReloadCommand {
    pub(super) fn run(self) -> Result<(), Error> {
        let Self { to, ca } = self;
        let (named, arguments) = (Vec::new(), Vec::new());
        CallCommand { to, ca, named, name: "worker.reload".into(), arguments }.run()
    }
}

/// Where to call, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    protocol: String,
    encrypted: bool,
    user: String,
    password: String,
    host: String,
    port: u16,
}

/// What to call.
struct Request {
    name: String,
    positional: Vec<Value>,
    named: Vec<(Text, Value)>,
}

impl CallCommand {
    pub(super) fn run(self) -> Result<(), Error> {
        let target = match &self.to {
            Some(url) => Target::parse(url)?,
            None => Target::of_this_machine()?,
        };
        let mut request = Request { name: self.name, positional: Vec::new(), named: Vec::new() };
        request.positional.extend(self.arguments.iter().map(|argument| value(argument)));
        for named in &self.named {
            let (name, argument) = named
                .split_once('=')
                .ok_or_else(|| Error::new(format!("--named {named}: write NAME=VALUE")))?;
            request.named.push((name.to_owned().into(), value(argument)));
        }
        let tls = target.encrypted.then(|| trust(self.ca.as_deref())).transpose()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(format!("cannot start a runtime: {error}")))?;
        runtime.block_on(async {
            match target.protocol.as_str() {
                "mysql" => mysql::call(&target, self.ca.as_deref(), request).await,
                "msgpack" => msgpack::call(&target, tls, request).await,
                _ => http::call(&target, tls, request).await,
            }
        })
    }
}

/// An argument as a person types it.
fn value(text: &str) -> Value {
    json::parse(text.as_bytes()).unwrap_or_else(|_| text.into())
}

fn show(value: &Value) {
    println!("{}", json::to_string(value));
}

/// The certificates to trust: the one named, and nothing else.
fn trust(ca: Option<&std::path::Path>) -> Result<Arc<ClientConfig>, Error> {
    let ca = ca.ok_or_else(|| {
        Error::new("an encrypted call needs to know whom to trust")
            .hint("name the server's certificate: --ca polyport-data/tls.crt")
    })?;
    let bad = |error: &dyn std::fmt::Display| Error::new(format!("{}: {error}", ca.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(|error| bad(&error))? {
        let certificate = certificate.map_err(|error| bad(&error))?;
        roots.add(certificate).map_err(|error| bad(&error))?;
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

impl Target {
    /// Reads `PROTOCOL://[USER[:PASSWORD]@]HOST[:PORT]`. The user and the password are taken as
    /// they stand; the last `@` ends them.
    fn parse(url: &str) -> Result<Self, Error> {
        let bad = || {
            Error::new(format!("'{url}' is no place to call"))
                .hint("write mysql://USER:PASSWORD@HOST:PORT, or msgpack:// or http://")
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
        let (protocol, encrypted, usual) = match scheme {
            "mysql" => ("mysql", false, 3308),
            "mysqls" => ("mysql", true, 3308),
            "msgpack" => ("msgpack", false, 5000),
            "msgpacks" => ("msgpack", true, 5000),
            "http" => ("http", false, 8308),
            "https" => ("http", true, 8308),
            _ => return Err(bad()),
        };
        let (login, place) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let place = place.trim_end_matches('/');
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| bad())?),
            _ => (place, usual),
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(bad());
        }
        let (user, password) = (user.to_owned(), password.to_owned());
        Ok(Self { protocol: protocol.to_owned(), encrypted, user, password, host, port })
    }

    /// The server of the data folder here, as the user it made for itself.
    fn of_this_machine() -> Result<Self, Error> {
        let path = Folder::visit(std::path::Path::new(DATA)).path("password");
        let password = std::fs::read_to_string(&path).map_err(|_| {
            Error::new("where to? there is no server's data folder here")
                .hint("name the server: --to mysql://USER:PASSWORD@HOST:PORT")
        })?;
        Ok(Self {
            protocol: "http".into(),
            encrypted: false,
            user: GENERATED_USER.into(),
            password: password.trim().into(),
            host: "127.0.0.1".into(),
            port: 8308,
        })
    }

    async fn connect(&self) -> Result<tokio::net::TcpStream, Error> {
        let place = (self.host.as_str(), self.port);
        let stream = tokio::net::TcpStream::connect(place).await.map_err(|error| {
            Error::new(format!("cannot reach {}:{}: {error}", self.host, self.port))
                .hint("is the server running, and listening there?")
        })?;
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    /// The connection's bytes, encrypted where that was asked for.
    async fn open(&self, tls: Option<Arc<ClientConfig>>) -> Result<polyport_wire::Io, Error> {
        let stream = self.connect().await?;
        let Some(tls) = tls else { return Ok(Box::new(stream)) };
        let name = self
            .host
            .clone()
            .try_into()
            .map_err(|_| Error::new(format!("'{}' is no host name", self.host)))?;
        let connector = tokio_rustls::TlsConnector::from(tls);
        let stream = connector
            .connect(name, stream)
            .await
            .map_err(|error| Error::new(format!("the encrypted connection failed: {error}")))?;
        Ok(Box::new(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_to_call_is_taken_apart() {
        let target = Target::parse("msgpacks://ann:p:a@ss@[::1]:5001/").unwrap();
        let want = Target {
            protocol: "msgpack".into(),
            encrypted: true,
            user: "ann".into(),
            password: "p:a@ss".into(),
            host: "::1".into(),
            port: 5001,
        };
        assert_eq!(target, want);
        assert_eq!(Target::parse("http://localhost").unwrap().port, 8308);
        for bad in ["", "localhost", "gopher://x", "mysql://", "mysql://h:x"] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn arguments_are_json_where_they_can_be() {
        assert_eq!(value("3"), Value::Int(3));
        assert_eq!(value("\"3\""), "3".into());
        assert_eq!(value("three"), "three".into());
        assert_eq!(value("[1]"), Value::List(vec![Value::Int(1)]));
    }
}
