//! `CALL` with plain arguments, straight from tokens to values.
//!
//! This is what nearly every statement is, so it makes no expression. Whatever is not a literal,
//! a `?` or a bare `@variable` is left to the parser, which also finds the right error.

use polyport_core::{Text, Value};

use super::lexer::{Lexer, Token};
use super::literal::{self, Language};
use super::parser::{LITERAL_DEPTH_MOST, Parser, lower};
use super::state::State;
use super::{Action, Then};

/// Reads `CALL name(literals)`; `None` leaves the statement to the parser.
pub(super) fn quick<'t>(
    text: &'t [u8],
    parameters: &[Value],
    state: &State,
    depth: usize,
) -> Option<(Action, &'t [u8])> {
    let mut reader = Reader::new(Lexer::new(text, state.dialect));
    match reader.take() {
        Token::Word(word) if word.eq_ignore_ascii_case(b"CALL") => {}
        _ => return None,
    }
    let name = reader.name()?;
    let mut arguments = Vec::new();
    let mut variables = Vec::new();
    if reader.take_symbol("(") && !reader.take_symbol(")") {
        let mut marks = 0;
        loop {
            match reader.token {
                Token::Mark => {
                    reader.take();
                    arguments.push(parameters.get(marks)?.clone());
                    marks += 1;
                }
                Token::User(name, quote) => {
                    reader.take();
                    let name = literal::unquote(name, quote);
                    let name = lower(&state.dialect.charset.decode(&name)?);
                    variables.resize(arguments.len(), None);
                    arguments.push(as_argument(state.variable(&name)));
                    variables.push(Some(name));
                }
                _ => arguments.push(reader.value(depth.min(LITERAL_DEPTH_MOST))?),
            }
            if !reader.take_symbol(",") {
                break;
            }
        }
        if !reader.take_symbol(")") {
            return None;
        }
    }
    if !variables.is_empty() {
        variables.resize(arguments.len(), None);
    }
    let rest = reader.end()?;
    Some((Action::Call { name, arguments, variables, then: Then::Answer }, rest))
}

/// A variable's value as an argument: a decimal is a float there, as a decimal literal is, so
/// that drivers that put each argument of `callproc` into a variable first, with 2.5 written as
/// `2.5`, give functions the same as those that do not.
pub(super) fn as_argument(value: Value) -> Value {
    match &value {
        Value::Decimal(_) => Value::Float(super::number::float(&value)),
        _ => value,
    }
}

impl Parser<'_> {
    /// Takes a plain literal as an argument of `CALL`, if one comes. Its parts are not counted
    /// as terms of an expression, so that long lists pass.
    pub(super) fn plain_argument(&mut self, depth: usize) -> Option<Value> {
        let mut reader = Reader { lexer: self.lexer(), token: self.token, start: self.start };
        let value = reader.value(depth.min(LITERAL_DEPTH_MOST))?;
        matches!(reader.token, Token::Symbol("," | ")")).then(|| {
            self.go_on(reader.lexer, reader.start, reader.token);
            value
        })
    }
}

/// Reads literals.
struct Reader<'t> {
    lexer: Lexer<'t>,
    token: Token<'t>,
    start: usize,
}

impl<'t> Reader<'t> {
    fn new(mut lexer: Lexer<'t>) -> Self {
        let (start, token) = lexer.token();
        Self { lexer, token, start }
    }

