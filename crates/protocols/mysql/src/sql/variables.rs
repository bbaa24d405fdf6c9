//! System variables: which there are, what they hold, what may be put into them.

use polyport_core::{Session, Value};

use super::SqlError;
use super::charset::{Collation, set_named};
use super::expression::Scope;
use super::state::State;

mod table;

pub(super) use self::table::{TABLE, VERSION_COMMENT};

/// A system variable.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: &'static str,
    default: Default,
    kind: Kind,
    access: Access,
}

/// What a variable holds that was never set.
#[derive(Clone, Copy, Debug)]
enum Default {
    Null,
    Int(i64),
    Text(&'static str),
    /// Found by [`computed`].
    Computed,
}

/// What a variable takes.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// ON and OFF.
    Flag,
    /// A whole number between two bounds, which a value outside is moved to.
    Int(i64, i64),
    Text,
    /// One of these words, or its number.
    Word(&'static [&'static str]),
    /// The name of a character set.
    Charset,
    /// The name of a collation.
    Collation,
    SqlMode,
    TimeZone,
}

/// Who may set a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Session,
    /// `SET GLOBAL` only.
    Global,
    ReadOnly,
}

/// Finds a variable by its name in lower case.
pub(super) fn find(name: &str) -> Result<&'static Variable, SqlError> {
    TABLE
        .binary_search_by(|variable| variable.name.cmp(name))
        .ok()
        .and_then(|index| TABLE.get(index))
        .ok_or_else(|| SqlError::unknown_variable(name))
}

impl Variable {
    /// What the variable holds, as `@@name` shows it.
    pub(super) fn read(&self, scope: Scope, state: &State, session: &Session) -> Value {
        if scope != Scope::Global {
            if self.name == "autocommit" {
                return Value::Int(i64::from(state.autocommit));
            }
            if let Some(value) = state.system.get(self.name) {
                return value.clone();
            }
        }
        match self.default {
            Default::Null => Value::Null,
            Default::Int(number) => Value::Int(number),
            Default::Text(text) => text.into(),
            Default::Computed => computed(self.name, state, session),
        }
    }

    /// What the variable holds, as `SHOW VARIABLES` shows it: flags are words there.
    pub(super) fn show(&self, scope: Scope, state: &State, session: &Session) -> Value {
        match (self.kind, self.read(scope, state, session)) {
            (Kind::Flag, Value::Int(number)) => if number == 0 { "OFF" } else { "ON" }.into(),
            (_, Value::Int(number)) => number.to_string().into(),
            (_, Value::Float(number)) => format!("{number:.6}").into(),
            (_, Value::Null) => "".into(),
            (_, value) => value,
        }
    }

    /// Sets the variable; `None` is its default.
    pub(super) fn set(
        &self,
        scope: Scope,
        value: Option<Value>,
        state: &mut State,
        session: &Session,
    ) -> Result<(), SqlError> {
        match (self.access, scope) {
            (Access::ReadOnly, _) => {
                let text = format!("Variable '{}' is a read only variable", self.name);
                return Err(SqlError::new(1238, "HY000", text));
            }
            (_, Scope::Global | Scope::Persist) => return Err(refuse_global(session)),
            (Access::Global, _) => {
                let text = format!(
                    "Variable '{}' is a GLOBAL variable and should be set with SET GLOBAL",
                    self.name
                );
                return Err(SqlError::new(1229, "HY000", text));
            }
            (Access::Session, _) => {}
        }
        let value = match value {
            Some(value) => Some(self.check(value, state)?),
            None => None,
        };
        self.store(value, state);
        Ok(())
    }

    fn store(&self, value: Option<Value>, state: &mut State) {
        let on = !matches!(value, Some(Value::Int(0)));
        match self.name {
            "autocommit" => {
                state.autocommit = on;
                state.in_transaction = false;
                return;
            }
            // The old and the new name of one thing.
            "tx_isolation" | "transaction_isolation" => {
                return put(&["tx_isolation", "transaction_isolation"], value, state);
            }
            "tx_read_only" | "transaction_read_only" => {
                return put(&["tx_read_only", "transaction_read_only"], value, state);
            }
            "sql_mode" => {
                let modes = value.as_ref().and_then(Value::as_text).unwrap_or_default();
                let has = |mode: &str| modes.split(',').any(|own| own == mode);
                state.dialect.plain_backslash = has("NO_BACKSLASH_ESCAPES");
                state.dialect.ansi_quotes = has("ANSI_QUOTES");
                state.dialect.pipes_concat = has("PIPES_AS_CONCAT");
            }
            "character_set_connection" | "character_set_database" | "character_set_server" => {
                let collation = value.as_ref().and_then(Value::as_text);
                let collation = collation.and_then(Collation::default_of).map(|c| c.name.into());
                put(&[&self.name.replace("character_set", "collation")], collation, state);
            }
            "collation_connection" | "collation_database" | "collation_server" => {
                let set = value.as_ref().and_then(Value::as_text).and_then(Collation::named);
                let set = set.map(|collation| collation.set.into());
                put(&[&self.name.replace("collation", "character_set")], set, state);
            }
            _ => {}
        }
        put(&[self.name], value, state);
        if self.name.starts_with("character_set_") {
            state.charsets_changed();
        }
    }

