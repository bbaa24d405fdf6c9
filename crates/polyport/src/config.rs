//! The configuration: one TOML file, then the environment, then the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use polyport_core::rights::Rights;
use polyport_core::{Anonymous, Limits, User, Verifier};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::protocols::Protocols;

/// All settings. Each is a key of the configuration file, under the name it has here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where data is kept. Without one nothing outlives the process; `polyport serve` uses
    /// `polyport-data` then.
    pub data: Option<PathBuf>,
    /// Names that MySQL clients may choose as their database, and that may stand before a
    /// function's name; `"*"` among them is every other name. Default `["polyport"]`.
    pub databases: Option<Vec<String>>,
    /// Threads that serve connections; as many as processors by default.
    pub threads: Option<usize>,
    /// Allows listening beyond this machine without TLS. Off by default.
    pub insecure: bool,
    /// Seconds that running calls have to finish when the server stops. Default 10.
    pub grace_s: Option<u64>,
    /// What is logged and how.
    pub log: LogSettings,
    /// Limits that hold for all protocols.
    pub limits: Limits,
    /// What to listen on. Without any, every protocol listens on this machine at its usual port.
    pub listen: Vec<Listen>,
    /// Users by name.
    pub users: BTreeMap<String, UserSettings>,
    /// Each protocol's own settings.
    pub protocols: Protocols,
    /// Functions in Python and other languages, and the processes that run them.
    #[cfg(feature = "workers")]
    pub workers: polyport_workers::Config,
}

/// What is logged and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `"human"`, `"json"`, or `"auto"`: human on a terminal, JSON otherwise. Default `"auto"`.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `"info,polyport::calls=off"`.
    /// Default `"info"`.
    pub level: Option<String>,
    /// Whether each call is logged. Off by default; `call turnonlog` switches it too.
    pub calls: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For reading.
    Human,
    /// One JSON object a line.
    Json,
}

/// One listener.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// The protocol's name.
    pub protocol: String,
    /// `host:port` or `unix:path`; port 0 takes a free one. The protocol's usual port on this
    /// machine by default.
    pub address: Option<String>,
    /// The certificate; none is no TLS.
    pub tls: Option<Tls>,
    /// The user that strangers become: `"name"`, or by dialect `{ standard = "name" }`. Nobody by
    /// default.
    #[serde(default)]
    pub anonymous: Anonymous,
    /// Networks that may connect, such as `["10.0.0.0/8"]`; all when empty.
    #[serde(default)]
    pub allow: Vec<IpNet>,
    /// What to do when something else has the address.
    #[serde(skip)]
    pub if_taken: IfTaken,
}

/// What to do when something else has a listener's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfTaken {
    /// Refuse to start: the address was asked for.
    #[default]
    Fail,
    /// Warn, and go on without this protocol.
    GoOn,
    /// Warn, and take a free port.
    Move,
}

/// Where a certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Tls {
    /// PEM files.
    Files {
        /// The certificate, and those above it.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// `"self-signed"`: made at the first start and kept in the data folder.
    SelfSigned(SelfSigned),
}

/// The word `self-signed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelfSigned {
    /// The word itself.
    SelfSigned,
}

/// A user's settings.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserSettings {
    /// The password in the clear; `secrets` is safer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Stored secrets, as `polyport user hash` prints them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Verifier>,
    /// Bearer tokens in the clear.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<String>,
    /// SHA-256 hashes of bearer tokens, in hexadecimal digits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub token_hashes: Vec<String>,
    /// What the user may do, such as `["call math.*"]`.
    pub rights: Rights,
    /// The only functions the user sees, exported name → function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exports: Option<BTreeMap<String, String>>,
    /// Seconds that a call may take, by protocol; `"*"` is every other.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub time_limits: BTreeMap<String, f64>,
}

