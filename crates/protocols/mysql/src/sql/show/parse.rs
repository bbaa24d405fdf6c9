//! `SHOW`, as it is written.

use super::{Filter, Scope, Show, Subject};
use crate::sql::SqlError;
use crate::sql::lexer::Token;
use crate::sql::parser::{Parsed, Parser};
use polyport_core::Text;

impl Parser<'_> {
    /// Takes what follows `SHOW`.
    pub(in crate::sql) fn show(&mut self) -> Parsed<Show> {
        let subject = self.subject()?;
        let filter = if self.take("LIKE") {
            Filter::Like(self.text()?)
        } else if self.take("WHERE") {
            Filter::Where(self.expression()?)
        } else {
            Filter::All
        };
        Ok(Show { subject, filter, limit: self.limit()? })
    }

    /// Takes what follows `DESCRIBE`.
    pub(in crate::sql) fn describe(&mut self) -> Parsed<Show> {
        let (database, table) = self.table_name()?;
        let filter = match self.token {
            Token::Text(..) => Filter::Like(self.text()?),
            Token::Word(_) | Token::Name(..) => Filter::Like(self.any_name()?),
            _ => Filter::All,
        };
        Ok(Show { subject: Subject::Columns(database, table, false), filter, limit: None })
    }

    fn subject(&mut self) -> Parsed<Subject> {
        let full = self.take("FULL");
        self.take("EXTENDED");
        let full = full || self.take("FULL");
        let scope = match self.take_any(&["GLOBAL", "SESSION", "LOCAL"]) {
            Some("GLOBAL") => Scope::Global,
            Some(_) => Scope::Session,
            None => Scope::Any,
        };
        let Token::Word(word) = self.token else { return self.error() };
        let word = String::from_utf8_lossy(word).to_ascii_uppercase();
        let before = self.clone();
        self.next();
        let subject = match word.as_str() {
            "DATABASES" | "SCHEMAS" => Subject::Databases,
            "TABLES" => Subject::Tables(self.of_database()?, full),
            "TABLE" if self.take("STATUS") => Subject::TableStatus(self.of_database()?),
            "COLUMNS" | "FIELDS" => {
                let (database, table) = self.of_table()?;
                Subject::Columns(database, table, full)
            }
            "INDEX" | "INDEXES" | "KEYS" => {
                let (database, table) = self.of_table()?;
                Subject::Index(database, table)
            }
            "CREATE" => self.create()?,
            "PROCEDURE" => self.routines("PROCEDURE")?,
            "FUNCTION" => self.routines("FUNCTION")?,
            "VARIABLES" => Subject::Variables(scope),
            "STATUS" => Subject::Status,
            "WARNINGS" => Subject::Warnings(false),
            "ERRORS" => Subject::Warnings(true),
            "COUNT" => self.count()?,
            "PROCESSLIST" => Subject::Processes(full),
            "GRANTS" => Subject::Grants(if self.take("FOR") { self.user()? } else { None }),
            "STORAGE" if self.take("ENGINES") => ENGINES,
            "ENGINES" => ENGINES,
            "PLUGINS" => PLUGINS,
            "PRIVILEGES" => Subject::Privileges,
            "CHARSET" => CHARSETS,
            "CHARACTER" if self.take("SET") => CHARSETS,
            "COLLATION" => COLLATIONS,
            "ENGINE" => {
                self.any_name()?;
                match self.take_any(&["STATUS", "MUTEX", "LOGS"]) {
                    Some(_) => Subject::Nothing("Type Name Status"),
                    None => return self.error(),
                }
            }
            "EVENTS" => Subject::NothingOf(self.of_database()?, EVENTS),
            "TRIGGERS" => Subject::NothingOf(self.of_database()?, TRIGGERS),
            "OPEN" if self.take("TABLES") => {
                self.of_database()?;
                Subject::Nothing("Database Table In_use# Name_locked#")
            }
            "PROFILES" => Subject::Nothing("Query_ID# Duration Query"),
            "PROFILE" => {
                self.skip_statement()?;
                Subject::Nothing("Status Duration")
            }
            _ => return self.replication(&word, &before),
        };
        Ok(subject)
    }

    fn routines(&mut self, kind: &'static str) -> Parsed<Subject> {
        if self.take("CODE") {
            self.skip_statement()?;
            return Ok(NO_CODE);
        }
        self.expect("STATUS")?;
        Ok(Subject::RoutineStatus(kind))
    }

    fn count(&mut self) -> Parsed<Subject> {
        self.expect_symbol("(")?;
        self.expect_symbol("*")?;
        self.expect_symbol(")")?;
        match self.take_any(&["WARNINGS", "ERRORS"]) {
            Some(kind) => Ok(Subject::CountWarnings(kind == "ERRORS")),
            None => self.error(),
        }
    }

    /// What the binary log's users ask.
    fn replication(&mut self, word: &str, before: &Self) -> Parsed<Subject> {
        Ok(match word {
            "MASTER" if self.take("STATUS") => Subject::Nothing(BINARY_LOG),
            "BINARY" if self.take("LOG") => {
                self.expect("STATUS")?;
                Subject::Nothing(BINARY_LOG)
            }
            "MASTER" | "BINARY" if self.take("LOGS") => {
                Subject::Refused(1381, "HY000", "You are not using binary logging")
            }
            "SLAVE" | "REPLICA" if self.take("STATUS") => Subject::Nothing(REPLICA),
            "SLAVE" if self.take("HOSTS") => Subject::Nothing("Server_id# Host Port# Master_id#"),
            "REPLICAS" => Subject::Nothing("Server_Id# Host Port# Source_Id# Replica_UUID"),
            "BINLOG" | "RELAYLOG" if self.take("EVENTS") => {
                self.skip_statement()?;
                Subject::Nothing("Log_name Pos# Event_type Server_id# End_log_pos# Info")
            }
            _ => return before.error(),
        })
    }

    fn create(&mut self) -> Parsed<Subject> {
        let kind = self.take_any(&[
            "DATABASE",
            "SCHEMA",
            "TABLE",
            "VIEW",
            "PROCEDURE",
            "FUNCTION",
            "TRIGGER",
            "EVENT",
            "USER",
        ]);
        Ok(match kind {
            Some("DATABASE" | "SCHEMA") => {
                if self.take("IF") {
                    self.expect("NOT")?;
                    self.expect("EXISTS")?;
                }
                Subject::CreateDatabase(self.name()?)
            }
            Some("TABLE" | "VIEW") => {
                let (database, table) = self.table_name()?;
                Subject::CreateTable(database, table)
            }
            Some("PROCEDURE") => Subject::CreateRoutine("PROCEDURE", self.dotted()?),
            Some("FUNCTION") => Subject::CreateRoutine("FUNCTION", self.dotted()?),
            Some("TRIGGER") => {
                self.dotted()?;
                Subject::Refused(1360, "HY000", "Trigger does not exist")
            }
            Some("EVENT") => {
                self.dotted()?;
                Subject::Refused(1539, "HY000", "Unknown event")
            }
            Some(_) => return Err(SqlError::unsupported("SHOW CREATE USER")),
            None => return self.error(),
        })
    }

    /// Takes names with dots between, as functions have them.
    pub(in crate::sql) fn dotted(&mut self) -> Parsed<Text> {
        let mut name = self.any_name()?;
        while self.take_symbol(".") {
            self.node()?;
            name.push('.');
            name.push_str(&self.any_name()?);
        }
        Ok(name)
    }

    /// Takes `FROM database` if it comes.
    fn of_database(&mut self) -> Parsed<Option<Text>> {
        match self.take_any(&["FROM", "IN"]) {
            Some(_) => self.name().map(Some),
            None => Ok(None),
        }
    }

    /// Takes `FROM database.table` or `FROM table FROM database`.
    fn of_table(&mut self) -> Parsed<(Option<Text>, Text)> {
        if self.take_any(&["FROM", "IN"]).is_none() {
            return self.error();
        }
        let (database, table) = self.table_name()?;
        Ok((self.of_database()?.or(database), table))
    }

    /// Takes `'name'@'host'`; `None` is `CURRENT_USER()`.
    fn user(&mut self) -> Parsed<Option<Text>> {
        let own = self.is("CURRENT_USER");
        let name = self.name_or_text()?;
        if matches!(self.token, Token::User(..)) {
            self.next();
        }
        if own && self.take_symbol("(") {
            self.expect_symbol(")")?;
        }
        Ok(if own { None } else { Some(name) })
    }
}