    /// Turns a value into what the variable takes.
    fn check(&self, value: Value, state: &mut State) -> Result<Value, SqlError> {
        let shown = value.as_text().map_or_else(|| shown(&value), str::to_owned);
        let wrong = || SqlError::wrong_value(self.name, &shown);
        match self.kind {
            Kind::Flag => match (&value, shown.to_ascii_uppercase().as_str()) {
                (Value::Int(0) | Value::Bool(false), _) | (Value::Text(_), "OFF" | "FALSE") => {
                    Ok(Value::Int(0))
                }
                (Value::Int(1) | Value::Bool(true), _) | (Value::Text(_), "ON" | "TRUE") => {
                    Ok(Value::Int(1))
                }
                (Value::Float(_) | Value::Decimal(_), _) => Err(SqlError::wrong_type(self.name)),
                _ => Err(wrong()),
            },
            Kind::Int(least, most) => {
                let number = match value {
                    Value::Int(number) => number,
                    Value::Big(_) => most,
                    _ => return Err(SqlError::wrong_type(self.name)),
                };
                if !(least..=most).contains(&number) {
                    let text = format!("Truncated incorrect {} value: '{shown}'", self.name);
                    state.warn(1292, text);
                }
                Ok(Value::Int(number.clamp(least, most)))
            }
            Kind::Text => match value {
                Value::Text(_) | Value::Null => Ok(value),
                _ => Err(SqlError::wrong_type(self.name)),
            },
            Kind::Word(words) => {
                let by_number = value.as_int().and_then(|n| words.get(usize::try_from(n).ok()?));
                let named = || words.iter().find(|word| word.eq_ignore_ascii_case(&shown));
                by_number.or_else(named).map(|word| (*word).into()).ok_or_else(wrong)
            }
            Kind::Charset if matches!(value, Value::Null) => match self.name {
                // MySQL Connector/J asks for results as they are stored.
                "character_set_results" => Ok(value),
                _ => Err(wrong()),
            },
            Kind::Charset => set_named(&shown)
                .map(|set| set.name.into())
                .ok_or_else(|| SqlError::unknown_charset(&shown)),
            Kind::Collation => Collation::named(&shown)
                .map(|collation| collation.name.into())
                .ok_or_else(|| unknown_collation(&shown)),
            Kind::SqlMode => sql_mode(&shown)
                .map(Into::into)
                .map_err(|mode| SqlError::wrong_value("sql_mode", &mode)),
            Kind::TimeZone => {
                super::clock::zone(&shown).map(|_| shown.as_str().into()).ok_or_else(|| {
                    let text = format!("Unknown or incorrect time zone: '{shown}'");
                    SqlError::new(1298, "HY000", text)
                })
            }
        }
    }
}

fn put(names: &[&str], value: Option<Value>, state: &mut State) {
    for name in names {
        let Ok(variable) = find(name) else { continue };
        match &value {
            Some(value) => state.system.insert(variable.name, value.clone()),
            None => state.system.remove(variable.name),
        };
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Decimal(number) => number.to_plain_string(),
        other => other.to_string(),
    }
}

/// 1273.
pub(super) fn unknown_collation(name: &str) -> SqlError {
    SqlError::new(1273, "HY000", format!("Unknown collation: '{name}'"))
}

/// The server's own settings are not MySQL's and are not made here.
fn refuse_global(session: &Session) -> SqlError {
    if session.is_admin() {
        return SqlError::unsupported("SET GLOBAL; the server's settings are in its configuration");
    }
    let text = "Access denied; you need (at least one of) the SUPER or SYSTEM_VARIABLES_ADMIN \
                privilege(s) for this operation";
    SqlError::new(1227, "42000", text)
}

