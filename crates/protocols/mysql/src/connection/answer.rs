//! Running statements and sending what they answer.

use std::pin::pin;

use futures_util::FutureExt as _;
use polyport_core::{Arguments, Fault, Interrupt, Reply, Rows, Stream, Text, Value};
use polyport_wire::Ended;

use super::{Client, Stop};
use crate::codec::Capabilities;
use crate::codec::column::ColumnType;
use crate::config::Results;
use crate::fault::{self, Place, Routine};
use crate::resultset::{self, Answer, Format};
use crate::sql::{Action, SqlError, Then};

/// How a statement went: whether the next one of the same text is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    Well,
    Wrong,
}

/// What an answer is written with.
#[derive(Clone, Copy, Debug)]
struct Style {
    format: Format,
    /// Whether another statement's answer follows.
    more: bool,
}

impl Client {
    /// Runs a statement and those after it, up to the first that fails.
    pub(super) async fn statements(
        &mut self,
        mut action: Action,
        mut rest: &[u8],
        format: Format,
    ) -> Result<(), Stop> {
        loop {
            let style = Style { format, more: !rest.is_empty() };
            let went = self.act(action, style).await?;
            if rest.is_empty() || went == Went::Wrong {
                return Ok(());
            }
            let (next, used) = match self.desk.next(rest) {
                Ok(next) => next,
                Err(error) => {
                    self.line.error(&error);
                    return Ok(());
                }
            };
            (action, rest) = (next, rest.get(used..).unwrap_or_default());
            self.line.charset = self.desk.state.results();
            if let Err(ended) = self.line.relieve().await {
                return self.stopped(ended).map(drop);
            }
        }
    }

    async fn act(&mut self, action: Action, style: Style) -> Result<Went, Stop> {
        if let Action::Call { name, arguments, then, .. } = action {
            return self.call(&name, arguments, then, style).await;
        }
        self.line.guest.connection().touch();
        match action {
            Action::Rows(rows) => return self.table(&rows, style, style.more).await,
            Action::Use(database) => self.done(0, style.more, Some(&database)),
            Action::Kill { id, only_call } => {
                if let Err(error) = self.desk.kill(id, only_call) {
                    return Ok(self.fail(&error));
                }
                self.done(0, style.more, None);
            }
            Action::Wait(time, rows) => {
                match self.line.wire.during(Box::pin(tokio::time::sleep(time))).await {
                    Ok(()) => {}
                    Err(Ended::Interrupted(Interrupt::Call)) => {
                        self.line.guest.connection().clear_call_interrupt();
                    }
                    Err(ended) => return Err(ended.into()),
                }
                return self.table(&rows, style, style.more).await;
            }
            Action::Done | Action::Call { .. } => self.done(0, style.more, None),
        }
        Ok(Went::Well)
    }

    /// Calls a function and answers with its result.
    async fn call(
        &mut self,
        name: &Text,
        arguments: Vec<Value>,
        then: Then,
        style: Style,
    ) -> Result<Went, Stop> {
        if arguments.is_empty()
            && let Some(own) = self.desk.house_call(name, &self.line.guest, &self.mysql.config)
        {
            let answer = own.map_or(Answer::Nothing { affected: 0 }, Answer::Table);
            return self.answers(vec![answer], name, style).await;
        }
        let result = {
            // Pinned here, the call is not moved, and so not kept in several places.
            let call = pin!(self.desk.session.call(name, Arguments::positional(arguments)));
            self.line.wire.during(call).await
        };
        match result {
            Ok(Ok(reply)) if then == Then::Answer => self.reply(reply, name, style).await,
            Ok(Ok(reply)) => Box::pin(self.keep(reply, name, then, style)).await,
            Ok(Err(fault)) if then == Then::Answer => Ok(self.fault(&fault, name)),
            Ok(Err(fault)) => Ok(self.fault_of(Routine::Function, &fault, name)),
            Err(ended) => self.stopped(ended),
        }
    }

