//! Expressions → values.

use std::cmp::Ordering;

use bigdecimal::BigDecimal;
use jiff::civil::DateTime;
use polyport_core::{Session, Text, Value};

use super::SqlError;
use super::cast::cast;
use super::charset::Collation;
use super::clock;
use super::compare::{compare, key, like, truth};
use super::expression::{
    Aggregate, AggregateKind, Case, Comparison, Expr, Operator, Scope, Truth, Unit,
};
use super::number;
use super::parser::Parsed;
use super::state::State;
use super::text::to_text;
use super::{functions, variables};

/// Steps that one statement may take: nodes evaluated, rows joined, characters matched. A few
/// hundred milliseconds at most, since other connections wait meanwhile.
pub(super) const STEPS_MOST: u64 = 5_000_000;

/// Bytes that a regular expression's program may have.
const PATTERN_BYTES: usize = 1 << 20;

/// What a statement is evaluated with.
pub(super) struct Context<'a> {
    pub(super) state: &'a mut State,
    pub(super) session: &'a Session,
    pub(super) parameters: &'a [Value],
    /// The statement as it came.
    pub(super) source: &'a [u8],
    pub(super) steps: u64,
    bytes: usize,
    now: Option<DateTime>,
    pattern: Option<(Text, bool, regex::Regex)>,
}

/// The row that columns are read from.
#[derive(Clone, Copy)]
pub(super) struct Frame<'f> {
    pub(super) columns: &'f [Name],
    pub(super) row: &'f [Value],
    /// The rows that aggregates gather.
    pub(super) group: Option<&'f [Vec<Value>]>,
    /// Headings and values of the result, which `HAVING` and `ORDER BY` may name.
    pub(super) results: (&'f [Text], &'f [Value]),
    /// The row of the query around this one.
    pub(super) outer: Option<&'f Self>,
    /// What errors call the place: `where clause`.
    pub(super) place: &'static str,
}

