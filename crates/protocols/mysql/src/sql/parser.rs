//! A place in a statement, and the small steps that all parsing is made of.

use polyport_core::{Text, Value};

use super::SqlError;
use super::lexer::{Dialect, Lexer, Token};
use super::literal::{self, Language};

/// The deepest nesting of expressions whatever `limits.depth` says, because each level takes up
/// to 30 KiB of stack in a build that is not optimised. A query within another counts as two.
pub(super) const DEPTH_MOST: usize = 50;

/// The deepest nesting of plain literals in `CALL` whatever `limits.depth` says.
pub(super) const LITERAL_DEPTH_MOST: usize = 200;

/// Nodes of one statement's expressions. Plain literals as arguments of `CALL` are not counted.
pub(super) const NODES_MOST: usize = 100_000;

/// Comparisons in a row, `a = b = c = ...`, in one statement: each nests the one before.
pub(super) const LINKS_MOST: usize = 100;

/// What parsing gives.
pub(super) type Parsed<T> = Result<T, SqlError>;

/// A place in a statement: the token to come, and the end of the one before.
#[derive(Clone, Debug)]
pub(super) struct Parser<'t> {
    lexer: Lexer<'t>,
    pub(super) token: Token<'t>,
    pub(super) start: usize,
    end: usize,
    pub(super) language: Language,
    depth: usize,
    most: usize,
    nodes: usize,
    links: usize,
    pub(super) marks: usize,
}

impl<'t> Parser<'t> {
    /// Begins at the first token. `depth` is how deep expressions may nest.
    pub(super) fn new(text: &'t [u8], dialect: Dialect, depth: usize) -> Self {
        let mut lexer = Lexer::new(text, dialect);
        let (start, token) = lexer.token();
        Self {
            lexer,
            token,
            start,
            end: 0,
            language: Language::Sql,
            depth: 0,
            most: depth.min(DEPTH_MOST),
            nodes: 0,
            links: 0,
            marks: 0,
        }
    }

    pub(super) const fn dialect(&self) -> Dialect {
        self.lexer.dialect()
    }