    /// A call that was stopped from outside, which need not be the end of the connection.
    fn stopped(&mut self, ended: Ended) -> Result<Went, Stop> {
        match ended {
            Ended::Interrupted(Interrupt::Call) => {
                self.line.guest.connection().clear_call_interrupt();
                Ok(self.fail(&fault::cancelled()))
            }
            ended => Err(ended.into()),
        }
    }

    fn fail(&mut self, error: &SqlError) -> Went {
        self.desk.state.failed(error.errno, &error.message);
        self.line.error(error);
        Went::Wrong
    }

    fn fault(&mut self, fault: &Fault, function: &str) -> Went {
        self.fault_of(Routine::Procedure, fault, function)
    }

    fn fault_of(&mut self, routine: Routine, fault: &Fault, function: &str) -> Went {
        let results = self.config().results;
        let database = &self.desk.state.database;
        let error = fault::translate(fault, Place { function, routine, database, results });
        self.fail(&error)
    }

    async fn reply(&mut self, reply: Reply, name: &str, style: Style) -> Result<Went, Stop> {
        let mut all = Vec::with_capacity(1);
        match resultset::answers(reply, self.config().results, &mut all) {
            Ok(()) => self.answers(all, name, style).await,
            Err(fault) => Ok(self.fault(&fault, name)),
        }
    }

    /// Sends results one after the other. Of several, each announces the next, and an OK ends
    /// them; whether one alone does so too is configured.
    async fn answers(&mut self, all: Vec<Answer>, name: &str, style: Style) -> Result<Went, Stop> {
        let several = all.len() > 1;
        if several && !self.line.capabilities.has(Capabilities::MULTI_RESULTS) {
            let text = format!("PROCEDURE {name} can't return a result set in the given context");
            return Ok(self.fail(&SqlError::new(1312, "0A000", text)));
        }
        let procedure = self.config().results == Results::Procedure
            && self.line.capabilities.has(Capabilities::MULTI_RESULTS);
        let mut ends_with_ok = several || all.is_empty();
        for answer in all {
            let is_table = !matches!(answer, Answer::Nothing { .. });
            ends_with_ok |= procedure && is_table;
            let more = ends_with_ok || style.more;
            let went = match answer {
                Answer::Nothing { affected } => {
                    self.desk.state.answered(None);
                    self.done(affected, more, None);
                    Went::Well
                }
                Answer::Table(rows) => self.table(&rows, style, more).await?,
                // Streams are rare, and their futures too large to be kept by each connection.
                Answer::Stream(stream) if stream.columns().is_empty() => {
                    Box::pin(self.gathered(stream, name, style, more)).await?
                }
                Answer::Stream(stream) => Box::pin(self.stream(stream, name, style, more)).await?,
            };
            if went == Went::Wrong {
                return Ok(went);
            }
        }
        if ends_with_ok {
            self.done(0, style.more, None);
        }
        Ok(Went::Well)
    }

    /// Sends a table. Its rows are written in pieces, so that it is not twice in memory.
    async fn table(&mut self, rows: &Rows, style: Style, more: bool) -> Result<Went, Stop> {
        let kinds = match resultset::column_types(rows) {
            Ok(kinds) => kinds,
            Err(fault) => return Ok(self.fault(&fault, "")),
        };
        let (charset, status) = (self.line.charset, self.status(more));
        resultset::write_head(&mut self.line.writer(), &rows.columns, &kinds, charset, status);
        for cells in &rows.rows {
            if let Err(error) = self.row(&kinds, cells, style.format) {
                return Ok(self.fail(&error));
            }
            if let Err(ended) = self.line.relieve().await {
                return self.stopped(ended);
            }
        }
        self.desk.state.answered(Some(rows.rows.len()));
        self.end_of_rows(more);
        Ok(Went::Well)
    }

    fn row(
        &mut self,
        kinds: &[ColumnType],
        cells: &[Value],
        format: Format,
    ) -> Result<(), SqlError> {
        let charset = self.line.charset;
        resultset::write_row(&mut self.line.writer(), kinds, cells, format, charset)
    }

