//! `SELECT`, as it is written.

use polyport_core::{Text, Value};

use super::SqlError;
use super::expression::Expr;
use super::lexer::Token;
use super::parser::{Parsed, Parser, is_reserved};

/// Columns of one result, as in MySQL.
pub(super) const COLUMNS_MOST: usize = 4_096;

/// Tables of one `FROM`, as in MySQL.
pub(super) const TABLES_MOST: usize = 61;

/// A whole query.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Query {
    /// The parts between `UNION`s, and whether each but the first keeps doubles (`UNION ALL`).
    pub(super) parts: Vec<(bool, Select)>,
    pub(super) order: Vec<(Expr, Order)>,
    pub(super) limit: Option<Limit>,
    /// `INTO @a, @b`.
    pub(super) into: Vec<Text>,
    /// `SQL_CALC_FOUND_ROWS`: `FOUND_ROWS()` then counts without the limit.
    pub(super) counts_all: bool,
}

/// One `SELECT`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Select {
    pub(super) distinct: bool,
    pub(super) items: Vec<Item>,
    pub(super) from: Vec<Join>,
    pub(super) filter: Option<Expr>,
    pub(super) group: Vec<Expr>,
    pub(super) having: Option<Expr>,
}

/// One item between `SELECT` and `FROM`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// `*` and `t.*`.
    Star(Option<Text>),
    /// An expression under a heading.
    Value(Text, Expr),
}

/// Which way a result is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

/// `LIMIT`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Limit {
    pub(super) offset: Option<Expr>,
    pub(super) count: Expr,
}

/// One table of `FROM`, and how it is joined to those before it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Join {
    pub(super) kind: JoinKind,
    pub(super) source: Source,
    /// The name its columns are reached by.
    pub(super) alias: Text,
    pub(super) on: On,
}

/// How a table is joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JoinKind {
    Inner,
    Left,
    Right,
}

/// What a join compares.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum On {
    /// Nothing.
    Nothing,
    /// Any condition.
    Condition(Expr),
    /// Columns of the same name.
    Columns(Vec<Text>),
    /// All columns of the same name.
    Natural,
}

/// Where rows come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// A table, with its database if that is said.
    Table(Option<Text>, Text),
    /// A query in parentheses.
    Query(Box<Query>),
}

