//! Queries → rows.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use polyport_core::{Column, Rows, Text, Type, Value};

use super::SqlError;
use super::catalogue;
use super::compare::{compare, key};
use super::evaluate::{Context, Frame, Name};
use super::expression::{Expr, Scope};
use super::number;
use super::parser::Parsed;
use super::query::{Item, Join, JoinKind, Limit, On, Order, Query, Select, Source};
use super::variables;

/// Columns and rows.
pub(super) type Table = (Vec<Column>, Vec<Vec<Value>>);

/// Rows of tables side by side.
#[derive(Default)]
struct Joined {
    names: Vec<Name>,
    kinds: Vec<Type>,
    /// Columns that `*` leaves out, because a join has them twice.
    hidden: Vec<bool>,
    rows: Vec<Vec<Value>>,
}

/// What a `SELECT` gives before it is sorted: each row with the keys it is sorted by.
struct Produced {
    columns: Vec<Column>,
    rows: Vec<(Vec<Value>, Vec<Value>)>,
}

impl Context<'_> {
    /// Answers a query as a result set.
    pub(super) fn answer(&mut self, query: &Query) -> Parsed<Rows> {
        let (columns, rows) = self.query(query, None)?;
        if rows.iter().flatten().any(|cell| matches!(cell, Value::Tuple(_))) {
            return Err(SqlError::new(1241, "21000", "Operand should contain 1 column(s)"));
        }
        let mut rows = rows;
        if query.limit.is_none() {
            rows.truncate(self.rows_most()?);
        }
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        if !query.counts_all {
            self.state.found_rows = count;
        }
        self.state.row_count = -1;
        Ok(Rows { columns, rows })
    }

    /// Runs a query; `outer` is the row of the query around it.
    pub(super) fn query(&mut self, query: &Query, outer: Option<&Frame<'_>>) -> Parsed<Table> {
        self.step(1)?;
        let mut produced = match query.parts.as_slice() {
            [(_, select)] => self.select(select, &query.order, outer)?,
            parts => self.union(parts, &query.order, outer)?,
        };
        if !query.order.is_empty() {
            self.sort(&mut produced.rows, &query.order)?;
        }
        let mut rows: Vec<Vec<Value>> = produced.rows.into_iter().map(|(row, _)| row).collect();
        if query.counts_all {
            self.state.found_rows = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        }
        if let Some(limit) = &query.limit {
            let (skip, count) = self.limit(limit)?;
            rows.drain(..skip.min(rows.len()));
            rows.truncate(count);
        }
        Ok((produced.columns, rows))
    }

    /// Runs a query that stands for one value.
    pub(super) fn scalar(&mut self, query: &Query, outer: Option<&Frame<'_>>) -> Parsed<Value> {
        let (columns, rows) = self.query(query, outer)?;
        if columns.len() != 1 {
            return Err(SqlError::new(1241, "21000", "Operand should contain 1 column(s)"));
        }
        if rows.len() > 1 {
            return Err(SqlError::new(1242, "21000", "Subquery returns more than 1 row"));
        }
        Ok(rows.into_iter().flatten().next().unwrap_or_default())
    }

    /// The rows that `SQL_SELECT_LIMIT` lets through, which JDBC sets for `setMaxRows`.
    fn rows_most(&self) -> Parsed<usize> {
        let variable = variables::find("sql_select_limit")?;
        let most = variable.read(Scope::Any, self.state, self.session);
        Ok(usize::try_from(number::whole(&most)).unwrap_or(usize::MAX))
    }

    fn limit(&mut self, limit: &Limit) -> Parsed<(usize, usize)> {
        let mut number = |expression: &Expr| {
            let value = self.constant(expression)?;
            usize::try_from(number::whole(&value)).map_err(|_| {
                SqlError::new(1064, "42000", "LIMIT takes whole numbers that are not negative")
            })
        };
        let skip = limit.offset.as_ref().map_or(Ok(0), &mut number)?;
        Ok((skip, number(&limit.count)?))
    }

    fn union(
        &mut self,
        parts: &[(bool, Select)],
        order: &[(Expr, Order)],
        outer: Option<&Frame<'_>>,
    ) -> Parsed<Produced> {
        let mut all: Option<(Vec<Column>, Vec<Vec<Value>>)> = None;
        for (keeps_doubles, select) in parts {
            let part = self.select(select, &[], outer)?;
            let rows = part.rows.into_iter().map(|(row, _)| row);
            match &mut all {
                None => all = Some((part.columns, rows.collect())),
                Some((columns, _)) if columns.len() != part.columns.len() => {
                    let text = "The used SELECT statements have a different number of columns";
                    return Err(SqlError::new(1222, "21000", text));
                }
                Some((_, own)) => {
                    own.extend(rows);
                    if !keeps_doubles {
                        self.distinct(own, |row| row)?;
                    }
                }
            }
        }
        let (columns, rows) = all.unwrap_or_default();
        let headings: Vec<Text> = columns.iter().map(|column| column.name.clone()).collect();
        let mut produced = Produced { columns, rows: Vec::with_capacity(rows.len()) };
        for row in rows {
            let frame = Frame {
                columns: &[],
                row: &[],
                group: None,
                results: (&headings, &row),
                outer,
                place: "order clause",
            };
            let keys = self.keys(order, &frame)?;
            produced.rows.push((row, keys));
        }
        Ok(produced)
    }

    fn select(
        &mut self,
        select: &Select,
        order: &[(Expr, Order)],
        outer: Option<&Frame<'_>>,
    ) -> Parsed<Produced> {
        let mut joined = self.from(&select.from, outer)?;
        if let Some(filter) = &select.filter {
            joined.rows = self.filter(filter, joined.names.as_slice(), joined.rows, outer)?;
        }
        let (columns, items) = expand(select, &joined)?;
        let grouped = !select.group.is_empty()
            || items.iter().any(|item| item.is_aggregate())
            || select.having.as_ref().is_some_and(Expr::is_aggregate)
            || order.iter().any(|(key, _)| key.is_aggregate());
        let groups: Vec<Vec<Vec<Value>>> =
            if grouped { self.group(select, &joined, outer)? } else { Vec::new() };
        let headings: Vec<Text> = columns.iter().map(|column| column.name.clone()).collect();
        let mut produced = Produced { columns, rows: Vec::new() };
        let nothing = vec![Value::Null; joined.names.len()];
        let count = if grouped { groups.len() } else { joined.rows.len() };
        for index in 0..count {
            let group = groups.get(index).map(Vec::as_slice);
            let row = match group {
                Some(group) => group.first().unwrap_or(&nothing),
                None => joined.rows.get(index).unwrap_or(&nothing),
            };
            let frame = Frame {
                columns: &joined.names,
                row,
                group,
                results: (&[], &[]),
                outer,
                place: "field list",
            };
            let mut cells = Vec::with_capacity(items.len());
            for item in &items {
                cells.push(self.evaluate(item, Some(&frame))?);
            }
            self.spend(cells.len() * size_of::<Value>())?;
            let results = (headings.as_slice(), cells.as_slice());
            if let Some(having) = &select.having {
                let frame = Frame { results, place: "having clause", ..frame };
                if self.test(having, Some(&frame))? != Some(true) {
                    continue;
                }
            }
            let frame = Frame { results, place: "order clause", ..frame };
            let keys = self.keys(order, &frame)?;
            produced.rows.push((cells, keys));
        }
        // Columns are looked at even when there is no row, so that a wrong name is told.
        if count == 0 {
            let frame = Frame {
                columns: &joined.names,
                row: &nothing,
                group: None,
                results: (&[], &[]),
                outer,
                place: "field list",
            };
            for item in &items {
                if let Expr::Column(..) = item {
                    self.evaluate(item, Some(&frame))?;
                }
            }
        }
        if select.distinct {
            self.distinct(&mut produced.rows, |(row, _)| row)?;
        }
        Ok(produced)
    }

    fn from(&mut self, from: &[Join], outer: Option<&Frame<'_>>) -> Parsed<Joined> {
        let mut joined = Joined { rows: vec![Vec::new()], ..Joined::default() };
        for join in from {
            let (columns, rows) = match &join.source {
                Source::Table(database, table) => catalogue::table(self, database.as_ref(), table)?,
                Source::Query(query) => self.query(query, outer)?,
            };
            self.step(rows.len() as u64)?;
            joined = self.join(joined, join, columns, rows, outer)?;
        }
        Ok(joined)
    }

    fn join(
        &mut self,
        mut left: Joined,
        join: &Join,
        columns: Vec<Column>,
        right: Vec<Vec<Value>>,
        outer: Option<&Frame<'_>>,
    ) -> Parsed<Joined> {
        let own = left.names.len();
        let shared = shared_columns(&left.names, join, &columns)?;
        for (index, column) in columns.iter().enumerate() {
            left.names.push(Name { table: join.alias.clone(), name: column.name.clone() });
            left.kinds.push(column.kind);
            left.hidden.push(shared.iter().any(|(_, theirs)| *theirs == index));
        }
        let width = left.names.len();
        let condition = match &join.on {
            On::Condition(condition) => Some(condition),
            _ => None,
        };
        let (kept, added) = match join.kind {
            JoinKind::Right => (&right, &left.rows),
            _ => (&left.rows, &right),
        };
        let mut rows = Vec::new();
        for one in kept {
            let mut matched = false;
            for other in added {
                self.step(1)?;
                let (first, second) =
                    if join.kind == JoinKind::Right { (other, one) } else { (one, other) };
                let equal = shared.iter().all(|(ours, theirs)| {
                    let (a, b) = (first.get(*ours), second.get(*theirs));
                    a.zip(b).and_then(|(a, b)| compare(a, b, false)) == Some(Ordering::Equal)
                });
                if !equal {
                    continue;
                }
                self.spend(width * size_of::<Value>())?;
                let row: Vec<Value> = first.iter().chain(second).cloned().collect();
                if let Some(condition) = condition {
                    let frame = Frame {
                        columns: &left.names,
                        row: &row,
                        group: None,
                        results: (&[], &[]),
                        outer,
                        place: "on clause",
                    };
                    if self.test(condition, Some(&frame))? != Some(true) {
                        continue;
                    }
                }
                matched = true;
                rows.push(row);
            }
            if !matched && join.kind != JoinKind::Inner {
                let mut row = Vec::with_capacity(width);
                if join.kind == JoinKind::Right {
                    row.resize(own, Value::Null);
                }
                row.extend(one.iter().cloned());
                row.resize(width, Value::Null);
                rows.push(row);
            }
        }
        left.rows = rows;
        Ok(left)
    }

    fn filter(
        &mut self,
        filter: &Expr,
        names: &[Name],
        rows: Vec<Vec<Value>>,
        outer: Option<&Frame<'_>>,
    ) -> Parsed<Vec<Vec<Value>>> {
        let mut kept = Vec::new();
        for row in rows {
            let frame = Frame {
                columns: names,
                row: &row,
                group: None,
                results: (&[], &[]),
                outer,
                place: "where clause",
            };
            if self.test(filter, Some(&frame))? == Some(true) {
                kept.push(row);
            }
        }
        Ok(kept)
    }

    /// Puts rows of equal keys together. Without `GROUP BY` all rows are one group, even none.
    fn group(
        &mut self,
        select: &Select,
        joined: &Joined,
        outer: Option<&Frame<'_>>,
    ) -> Parsed<Vec<Vec<Vec<Value>>>> {
        if select.group.is_empty() {
            return Ok(vec![joined.rows.clone()]);
        }
        let mut groups: Vec<Vec<Vec<Value>>> = Vec::new();
        let mut places: HashMap<Text, usize> = HashMap::new();
        for row in &joined.rows {
            let frame = Frame {
                columns: &joined.names,
                row,
                group: None,
                results: (&[], &[]),
                outer,
                place: "group statement",
            };
            let mut whole = String::new();
            for part in &select.group {
                let part = resolve(part, select);
                whole.push_str(&key(&self.evaluate(part, Some(&frame))?));
                whole.push('\0');
            }
            self.spend(whole.len())?;
            let place = *places.entry(whole.into()).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.push(row.clone()),
                None => groups.push(vec![row.clone()]),
            }
        }
        Ok(groups)
    }

    fn keys(&mut self, order: &[(Expr, Order)], frame: &Frame<'_>) -> Parsed<Vec<Value>> {
        let mut keys = Vec::with_capacity(order.len());
        for (expression, _) in order {
            keys.push(match expression {
                // ORDER BY 2 is the second column.
                Expr::Value(Value::Int(place)) => {
                    let index = usize::try_from(*place).ok().and_then(|n| n.checked_sub(1));
                    let value = index.and_then(|index| frame.results.1.get(index));
                    value.cloned().ok_or_else(|| {
                        SqlError::unknown_column(&place.to_string(), "order clause")
                    })?
                }
                other => self.evaluate(other, Some(frame))?,
            });
        }
        Ok(keys)
    }

    fn sort(
        &mut self,
        rows: &mut [(Vec<Value>, Vec<Value>)],
        order: &[(Expr, Order)],
    ) -> Parsed<()> {
        let count = rows.len() as u64;
        self.step(count.saturating_mul(u64::from(64 - count.leading_zeros())))?;
        rows.sort_by(|(_, left), (_, right)| {
            for ((left, right), (_, order)) in left.iter().zip(right).zip(order) {
                let found = match (left, right) {
                    (Value::Null, Value::Null) => Ordering::Equal,
                    (Value::Null, _) => Ordering::Less,
                    (_, Value::Null) => Ordering::Greater,
                    _ => total(left, right),
                };
                match (found, order) {
                    (Ordering::Equal, _) => {}
                    (found, Order::Ascending) => return found,
                    (found, Order::Descending) => return found.reverse(),
                }
            }
            Ordering::Equal
        });
        Ok(())
    }

    fn distinct<T>(&mut self, rows: &mut Vec<T>, cells: impl Fn(&T) -> &Vec<Value>) -> Parsed<()> {
        let mut seen = HashSet::new();
        self.step(rows.len() as u64)?;
        rows.retain(|row| {
            let whole: Vec<Text> = cells(row).iter().map(key).collect();
            seen.insert(whole.join("\0"))
        });
        Ok(())
    }
}