const NO_CODE: Subject = Subject::Refused(
    1289,
    "HY000",
    "The 'SHOW PROCEDURE|FUNCTION CODE' feature is disabled; functions are not written in SQL here",
);

const ENGINES: Subject = Subject::Catalogue(
    "ENGINES",
    &[
        ("ENGINE", "Engine"),
        ("SUPPORT", "Support"),
        ("COMMENT", "Comment"),
        ("TRANSACTIONS", "Transactions"),
        ("XA", "XA"),
        ("SAVEPOINTS", "Savepoints"),
    ],
);

const PLUGINS: Subject = Subject::Catalogue(
    "PLUGINS",
    &[
        ("PLUGIN_NAME", "Name"),
        ("PLUGIN_STATUS", "Status"),
        ("PLUGIN_TYPE", "Type"),
        ("PLUGIN_LIBRARY", "Library"),
        ("PLUGIN_LICENSE", "License"),
    ],
);

const CHARSETS: Subject = Subject::Catalogue(
    "CHARACTER_SETS",
    &[
        ("CHARACTER_SET_NAME", "Charset"),
        ("DESCRIPTION", "Description"),
        ("DEFAULT_COLLATE_NAME", "Default collation"),
        ("MAXLEN", "Maxlen#"),
    ],
);

const COLLATIONS: Subject = Subject::Catalogue(
    "COLLATIONS",
    &[
        ("COLLATION_NAME", "Collation"),
        ("CHARACTER_SET_NAME", "Charset"),
        ("ID", "Id#"),
        ("IS_DEFAULT", "Default"),
        ("IS_COMPILED", "Compiled"),
        ("SORTLEN", "Sortlen#"),
        ("PAD_ATTRIBUTE", "Pad_attribute"),
    ],
);

const EVENTS: &str = "Db Name Definer Time~zone Type Execute~at Interval~value Interval~field \
    Starts Ends Status Originator# character_set_client collation_connection Database~Collation";

const TRIGGERS: &str = "Trigger Event Table Statement Timing Created sql_mode Definer \
    character_set_client collation_connection Database~Collation";

const BINARY_LOG: &str = "File Position# Binlog_Do_DB Binlog_Ignore_DB Executed_Gtid_Set";

const REPLICA: &str = "Slave_IO_State Master_Host Master_User Master_Port# Connect_Retry# \
    Master_Log_File Read_Master_Log_Pos# Relay_Log_File Relay_Log_Pos# Relay_Master_Log_File \
    Slave_IO_Running Slave_SQL_Running Seconds_Behind_Master#";