    /// Sends a stream whose columns are declared, row by row. What is written goes out before the
    /// next row is waited for, and no row is asked for while the client does not take the last.
    async fn stream(
        &mut self,
        mut stream: Stream,
        name: &str,
        style: Style,
        more: bool,
    ) -> Result<Went, Stop> {
        let columns = stream.columns().to_vec();
        let kinds: Vec<_> = columns.iter().map(|c| ColumnType::declared(c.kind)).collect();
        let (charset, status) = (self.line.charset, self.status(more));
        resultset::write_head(&mut self.line.writer(), &columns, &kinds, charset, status);
        let mut count = 0;
        loop {
            let item = match self.next_item(&mut stream).await {
                Ok(None) => break,
                Ok(Some(item)) => item,
                Err(ended) => return self.stopped(ended),
            };
            let cells = item.and_then(|item| resultset::stream_row(item, &columns));
            let cells = match cells {
                Ok(cells) => cells,
                Err(fault) => return Ok(self.fault(&fault, name)),
            };
            if let Err(error) = self.row(&kinds, &cells, style.format) {
                return Ok(self.fail(&error));
            }
            count += 1;
        }
        self.desk.state.answered(Some(count));
        self.end_of_rows(more);
        Ok(Went::Well)
    }

    /// The next item of a stream.
    async fn next_item(
        &mut self,
        stream: &mut Stream,
    ) -> Result<Option<Result<Value, Fault>>, Ended> {
        self.line.relieve().await?;
        if let Some(item) = stream.next().now_or_never() {
            return Ok(item);
        }
        self.line.wire.flush().await?;
        self.line.wire.during(stream.next()).await
    }

    /// Sends a stream whose columns are not declared: its types are known at its end.
    async fn gathered(
        &mut self,
        stream: Stream,
        name: &str,
        style: Style,
        more: bool,
    ) -> Result<Went, Stop> {
        let limit = self.desk.session.limits().gathered_items;
        let items = match self.line.wire.during(stream.gather(limit)).await {
            Ok(Ok(items)) => items,
            Ok(Err(fault)) => return Ok(self.fault(&fault, name)),
            Err(ended) => return self.stopped(ended),
        };
        match resultset::answer(Value::List(items), self.config().results) {
            Ok(Answer::Table(rows)) => self.table(&rows, style, more).await,
            Ok(Answer::Nothing { affected }) => {
                self.done(affected, more, None);
                Ok(Went::Well)
            }
            Ok(Answer::Stream(_)) => Ok(Went::Well),
            Err(fault) => Ok(self.fault(&fault, name)),
        }
    }

    /// Does with a result what the statement wants other than showing it as it is.
    async fn keep(
        &mut self,
        reply: Reply,
        name: &str,
        then: Then,
        style: Style,
    ) -> Result<Went, Stop> {
        let value = match self.single(reply).await {
            Ok(Ok(value)) => value,
            Ok(Err(fault)) => return Ok(self.fault(&fault, name)),
            Err(ended) => return self.stopped(ended),
        };
        match then {
            Then::Cell(heading) => {
                let rows = resultset::one_column(heading, vec![value]);
                return self.table(&rows, style, style.more).await;
            }
            Then::Assign(variable) => {
                if let Err(error) = self.desk.state.assign(&variable, value) {
                    return Ok(self.fail(&error));
                }
            }
            Then::Drop | Then::Answer => {}
        }
        self.done(0, style.more, None);
        Ok(Went::Well)
    }

    /// A reply as one value: a table of one cell is its cell.
    async fn single(&mut self, reply: Reply) -> Result<Result<Value, Fault>, Ended> {
        let reply = match reply {
            Reply::Value(value) => return Ok(Ok(value)),
            Reply::Rows(mut rows) if rows.columns.len() == 1 && rows.rows.len() < 2 => {
                let cell = rows.rows.pop().and_then(|mut cells| cells.pop());
                return Ok(Ok(cell.unwrap_or_default()));
            }
            other => other,
        };
        let limit = self.desk.session.limits().gathered_items;
        self.line.wire.during(reply.into_value(limit)).await
    }
}
