//! `SET`.

use polyport_core::{Text, Value};

use super::SqlError;
use super::charset::{Collation, canonical, set_named};
use super::evaluate::Context;
use super::expression::{Expr, Scope};
use super::lexer::Token;
use super::parser::{Parsed, Parser, lower};
use super::variables;

/// One assignment of a `SET` list.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Assignment {
    /// `@a = 1`.
    User(Text, Expr),
    /// `SESSION x = 1`; `None` is `DEFAULT`.
    System(Scope, Text, Option<Expr>),
    /// `NAMES x COLLATE y`; no name is `DEFAULT`.
    Names(Option<Text>, Option<Text>),
    /// `CHARACTER SET x`.
    CharacterSet(Option<Text>),
    /// `TRANSACTION ISOLATION LEVEL x`, with the level as the variable has it.
    Isolation(Scope, &'static str),
    /// `TRANSACTION READ ONLY`.
    ReadOnly(Scope, bool),
}

impl Parser<'_> {
    /// Takes a list of assignments, after `SET`.
    pub(super) fn assignments(&mut self) -> Parsed<Vec<Assignment>> {
        if self.is_any(&["PASSWORD", "ROLE", "STATEMENT", "RESOURCE"])
            || (self.is("DEFAULT") && self.after_is("ROLE"))
        {
            let what = self.any_name()?.to_ascii_uppercase();
            return Err(SqlError::unsupported(&format!("SET {what}")));
        }
        let mut list = Vec::new();
        loop {
            self.assignment(&mut list)?;
            self.node()?;
            if !self.take_symbol(",") {
                return Ok(list);
            }
        }
    }

    fn assignment(&mut self, list: &mut Vec<Assignment>) -> Parsed<()> {
        if matches!(self.token, Token::User(..)) {
            let name = self.user_variable()?;
            self.equals()?;
            list.push(Assignment::User(name, self.expression()?));
            return Ok(());
        }
        if self.token == Token::System {
            let (scope, name) = self.system_variable()?;
            self.equals()?;
            list.push(Assignment::System(scope, name, self.setting()?));
            return Ok(());
        }
        if self.is("NAMES") && !self.after_is_equals() {
            self.next();
            list.push(self.names_setting()?);
            return Ok(());
        }
        if (self.is("CHARACTER") && self.after_is("SET"))
            || (self.is("CHARSET") && !self.after_is_equals())
        {
            if self.take("CHARACTER") {
                self.expect("SET")?;
            } else {
                self.next();
            }
            let name = if self.take("DEFAULT") { None } else { Some(self.name_or_text()?) };
            list.push(Assignment::CharacterSet(name));
            return Ok(());
        }
        let scope = self.scope();
        if self.is("TRANSACTION") && !self.after_is_equals() {
            self.next();
            return self.transaction_setting(scope, list);
        }
        let mut name = lower(&self.any_name()?);
        if self.take_symbol(".") {
            name = format!("{name}.{}", lower(&self.any_name()?)).into();
        }
        self.equals()?;
        list.push(Assignment::System(scope, name, self.setting()?));
        Ok(())
    }

    fn after_is_equals(&self) -> bool {
        matches!(self.after(), Token::Symbol("=" | ":="))
    }

    fn equals(&mut self) -> Parsed<()> {
        if self.take_symbol("=") || self.take_symbol(":=") { Ok(()) } else { self.error() }
    }

    /// Takes the value of a system variable: words without quotes are texts there, reserved ones
    /// as well (`ON`, `ALL`, `BINARY`).
    fn setting(&mut self) -> Parsed<Option<Expr>> {
        if let Token::Word(word) = self.token
            && matches!(self.after(), Token::End | Token::Symbol("," | ";"))
            && !self.is_any(&["NULL", "TRUE", "FALSE"])
            && !word.first().is_some_and(u8::is_ascii_digit)
        {
            if self.take("DEFAULT") {
                return Ok(None);
            }
            let word = self.any_name()?;
            return Ok(Some(Expr::Value(Value::Text(word))));
        }
        self.expression().map(Some)
    }

    fn names_setting(&mut self) -> Parsed<Assignment> {
        if self.take("DEFAULT") {
            return Ok(Assignment::Names(None, None));
        }
        let name = self.name_or_text()?;
        let collation = if self.take("COLLATE") { Some(self.name_or_text()?) } else { None };
        Ok(Assignment::Names(Some(name), collation))
    }

    fn transaction_setting(&mut self, scope: Scope, list: &mut Vec<Assignment>) -> Parsed<()> {
        loop {
            if self.take("ISOLATION") {
                self.expect("LEVEL")?;
                let level = match self.take_any(&["READ", "REPEATABLE", "SERIALIZABLE"]) {
                    Some("SERIALIZABLE") => "SERIALIZABLE",
                    Some("REPEATABLE") => {
                        self.expect("READ")?;
                        "REPEATABLE-READ"
                    }
                    Some(_) => match self.take_any(&["COMMITTED", "UNCOMMITTED"]) {
                        Some("COMMITTED") => "READ-COMMITTED",
                        Some(_) => "READ-UNCOMMITTED",
                        None => return self.error(),
                    },
                    None => return self.error(),
                };
                list.push(Assignment::Isolation(scope, level));
            } else {
                self.expect("READ")?;
                let only = match self.take_any(&["ONLY", "WRITE"]) {
                    Some(word) => word == "ONLY",
                    None => return self.error(),
                };
                list.push(Assignment::ReadOnly(scope, only));
            }
            if !self.take_symbol(",") {
                return Ok(());
            }
        }
    }
}