/// An order that holds for values of different kinds as well, since a sort needs one: a text
/// that is a number equals it, and yet texts among themselves compare by their letters.
fn total(left: &Value, right: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Text(_) | Value::Bytes(_) => 1,
        Value::Time(_) => 2,
        Value::Tuple(_) => 3,
        _ => 0,
    };
    match rank(left).cmp(&rank(right)) {
        Ordering::Equal => compare(left, right, false).unwrap_or(Ordering::Equal),
        unequal => unequal,
    }
}

/// `GROUP BY` may name a heading or a place of the result.
fn resolve<'e>(part: &'e Expr, select: &'e Select) -> &'e Expr {
    let found = match part {
        Expr::Value(Value::Int(place)) => {
            usize::try_from(*place).ok().and_then(|n| select.items.get(n.checked_sub(1)?))
        }
        Expr::Column(None, name) => select.items.iter().find(|item| {
            matches!(item, Item::Value(heading, e)
                if heading.eq_ignore_ascii_case(name) && !matches!(e, Expr::Column(..)))
        }),
        _ => None,
    };
    match found {
        Some(Item::Value(_, expression)) => expression,
        _ => part,
    }
}

/// Pairs of columns that `USING` or `NATURAL` compare: in the rows before, in the new table.
fn shared_columns(names: &[Name], join: &Join, columns: &[Column]) -> Parsed<Vec<(usize, usize)>> {
    let ours = |name: &Text| names.iter().position(|own| own.name.eq_ignore_ascii_case(name));
    let theirs = |name: &Text| columns.iter().position(|own| own.name.eq_ignore_ascii_case(name));
    match &join.on {
        On::Nothing | On::Condition(_) => Ok(Vec::new()),
        On::Columns(list) => list
            .iter()
            .map(|name| {
                let pair = ours(name).zip(theirs(name));
                pair.ok_or_else(|| SqlError::unknown_column(name, "from clause"))
            })
            .collect(),
        On::Natural => Ok(columns
            .iter()
            .enumerate()
            .filter_map(|(index, column)| Some((ours(&column.name)?, index)))
            .collect()),
    }
}

