//! `SHOW` and `DESCRIBE`.

mod parse;

use polyport_core::{Column, Rows, Text, Type, Value};

use super::SqlError;
use super::catalogue::{self, columns, find_database};
use super::compare::like;
use super::evaluate::{Context, Frame, Name};
use super::expression::{Expr, Scope};
use super::number;
use super::parser::Parsed;
use super::query::Limit;
use super::text::to_text;

/// A `SHOW` statement: what, and which rows of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Show {
    pub(super) subject: Subject,
    pub(super) filter: Filter,
    pub(super) limit: Option<Limit>,
}

/// Which rows are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Filter {
    #[default]
    All,
    Like(Text),
    Where(Expr),
}

/// What is shown.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Subject {
    Databases,
    /// Of a database; with their type.
    Tables(Option<Text>, bool),
    TableStatus(Option<Text>),
    /// Of a table in a database; with all that is known.
    Columns(Option<Text>, Text, bool),
    Index(Option<Text>, Text),
    CreateDatabase(Text),
    /// A table or a view.
    CreateTable(Option<Text>, Text),
    /// `PROCEDURE` or `FUNCTION`.
    CreateRoutine(&'static str, Text),
    RoutineStatus(&'static str),
    Variables(Scope),
    Status,
    Warnings(bool),
    CountWarnings(bool),
    Processes(bool),
    Privileges,
    /// Of a user; `None` is the own one.
    Grants(Option<Text>),
    /// A table of the catalogue, shown under other headings: its name, its columns, and what they
    /// are called.
    Catalogue(&'static str, &'static [(&'static str, &'static str)]),
    /// Of something that this server never has: its headings.
    Nothing(&'static str),
    /// Of something for a database, as `Nothing`.
    NothingOf(Option<Text>, &'static str),
    /// What cannot be shown, and why.
    Refused(u16, &'static str, &'static str),
}

impl Show {
    /// Whether it looks at the warnings, which it then must not clear.
    pub(super) const fn keeps_warnings(&self) -> bool {
        matches!(self.subject, Subject::Warnings(_) | Subject::CountWarnings(_))
    }
}

impl Context<'_> {
    /// Answers a `SHOW`.
    pub(super) fn show(&mut self, show: &Show) -> Parsed<Rows> {
        let mut shown = self.subject(&show.subject, &show.filter)?;
        self.pick(&mut shown, &show.filter)?;
        if let Some(limit) = &show.limit {
            let mut number = |expression: &Expr| {
                self.constant(expression)
                    .map(|value| usize::try_from(number::whole(&value)).unwrap_or(0))
            };
            let skip = limit.offset.as_ref().map_or(Ok(0), &mut number)?;
            let count = number(&limit.count)?;
            shown.rows.drain(..skip.min(shown.rows.len()));
            shown.rows.truncate(count);
        }
        self.state.row_count = -1;
        self.state.found_rows = i64::try_from(shown.rows.len()).unwrap_or(i64::MAX);
        Ok(shown)
    }

    fn subject(&mut self, subject: &Subject, filter: &Filter) -> Parsed<Rows> {
        let pattern = match filter {
            Filter::Like(pattern) => format!(" ({pattern})"),
            _ => String::new(),
        };
        match subject {
            Subject::Databases => {
                let heading = format!("Database{pattern}");
                let mut rows = Rows::new([Column::typed(heading, Type::Text)]);
                let mut names = catalogue::databases(self.session);
                names.sort();
                rows.rows = names.into_iter().map(|name| vec![Value::Text(name)]).collect();
                Ok(rows)
            }
            Subject::Tables(database, full) => self.tables(database.as_ref(), *full, &pattern),
            Subject::TableStatus(database) => {
                catalogue::database(self.state, self.session, database.as_ref())?;
                Ok(empty(TABLE_STATUS))
            }
            Subject::Columns(database, table, full) => {
                self.columns(database.as_ref(), table, *full)
            }
            Subject::Index(database, table) => {
                catalogue::find(self, database.as_ref(), table)?;
                Ok(empty(INDEX))
            }
            Subject::CreateDatabase(name) => self.create_database_text(name),
            Subject::CreateTable(database, table) => {
                self.create_table_text(database.as_ref(), table)
            }
            Subject::CreateRoutine(kind, name) => self.create_routine(kind, name),
            Subject::RoutineStatus(kind) => self.routine_status(kind),
            Subject::Variables(scope) => {
                let columns = headings(&["Variable_name", "Value"]);
                let row = |own: &super::variables::Variable| {
                    vec![own.name.into(), own.show(*scope, self.state, self.session)]
                };
                Ok(Rows { columns, rows: super::variables::TABLE.iter().map(row).collect() })
            }
            Subject::Status => {
                let columns = headings(&["Variable_name", "Value"]);
                let row = |(name, value): (&'static str, Value)| vec![name.into(), value];
                Ok(Rows { columns, rows: catalogue::status(self).into_iter().map(row).collect() })
            }
            Subject::Warnings(errors) => Ok(self.warnings(*errors)),
            Subject::CountWarnings(errors) => {
                let count = self.warnings(*errors).rows.len();
                let name = if *errors { "error_count" } else { "warning_count" };
                let heading = Column::typed(format!("@@session.{name}"), Type::Int);
                let count = Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
                Ok(Rows::new([heading]).cells(vec![count]))
            }
            Subject::Processes(full) => self.processes(*full),
            Subject::Privileges => Ok(privileges()),
            Subject::Grants(user) => self.grants(user.as_ref()),
            Subject::Catalogue(table, names) => self.listed(table, names),
            Subject::Nothing(list) => Ok(empty(list)),
            Subject::NothingOf(database, list) => {
                catalogue::database(self.state, self.session, database.as_ref())?;
                Ok(empty(list))
            }
            Subject::Refused(errno, state, message) => Err(SqlError::new(*errno, state, *message)),
        }
    }

    /// Keeps the rows that `LIKE` or `WHERE` asks for. `LIKE` looks at the first column, and for
    /// routines at their name.
    fn pick(&mut self, shown: &mut Rows, filter: &Filter) -> Parsed<()> {
        match filter {
            Filter::All => Ok(()),
            Filter::Like(pattern) => {
                let by_name = shown.columns.iter().position(|column| column.name == "Name");
                let index = by_name.unwrap_or(0);
                let mut kept = Vec::new();
                for row in std::mem::take(&mut shown.rows) {
                    let name = row.get(index).map(to_text).unwrap_or_default();
                    self.spend(4 * (name.len() + pattern.len()))?;
                    match like(&name, pattern, Some('\\'), false, &mut self.steps) {
                        Some(true) => kept.push(row),
                        Some(false) => {}
                        None => return Err(SqlError::too_much("time")),
                    }
                }
                shown.rows = kept;
                Ok(())
            }
            Filter::Where(filter) => {
                let names: Vec<Name> = shown
                    .columns
                    .iter()
                    .map(|column| Name { table: Text::new(), name: column.name.clone() })
                    .collect();
                let mut kept = Vec::new();
                for row in std::mem::take(&mut shown.rows) {
                    let frame = Frame {
                        columns: &names,
                        row: &row,
                        group: None,
                        results: (&[], &[]),
                        outer: None,
                        place: "where clause",
                    };
                    if self.test(filter, Some(&frame))? == Some(true) {
                        kept.push(row);
                    }
                }
                shown.rows = kept;
                Ok(())
            }
        }
    }

    fn tables(&mut self, database: Option<&Text>, full: bool, pattern: &str) -> Parsed<Rows> {
        let database = catalogue::database(self.state, self.session, database)?;
        let heading = format!("Tables_in_{database}{pattern}");
        let mut columns = vec![Column::typed(heading, Type::Text)];
        if full {
            columns.push(Column::typed("Table_type", Type::Text));
        }
        let mut rows = Rows { columns, rows: Vec::new() };
        let own = catalogue::DEFINITIONS.iter().filter(|own| database == own.database);
        let mut names: Vec<&str> = own.map(|own| own.name).collect();
        names.sort_unstable();
        for name in names {
            let mut cells = vec![name.into()];
            if full {
                cells.push("SYSTEM VIEW".into());
            }
            rows.push(cells);
        }
        Ok(rows)
    }

    fn columns(&mut self, database: Option<&Text>, table: &Text, full: bool) -> Parsed<Rows> {
        let own = catalogue::find(self, database, table)?;
        let list = if full {
            "Field Type Collation Null Key Default Extra Privileges Comment"
        } else {
            "Field Type Null Key Default Extra"
        };
        let mut rows = empty(list);
        for (name, number) in own.columns() {
            let kind = Value::from(catalogue::column_type(number));
            let (null, none) = (Value::from("YES"), Value::from(""));
            let collation = if number { Value::Null } else { Value::from("utf8mb4_0900_ai_ci") };
            rows.push(if full {
                let privileges = "select".into();
                let extra = none.clone();
                let comment = none.clone();
                vec![
                    name.into(),
                    kind,
                    collation,
                    null,
                    none,
                    Value::Null,
                    extra,
                    privileges,
                    comment,
                ]
            } else {
                vec![name.into(), kind, null, none.clone(), Value::Null, none]
            });
        }
        Ok(rows)
    }

    fn create_database_text(&self, name: &Text) -> Parsed<Rows> {
        let name =
            find_database(self.session, name).ok_or_else(|| SqlError::unknown_database(name))?;
        let create = format!(
            "CREATE DATABASE `{}` /*!40100 DEFAULT CHARACTER SET utf8mb4 COLLATE \
             utf8mb4_0900_ai_ci */ /*!80016 DEFAULT ENCRYPTION='N' */",
            name.replace('`', "``")
        );
        let rows = Rows { columns: headings(&["Database", "Create Database"]), rows: vec![] };
        Ok(rows.cells(vec![Value::Text(name), create.into()]))
    }

    fn create_table_text(&self, database: Option<&Text>, table: &Text) -> Parsed<Rows> {
        let own = catalogue::find(self, database, table)?;
        let line = |(name, number): (&str, bool)| {
            format!("  `{name}` {} DEFAULT NULL", catalogue::column_type(number))
        };
        let lines: Vec<String> = own.columns().map(line).collect();
        let create = format!(
            "CREATE TEMPORARY TABLE `{}` (\n{}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
            own.name,
            lines.join(",\n")
        );
        let rows = Rows { columns: headings(&["Table", "Create Table"]), rows: vec![] };
        Ok(rows.cells(vec![own.name.into(), create.into()]))
    }

    fn create_routine(&mut self, kind: &str, name: &Text) -> Parsed<Rows> {
        let function = match kind {
            "PROCEDURE" => catalogue::function(self.session, name),
            _ => None,
        };
        let Some((name, function)) = function else { return Err(SqlError::no_routine(kind, name)) };
        let comment = match function.help() {
            "" => String::new(),
            help => format!("\n    COMMENT '{}'", help.replace('\\', "\\\\").replace('\'', "''")),
        };
        let create = format!(
            "CREATE DEFINER=`{}`@`%` PROCEDURE `{}`({})\n    NO SQL\n    SQL SECURITY INVOKER{comment}\n\
             BEGIN\n  -- A function of this server, written in its own language.\nEND",
            self.session.user().name.replace('`', "``"),
            name.replace('`', "``"),
            catalogue::parameters(&function),
        );
        let columns = headings(&[
            "Procedure",
            "sql_mode",
            "Create Procedure",
            "character_set_client",
            "collation_connection",
            "Database Collation",
        ]);
        let collation = Value::from("utf8mb4_0900_ai_ci");
        let cells = vec![
            name.to_owned().into(),
            "".into(),
            create.into(),
            "utf8mb4".into(),
            collation.clone(),
            collation,
        ];
        Ok(Rows { columns, rows: vec![cells] })
    }

    fn routine_status(&mut self, kind: &str) -> Parsed<Rows> {
        let mut rows = Rows {
            columns: headings(&[
                "Db",
                "Name",
                "Type",
                "Definer",
                "Modified",
                "Created",
                "Security_type",
                "Comment",
                "character_set_client",
                "collation_connection",
                "Database Collation",
            ]),
            rows: Vec::new(),
        };
        if kind != "PROCEDURE" {
            return Ok(rows);
        }
        let names = [
            "ROUTINE_SCHEMA",
            "ROUTINE_NAME",
            "ROUTINE_TYPE",
            "DEFINER",
            "LAST_ALTERED",
            "CREATED",
            "SECURITY_TYPE",
            "ROUTINE_COMMENT",
            "CHARACTER_SET_CLIENT",
            "COLLATION_CONNECTION",
            "DATABASE_COLLATION",
        ];
        rows.rows = self.selected("ROUTINES", &names)?;
        Ok(rows)
    }

    fn warnings(&self, errors: bool) -> Rows {
        let mut rows = empty("Level Code# Message");
        for warning in &self.state.warnings {
            if !errors || warning.level == "Error" {
                let code = Value::Int(warning.code.into());
                rows.push(vec![warning.level.into(), code, warning.message.clone().into()]);
            }
        }
        rows
    }

    fn processes(&mut self, full: bool) -> Parsed<Rows> {
        let mut rows = empty("Id# User Host db Command Time# State Info");
        let names = ["ID", "USER", "HOST", "DB", "COMMAND", "TIME", "STATE", "INFO"];
        rows.rows = self.selected("PROCESSLIST", &names)?;
        if !full {
            for row in &mut rows.rows {
                if let Some(Value::Text(info)) = row.last_mut() {
                    *info = info.chars().take(100).collect::<String>().into();
                }
            }
        }
        Ok(rows)
    }

    fn grants(&self, of: Option<&Text>) -> Parsed<Rows> {
        let user = self.session.user();
        if let Some(of) = of.filter(|of| **of != user.name) {
            let text = format!("There is no such grant defined for user '{of}' on host '%'");
            return Err(SqlError::new(1141, "42000", text));
        }
        let name = format!("`{}`@`%`", user.name.replace('`', "``"));
        let heading = format!("Grants for {}@%", user.name);
        let mut rows = Rows::new([Column::typed(heading, Type::Text)]);
        if self.session.is_admin() {
            let all = format!("GRANT ALL PRIVILEGES ON *.* TO {name} WITH GRANT OPTION");
            rows.push(vec![all.into()]);
            return Ok(rows);
        }
        rows.push(vec![format!("GRANT USAGE ON *.* TO {name}").into()]);
        for database in self.session.databases() {
            let database = database.replace('`', "``");
            rows.push(vec![format!("GRANT EXECUTE ON `{database}`.* TO {name}").into()]);
        }
        Ok(rows)
    }

    fn listed(&mut self, table: &str, names: &[(&str, &str)]) -> Parsed<Rows> {
        let own: Vec<&str> = names.iter().map(|(own, _)| *own).collect();
        let columns = names
            .iter()
            .map(|(_, shown)| match shown.strip_suffix('#') {
                Some(name) => Column::typed(Text::from(name.to_owned()), Type::Int),
                None => Column::typed(Text::from((*shown).to_owned()), Type::Text),
            })
            .collect();
        Ok(Rows { columns, rows: self.selected(table, &own)? })
    }

    /// Some columns of a table of `information_schema`.
    fn selected(&mut self, table: &str, names: &[&str]) -> Parsed<Vec<Vec<Value>>> {
        let schema = Text::from("information_schema");
        let (columns, rows) = catalogue::table(self, Some(&schema), &table.to_owned().into())?;
        let places: Vec<usize> = names
            .iter()
            .filter_map(|name| columns.iter().position(|column| column.name == *name))
            .collect();
        let pick = |row: Vec<Value>| {
            places.iter().map(|place| row.get(*place).cloned().unwrap_or_default()).collect()
        };
        Ok(rows.into_iter().map(pick).collect())
    }
}

/// The rights that `SHOW GRANTS` may list.
fn privileges() -> Rows {
    let rows = [
        ["Execute", "Functions,Procedures", "To execute stored routines"],
        ["Super", "Server Admin", "To do everything"],
        ["Usage", "Server Admin", "No privileges - allow connect only"],
    ];
    let cells = |row: [&'static str; 3]| row.map(Value::from).to_vec();
    Rows {
        columns: headings(&["Privilege", "Context", "Comment"]),
        rows: rows.into_iter().map(cells).collect(),
    }
}

fn headings(names: &[&'static str]) -> Vec<Column> {
    names.iter().map(|name| Column::typed(*name, Type::Text)).collect()
}

/// No rows under these headings, in which `~` stands for a blank.
fn empty(list: &str) -> Rows {
    let mut columns = columns(list);
    for column in &mut columns {
        if column.name.contains('~') {
            column.name = column.name.replace('~', " ").into();
        }
    }
    Rows { columns, rows: Vec::new() }
}

const TABLE_STATUS: &str = "Name Engine Version# Row_format Rows# Avg_row_length# Data_length# \
    Max_data_length# Index_length# Data_free# Auto_increment# Create_time Update_time Check_time \
    Collation Checksum# Create_options Comment";

const INDEX: &str = "Table Non_unique# Key_name Seq_in_index# Column_name Collation Cardinality# \
    Sub_part# Packed Null Index_type Comment Index_comment Visible Expression";
