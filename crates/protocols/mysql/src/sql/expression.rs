//! Expressions: what they are made of, and how operators bind.

mod primary;

use polyport_core::{Text, Value};

use super::lexer::Token;
use super::parser::{Parsed, Parser};
use super::query::Query;

/// An expression. As deep as it was written: chains of one kind of operator are flat.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    /// A literal.
    Value(Value),
    /// `?`, counted from 0.
    Mark(usize),
    /// `@name`.
    User(Text),
    /// `@name := value`.
    Assign(Text, Box<Self>),
    /// `@@name`, in lower case.
    System(Scope, Text),
    /// A column, with or without its table.
    Column(Option<Text>, Text),
    /// A function, its name as written.
    Call(Text, Vec<Self>),
    /// A function over all rows of a group.
    Aggregate(Box<Aggregate>),
    /// `CAST(x AS type)`.
    Cast(Box<Self>, Cast),
    /// `-x`.
    Negate(Box<Self>),
    /// `~x`.
    Invert(Box<Self>),
    /// `NOT x`.
    Not(Box<Self>),
    /// `a + b * c - d`, from left to right: what binds tighter is nested on the right.
    Chain(Box<Self>, Vec<(Operator, Self)>),
    /// `a < b`.
    Compare(Comparison, Box<(Self, Self)>),
    /// `a AND b AND c`.
    And(Vec<Self>),
    /// `a OR b OR c`.
    Or(Vec<Self>),
    /// `a XOR b XOR c`.
    Xor(Vec<Self>),
    /// `x IS TRUE`.
    Is(Box<Self>, Truth),
    /// `x IN (a, b)`.
    In(Box<Self>, Vec<Self>),
    /// `x IN (SELECT ...)`.
    InQuery(Box<Self>, Box<Query>),
    /// `x BETWEEN a AND b`.
    Between(Box<[Self; 3]>),
    /// `x LIKE pattern ESCAPE c`.
    Like(Box<(Self, Self, Option<Self>)>),
    /// `x REGEXP pattern`.
    Regexp(Box<(Self, Self)>),
    /// `CASE`.
    Case(Box<Case>),
    /// `INTERVAL n unit`, only beside `+`, `-` and in the date functions.
    Interval(Box<Self>, Unit),
    /// `(SELECT ...)` as a value.
    Query(Box<Query>),
    /// `EXISTS (SELECT ...)`.
    Exists(Box<Query>),
    /// `x COLLATE name`, and `BINARY x` with the name `binary`.
    Collate(Box<Self>, Text),
    /// `(a, b)`.
    Tuple(Vec<Self>),
    /// `[a, b]`, in `CALL` only.
    List(Vec<Self>),
    /// `{a, b}`, in `CALL` only.
    Set(Vec<Self>),
    /// `{a: b}`, in `CALL` only.
    Map(Vec<(Self, Self)>),
}

/// Where a system variable is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Scope {
    /// Not said.
    #[default]
    Any,
    /// `SESSION` or `LOCAL`.
    Session,
    /// `GLOBAL`.
    Global,
    /// `PERSIST` and `PERSIST_ONLY`.
    Persist,
}

/// Operators that give a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    IntegerDivide,
    Remainder,
    BitAnd,
    BitOr,
    BitXor,
    ShiftLeft,
    ShiftRight,
    Concat,
}

/// Operators that compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NullSafeEqual,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What `IS` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    Null,
    True,
    False,
}

/// The type of a `CAST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cast {
    /// `CHAR(n)`.
    Text(Option<usize>),
    /// `BINARY(n)`.
    Bytes(Option<usize>),
    Signed,
    Unsigned,
    /// `DECIMAL(digits, scale)`.
    Decimal(u32, u32),
    Float,
    Date,
    /// `DATETIME(digits)`.
    DateTime(u32),
    /// `TIME(digits)`.
    Time(u32),
    Json,
}