/// Replaces stars by the columns they stand for.
fn expand(select: &Select, joined: &Joined) -> Parsed<(Vec<Column>, Vec<Expr>)> {
    let (mut columns, mut items) = (Vec::new(), Vec::new());
    for item in &select.items {
        match item {
            Item::Star(_) if joined.names.is_empty() => {
                return Err(SqlError::new(1096, "HY000", "No tables used"));
            }
            Item::Star(table) => {
                let before = items.len();
                let all = joined.names.iter().zip(&joined.kinds).zip(&joined.hidden);
                for ((name, kind), hidden) in all {
                    let wanted = match table {
                        Some(table) => name.table.eq_ignore_ascii_case(table),
                        None => !hidden,
                    };
                    if wanted {
                        columns.push(Column::typed(name.name.clone(), *kind));
                        let table = Some(name.table.clone());
                        items.push(Expr::Column(table, name.name.clone()));
                    }
                }
                if items.len() == before {
                    let table = table.as_deref().unwrap_or("*");
                    let text = format!("Unknown table '{table}'");
                    return Err(SqlError::new(1051, "42S02", text));
                }
            }
            Item::Value(heading, expression) => {
                let kind = match expression {
                    Expr::Column(table, name) => joined
                        .names
                        .iter()
                        .position(|own| {
                            let of = table.as_ref();
                            own.name.eq_ignore_ascii_case(name)
                                && of.is_none_or(|of| own.table.eq_ignore_ascii_case(of))
                        })
                        .and_then(|index| joined.kinds.get(index).copied()),
                    _ => None,
                };
                columns.push(Column::typed(heading.clone(), kind.unwrap_or_default()));
                items.push(expression.clone());
            }
        }
    }
    Ok((columns, items))
}