impl Parser<'_> {
    /// Takes a query, from its `SELECT` on.
    pub(super) fn query(&mut self) -> Parsed<Query> {
        self.enter()?;
        let mut query = Query {
            parts: Vec::new(),
            order: Vec::new(),
            limit: None,
            into: Vec::new(),
            counts_all: false,
        };
        let mut all = false;
        loop {
            let parenthesis = self.take_symbol("(");
            let select = self.select(&mut query)?;
            query.parts.push((all, select));
            if parenthesis {
                self.expect_symbol(")")?;
            }
            self.node()?;
            if !self.take("UNION") {
                break;
            }
            all = self.take("ALL");
            self.take("DISTINCT");
        }
        if self.take("ORDER") {
            self.expect("BY")?;
            query.order = self.ordered()?;
        }
        query.limit = self.limit()?;
        self.into(&mut query)?;
        self.locking()?;
        self.leave();
        Ok(query)
    }

    fn select(&mut self, query: &mut Query) -> Parsed<Select> {
        self.expect("SELECT")?;
        let mut select = Select::default();
        while let Some(option) = self.take_any(&OPTIONS) {
            match option {
                "DISTINCT" | "DISTINCTROW" => select.distinct = true,
                "SQL_CALC_FOUND_ROWS" => query.counts_all = true,
                _ => {}
            }
        }
        loop {
            select.items.push(self.item()?);
            if select.items.len() > COLUMNS_MOST {
                return Err(SqlError::new(1117, "HY000", "Too many columns"));
            }
            if !self.take_symbol(",") {
                break;
            }
        }
        self.into(query)?;
        if self.take("FROM") {
            self.from(&mut select)?;
        }
        if self.take("WHERE") {
            select.filter = Some(self.expression()?);
        }
        if self.take("GROUP") {
            self.expect("BY")?;
            select.group = self.ordered()?.into_iter().map(|(key, _)| key).collect();
            if self.is("WITH") {
                return Err(SqlError::unsupported("WITH ROLLUP"));
            }
        }
        if self.take("HAVING") {
            select.having = Some(self.expression()?);
        }
        Ok(select)
    }

    fn item(&mut self) -> Parsed<Item> {
        if self.take_symbol("*") {
            return Ok(Item::Star(None));
        }
        if let Some(table) = self.star_of()? {
            return Ok(Item::Star(Some(table)));
        }
        let (start, first) = (self.start, self.token);
        let expression = self.expression()?;
        let source = self.source(start);
        let aliased = self.take("AS") || self.may_be_alias();
        let alias = if aliased { Some(self.alias()?) } else { None };
        let heading = match (alias, &expression) {
            (Some(alias), _) => alias,
            // A column's heading leaves out its table, a text's its quotes.
            (None, Expr::Column(_, name)) => name.clone(),
            (None, Expr::Value(Value::Text(text))) if is_text(first) => text.clone(),
            // MySQL shows these three words in upper case, however they are written.
            (None, Expr::Value(_)) if source.iter().all(u8::is_ascii_alphabetic) => {
                self.decode(&source.to_ascii_uppercase())?
            }
            // Bytes in a statement that are no text are shown as they can be.
            (None, _) => self
                .dialect()
                .charset
                .decode(source)
                .unwrap_or_else(|| String::from_utf8_lossy(source).into_owned().into()),
        };
        Ok(Item::Value(heading, expression))
    }

    /// Takes `t.*` or `d.t.*` if it comes.
    fn star_of(&mut self) -> Parsed<Option<Text>> {
        if !matches!(self.token, Token::Word(_) | Token::Name(..))
            || self.after() != Token::Symbol(".")
        {
            return Ok(None);
        }
        let mut ahead = self.clone();
        let mut table = ahead.any_name()?;
        while ahead.take_symbol(".") {
            if ahead.take_symbol("*") {
                *self = ahead;
                return Ok(Some(table));
            }
            let Ok(name) = ahead.any_name() else { return Ok(None) };
            table = name;
        }
        Ok(None)
    }

    fn may_be_alias(&self) -> bool {
        match self.token {
            Token::Name(..) | Token::Text(..) => true,
            Token::Word(word) => !is_reserved(word),
            _ => false,
        }
    }

    fn alias(&mut self) -> Parsed<Text> {
        if matches!(self.token, Token::Text(..)) { self.text() } else { self.name() }
    }

    fn from(&mut self, select: &mut Select) -> Parsed<()> {
        if self.is("DUAL") {
            self.next();
            return Ok(());
        }
        let mut kind = JoinKind::Inner;
        let mut natural = false;
        loop {
            let mut join = self.source_table(kind)?;
            if self.take("ON") {
                join.on = On::Condition(self.expression()?);
            } else if self.take("USING") {
                self.expect_symbol("(")?;
                let mut columns = vec![self.name()?];
                while self.take_symbol(",") {
                    columns.push(self.name()?);
                    self.node()?;
                }
                self.expect_symbol(")")?;
                join.on = On::Columns(columns);
            } else if natural {
                join.on = On::Natural;
            }
            select.from.push(join);
            if select.from.len() > TABLES_MOST {
                let text =
                    format!("Too many tables; MySQL can only use {TABLES_MOST} tables in a join");
                return Err(SqlError::new(1116, "HY000", text));
            }
            natural = self.take("NATURAL");
            kind = match self.take_any(&[
                "INNER",
                "CROSS",
                "LEFT",
                "RIGHT",
                "STRAIGHT_JOIN",
                "JOIN",
            ]) {
                None if self.take_symbol(",") => JoinKind::Inner,
                None => return Ok(()),
                Some("JOIN" | "STRAIGHT_JOIN") => JoinKind::Inner,
                Some(word) => {
                    if matches!(word, "LEFT" | "RIGHT") {
                        self.take("OUTER");
                    }
                    self.expect("JOIN")?;
                    match word {
                        "LEFT" => JoinKind::Left,
                        "RIGHT" => JoinKind::Right,
                        _ => JoinKind::Inner,
                    }
                }
            };
        }
    }

    fn source_table(&mut self, kind: JoinKind) -> Parsed<Join> {
        let (source, own) = if self.take_symbol("(") {
            if !self.is("SELECT") {
                return Err(SqlError::unsupported("parentheses around tables"));
            }
            let query = self.query()?;
            self.expect_symbol(")")?;
            (Source::Query(Box::new(query)), None)
        } else {
            let (database, table) = self.table_name()?;
            (Source::Table(database, table.clone()), Some(table))
        };
        let aliased = self.take("AS") || self.may_be_alias_of_table();
        let alias = match (aliased, own) {
            (true, _) => self.name()?,
            (false, Some(table)) => table,
            (false, None) => {
                let text = "Every derived table must have its own alias";
                return Err(SqlError::new(1248, "42000", text));
            }
        };
        Ok(Join { kind, source, alias, on: On::Nothing })
    }

    fn may_be_alias_of_table(&self) -> bool {
        !matches!(self.token, Token::Text(..)) && self.may_be_alias()
    }

    /// Takes a table's name, with its database if that is said.
    pub(super) fn table_name(&mut self) -> Parsed<(Option<Text>, Text)> {
        let first = self.name()?;
        if self.take_symbol(".") {
            return Ok((Some(first), self.any_name()?));
        }
        Ok((None, first))
    }

    fn ordered(&mut self) -> Parsed<Vec<(Expr, Order)>> {
        let mut keys = Vec::new();
        loop {
            let key = self.expression()?;
            let order = match self.take_any(&["ASC", "DESC"]) {
                Some("DESC") => Order::Descending,
                _ => Order::Ascending,
            };
            keys.push((key, order));
            if !self.take_symbol(",") {
                return Ok(keys);
            }
        }
    }

    /// Takes `LIMIT` if it comes.
    pub(super) fn limit(&mut self) -> Parsed<Option<Limit>> {
        if !self.take("LIMIT") {
            return Ok(None);
        }
        let first = self.expression()?;
        if self.take_symbol(",") {
            return Ok(Some(Limit { offset: Some(first), count: self.expression()? }));
        }
        let offset = if self.take("OFFSET") { Some(self.expression()?) } else { None };
        Ok(Some(Limit { offset, count: first }))
    }

    fn into(&mut self, query: &mut Query) -> Parsed<()> {
        if !self.take("INTO") {
            return Ok(());
        }
        if self.is_any(&["OUTFILE", "DUMPFILE"]) {
            let text = "The server offers no files; it cannot execute SELECT ... INTO OUTFILE";
            return Err(SqlError::new(1290, "HY000", text));
        }
        loop {
            query.into.push(self.user_variable()?);
            if !self.take_symbol(",") {
                return Ok(());
            }
        }
    }

    /// Takes `FOR UPDATE` and its kin: nothing here is ever locked.
    fn locking(&mut self) -> Parsed<()> {
        if self.take("FOR") && self.take_any(&["UPDATE", "SHARE"]).is_none() {
            return self.error();
        }
        if self.take("LOCK") {
            self.expect("IN")?;
            self.expect("SHARE")?;
            self.expect("MODE")?;
        }
        Ok(())
    }
}

/// Whether a text literal begins with this token: `'x'`, `N'x'`, `_utf8mb4'x'`.
const fn is_text(first: Token<'_>) -> bool {
    matches!(first, Token::Text(..) | Token::Prefixed(b'n' | b'N', ..) | Token::Word([b'_', ..]))
}

/// Words between `SELECT` and its first item.
const OPTIONS: [&str; 11] = [
    "ALL",
    "DISTINCT",
    "DISTINCTROW",
    "HIGH_PRIORITY",
    "STRAIGHT_JOIN",
    "SQL_SMALL_RESULT",
    "SQL_BIG_RESULT",
    "SQL_BUFFER_RESULT",
    "SQL_NO_CACHE",
    "SQL_CACHE",
    "SQL_CALC_FOUND_ROWS",
];
