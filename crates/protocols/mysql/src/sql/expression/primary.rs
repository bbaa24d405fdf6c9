//! What stands between operators: literals, names, variables, functions, brackets.

use polyport_core::{Text, Time, Value};

use super::super::SqlError;
use super::super::charset::Charset;
use super::super::lexer::{Dialect, Token};
use super::super::literal::{self, Language};
use super::super::parser::{Parsed, Parser, is_reserved, lower};
use super::{Aggregate, AggregateKind, Case, Cast, Expr, Scope, Unit};

/// Functions whose name is otherwise a reserved word.
const RESERVED_FUNCTIONS: [&str; 6] = ["EXISTS", "INSERT", "LEFT", "MOD", "RIGHT", "VALUES"];

/// What `GROUP_CONCAT` puts between unless it is told.
const COMMA: &str = ",";

impl Parser<'_> {
    /// Takes an expression without operators around it.
    pub(super) fn primary(&mut self) -> Parsed<Expr> {
        let call = self.language == Language::Call;
        match self.token {
            Token::Text(..) => self.string().map(Expr::Value),
            Token::Number(digits) => {
                let value = literal::number(digits, self.language);
                let value = value.ok_or_else(|| out_of_range(digits))?;
                self.next();
                Ok(Expr::Value(value))
            }
            Token::Prefixed(prefix, inside, quote) => self.prefixed(prefix, inside, quote),
            Token::Hex(digits) => self.bytes(literal::hex(digits)),
            Token::Bits(digits) => self.bytes(literal::bits(digits)),
            Token::Mark => {
                self.next();
                self.marks += 1;
                Ok(Expr::Mark(self.marks - 1))
            }
            Token::User(..) => {
                let name = self.user_variable()?;
                if self.take_symbol(":=") {
                    return Ok(Expr::Assign(name, Box::new(self.expression()?)));
                }
                Ok(Expr::User(name))
            }
            Token::System => self.system_variable().map(|(scope, name)| Expr::System(scope, name)),
            Token::Symbol("(") => self.parenthesis(),
            Token::Symbol("[") if call => self.python_list(),
            Token::Symbol("{") => self.brace(),
            Token::Word(word) => self.word(word),
            Token::Name(..) => self.names(),
            _ => self.error(),
        }
    }

    fn bytes(&mut self, bytes: Option<Vec<u8>>) -> Parsed<Expr> {
        match bytes {
            Some(bytes) => {
                self.next();
                Ok(Expr::Value(Value::Bytes(bytes.into())))
            }
            None => self.error(),
        }
    }

    fn prefixed(&mut self, prefix: u8, inside: &[u8], quote: u8) -> Parsed<Expr> {
        let call = self.language == Language::Call;
        match prefix {
            b'x' | b'X' => self.bytes(literal::hex(inside)),
            b'b' if call => self.bytes(Some(literal::unescape_bytes(inside, quote))),
            b'b' | b'B' => self.bytes(literal::bits(inside)),
            b'u' | b'U' if !call => self.error(),
            // N'..' is SQL's national text and u'..' Python's: both are UTF-8 whatever the
            // connection speaks.
            _ => {
                let dialect = self.dialect();
                let bytes = literal::unescape(inside, quote, dialect, self.language);
                let Some(text) = literal::text(bytes, dialect) else { return self.error() };
                self.next();
                Ok(Expr::Value(Value::Text(text)))
            }
        }
    }

    /// Takes the name after `@@`, with its scope.
    pub(in super::super) fn system_variable(&mut self) -> Parsed<(Scope, Text)> {
        self.next();
        let scope = match self.token {
            Token::Word(_) if self.after() == Token::Symbol(".") => self.scope(),
            _ => Scope::Any,
        };
        if scope != Scope::Any {
            self.next();
        }
        let mut name = lower(&self.any_name()?);
        // Structured variables: @@default.key_buffer_size.
        if self.take_symbol(".") {
            name = format!("{name}.{}", lower(&self.any_name()?)).into();
        }
        Ok((scope, name))
    }

    /// Takes a scope if one comes.
    pub(in super::super) fn scope(&mut self) -> Scope {
        match self.take_any(&["SESSION", "LOCAL", "GLOBAL", "PERSIST", "PERSIST_ONLY"]) {
            Some("SESSION" | "LOCAL") => Scope::Session,
            Some("GLOBAL") => Scope::Global,
            Some(_) => Scope::Persist,
            None => Scope::Any,
        }
    }

    fn parenthesis(&mut self) -> Parsed<Expr> {
        self.next();
        if self.is("SELECT") {
            let query = self.query()?;
            self.expect_symbol(")")?;
            return Ok(Expr::Query(Box::new(query)));
        }
        let call = self.language == Language::Call;
        if call && self.take_symbol(")") {
            return Ok(Expr::Tuple(Vec::new()));
        }
        let first = self.expression()?;
        if !self.is_symbol(",") {
            self.expect_symbol(")")?;
            return Ok(first);
        }
        let mut items = vec![first];
        while self.take_symbol(",") {
            if call && self.is_symbol(")") {
                break;
            }
            items.push(self.expression()?);
        }
        self.expect_symbol(")")?;
        Ok(Expr::Tuple(items))
    }

    fn python_list(&mut self) -> Parsed<Expr> {
        self.next();
        let mut items = Vec::new();
        while !self.is_symbol("]") {
            items.push(self.expression()?);
            if !self.take_symbol(",") {
                break;
            }
        }
        self.expect_symbol("]")?;
        Ok(Expr::List(items))
    }

    /// Takes Python's `{a: b}` and `{a, b}`, or ODBC's `{d '2020-01-02'}` and `{fn NOW()}`.
    fn brace(&mut self) -> Parsed<Expr> {
        self.next();
        let odbc = self.is_any(&["d", "t", "ts"]) && matches!(self.after(), Token::Text(..));
        if odbc || (self.is("fn") && matches!(self.after(), Token::Word(_))) {
            let kind = self.any_name()?;
            let value = match kind.as_str() {
                "fn" | "FN" => self.primary()?,
                _ => Expr::Value(self.time_literal()?),
            };
            self.expect_symbol("}")?;
            return Ok(value);
        }
        if self.language != Language::Call {
            return self.error();
        }
        let (mut pairs, mut items) = (Vec::new(), Vec::new());
        while !self.is_symbol("}") {
            let key = self.expression()?;
            match (self.take_symbol(":"), pairs.is_empty(), items.is_empty()) {
                (true, _, true) => pairs.push((key, self.expression()?)),
                (false, true, _) => items.push(key),
                _ => return self.error(),
            }
            if !self.take_symbol(",") {
                break;
            }
        }
        self.expect_symbol("}")?;
        Ok(if items.is_empty() { Expr::Map(pairs) } else { Expr::Set(items) })
    }

    fn time_literal(&mut self) -> Parsed<Value> {
        let text = self.text()?;
        Time::parse(&text).map(Value::Time).ok_or_else(|| {
            SqlError::new(1525, "HY000", format!("Incorrect DATETIME value: '{text}'"))
        })
    }

    fn word(&mut self, word: &[u8]) -> Parsed<Expr> {
        let is = |own: &str| word.eq_ignore_ascii_case(own.as_bytes());
        let truth = |value: bool, call: bool| match call {
            true => Value::Bool(value),
            false => Value::Int(i64::from(value)),
        };
        let call = self.language == Language::Call;
        let constant = match word.len() {
            4 if is("NULL") => Some(Value::Null),
            4 if call && word == b"None" => Some(Value::Null),
            4 if is("TRUE") => Some(truth(true, call)),
            5 if is("FALSE") => Some(truth(false, call)),
            _ => None,
        };
        if let Some(value) = constant {
            self.next();
            return Ok(Expr::Value(value));
        }
        if self.after() == Token::Symbol("(") {
            return self.function(word);
        }
        if matches!(self.after(), Token::Text(..)) {
            if is("DATE") || is("TIME") || is("TIMESTAMP") {
                self.next();
                return self.time_literal().map(Expr::Value);
            }
            if let Some(charset) = word.strip_prefix(b"_") {
                return self.introduced(charset);
            }
        }
        if is("_binary") || is("_utf8mb4") {
            // `_binary X'00'`, `_binary 0x00`.
            if matches!(self.after(), Token::Prefixed(b'x' | b'X', ..) | Token::Hex(_)) {
                self.next();
                return self.primary();
            }
        }
        if is("CASE") {
            return self.case();
        }
        if is("INTERVAL") {
            self.next();
            return self.interval();
        }
        let bare = ["CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_USER"]
            .iter()
            .chain(&["LOCALTIME", "LOCALTIMESTAMP", "UTC_DATE", "UTC_TIME", "UTC_TIMESTAMP"]);
        if bare.into_iter().any(|own| is(own)) {
            return Ok(Expr::Call(self.any_name()?, Vec::new()));
        }
        self.names()
    }

    /// Takes a text whose charset stands before it.
    fn introduced(&mut self, charset: &[u8]) -> Parsed<Expr> {
        let name = self.decode(charset)?;
        let Some(charset) = Charset::named(&name) else {
            return Err(SqlError::unknown_charset(&name));
        };
        self.next();
        let Token::Text(inside, quote) = self.token else { return self.error() };
        let bytes = literal::unescape(inside, quote, self.dialect(), Language::Sql).into_owned();
        self.next();
        if charset == Charset::Binary {
            return Ok(Expr::Value(Value::Bytes(bytes.into())));
        }
        let dialect = Dialect { charset, ..self.dialect() };
        let text = literal::text(bytes.into(), dialect);
        text.map(|text| Expr::Value(Value::Text(text)))
            .ok_or_else(|| SqlError::new(1300, "HY000", format!("Invalid {name} character string")))
    }

    /// Takes a column or a function, whose names may have dots.
    fn names(&mut self) -> Parsed<Expr> {
        let first = self.name()?;
        let mut names = vec![first];
        while self.is_symbol(".") {
            self.next();
            names.push(self.any_name()?);
            self.node()?;
        }
        if self.is_symbol("(") {
            self.next();
            return Ok(Expr::Call(names.join(".").into(), self.arguments()?));
        }
        let column = names.pop().unwrap_or_default();
        Ok(Expr::Column(names.pop(), column))
    }

    /// Takes the arguments of a function, up to the closing parenthesis.
    fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        if self.take_symbol(")") {
            return Ok(Vec::new());
        }
        let list = self.list()?;
        self.expect_symbol(")")?;
        Ok(list)
    }

    /// Takes a function that may have a syntax of its own.
    fn function(&mut self, word: &[u8]) -> Parsed<Expr> {
        let own = |name: &&str| word.eq_ignore_ascii_case(name.as_bytes());
        if is_reserved(word) && !RESERVED_FUNCTIONS.iter().any(own) {
            return self.error();
        }
        let name = self.decode(word)?;
        self.next();
        self.next();
        let upper = name.to_ascii_uppercase();
        let aggregate = match upper.as_str() {
            "COUNT" => Some(AggregateKind::Count),
            "MIN" => Some(AggregateKind::Min),
            "MAX" => Some(AggregateKind::Max),
            "SUM" => Some(AggregateKind::Sum),
            "AVG" => Some(AggregateKind::Average),
            "GROUP_CONCAT" => Some(AggregateKind::Concat),
            _ => None,
        };
        if let Some(kind) = aggregate {
            return self.aggregate(kind);
        }
        match upper.as_str() {
            "CAST" => {
                let operand = self.expression()?;
                self.expect("AS")?;
                let cast = self.cast()?;
                self.expect_symbol(")")?;
                Ok(Expr::Cast(Box::new(operand), cast))
            }
            "CONVERT" => self.convert(),
            "EXISTS" => {
                let query = self.query()?;
                self.expect_symbol(")")?;
                Ok(Expr::Exists(Box::new(query)))
            }
            "TRIM" => self.trim(name),
            "SUBSTRING" | "SUBSTR" | "MID" => {
                let mut arguments = vec![self.expression()?];
                while self.take_symbol(",") || self.take("FROM") || self.take("FOR") {
                    arguments.push(self.expression()?);
                }
                self.expect_symbol(")")?;
                Ok(Expr::Call(name, arguments))
            }
            "POSITION" => {
                // `IN` would otherwise be read as the operator.
                let wanted = self.operand()?;
                self.expect("IN")?;
                let arguments = vec![wanted, self.expression()?];
                self.expect_symbol(")")?;
                Ok(Expr::Call("LOCATE".into(), arguments))
            }
            "EXTRACT" => {
                let unit = self.any_name()?;
                self.expect("FROM")?;
                let operand = self.expression()?;
                self.expect_symbol(")")?;
                match Unit::named(&unit) {
                    Some(_) => Ok(Expr::Call(unit, vec![operand])),
                    None => Err(SqlError::unsupported(&format!("EXTRACT({unit} ...)"))),
                }
            }
            "TIMESTAMPDIFF" | "TIMESTAMPADD" => {
                let unit = Value::Text(self.any_name()?);
                self.expect_symbol(",")?;
                let mut arguments = vec![Expr::Value(unit)];
                arguments.extend(self.list()?);
                self.expect_symbol(")")?;
                Ok(Expr::Call(name, arguments))
            }
            _ => Ok(Expr::Call(name, self.arguments()?)),
        }
    }

    fn aggregate(&mut self, kind: AggregateKind) -> Parsed<Expr> {
        let distinct = self.take("DISTINCT");
        let argument = match kind {
            AggregateKind::Count if self.take_symbol("*") => None,
            _ => Some(self.expression()?),
        };
        if kind == AggregateKind::Concat && self.is("ORDER") {
            return Err(SqlError::unsupported("GROUP_CONCAT(... ORDER BY ...)"));
        }
        let separator = match kind == AggregateKind::Concat && self.take("SEPARATOR") {
            true => self.text()?,
            false => Text::from(COMMA),
        };
        self.expect_symbol(")")?;
        Ok(Expr::Aggregate(Box::new(Aggregate { kind, distinct, argument, separator })))
    }

    fn convert(&mut self) -> Parsed<Expr> {
        let operand = Box::new(self.expression()?);
        let expression = if self.take("USING") {
            let name = self.name_or_text()?;
            match Charset::named(&name) {
                Some(Charset::Binary) => Expr::Cast(operand, Cast::Bytes(None)),
                Some(_) => Expr::Cast(operand, Cast::Text(None)),
                None => return Err(SqlError::unknown_charset(&name)),
            }
        } else {
            self.expect_symbol(",")?;
            Expr::Cast(operand, self.cast()?)
        };
        self.expect_symbol(")")?;
        Ok(expression)
    }

    fn trim(&mut self, name: Text) -> Parsed<Expr> {
        let side = self.take_any(&["BOTH", "LEADING", "TRAILING"]).unwrap_or("BOTH");
        let mut arguments = vec![Expr::Value(side.into())];
        if !self.take("FROM") {
            arguments.push(self.expression()?);
            if !self.take("FROM") {
                self.expect_symbol(")")?;
                return Ok(Expr::Call(name, arguments));
            }
        }
        arguments.push(self.expression()?);
        self.expect_symbol(")")?;
        // TRIM(what FROM text) → side, text, what.
        if let [_, what, text] = arguments.as_mut_slice() {
            std::mem::swap(what, text);
        }
        Ok(Expr::Call(name, arguments))
    }

    /// Takes the type of a `CAST`.
    fn cast(&mut self) -> Parsed<Cast> {
        let name = self.any_name()?.to_ascii_uppercase();
        let mut sizes = Vec::new();
        if self.take_symbol("(") {
            loop {
                let Token::Number(digits) = self.token else { return self.error() };
                let number = literal::number(digits, Language::Sql).and_then(|n| n.as_int());
                sizes.push(number.and_then(|n| u32::try_from(n).ok()).unwrap_or(u32::MAX));
                self.next();
                if sizes.len() > 1 || !self.take_symbol(",") {
                    break;
                }
            }
            self.expect_symbol(")")?;
        }
        let digits = sizes.first().copied().unwrap_or(0).min(6);
        let length = || sizes.first().and_then(|n| usize::try_from(*n).ok());
        let cast = match name.as_str() {
            "CHAR" | "NCHAR" | "VARCHAR" => {
                if self.take("CHARACTER") {
                    self.expect("SET")?;
                    self.name_or_text()?;
                } else if self.take("CHARSET") {
                    self.name_or_text()?;
                }
                Cast::Text(length())
            }
            "BINARY" => Cast::Bytes(length()),
            "SIGNED" | "UNSIGNED" => {
                if !self.take("INTEGER") {
                    self.take("INT");
                }
                if name == "SIGNED" { Cast::Signed } else { Cast::Unsigned }
            }
            "INT" | "INTEGER" => Cast::Signed,
            "DECIMAL" | "DEC" | "NUMERIC" => {
                let digits = sizes.first().copied().unwrap_or(10);
                let scale = sizes.get(1).copied().unwrap_or(0);
                if digits > 65 || scale > 30 || scale > digits {
                    let text = format!("Too big precision {digits} or scale {scale} specified.");
                    return Err(SqlError::new(1426, "42000", text));
                }
                Cast::Decimal(digits, scale)
            }
            "DOUBLE" | "FLOAT" | "REAL" => Cast::Float,
            "DATE" => Cast::Date,
            "DATETIME" | "TIMESTAMP" => Cast::DateTime(digits),
            "TIME" => Cast::Time(digits),
            "JSON" => Cast::Json,
            _ => return self.error(),
        };
        Ok(cast)
    }

    fn case(&mut self) -> Parsed<Expr> {
        self.next();
        let operand = if self.is("WHEN") { None } else { Some(self.expression()?) };
        let mut arms = Vec::new();
        while self.take("WHEN") {
            let when = self.expression()?;
            self.expect("THEN")?;
            arms.push((when, self.expression()?));
        }
        let otherwise = if self.take("ELSE") { Some(self.expression()?) } else { None };
        self.expect("END")?;
        if arms.is_empty() {
            return self.error();
        }
        Ok(Expr::Case(Box::new(Case { operand, arms, otherwise })))
    }

    fn interval(&mut self) -> Parsed<Expr> {
        let count = self.expression()?;
        let name = self.any_name()?;
        match Unit::named(&name) {
            Some(unit) => Ok(Expr::Interval(Box::new(count), unit)),
            None => Err(SqlError::unsupported(&format!("INTERVAL ... {name}"))),
        }
    }
}

fn out_of_range(digits: &[u8]) -> SqlError {
    let shown = String::from_utf8_lossy(digits.get(..digits.len().min(40)).unwrap_or_default());
    SqlError::new(1367, "22007", format!("Illegal number value '{shown}' found during parsing"))
}