impl Expr {
    /// Whether a function over a group is in the expression, outside of queries within it.
    fn is_aggregate(&self) -> bool {
        let any = |list: &[Self]| list.iter().any(Self::is_aggregate);
        match self {
            Self::Aggregate(_) => true,
            Self::Assign(_, inner)
            | Self::Cast(inner, _)
            | Self::Negate(inner)
            | Self::Invert(inner)
            | Self::Not(inner)
            | Self::Is(inner, _)
            | Self::InQuery(inner, _)
            | Self::Interval(inner, _)
            | Self::Collate(inner, _) => inner.is_aggregate(),
            Self::Call(_, list)
            | Self::And(list)
            | Self::Or(list)
            | Self::Xor(list)
            | Self::Tuple(list)
            | Self::List(list)
            | Self::Set(list) => any(list),
            Self::Chain(first, rest) => {
                first.is_aggregate() || rest.iter().any(|(_, term)| term.is_aggregate())
            }
            Self::Compare(_, sides) => sides.0.is_aggregate() || sides.1.is_aggregate(),
            Self::Regexp(sides) => sides.0.is_aggregate() || sides.1.is_aggregate(),
            Self::In(operand, list) => operand.is_aggregate() || any(list),
            Self::Between(parts) => any(&**parts),
            Self::Like(parts) => parts.0.is_aggregate() || parts.1.is_aggregate(),
            Self::Case(case) => {
                case.operand.as_ref().is_some_and(Self::is_aggregate)
                    || case.otherwise.as_ref().is_some_and(Self::is_aggregate)
                    || case.arms.iter().any(|(a, b)| a.is_aggregate() || b.is_aggregate())
            }
            Self::Map(pairs) => pairs.iter().any(|(a, b)| a.is_aggregate() || b.is_aggregate()),
            Self::Value(_)
            | Self::Mark(_)
            | Self::User(_)
            | Self::System(..)
            | Self::Column(..)
            | Self::Query(_)
            | Self::Exists(_) => false,
        }
    }
}