/// The unit of an `INTERVAL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Microsecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// `CASE operand WHEN a THEN b ELSE c END`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Case {
    pub(super) operand: Option<Expr>,
    pub(super) arms: Vec<(Expr, Expr)>,
    pub(super) otherwise: Option<Expr>,
}

/// A function over all rows of a group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Aggregate {
    pub(super) kind: AggregateKind,
    pub(super) distinct: bool,
    /// What is gathered; `None` for `COUNT(*)`.
    pub(super) argument: Option<Expr>,
    /// `GROUP_CONCAT`'s own.
    pub(super) separator: Text,
}

/// Which function over a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AggregateKind {
    Count,
    Min,
    Max,
    Sum,
    Average,
    Concat,
}

impl Unit {
    /// The unit of this name.
    pub(super) fn named(word: &str) -> Option<Self> {
        Some(match word.to_ascii_uppercase().as_str() {
            "MICROSECOND" => Self::Microsecond,
            "SECOND" => Self::Second,
            "MINUTE" => Self::Minute,
            "HOUR" => Self::Hour,
            "DAY" => Self::Day,
            "WEEK" => Self::Week,
            "MONTH" => Self::Month,
            "QUARTER" => Self::Quarter,
            "YEAR" => Self::Year,
            _ => return None,
        })
    }
}

// How tightly operators bind, from the manual's table of precedence.
const OR: u8 = 10;
const XOR: u8 = 20;
const AND: u8 = 30;
const NOT: u8 = 40;
const COMPARISON: u8 = 50;
const BIT_OR: u8 = 60;
const BIT_AND: u8 = 70;
const SHIFT: u8 = 80;
const SUM: u8 = 90;
const PRODUCT: u8 = 100;
const BIT_XOR: u8 = 110;
const UNARY: u8 = 120;
const COLLATE: u8 = 130;

/// An operator between two expressions, or after one.
#[derive(Clone, Copy)]
enum Infix {
    Or,
    Xor,
    And,
    Compare(Comparison),
    Number(Operator),
    Is,
    In,
    Between,
    Like,
    Regexp,
    /// `NOT` before `IN`, `BETWEEN`, `LIKE` or `REGEXP`.
    Not,
    Collate,
}

