//! Bytes of a statement → tokens.
//!
//! Tokens borrow from the statement and are copied freely; quotes and escapes are taken off only
//! when a token is used, in `literal.rs`.

use super::charset::Charset;

/// Version that `/*!50000 ... */` compares with: MySQL 8.0.36.
pub(crate) const VERSION_NUMBER: u32 = 80_036;

/// How a connection writes its statements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dialect {
    /// How text is written in bytes.
    pub(super) charset: Charset,
    /// `sql_mode` has `NO_BACKSLASH_ESCAPES`: a backslash is a backslash.
    pub(super) plain_backslash: bool,
    /// `sql_mode` has `ANSI_QUOTES`: double quotes enclose names.
    pub(super) ansi_quotes: bool,
    /// `sql_mode` has `PIPES_AS_CONCAT`: `||` joins text.
    pub(super) pipes_concat: bool,
}

/// One token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'t> {
    /// An identifier or keyword without quotes.
    Word(&'t [u8]),
    /// An identifier in quotes, which are part of it: the text between them still has them
    /// doubled.
    Name(&'t [u8], u8),
    /// The inside of a string literal, and its quote.
    Text(&'t [u8], u8),
    /// The inside of a string literal that a letter stands before: `X'41'`, `N'a'`, `b'1'`.
    Prefixed(u8, &'t [u8], u8),
    /// A number as written.
    Number(&'t [u8]),
    /// The digits after `0x`.
    Hex(&'t [u8]),
    /// The digits after `0b`.
    Bits(&'t [u8]),
    /// `@name`, and its quote, or 0 without one.
    User(&'t [u8], u8),
    /// `@@`, before the name of a system variable.
    System,
    /// Punctuation or an operator.
    Symbol(&'static str),
    /// `?`.
    Mark,
    /// Something that is no token, or is not closed.
    Bad,
    /// The end of the text.
    End,
}

/// Reads tokens one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    dialect: Dialect,
    /// Whether a `/*!` comment is open, whose `*/` is then blank.
    executable: bool,
}

impl<'t> Lexer<'t> {
    pub(super) const fn new(text: &'t [u8], dialect: Dialect) -> Self {
        Self { text, at: 0, dialect, executable: false }
    }

    pub(super) const fn text(&self) -> &'t [u8] {
        self.text
    }

    pub(super) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The offset of the next byte to be read.
    pub(super) const fn offset(&self) -> usize {
        self.at
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.at.checked_add(ahead).and_then(|at| self.text.get(at)).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'t [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Skips blanks and comments. `false` when a comment is not closed.
    pub(super) fn skip_blank(&mut self) -> bool {
        loop {
            match self.byte(0) {
                0 if self.at >= self.text.len() => return true,
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b'#' => self.skip_line(),
                b'-' if self.byte(1) == b'-' && self.dashes_open_comment() => self.skip_line(),
                b'/' if self.byte(1) == b'*' => {
                    if !self.skip_comment() {
                        return false;
                    }
                }
                b'*' if self.executable && self.byte(1) == b'/' => {
                    self.executable = false;
                    self.at += 2;
                }
                _ => return true,
            }
        }
    }

    /// `--` opens a comment only before a blank, so that `5--3` stays 8.
    fn dashes_open_comment(&self) -> bool {
        self.at + 2 >= self.text.len() || self.byte(2) <= b' '
    }

    fn skip_line(&mut self) {
        let rest = self.rest();
        self.at += memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
    }

    fn skip_comment(&mut self) -> bool {
        if self.byte(2) == b'!' {
            let digits = self.rest().iter().skip(3).take_while(|b| b.is_ascii_digit());
            let (count, number) = digits.fold((0, 0_u32), |(count, number), digit| {
                (count + 1, number.saturating_mul(10).saturating_add(u32::from(digit - b'0')))
            });
            if number <= VERSION_NUMBER && !self.executable {
                self.at += 3 + count;
                self.executable = true;
                return true;
            }
        }
        match memchr::memmem::find(self.rest().get(2..).unwrap_or_default(), b"*/") {
            Some(end) => {
                self.at += end + 4;
                true
            }
            None => false,
        }
    }

    /// Reads the next token and where it begins.
    pub(super) fn token(&mut self) -> (usize, Token<'t>) {
        if !self.skip_blank() {
            return (self.at, Token::Bad);
        }
        let start = self.at;
        if start >= self.text.len() {
            return (start, if self.executable { Token::Bad } else { Token::End });
        }
        (start, self.scan())
    }

    fn scan(&mut self) -> Token<'t> {
        let byte = self.byte(0);
        match byte {
            b'\'' => self.quoted(byte, 0).map_or(Token::Bad, |text| Token::Text(text, byte)),
            b'"' if self.dialect.ansi_quotes => self.name(byte),
            b'"' => self.quoted(byte, 0).map_or(Token::Bad, |text| Token::Text(text, byte)),
            b'`' => self.name(byte),
            b'@' => self.variable(),
            b'?' => {
                self.at += 1;
                Token::Mark
            }
            b'0'..=b'9' => self.number(),
            b'.' if self.byte(1).is_ascii_digit() && !self.follows_name() => self.number(),
            b if is_word(b) => self.word(),
            _ => self.symbol(),
        }
    }

    /// Whether the byte before is the end of a name, so that in `a.1b` the dot is no number's.
    fn follows_name(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.text.get(at));
        before.is_some_and(|b| is_word(*b) || matches!(b, b'`'))
    }

    /// Reads to the closing quote, `ahead` bytes before the opening one.
    fn quoted(&mut self, quote: u8, ahead: usize) -> Option<&'t [u8]> {
        let begin = self.at + ahead + 1;
        let mut at = begin;
        let escapes = quote != b'`' && !self.dialect.plain_backslash;
        loop {
            let rest = self.text.get(at..)?;
            let hit = if escapes {
                memchr::memchr2(quote, b'\\', rest)?
            } else {
                memchr::memchr(quote, rest)?
            };
            at += hit;
            let escape = self.text.get(at) == Some(&b'\\') && escapes;
            if escape || self.text.get(at + 1) == Some(&quote) {
                at += 2;
            } else {
                self.at = at + 1;
                return self.text.get(begin..at);
            }
        }
    }

    fn name(&mut self, quote: u8) -> Token<'t> {
        // Names know no backslash, whatever encloses them.
        let escapes = std::mem::replace(&mut self.dialect.plain_backslash, true);
        let name = self.quoted(quote, 0);
        self.dialect.plain_backslash = escapes;
        name.map_or(Token::Bad, |name| Token::Name(name, quote))
    }

    fn variable(&mut self) -> Token<'t> {
        match self.byte(1) {
            b'@' => {
                self.at += 2;
                Token::System
            }
            quote @ (b'\'' | b'"' | b'`') => {
                self.quoted(quote, 1).map_or(Token::Bad, |name| Token::User(name, quote))
            }
            _ => {
                self.at += 1;
                let name = self.take(|b| is_word(b) || b == b'.');
                Token::User(name, 0)
            }
        }
    }

    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> &'t [u8] {
        let rest = self.rest();
        let end = rest.iter().position(|b| !wanted(*b)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn word(&mut self) -> Token<'t> {
        let word = self.take(is_word);
        let quote = self.byte(0);
        if let ([prefix], b'\'' | b'"') = (word, quote)
            && (quote == b'\'' || !self.dialect.ansi_quotes)
            && matches!(prefix, b'x' | b'X' | b'n' | b'N' | b'b' | b'B' | b'u' | b'U')
        {
            let text = self.quoted(quote, 0);
            return text.map_or(Token::Bad, |text| Token::Prefixed(*prefix, text, quote));
        }
        Token::Word(word)
    }

    /// Reads a number; one that runs into letters is a name, as MySQL has it: `1st`.
    fn number(&mut self) -> Token<'t> {
        let start = self.at;
        if self.byte(0) == b'0' {
            let digits: Option<fn(u8) -> bool> = match self.byte(1) {
                b'x' => Some(|b| b.is_ascii_hexdigit()),
                b'b' => Some(|b| matches!(b, b'0' | b'1')),
                _ => None,
            };
            if let Some(digits) = digits {
                let hex = self.byte(1) == b'x';
                self.at += 2;
                let found = self.take(digits);
                if !found.is_empty() && !is_word(self.byte(0)) {
                    return if hex { Token::Hex(found) } else { Token::Bits(found) };
                }
                self.at = start;
            }
        }
        self.take(|b| b.is_ascii_digit());
        let mut whole = true;
        if self.byte(0) == b'.' {
            self.at += 1;
            self.take(|b| b.is_ascii_digit());
            whole = false;
        }
        if matches!(self.byte(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(1), b'+' | b'-'));
            if self.byte(1 + sign).is_ascii_digit() {
                self.at += 1 + sign;
                self.take(|b| b.is_ascii_digit());
                whole = false;
            }
        }
        if whole && is_word(self.byte(0)) {
            self.take(is_word);
            return Token::Word(self.text.get(start..self.at).unwrap_or_default());
        }
        Token::Number(self.text.get(start..self.at).unwrap_or_default())
    }

    /// Reads punctuation. A `match` and no list to search, since each `CALL` has some.
    fn symbol(&mut self) -> Token<'t> {
        let symbol = match (self.byte(0), self.byte(1)) {
            (b'(', _) => "(",
            (b')', _) => ")",
            (b',', _) => ",",
            (b'.', _) => ".",
            (b';', _) => ";",
            (b'<', b'=') if self.byte(2) == b'>' => "<=>",
            (b'<', b'=') => "<=",
            (b'<', b'>') => "<>",
            (b'<', b'<') => "<<",
            (b'<', _) => "<",
            (b'>', b'=') => ">=",
            (b'>', b'>') => ">>",
            (b'>', _) => ">",
            (b'!', b'=') => "!=",
            (b'!', _) => "!",
            (b':', b'=') => ":=",
            (b':', _) => ":",
            (b'|', b'|') => "||",
            (b'|', _) => "|",
            (b'&', b'&') => "&&",
            (b'&', _) => "&",
            (b'=', _) => "=",
            (b'+', _) => "+",
            (b'-', _) => "-",
            (b'*', _) => "*",
            (b'/', _) => "/",
            (b'%', _) => "%",
            (b'~', _) => "~",
            (b'^', _) => "^",
            (b'{', _) => "{",
            (b'}', _) => "}",
            (b'[', _) => "[",
            (b']', _) => "]",
            _ => return Token::Bad,
        };
        self.at += symbol.len();
        Token::Symbol(symbol)
    }
}