impl UserSettings {
    /// The user of this name with these settings.
    ///
    /// # Errors
    /// When a token hash or a time limit is no such thing.
    pub fn user(&self, name: &str) -> Result<User, Error> {
        let mut user = match &self.password {
            Some(password) => User::new(name.to_owned(), password),
            None => User::anonymous(name.to_owned()),
        };
        user.verifiers.extend(self.secrets.iter().cloned());
        for token in &self.tokens {
            user = user.token(token);
        }
        for hash in &self.token_hashes {
            user.tokens.push(unhex(hash).ok_or_else(|| {
                Error::new(format!("users.{name}.token_hashes: '{hash}' is no SHA-256 hash"))
            })?);
        }
        user.rights = self.rights.clone();
        user.exports = self.exports.as_ref().map(|exports| {
            exports.iter().map(|(k, v)| (k.clone().into(), v.clone().into())).collect()
        });
        for (protocol, seconds) in &self.time_limits {
            let limit = Duration::try_from_secs_f64(*seconds)
                .map_err(|error| Error::new(format!("users.{name}.time_limits: {error}")))?;
            user = user.time_limit(protocol.clone(), limit);
        }
        Ok(user)
    }
}

impl From<&User> for UserSettings {
    fn from(user: &User) -> Self {
        let hex = |hash: &[u8; 32]| hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            password: None,
            secrets: user.verifiers.clone(),
            tokens: Vec::new(),
            token_hashes: user.tokens.iter().map(hex).collect(),
            rights: user.rights.clone(),
            exports: user.exports.as_ref().map(|exports| {
                exports.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
            }),
            time_limits: user
                .time_limits
                .iter()
                .map(|(protocol, limit)| (protocol.to_string(), limit.as_secs_f64()))
                .collect(),
        }
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// Environment variables with this prefix are settings: `POLYPORT_LIMITS__CONNECTIONS=100` is
/// `limits.connections`.
const ENVIRONMENT: &str = "POLYPORT_";

/// Variables that are no settings: flags of the command line under another name, and what a worker
/// is told, whose functions may start the program too.
const OTHERS: [&str; 6] = [
    "POLYPORT_CONFIG",
    "POLYPORT_LISTEN",
    "POLYPORT_ONLY",
    "POLYPORT_PYTHON",
    "POLYPORT_URL",
    "POLYPORT_WORKER",
];

impl Config {
    /// Reads a file, and then the environment over it.
    ///
    /// # Errors
    /// What is wrong, with file, line and, for an unknown key, the nearest one that exists.
    pub fn load(file: Option<&Path>) -> Result<Self, Error> {
        let environment = std::env::vars();
        let Some(file) = file else { return Self::merged("", "", environment) };
        let text = std::fs::read_to_string(file)
            .map_err(|error| Error::new(format!("cannot read {}: {error}", file.display())))?;
        Self::merged(&file.display().to_string(), &text, environment)
    }

    /// Reads a configuration from text. `name` stands for the file in error messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        Self::merged(name, text, std::iter::empty())
    }

    /// Puts what a file or the environment says over what the program has set.
    #[cfg(feature = "cli")]
    pub(crate) fn overlay(&mut self, over: Self) {
        let usual = Self::default();
        self.data = over.data.or(self.data.take());
        self.databases = over.databases.or(self.databases.take());
        self.threads = over.threads.or(self.threads);
        self.insecure |= over.insecure;
        self.grace_s = over.grace_s.or(self.grace_s);
        if over.log != usual.log {
            self.log = over.log;
        }
        if over.limits != usual.limits {
            self.limits = over.limits;
        }
        if !over.listen.is_empty() {
            self.listen = over.listen;
        }
        self.users.extend(over.users);
        self.protocols.overlay(over.protocols);
        #[cfg(feature = "workers")]
        if over.workers != polyport_workers::Config::default() {
            self.workers = over.workers;
        }
    }

    fn merged(
        name: &str,
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let config: Self = toml::from_str(text).map_err(|error| explain(name, text, &error))?;
        let settings: Vec<_> = environment
            .filter(|(name, _)| !OTHERS.contains(&name.as_str()))
            .filter_map(|(key, value)| Some((key.strip_prefix(ENVIRONMENT)?.to_owned(), value)))
            .collect();
        if settings.is_empty() {
            return Ok(config);
        }
        let mut table: toml::Table =
            toml::from_str(text).map_err(|error| explain(name, text, &error))?;
        for (key, value) in settings {
            set(&mut table, &key.to_ascii_lowercase(), &value);
        }
        let text = table.to_string();
        toml::from_str(&text)
            .map_err(|error| explain("the environment (POLYPORT_…)", &text, &error))
    }
}