impl Parser<'_> {
    /// Takes an expression.
    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        self.binary(0)
    }

    /// Takes an expression without comparisons.
    fn operand(&mut self) -> Parsed<Expr> {
        self.binary(BIT_OR)
    }

    /// Takes an expression of operators that bind at least this tightly.
    fn binary(&mut self, least: u8) -> Parsed<Expr> {
        self.enter()?;
        let mut left = self.prefix()?;
        let mut compared = false;
        while let Some((operator, power)) = self.infix() {
            if power < least {
                break;
            }
            self.node()?;
            if power == COMPARISON || power == COLLATE {
                if compared {
                    self.link()?;
                }
                compared = true;
            }
            left = self.join(left, operator, power)?;
        }
        self.leave();
        Ok(left)
    }

    fn prefix(&mut self) -> Parsed<Expr> {
        match self.token {
            Token::Symbol("-") => {
                self.next();
                Ok(negate(self.binary(UNARY)?))
            }
            Token::Symbol("+") => {
                self.next();
                self.binary(UNARY)
            }
            Token::Symbol("~") => {
                self.next();
                Ok(Expr::Invert(Box::new(self.binary(UNARY)?)))
            }
            Token::Symbol("!") => {
                self.next();
                Ok(Expr::Not(Box::new(self.binary(UNARY)?)))
            }
            Token::Word(_) if self.is("NOT") => {
                self.next();
                Ok(Expr::Not(Box::new(self.binary(NOT)?)))
            }
            Token::Word(_) if self.is("BINARY") => {
                self.next();
                Ok(Expr::Collate(Box::new(self.binary(UNARY)?), "binary".into()))
            }
            _ => self.primary(),
        }
    }

    /// The operator to come, and how tightly it binds.
    fn infix(&self) -> Option<(Infix, u8)> {
        let number = |operator, power| Some((Infix::Number(operator), power));
        let compare = |comparison| Some((Infix::Compare(comparison), COMPARISON));
        match self.token {
            Token::Symbol(symbol) => match symbol {
                "||" if self.dialect().pipes_concat => number(Operator::Concat, BIT_XOR),
                "||" => Some((Infix::Or, OR)),
                "&&" => Some((Infix::And, AND)),
                "=" => compare(Comparison::Equal),
                "<=>" => compare(Comparison::NullSafeEqual),
                "<>" | "!=" => compare(Comparison::NotEqual),
                "<" => compare(Comparison::Less),
                "<=" => compare(Comparison::LessOrEqual),
                ">" => compare(Comparison::Greater),
                ">=" => compare(Comparison::GreaterOrEqual),
                "|" => number(Operator::BitOr, BIT_OR),
                "&" => number(Operator::BitAnd, BIT_AND),
                "<<" => number(Operator::ShiftLeft, SHIFT),
                ">>" => number(Operator::ShiftRight, SHIFT),
                "+" => number(Operator::Add, SUM),
                "-" => number(Operator::Subtract, SUM),
                "*" => number(Operator::Multiply, PRODUCT),
                "/" => number(Operator::Divide, PRODUCT),
                "%" => number(Operator::Remainder, PRODUCT),
                "^" => number(Operator::BitXor, BIT_XOR),
                _ => None,
            },
            Token::Word(word) => word_infix(word),
            _ => None,
        }
    }

    /// Takes the operator and what stands on its right.
    fn join(&mut self, left: Expr, operator: Infix, power: u8) -> Parsed<Expr> {
        self.next();
        Ok(match operator {
            Infix::Or => flat(left, self.binary(power + 1)?, Expr::Or, |e| match e {
                Expr::Or(terms) => Ok(terms),
                other => Err(other),
            }),
            Infix::And => flat(left, self.binary(power + 1)?, Expr::And, |e| match e {
                Expr::And(terms) => Ok(terms),
                other => Err(other),
            }),
            Infix::Xor => flat(left, self.binary(power + 1)?, Expr::Xor, |e| match e {
                Expr::Xor(terms) => Ok(terms),
                other => Err(other),
            }),
            Infix::Number(operator) => {
                let right = self.binary(power + 1)?;
                match left {
                    Expr::Chain(first, mut rest) => {
                        rest.push((operator, right));
                        Expr::Chain(first, rest)
                    }
                    first => Expr::Chain(Box::new(first), vec![(operator, right)]),
                }
            }
            Infix::Compare(comparison) => {
                if self.is_any(&["ANY", "ALL", "SOME"]) {
                    return Err(super::SqlError::unsupported("ANY, ALL"));
                }
                Expr::Compare(comparison, Box::new((left, self.binary(power + 1)?)))
            }
            Infix::Is => {
                let not = self.take("NOT");
                let truth = match self.take_any(&["NULL", "UNKNOWN", "TRUE", "FALSE"]) {
                    Some("TRUE") => Truth::True,
                    Some("FALSE") => Truth::False,
                    Some(_) => Truth::Null,
                    None => return self.error(),
                };
                negated(Expr::Is(Box::new(left), truth), not)
            }
            Infix::Not => {
                let Some((
                    operator @ (Infix::In | Infix::Between | Infix::Like | Infix::Regexp),
                    _,
                )) = self.infix()
                else {
                    return self.error();
                };
                self.next();
                Expr::Not(Box::new(self.test(left, operator)?))
            }
            Infix::In | Infix::Between | Infix::Like | Infix::Regexp => {
                self.test(left, operator)?
            }
            Infix::Collate => Expr::Collate(Box::new(left), self.name_or_text()?),
        })
    }

    /// Takes what follows `IN`, `BETWEEN`, `LIKE` or `REGEXP`.
    fn test(&mut self, left: Expr, operator: Infix) -> Parsed<Expr> {
        match operator {
            Infix::In => {
                self.expect_symbol("(")?;
                let test = if self.is("SELECT") {
                    Expr::InQuery(Box::new(left), Box::new(self.query()?))
                } else {
                    Expr::In(Box::new(left), self.list()?)
                };
                self.expect_symbol(")")?;
                Ok(test)
            }
            Infix::Between => {
                let low = self.operand()?;
                self.expect("AND")?;
                let high = self.operand()?;
                Ok(Expr::Between(Box::new([left, low, high])))
            }
            Infix::Like => {
                let pattern = self.operand()?;
                let escape = if self.take("ESCAPE") { Some(self.operand()?) } else { None };
                Ok(Expr::Like(Box::new((left, pattern, escape))))
            }
            _ => Ok(Expr::Regexp(Box::new((left, self.operand()?)))),
        }
    }

    /// Takes one or more expressions with commas between.
    pub(super) fn list(&mut self) -> Parsed<Vec<Expr>> {
        let mut list = vec![self.expression()?];
        while self.take_symbol(",") {
            list.push(self.expression()?);
        }
        Ok(list)
    }
}