fn computed(name: &str, state: &State, session: &Session) -> Value {
    match name {
        "version" => super::version().into(),
        "version_comment" => VERSION_COMMENT.into(),
        "max_allowed_packet" => {
            i64::try_from(session.limits().message_bytes).unwrap_or(i64::MAX).into()
        }
        "max_connections" => i64::try_from(session.limits().connections).unwrap_or(i64::MAX).into(),
        "wait_timeout" | "interactive_timeout" => match session.limits().idle_s.as_secs() {
            // MySQL's longest, a year, stands for no limit.
            0 => Value::Int(31_536_000),
            seconds => i64::try_from(seconds).unwrap_or(i64::MAX).into(),
        },
        "max_execution_time" => Value::Int(0),
        "hostname" => super::clock::hostname().into(),
        "port" => Value::Int(state.port.into()),
        "pseudo_thread_id" => Value::Int(session.connection().id.into()),
        "have_openssl" | "have_ssl" => {
            // Whether this connection could have it is known by whether it has it.
            if state.cipher.is_empty() { "DISABLED" } else { "YES" }.into()
        }
        "system_time_zone" => super::clock::system_zone().into(),
        "timestamp" => super::clock::unix_seconds().into(),
        "warning_count" => Value::Int(state.warnings().into()),
        "error_count" => {
            let errors = state.warnings.iter().filter(|w| w.level == "Error").count();
            i64::try_from(errors).unwrap_or(i64::MAX).into()
        }
        _ => Value::Null,
    }
}

/// Puts a list of modes into MySQL's order, with what the combined ones stand for.
fn sql_mode(list: &str) -> Result<String, String> {
    if let Ok(bits) = list.parse::<u64>() {
        return if bits == 0 { Ok(String::new()) } else { Err(list.into()) };
    }
    let mut modes: Vec<String> = Vec::new();
    for word in list.split(',').map(|word| word.trim().to_ascii_uppercase()) {
        let known = MODES.contains(&word.as_str()) || RETIRED_MODES.contains(&word.as_str());
        match word.as_str() {
            "" => {}
            "ANSI" => modes.extend(ANSI.map(String::from)),
            "TRADITIONAL" => modes.extend(TRADITIONAL.map(String::from)),
            _ if !known => return Err(word),
            _ => {}
        }
        if modes.len() > 1_000 {
            return Err(word);
        }
        modes.push(word);
    }
    let kept: Vec<&str> =
        MODES.iter().filter(|own| modes.iter().any(|mode| mode == *own)).copied().collect();
    Ok(kept.join(","))
}

/// The modes of MySQL 8, in the order of their bits.
const MODES: [&str; 18] = [
    "REAL_AS_FLOAT",
    "PIPES_AS_CONCAT",
    "ANSI_QUOTES",
    "IGNORE_SPACE",
    "ONLY_FULL_GROUP_BY",
    "NO_UNSIGNED_SUBTRACTION",
    "NO_DIR_IN_CREATE",
    "ANSI",
    "NO_AUTO_VALUE_ON_ZERO",
    "NO_BACKSLASH_ESCAPES",
    "STRICT_TRANS_TABLES",
    "STRICT_ALL_TABLES",
    "NO_ZERO_IN_DATE",
    "NO_ZERO_DATE",
    "ERROR_FOR_DIVISION_BY_ZERO",
    "TRADITIONAL",
    "HIGH_NOT_PRECEDENCE",
    "NO_ENGINE_SUBSTITUTION",
];

/// Modes that MySQL 8 has no more and old clients still set; they are dropped.
const RETIRED_MODES: [&str; 5] = [
    "NO_AUTO_CREATE_USER",
    "NO_FIELD_OPTIONS",
    "NO_KEY_OPTIONS",
    "NO_TABLE_OPTIONS",
    "PAD_CHAR_TO_FULL_LENGTH",
];

const ANSI: [&str; 5] =
    ["REAL_AS_FLOAT", "PIPES_AS_CONCAT", "ANSI_QUOTES", "IGNORE_SPACE", "ONLY_FULL_GROUP_BY"];

const TRADITIONAL: [&str; 6] = [
    "STRICT_TRANS_TABLES",
    "STRICT_ALL_TABLES",
    "NO_ZERO_IN_DATE",
    "NO_ZERO_DATE",
    "ERROR_FOR_DIVISION_BY_ZERO",
    "NO_ENGINE_SUBSTITUTION",
];