    pub(super) const fn lexer(&self) -> Lexer<'t> {
        self.lexer
    }

    /// Goes on where another reader of the same text has come to.
    pub(super) const fn go_on(&mut self, lexer: Lexer<'t>, start: usize, token: Token<'t>) {
        (self.lexer, self.start, self.token) = (lexer, start, token);
    }

    /// Goes to the next token and returns the one passed.
    pub(super) fn next(&mut self) -> Token<'t> {
        let passed = self.token;
        self.end = self.lexer.offset();
        (self.start, self.token) = self.lexer.token();
        passed
    }

    /// The token after the coming one.
    pub(super) fn after(&self) -> Token<'t> {
        let mut ahead = self.lexer;
        ahead.token().1
    }

    /// A syntax error at the coming token.
    pub(super) fn error<T>(&self) -> Parsed<T> {
        Err(self.syntax())
    }

    pub(super) fn syntax(&self) -> SqlError {
        SqlError::syntax(self.lexer.text(), self.start)
    }

    /// The statement's text from an offset to the end of the token passed last.
    pub(super) fn source(&self, from: usize) -> &'t [u8] {
        self.lexer.text().get(from..self.end).unwrap_or_default()
    }

    /// Descends one level; [`Parser::leave`] comes back up.
    pub(super) fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > self.most {
            return Err(SqlError::too_deep(self.most));
        }
        self.node()
    }

    pub(super) const fn leave(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn node(&mut self) -> Parsed<()> {
        self.nodes += 1;
        match self.nodes > NODES_MOST {
            true => Err(SqlError::too_much("terms")),
            false => Ok(()),
        }
    }

    pub(super) fn link(&mut self) -> Parsed<()> {
        self.links += 1;
        match self.links > LINKS_MOST {
            true => Err(SqlError::too_deep(LINKS_MOST)),
            false => Ok(()),
        }
    }

    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self.token, Token::Word(own) if own.eq_ignore_ascii_case(word.as_bytes()))
    }

    pub(super) fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    pub(super) fn after_is(&self, word: &str) -> bool {
        matches!(self.after(), Token::Word(own) if own.eq_ignore_ascii_case(word.as_bytes()))
    }

    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.token, Token::Symbol(own) if own == symbol)
    }

    /// Passes a keyword if it is the coming token.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let found = self.is(word);
        if found {
            self.next();
        }
        found
    }

    /// Passes the first of these keywords that is the coming token.
    pub(super) fn take_any<'w>(&mut self, words: &[&'w str]) -> Option<&'w str> {
        let found = words.iter().find(|word| self.is(word));
        found
            .inspect(|_| {
                self.next();
            })
            .copied()
    }

    pub(super) fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.next();
        }
        found
    }

    pub(super) fn expect(&mut self, word: &str) -> Parsed<()> {
        if self.take(word) { Ok(()) } else { self.error() }
    }

    pub(super) fn expect_symbol(&mut self, symbol: &str) -> Parsed<()> {
        if self.take_symbol(symbol) { Ok(()) } else { self.error() }
    }

    /// Whether the statement ends here.
    pub(super) fn at_end(&self) -> bool {
        matches!(self.token, Token::End | Token::Symbol(";"))
    }

    /// Ends the statement and returns the text after it: empty when only blanks and comments
    /// follow.
    pub(super) fn finish(&mut self) -> Parsed<&'t [u8]> {
        match self.token {
            Token::End => Ok(b""),
            Token::Symbol(";") => {
                let mut rest = self.lexer;
                let (start, token) = rest.token();
                match token {
                    Token::End => Ok(b""),
                    _ => Ok(self.lexer.text().get(start..).unwrap_or_default()),
                }
            }
            _ => self.error(),
        }
    }

    /// Skips whatever the statement still says.
    pub(super) fn skip_statement(&mut self) -> Parsed<()> {
        while !self.at_end() {
            if self.token == Token::Bad {
                return self.error();
            }
            self.next();
        }
        Ok(())
    }

    /// Makes text of bytes as they stand in the statement.
    pub(super) fn decode(&self, bytes: &[u8]) -> Parsed<Text> {
        self.dialect().charset.decode(bytes).ok_or_else(|| invalid_text(bytes))
    }

    /// Takes a name, in quotes or not. Words that SQL reserves are none without quotes.
    pub(super) fn name(&mut self) -> Parsed<Text> {
        match self.token {
            Token::Word(word) if is_reserved(word) => self.error(),
            _ => self.any_name(),
        }
    }

    /// Takes a name that may be a reserved word, as after a dot.
    pub(super) fn any_name(&mut self) -> Parsed<Text> {
        let name = match self.token {
            Token::Word(word) => self.decode(word)?,
            Token::Name(name, quote) => self.decode(&literal::unquote(name, quote))?,
            _ => return self.error(),
        };
        self.next();
        Ok(name)
    }

    /// Takes a name or a text: `SET NAMES utf8mb4` and `SET NAMES 'utf8mb4'` are the same.
    pub(super) fn name_or_text(&mut self) -> Parsed<Text> {
        match self.token {
            Token::Text(..) => self.text(),
            _ => self.any_name(),
        }
    }

    /// Takes a string literal, with those that follow it directly.
    pub(super) fn text(&mut self) -> Parsed<Text> {
        let Token::Text(inside, quote) = self.token else { return self.error() };
        let first = self.literal(inside, quote)?;
        self.next();
        if !matches!(self.token, Token::Text(..)) {
            return Ok(first);
        }
        let mut joined = String::from(first.as_str());
        while let Token::Text(inside, quote) = self.token {
            joined.push_str(&self.literal(inside, quote)?);
            self.next();
        }
        Ok(joined.into())
    }

    /// Takes a string literal as a value. One that is no text in the connection's charset is bytes:
    /// mysqlclient 2.3 and PHP's mysqli write a bytes argument without `_binary` before it.
    pub(super) fn string(&mut self) -> Parsed<Value> {
        let Token::Text(inside, quote) = self.token else { return self.error() };
        match self.text() {
            Ok(text) => Ok(Value::Text(text)),
            Err(error) if error.errno == INVALID_TEXT => {
                let bytes = literal::unescape(inside, quote, self.dialect(), self.language);
                self.next();
                Ok(Value::Bytes(bytes.into_owned().into()))
            }
            Err(error) => Err(error),
        }
    }

    fn literal(&self, inside: &[u8], quote: u8) -> Parsed<Text> {
        let bytes = literal::unescape(inside, quote, self.dialect(), self.language);
        literal::text(bytes, self.dialect()).ok_or_else(|| invalid_text(inside))
    }

    /// Takes a user variable's name, without its `@`, in lower case: variables know no case.
    pub(super) fn user_variable(&mut self) -> Parsed<Text> {
        let Token::User(name, quote) = self.token else { return self.error() };
        let name = match quote {
            0 => self.decode(name)?,
            quote => self.decode(&literal::unquote(name, quote))?,
        };
        self.next();
        Ok(lower(&name))
    }
}

/// The text in lower case, itself if it is already.
pub(super) fn lower(text: &Text) -> Text {
    if text.is_ascii() && !text.bytes().any(|b| b.is_ascii_uppercase()) {
        return text.clone();
    }
    text.to_lowercase()
}

/// What MySQL answers to text that is none in the connection's charset.
const INVALID_TEXT: u16 = 1300;

/// The error for text that is none in the connection's charset.
pub(super) fn invalid_text(bytes: &[u8]) -> SqlError {
    let bad = String::from_utf8_lossy(bytes.get(..bytes.len().min(32)).unwrap_or_default())
        .escape_default()
        .to_string();
    SqlError::new(INVALID_TEXT, "HY000", format!("Invalid utf8mb4 character string: '{bad}'"))
}

/// Whether the word is a name only in quotes.
pub(super) fn is_reserved(word: &[u8]) -> bool {
    RESERVED.iter().any(|own| word.eq_ignore_ascii_case(own.as_bytes()))
}

/// Words that are no names, as far as they would otherwise be read as an alias or a column.
pub(super) const RESERVED: [&str; 58] = [
    "ALL",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CALL",
    "CASE",
    "COLLATE",
    "CROSS",
    "DELETE",
    "DESC",
    "DISTINCT",
    "DIV",
    "ELSE",
    "EXCEPT",
    "EXISTS",
    "FOR",
    "FROM",
    "GROUP",
    "HAVING",
    "IN",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTO",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "LOCK",
    "MOD",
    "NATURAL",
    "NOT",
    "NULL",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "PROCEDURE",
    "REGEXP",
    "RIGHT",
    "RLIKE",
    "SELECT",
    "SET",
    "SHOW",
    "STRAIGHT_JOIN",
    "THEN",
    "UNION",
    "UPDATE",
    "USE",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
    "XOR",
];