    fn take(&mut self) -> Token<'t> {
        let taken = self.token;
        (self.start, self.token) = self.lexer.token();
        taken
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.token, Token::Symbol(own) if own == symbol)
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        if found {
            self.take();
        }
        found
    }

    /// Ends the statement and gives what follows it.
    fn end(&mut self) -> Option<&'t [u8]> {
        match self.take() {
            Token::End => Some(b""),
            Token::Symbol(";") if self.token == Token::End => Some(b""),
            Token::Symbol(";") => self.lexer.text().get(self.start..),
            _ => None,
        }
    }

    fn name(&mut self) -> Option<Text> {
        let mut name = self.name_part()?;
        while self.take_symbol(".") {
            let part = self.name_part()?;
            name.push('.');
            name.push_str(&part);
        }
        Some(name)
    }

    fn name_part(&mut self) -> Option<Text> {
        let charset = self.lexer.dialect().charset;
        match self.take() {
            Token::Word(word) => charset.decode(word),
            Token::Name(name, quote) => charset.decode(&literal::unquote(name, quote)),
            _ => None,
        }
    }

    /// Takes a literal of either language.
    fn value(&mut self, depth: usize) -> Option<Value> {
        let dialect = self.lexer.dialect();
        let value = match self.take() {
            Token::Number(digits) => literal::number(digits, Language::Call)?,
            Token::Symbol("-") => match self.take() {
                Token::Number(digits) => match literal::number(digits, Language::Call)? {
                    Value::Int(number) => Value::Int(-number),
                    Value::Float(number) => Value::Float(-number),
                    Value::Big(number) => Value::from_big(-*number),
                    _ => return None,
                },
                _ => return None,
            },
            Token::Text(inside, quote) => {
                let bytes = literal::unescape(inside, quote, dialect, Language::Call);
                Value::Text(literal::text(bytes, dialect)?)
            }
            Token::Prefixed(b'b', inside, quote) => {
                Value::Bytes(literal::unescape_bytes(inside, quote).into())
            }
            Token::Prefixed(b'x' | b'X', inside, _) => Value::Bytes(literal::hex(inside)?.into()),
            Token::Hex(digits) => Value::Bytes(literal::hex(digits)?.into()),
            Token::Word(word) => self.word(word)?,
            Token::Symbol("[") => Value::List(self.items("]", depth)?.0),
            Token::Symbol("(") => match self.items(")", depth)? {
                (mut items, false) if items.len() == 1 => items.pop()?,
                (items, _) => Value::Tuple(items),
            },
            Token::Symbol("{") => Value::Map(self.pairs(depth)?),
            _ => return None,
        };
        // Adjacent texts are one, which the parser knows.
        if matches!(self.token, Token::Text(..)) { None } else { Some(value) }
    }

    fn word(&mut self, word: &[u8]) -> Option<Value> {
        let is = |own: &str| word.eq_ignore_ascii_case(own.as_bytes());
        match word.len() {
            4 if is("NULL") || word == b"None" => Some(Value::Null),
            4 if is("TRUE") => Some(Value::Bool(true)),
            5 if is("FALSE") => Some(Value::Bool(false)),
            7 if is("_binary") => match self.take() {
                Token::Text(inside, quote) => {
                    let dialect = self.lexer.dialect();
                    let bytes = literal::unescape(inside, quote, dialect, Language::Sql);
                    Some(Value::Bytes(bytes.into_owned().into()))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// Takes literals up to the closing bracket; also whether a comma stood before it.
    fn items(&mut self, close: &str, depth: usize) -> Option<(Vec<Value>, bool)> {
        let depth = depth.checked_sub(1)?;
        let (mut items, mut comma) = (Vec::new(), false);
        while !self.take_symbol(close) {
            if !items.is_empty() && !comma {
                return None;
            }
            items.push(self.value(depth)?);
            comma = self.take_symbol(",");
        }
        Some((items, comma))
    }

    fn pairs(&mut self, depth: usize) -> Option<Vec<(Value, Value)>> {
        let depth = depth.checked_sub(1)?;
        let (mut pairs, mut comma) = (Vec::new(), true);
        while !self.take_symbol("}") {
            if !comma {
                return None;
            }
            let key = self.value(depth)?;
            if !self.take_symbol(":") {
                return None;
            }
            pairs.push((key, self.value(depth)?));
            comma = self.take_symbol(",");
        }
        Some(pairs)
    }
}