impl Context<'_> {
    /// Makes the assignments, one after the other.
    pub(super) fn set(&mut self, list: &[Assignment]) -> Parsed<()> {
        for assignment in list {
            match assignment {
                Assignment::User(name, value) => {
                    let value = self.constant(value)?;
                    self.state.assign(name, value)?;
                }
                Assignment::System(scope, name, value) => {
                    let variable = variables::find(name)?;
                    let value = match value {
                        Some(value) => Some(self.constant(value)?),
                        None => None,
                    };
                    variable.set(*scope, value, self.state, self.session)?;
                }
                Assignment::Names(name, collation) => {
                    let collation = collation_of(name.as_ref(), collation.as_ref())?;
                    self.state.set_names(collation);
                }
                Assignment::CharacterSet(name) => {
                    let collation = collation_of(name.as_ref(), None)?;
                    self.state.set_names(collation);
                    // The connection then speaks the database's character set, which is utf8mb4.
                    for (name, value) in [
                        ("character_set_connection", collation_of(None, None)?.set),
                        ("collation_connection", collation_of(None, None)?.name),
                    ] {
                        self.state.system.insert(name, value.into());
                    }
                }
                Assignment::Isolation(scope, level) => {
                    let variable = variables::find("transaction_isolation")?;
                    let level = Some(Value::from(*level));
                    variable.set(*scope, level, self.state, self.session)?;
                }
                Assignment::ReadOnly(scope, only) => {
                    let variable = variables::find("transaction_read_only")?;
                    let only = Some(Value::Int(i64::from(*only)));
                    variable.set(*scope, only, self.state, self.session)?;
                }
            }
        }
        Ok(())
    }
}

fn collation_of(name: Option<&Text>, collation: Option<&Text>) -> Parsed<&'static Collation> {
    let Some(name) = name else { return Ok(Collation::numbered(0)) };
    let Some(set) = set_named(name) else { return Err(SqlError::unknown_charset(name)) };
    let Some(wanted) = collation.filter(|wanted| !wanted.eq_ignore_ascii_case("DEFAULT")) else {
        return Collation::named(set.default).ok_or_else(|| SqlError::unknown_charset(name));
    };
    let Some(found) = Collation::named(wanted) else {
        return Err(variables::unknown_collation(wanted));
    };
    if found.set != canonical(set.name) {
        let text = format!("COLLATION '{wanted}' is not valid for CHARACTER SET '{}'", set.name);
        return Err(SqlError::new(1253, "42000", text));
    }
    Ok(found)
}