/// Sets `a__b` to a value, read as TOML where it is that, else as text.
fn set(table: &mut toml::Table, key: &str, value: &str) {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let mut table = table;
    let mut parts = key.split("__").peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            table.insert(part.to_owned(), parsed);
            return;
        }
        let next = table.entry(part).or_insert_with(|| toml::Table::new().into());
        match next {
            toml::Value::Table(inner) => table = inner,
            _ => return,
        }
    }
}

/// Turns a parser's error into one that names the line and the nearest key.
fn explain(name: &str, text: &str, error: &toml::de::Error) -> Error {
    let line =
        error.span().map(|span| 1 + text.get(..span.start).unwrap_or("").matches('\n').count());
    let place = match line {
        Some(line) => format!("{name}:{line}"),
        None => name.to_owned(),
    };
    let message = error.message();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match (message.starts_with("unknown field"), quoted.split_first()) {
        (true, Some((unknown, known))) => {
            let plain = Error::new(format!("{place}: unknown key '{unknown}'"));
            let near = known
                .iter()
                .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
                .min()
                .filter(|(distance, _)| *distance <= 3);
            match near {
                Some((_, known)) => plain.hint(format!("did you mean '{known}'?")),
                None => plain.hint(format!("the keys here are {}", known.join(", "))),
            }
        }
        _ => Error::new(format!("{place}: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_named_with_line_and_nearest_match() {
        let text = "data = \"x\"\n[[listen]]\nprotocol = \"mysql\"\nadress = \"127.0.0.1:1\"\n";
        let error = Config::parse("polyport.toml", text).unwrap_err().to_string();
        assert_eq!(error, "polyport.toml:4: unknown key 'adress'\n  did you mean 'address'?");
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let text = "data = \"here\"\n[limits]\nconnections = 5\n";
        let environment = [
            ("POLYPORT_LIMITS__CONNECTIONS".to_owned(), "7".to_owned()),
            ("POLYPORT_DATA".to_owned(), "there".to_owned()),
            ("POLYPORT_URL".to_owned(), "http://here".to_owned()),
            ("PATH".to_owned(), "x".to_owned()),
        ];
        let config = Config::merged("f", text, environment.into_iter()).unwrap();
        assert_eq!(config.limits.connections, 7);
        assert_eq!(config.data, Some("there".into()));
        let typo = [("POLYPORT_LIMIT__X".to_owned(), "7".to_owned())];
        let error = Config::merged("f", text, typo.into_iter()).unwrap_err().to_string();
        assert!(error.contains("did you mean 'limits'"), "{error}");
    }

    #[cfg(all(feature = "mysql", feature = "msgpack", feature = "http"))]
    #[test]
    fn the_example_file_has_every_default() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/polyport.toml");
        let example = Config::load(Some(Path::new(path))).unwrap();
        let usual = Config {
            databases: Some(vec!["polyport".into()]),
            grace_s: Some(10),
            log: LogSettings { level: Some("info".into()), ..LogSettings::default() },
            ..Config::default()
        };
        assert_eq!(format!("{example:#?}"), format!("{usual:#?}"));
        // A key that the file lacks would go unnoticed above, so each field is looked for.
        let text = std::fs::read_to_string(path).unwrap();
        for line in format!("{usual:#?}").lines() {
            let field = line.trim().split_once(':').map(|(field, _)| field.to_owned());
            let plain = |field: &String| field.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            if let Some(field) = field.filter(plain) {
                assert!(text.contains(&field), "docs/polyport.toml lacks {field}");
            }
        }
    }

    #[test]
    fn every_form_of_a_listener_and_a_user_is_read() {
        let text = r#"
            [[listen]]
            protocol = "msgpack"
            address = "unix:/tmp/x"
            anonymous = { standard = "guest" }
            tls = "self-signed"
            allow = ["10.0.0.0/8"]
            [users.ann]
            password = "secret"
            rights = ["call math.*", "admin"]
            exports = { add = "math.add" }
            time_limits = { mysql = 1.5 }
        "#;
        let config = Config::parse("f", text).unwrap();
        assert_eq!(config.listen[0].tls, Some(Tls::SelfSigned(SelfSigned::SelfSigned)));
        let ann = config.users["ann"].user("ann").unwrap();
        assert!(ann.rights.is_admin());
        assert_eq!(ann.time_limits["mysql"], Duration::from_millis(1500));
        let kept = UserSettings::from(&ann);
        assert_eq!(kept.user("ann").unwrap(), ann);
    }
}