fn word_infix(word: &[u8]) -> Option<(Infix, u8)> {
    let is = |own: &str| word.eq_ignore_ascii_case(own.as_bytes());
    // The lengths keep the usual case, a word that is none of these, short.
    match word.len() {
        2 if is("OR") => Some((Infix::Or, OR)),
        2 if is("IS") => Some((Infix::Is, COMPARISON)),
        2 if is("IN") => Some((Infix::In, COMPARISON)),
        3 if is("XOR") => Some((Infix::Xor, XOR)),
        3 if is("AND") => Some((Infix::And, AND)),
        3 if is("NOT") => Some((Infix::Not, COMPARISON)),
        3 if is("DIV") => Some((Infix::Number(Operator::IntegerDivide), PRODUCT)),
        3 if is("MOD") => Some((Infix::Number(Operator::Remainder), PRODUCT)),
        4 if is("LIKE") => Some((Infix::Like, COMPARISON)),
        5 if is("RLIKE") => Some((Infix::Regexp, COMPARISON)),
        6 if is("REGEXP") => Some((Infix::Regexp, COMPARISON)),
        7 if is("BETWEEN") => Some((Infix::Between, COMPARISON)),
        7 if is("COLLATE") => Some((Infix::Collate, COLLATE)),
        _ => None,
    }
}

/// A negative number is a literal, so that `-9223372036854775808` is what it says.
fn negate(operand: Expr) -> Expr {
    use num_bigint::BigInt;
    match operand {
        Expr::Value(Value::Int(number)) => Expr::Value(match number.checked_neg() {
            Some(number) => Value::Int(number),
            None => Value::from_big(-BigInt::from(number)),
        }),
        Expr::Value(Value::Big(number)) => Expr::Value(Value::from_big(-*number)),
        Expr::Value(Value::Float(number)) => Expr::Value(Value::Float(-number)),
        Expr::Value(Value::Decimal(number)) => Expr::Value(Value::Decimal(Box::new(-*number))),
        other => Expr::Negate(Box::new(other)),
    }
}

fn negated(expression: Expr, not: bool) -> Expr {
    if not { Expr::Not(Box::new(expression)) } else { expression }
}

/// Adds a term to a flat list of one operator.
fn flat(
    left: Expr,
    right: Expr,
    make: fn(Vec<Expr>) -> Expr,
    terms: fn(Expr) -> Result<Vec<Expr>, Expr>,
) -> Expr {
    let mut all = terms(left).unwrap_or_else(|single| vec![single]);
    all.push(right);
    make(all)
}