/// Whether the byte can stand in a name without quotes. Every byte beyond ASCII can.
pub(super) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token<'_>> {
        let mut lexer = Lexer::new(text.as_bytes(), Dialect::default());
        let mut all = Vec::new();
        loop {
            match lexer.token().1 {
                Token::End => return all,
                Token::Bad => {
                    all.push(Token::Bad);
                    return all;
                }
                token => all.push(token),
            }
        }
    }

    #[test]
    fn comments_are_blank_and_versioned_ones_are_read() {
        use Token::{Number, Symbol};
        let one = [Number(b"1")];
        for text in ["1 -- x", "1 # x", "/* a */ 1", "1--", "/*! 1 */", "/*!50000 1*/", "-- \n1"] {
            assert_eq!(tokens(text), one, "{text}");
        }
        assert_eq!(tokens("/*!99999 2 */1"), one);
        assert_eq!(tokens("/*M! 2 */1"), one);
        let eight = [Number(b"5"), Symbol("-"), Symbol("-"), Number(b"3")];
        assert_eq!(tokens("5--3"), eight);
        for open in ["/* 1", "/*! 1", "1 /*"] {
            assert_eq!(tokens(open).last(), Some(&Token::Bad), "{open}");
        }
    }

    #[test]
    fn quotes_close_only_where_they_are_not_escaped() {
        use Token::{Name, Text, User};
        assert_eq!(tokens(r"'a\'b''c'"), [Text(br"a\'b''c", b'\'')]);
        assert_eq!(tokens(r#""a'b""#), [Text(b"a'b", b'"')]);
        assert_eq!(tokens(r"`a\``b`"), [Name(br"a\``b", b'`')]);
        assert_eq!(tokens("@`a b`"), [User(b"a b", b'`')]);
        assert_eq!(tokens("@_f_0"), [User(b"_f_0", 0)]);
        for open in ["'", r"'\'", "`a", "@'x"] {
            assert_eq!(tokens(open), [Token::Bad], "{open}");
        }
        let plain = Dialect { plain_backslash: true, ..Dialect::default() };
        let mut lexer = Lexer::new(br"'\' 1", plain);
        assert_eq!(lexer.token().1, Text(br"\", b'\''));
    }

    #[test]
    fn numbers_and_names_that_begin_with_digits() {
        use Token::{Bits, Hex, Number, Symbol, Word};
        assert_eq!(
            tokens("1 1.5 .5 1e3 1.e-2 0x1F 0b101 1st 0xZ"),
            [
                Number(b"1"),
                Number(b"1.5"),
                Number(b".5"),
                Number(b"1e3"),
                Number(b"1.e-2"),
                Hex(b"1F"),
                Bits(b"101"),
                Word(b"1st"),
                Word(b"0xZ"),
            ]
        );
        assert_eq!(tokens("a.1b"), [Word(b"a"), Symbol("."), Word(b"1b")]);
    }
}