/// A column's name and its table's.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) table: Text,
    pub(super) name: Text,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        state: &'a mut State,
        session: &'a Session,
        parameters: &'a [Value],
        source: &'a [u8],
    ) -> Self {
        let (bytes, steps) = (session.limits().message_bytes, STEPS_MOST);
        Self { state, session, parameters, source, steps, bytes, now: None, pattern: None }
    }

    /// Counts steps.
    pub(super) fn step(&mut self, count: u64) -> Parsed<()> {
        match self.steps.checked_sub(count) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => Err(SqlError::too_much("time")),
        }
    }

    /// Counts bytes that a function makes, before it makes them.
    pub(super) fn spend(&mut self, bytes: usize) -> Parsed<()> {
        match self.bytes.checked_sub(bytes) {
            Some(left) => {
                self.bytes = left;
                // Making them takes time as well.
                self.step((bytes / 64) as u64)
            }
            None => Err(SqlError::too_much("memory")),
        }
    }

    /// The session's time zone.
    pub(super) fn zone(&self) -> Text {
        let zone = variables::find("time_zone");
        zone.ok()
            .map(|zone| to_text(&zone.read(Scope::Any, self.state, self.session)))
            .unwrap_or_default()
    }

    /// The time of the statement: the same wherever it is asked for.
    pub(super) fn now(&mut self) -> DateTime {
        if let Some(now) = self.now {
            return now;
        }
        let now = clock::now(&self.zone());
        *self.now.insert(now)
    }

    /// Evaluates an expression outside of any table.
    pub(super) fn constant(&mut self, expression: &Expr) -> Parsed<Value> {
        self.evaluate(expression, None)
    }

    /// Evaluates an expression on a row.
    pub(super) fn evaluate(
        &mut self,
        expression: &Expr,
        frame: Option<&Frame<'_>>,
    ) -> Parsed<Value> {
        self.step(1)?;
        match expression {
            Expr::Value(value) => Ok(value.clone()),
            Expr::Mark(index) => self
                .parameters
                .get(*index)
                .cloned()
                .ok_or_else(|| SqlError::new(1210, "HY000", "Incorrect arguments to EXECUTE")),
            Expr::User(name) => Ok(self.state.variable(name)),
            Expr::Assign(name, value) => {
                let value = self.evaluate(value, frame)?;
                self.state.assign(name, value.clone())?;
                Ok(value)
            }
            Expr::System(scope, name) => {
                Ok(variables::find(name)?.read(*scope, self.state, self.session))
            }
            Expr::Column(table, name) => self.column(table.as_ref(), name, frame),
            Expr::Call(name, arguments) => functions::call(self, name, arguments, frame),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, frame),
            Expr::Cast(operand, kind) => {
                let value = self.evaluate(operand, frame)?;
                cast(self, value, *kind)
            }
            Expr::Negate(operand) => match self.evaluate(operand, frame)? {
                Value::Null => Ok(Value::Null),
                value => number::negate(&value),
            },
            Expr::Invert(operand) => match self.evaluate(operand, frame)? {
                Value::Null => Ok(Value::Null),
                value => Ok(number::bits(!number::unsigned(&value))),
            },
            Expr::Chain(first, rest) => self.chain(first, rest, frame),
            Expr::Interval(..) => {
                let text = "INTERVAL stands only beside + and -, and in date functions";
                Err(SqlError::new(1064, "42000", text))
            }
            Expr::Case(case) => self.case(case, frame),
            Expr::Query(query) => self.scalar(query, frame),
            Expr::Collate(operand, name) => self.collate(operand, name, frame),
            Expr::Tuple(items) => self.all(items, frame).map(Value::Tuple),
            Expr::List(items) => self.all(items, frame).map(Value::List),
            Expr::Set(items) => {
                let mut set: Vec<Value> = Vec::new();
                let mut seen = std::collections::HashSet::new();
                for item in self.all(items, frame)? {
                    if seen.insert(item.to_string()) {
                        set.push(item);
                    }
                }
                Ok(Value::Set(set))
            }
            Expr::Map(pairs) => {
                let mut map = Vec::with_capacity(pairs.len());
                for (key, value) in pairs {
                    map.push((self.evaluate(key, frame)?, self.evaluate(value, frame)?));
                }
                Ok(Value::Map(map))
            }
            test => Ok(self.test(test, frame)?.map_or(Value::Null, |t| Value::Int(t.into()))),
        }
    }

    /// Evaluates what is true, false or unknown.
    pub(super) fn test(
        &mut self,
        expression: &Expr,
        frame: Option<&Frame<'_>>,
    ) -> Parsed<Option<bool>> {
        match expression {
            Expr::Not(operand) => Ok(self.test(operand, frame)?.map(|truth| !truth)),
            Expr::And(terms) => self.junction(terms, false, frame),
            Expr::Or(terms) => self.junction(terms, true, frame),
            Expr::Xor(terms) => {
                let mut all = Some(false);
                for term in terms {
                    let truth = self.test(term, frame)?;
                    all = all.zip(truth).map(|(a, b)| a != b);
                }
                Ok(all)
            }
            Expr::Compare(comparison, sides) => self.comparison(*comparison, sides, frame),
            Expr::Is(operand, wanted) => {
                let value = self.evaluate(operand, frame)?;
                Ok(Some(match wanted {
                    Truth::Null => matches!(value, Value::Null),
                    Truth::True => truth(&value) == Some(true),
                    Truth::False => truth(&value) == Some(false),
                }))
            }
            Expr::In(operand, list) => {
                let exact = is_binary(operand);
                let value = self.evaluate(operand, frame)?;
                let mut unknown = matches!(value, Value::Null);
                for item in list {
                    let item = self.evaluate(item, frame)?;
                    match compare(&value, &item, exact) {
                        Some(Ordering::Equal) => return Ok(Some(true)),
                        Some(_) => {}
                        None => unknown = true,
                    }
                }
                Ok(if unknown { None } else { Some(false) })
            }
            Expr::InQuery(operand, query) => {
                let value = self.evaluate(operand, frame)?;
                let rows = self.query(query, frame)?.1;
                self.step(rows.len() as u64)?;
                let items = rows.into_iter().map(|row| match <[Value; 1]>::try_from(row) {
                    Ok([item]) => item,
                    Err(row) => Value::Tuple(row),
                });
                Ok(contains(items, &value))
            }
            Expr::Between(parts) => {
                let [operand, low, high] = &**parts;
                let exact = is_binary(operand);
                let value = self.evaluate(operand, frame)?;
                let low = compare(&value, &self.evaluate(low, frame)?, exact);
                let high = compare(&value, &self.evaluate(high, frame)?, exact);
                let (low, high) = (low.map(Ordering::is_ge), high.map(Ordering::is_le));
                Ok(match (low, high) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    _ => low.zip(high).map(|_| true),
                })
            }
            Expr::Like(parts) => self.like(parts, frame),
            Expr::Regexp(sides) => self.regexp(sides, frame),
            Expr::Exists(query) => Ok(Some(!self.query(query, frame)?.1.is_empty())),
            other => Ok(truth(&self.evaluate(other, frame)?)),
        }
    }

    /// `AND` stops at the first false, `OR` at the first true.
    fn junction(
        &mut self,
        terms: &[Expr],
        stop: bool,
        frame: Option<&Frame<'_>>,
    ) -> Parsed<Option<bool>> {
        let mut all = Some(!stop);
        for term in terms {
            self.step(1)?;
            match self.test(term, frame)? {
                Some(truth) if truth == stop => return Ok(Some(stop)),
                Some(_) => {}
                None => all = None,
            }
        }
        Ok(all)
    }

    pub(super) fn all(&mut self, list: &[Expr], frame: Option<&Frame<'_>>) -> Parsed<Vec<Value>> {
        list.iter().map(|item| self.evaluate(item, frame)).collect()
    }

    fn column(
        &mut self,
        table: Option<&Text>,
        name: &Text,
        frame: Option<&Frame<'_>>,
    ) -> Parsed<Value> {
        let place = frame.map_or("field list", |frame| frame.place);
        let mut frame = frame;
        while let Some(own) = frame {
            if let Some(value) = self.column_of(own, table, name)? {
                return Ok(value);
            }
            frame = own.outer;
        }
        let full = table.map_or_else(|| name.clone(), |table| format!("{table}.{name}").into());
        Err(SqlError::unknown_column(&full, place))
    }

    fn column_of(
        &mut self,
        frame: &Frame<'_>,
        table: Option<&Text>,
        name: &Text,
    ) -> Parsed<Option<Value>> {
        self.step(frame.columns.len() as u64 / 8)?;
        if table.is_none() {
            let (headings, values) = frame.results;
            let found = headings.iter().position(|own| own.eq_ignore_ascii_case(name));
            if let Some(value) = found.and_then(|index| values.get(index)) {
                return Ok(Some(value.clone()));
            }
        }
        let of_table = |own: &Name| table.is_none_or(|table| own.table.eq_ignore_ascii_case(table));
        let found = frame
            .columns
            .iter()
            .position(|own| own.name.eq_ignore_ascii_case(name) && of_table(own));
        Ok(found.map(|index| frame.row.get(index).cloned().unwrap_or_default()))
    }

    fn chain(
        &mut self,
        first: &Expr,
        rest: &[(Operator, Expr)],
        frame: Option<&Frame<'_>>,
    ) -> Parsed<Value> {
        let mut left = match (first, rest) {
            // INTERVAL 1 DAY + x
            (Expr::Interval(count, unit), [(Operator::Add, right), more @ ..]) => {
                let right = self.evaluate(right, frame)?;
                let sum = self.shift(&right, count, *unit, 1, frame)?;
                return self.chain_on(sum, more, frame);
            }
            _ => self.evaluate(first, frame)?,
        };
        left = self.chain_on(left, rest, frame)?;
        Ok(left)
    }

    fn chain_on(
        &mut self,
        mut left: Value,
        rest: &[(Operator, Expr)],
        frame: Option<&Frame<'_>>,
    ) -> Parsed<Value> {
        for (operator, right) in rest {
            if let Expr::Interval(count, unit) = right {
                let sign = if *operator == Operator::Subtract { -1 } else { 1 };
                left = self.shift(&left, count, *unit, sign, frame)?;
                continue;
            }
            let right = self.evaluate(right, frame)?;
            left = match (&left, &right) {
                (Value::Null, _) | (_, Value::Null) => Value::Null,
                _ if *operator == Operator::Concat => functions::concat(self, &[left, right])?,
                _ => {
                    self.warn_text(&left);
                    self.warn_text(&right);
                    number::apply(*operator, &left, &right)?
                }
            };
        }
        Ok(left)
    }

    /// Warns as MySQL does when a text is no number.
    pub(super) fn warn_text(&mut self, value: &Value) {
        if let Value::Text(text) = value
            && !number::is_number(text)
        {
            let shown: String = text.chars().take(80).collect();
            self.state.warn(1292, format!("Truncated incorrect DOUBLE value: '{shown}'"));
        }
    }

    fn shift(
        &mut self,
        value: &Value,
        count: &Expr,
        unit: Unit,
        sign: i64,
        frame: Option<&Frame<'_>>,
    ) -> Parsed<Value> {
        let count = self.evaluate(count, frame)?;
        functions::shift_time(value, &count, unit, sign)
    }

    fn comparison(
        &mut self,
        comparison: Comparison,
        sides: &(Expr, Expr),
        frame: Option<&Frame<'_>>,
    ) -> Parsed<Option<bool>> {
        self.step(1)?;
        let exact = is_binary(&sides.0) || is_binary(&sides.1);
        let (left, right) = (self.evaluate(&sides.0, frame)?, self.evaluate(&sides.1, frame)?);
        let order = compare(&left, &right, exact);
        Ok(match comparison {
            Comparison::NullSafeEqual => {
                let nulls = matches!((&left, &right), (Value::Null, Value::Null));
                Some(nulls || order == Some(Ordering::Equal))
            }
            Comparison::Equal => order.map(Ordering::is_eq),
            Comparison::NotEqual => order.map(Ordering::is_ne),
            Comparison::Less => order.map(Ordering::is_lt),
            Comparison::LessOrEqual => order.map(Ordering::is_le),
            Comparison::Greater => order.map(Ordering::is_gt),
            Comparison::GreaterOrEqual => order.map(Ordering::is_ge),
        })
    }

    fn like(
        &mut self,
        parts: &(Expr, Expr, Option<Expr>),
        frame: Option<&Frame<'_>>,
    ) -> Parsed<Option<bool>> {
        let (operand, pattern, escape) = parts;
        let exact = is_binary(operand) || is_binary(pattern);
        let value = self.evaluate(operand, frame)?;
        let pattern = self.evaluate(pattern, frame)?;
        let escape = match escape {
            Some(escape) => to_text(&self.evaluate(escape, frame)?).chars().next(),
            None if self.state.dialect.plain_backslash => None,
            None => Some('\\'),
        };
        if matches!(value, Value::Null) || matches!(pattern, Value::Null) {
            return Ok(None);
        }
        let (text, pattern) = (to_text(&value), to_text(&pattern));
        self.spend(4 * (text.len() + pattern.len()))?;
        let matched = like(&text, &pattern, escape, exact, &mut self.steps);
        matched.map(Some).ok_or_else(|| SqlError::too_much("time"))
    }

    fn regexp(&mut self, sides: &(Expr, Expr), frame: Option<&Frame<'_>>) -> Parsed<Option<bool>> {
        let exact = is_binary(&sides.0) || is_binary(&sides.1);
        let (value, pattern) = (self.evaluate(&sides.0, frame)?, self.evaluate(&sides.1, frame)?);
        if matches!(value, Value::Null) || matches!(pattern, Value::Null) {
            return Ok(None);
        }
        let (text, pattern) = (to_text(&value), to_text(&pattern));
        self.step(1 + text.len() as u64)?;
        let known = self.pattern.as_ref().is_some_and(|(own, e, _)| *own == pattern && *e == exact);
        if !known {
            self.step(1_000 + pattern.len() as u64)?;
            let built = regex::RegexBuilder::new(&pattern)
                .case_insensitive(!exact)
                .size_limit(PATTERN_BYTES)
                .nest_limit(50)
                .build();
            let built = built.map_err(|_| {
                SqlError::new(3685, "HY000", "Illegal argument to a regular expression.")
            })?;
            self.pattern = Some((pattern, exact, built));
        }
        Ok(self.pattern.as_ref().map(|(_, _, pattern)| pattern.is_match(&text)))
    }

    fn case(&mut self, case: &Case, frame: Option<&Frame<'_>>) -> Parsed<Value> {
        let operand = match &case.operand {
            Some(operand) => Some(self.evaluate(operand, frame)?),
            None => None,
        };
        for (when, then) in &case.arms {
            self.step(1)?;
            let taken = match &operand {
                Some(operand) => {
                    let when = self.evaluate(when, frame)?;
                    compare(operand, &when, false) == Some(Ordering::Equal)
                }
                None => self.test(when, frame)? == Some(true),
            };
            if taken {
                return self.evaluate(then, frame);
            }
        }
        case.otherwise.as_ref().map_or(Ok(Value::Null), |otherwise| self.evaluate(otherwise, frame))
    }

    fn collate(&mut self, operand: &Expr, name: &Text, frame: Option<&Frame<'_>>) -> Parsed<Value> {
        let value = self.evaluate(operand, frame)?;
        if name == "binary" {
            return match value {
                Value::Null => Ok(Value::Null),
                value => cast(self, value, super::expression::Cast::Bytes(None)),
            };
        }
        match Collation::named(name) {
            Some(_) => Ok(value),
            None => Err(variables::unknown_collation(name)),
        }
    }

    fn aggregate(&mut self, aggregate: &Aggregate, frame: Option<&Frame<'_>>) -> Parsed<Value> {
        let Some(frame) = frame else {
            // Without a table there is one row: SELECT COUNT(*).
            return match (&aggregate.argument, aggregate.kind) {
                (None, _) => Ok(Value::Int(1)),
                (Some(argument), AggregateKind::Count) => {
                    let value = self.evaluate(argument, None)?;
                    Ok(Value::Int(i64::from(!matches!(value, Value::Null))))
                }
                (Some(argument), _) => self.evaluate(argument, None),
            };
        };
        let Some(group) = frame.group else {
            return Err(SqlError::new(1111, "HY000", "Invalid use of group function"));
        };
        let mut values = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for row in group {
            self.step(1)?;
            let inner = Frame { row, group: None, results: (&[], &[]), ..*frame };
            let value = match &aggregate.argument {
                Some(argument) => self.evaluate(argument, Some(&inner))?,
                None => Value::Int(1),
            };
            let counts = !matches!(value, Value::Null);
            if counts && (!aggregate.distinct || seen.insert(key(&value))) {
                values.push(value);
            }
        }
        self.gather(aggregate, values)
    }

    fn gather(&mut self, aggregate: &Aggregate, values: Vec<Value>) -> Parsed<Value> {
        let count = values.len();
        let best = |wanted: Ordering| {
            values.iter().cloned().reduce(|best, value| {
                if compare(&value, &best, false) == Some(wanted) { value } else { best }
            })
        };
        match aggregate.kind {
            AggregateKind::Count => Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX))),
            AggregateKind::Min => Ok(best(Ordering::Less).unwrap_or_default()),
            AggregateKind::Max => Ok(best(Ordering::Greater).unwrap_or_default()),
            AggregateKind::Concat if count == 0 => Ok(Value::Null),
            AggregateKind::Concat => {
                let mut joined = String::new();
                for (index, value) in values.iter().enumerate() {
                    let text = to_text(value);
                    self.spend(text.len() + aggregate.separator.len())?;
                    if index > 0 {
                        joined.push_str(&aggregate.separator);
                    }
                    joined.push_str(&text);
                }
                Ok(joined.into())
            }
            AggregateKind::Sum | AggregateKind::Average if count == 0 => Ok(Value::Null),
            AggregateKind::Sum | AggregateKind::Average => {
                // Sums of whole numbers are decimals in MySQL, as those of decimals.
                let mut sum = Value::Decimal(Box::new(BigDecimal::from(0)));
                for value in &values {
                    sum = number::apply(Operator::Add, &sum, value)?;
                }
                if aggregate.kind == AggregateKind::Sum {
                    return Ok(sum);
                }
                let count = Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
                number::apply(Operator::Divide, &sum, &count)
            }
        }
    }
}

/// Whether a value is among others: unknown when it is not, and one of them is null.
fn contains(items: impl Iterator<Item = Value>, value: &Value) -> Option<bool> {
    let mut all = Some(false);
    for item in items {
        match compare(value, &item, false) {
            Some(Ordering::Equal) => return Some(true),
            Some(_) => {}
            None => all = None,
        }
    }
    all
}

/// Whether the expression says that texts are compared by their bytes.
fn is_binary(expression: &Expr) -> bool {
    matches!(expression, Expr::Collate(_, name) if Collation::is_binary(name))
}
