//! The tables and their columns, named as MySQL 8.0 names them. A `#` marks a column of numbers.

use polyport_core::Value;

use super::super::evaluate::Context;
use super::super::parser::Parsed;
use super::rows;

/// Makes a table's rows.
pub(super) type MakeRows = fn(&mut Context<'_>, &Definition) -> Parsed<Vec<Vec<Value>>>;

/// A table.
pub(in super::super) struct Definition {
    pub(in super::super) database: &'static str,
    pub(in super::super) name: &'static str,
    pub(in super::super) columns: &'static str,
    /// Makes its rows; `None` is a table of things that this server never has.
    pub(super) rows: Option<MakeRows>,
}

const fn schema(name: &'static str, columns: &'static str, rows: MakeRows) -> Definition {
    Definition { database: "information_schema", name, columns, rows: Some(rows) }
}

const fn empty(name: &'static str, columns: &'static str) -> Definition {
    Definition { database: "information_schema", name, columns, rows: None }
}

const fn other(
    database: &'static str,
    name: &'static str,
    columns: &'static str,
    rows: MakeRows,
) -> Definition {
    Definition { database, name, columns, rows: Some(rows) }
}

const VARIABLES: &str = "VARIABLE_NAME VARIABLE_VALUE";

/// Every table. MySQL 8.0 has moved the variables and the status to `performance_schema`; they
/// are in both places here, since older tools ask in the first.
pub(in super::super) static DEFINITIONS: &[Definition] = &[
    schema(
        "CHARACTER_SETS",
        "CHARACTER_SET_NAME DEFAULT_COLLATE_NAME DESCRIPTION MAXLEN#",
        rows::character_sets,
    ),
    schema(
        "COLLATIONS",
        "COLLATION_NAME CHARACTER_SET_NAME ID# IS_DEFAULT IS_COMPILED SORTLEN# PAD_ATTRIBUTE",
        rows::collations,
    ),
    schema(
        "COLLATION_CHARACTER_SET_APPLICABILITY",
        "COLLATION_NAME CHARACTER_SET_NAME",
        rows::collations,
    ),
    schema(
        "COLUMNS",
        "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME COLUMN_NAME ORDINAL_POSITION# COLUMN_DEFAULT \
         IS_NULLABLE DATA_TYPE CHARACTER_MAXIMUM_LENGTH# CHARACTER_OCTET_LENGTH# \
         NUMERIC_PRECISION# NUMERIC_SCALE# DATETIME_PRECISION# CHARACTER_SET_NAME COLLATION_NAME \
         COLUMN_TYPE COLUMN_KEY EXTRA PRIVILEGES COLUMN_COMMENT GENERATION_EXPRESSION SRS_ID#",
        rows::columns,
    ),
    empty(
        "COLUMN_PRIVILEGES",
        "GRANTEE TABLE_CATALOG TABLE_SCHEMA TABLE_NAME COLUMN_NAME PRIVILEGE_TYPE IS_GRANTABLE",
    ),
    empty("CHECK_CONSTRAINTS", "CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME CHECK_CLAUSE"),
    schema("ENGINES", "ENGINE SUPPORT COMMENT TRANSACTIONS XA SAVEPOINTS", rows::engines),
    empty(
        "EVENTS",
        "EVENT_CATALOG EVENT_SCHEMA EVENT_NAME DEFINER TIME_ZONE EVENT_BODY EVENT_DEFINITION \
         EVENT_TYPE EXECUTE_AT INTERVAL_VALUE INTERVAL_FIELD SQL_MODE STARTS ENDS STATUS \
         ON_COMPLETION CREATED LAST_ALTERED LAST_EXECUTED EVENT_COMMENT ORIGINATOR# \
         CHARACTER_SET_CLIENT COLLATION_CONNECTION DATABASE_COLLATION",
    ),
    empty(
        "FILES",
        "FILE_ID# FILE_NAME FILE_TYPE TABLESPACE_NAME TABLE_CATALOG TABLE_SCHEMA TABLE_NAME \
         LOGFILE_GROUP_NAME LOGFILE_GROUP_NUMBER# ENGINE FULLTEXT_KEYS DELETED_ROWS# \
         UPDATE_COUNT# FREE_EXTENTS# TOTAL_EXTENTS# EXTENT_SIZE# INITIAL_SIZE# MAXIMUM_SIZE# \
         AUTOEXTEND_SIZE# CREATION_TIME LAST_UPDATE_TIME LAST_ACCESS_TIME RECOVER_TIME# \
         TRANSACTION_COUNTER# VERSION# ROW_FORMAT TABLE_ROWS# AVG_ROW_LENGTH# DATA_LENGTH# \
         MAX_DATA_LENGTH# INDEX_LENGTH# DATA_FREE# CREATE_TIME UPDATE_TIME CHECK_TIME CHECKSUM# \
         STATUS EXTRA",
    ),
    schema("GLOBAL_STATUS", VARIABLES, rows::status_rows),
    schema("GLOBAL_VARIABLES", VARIABLES, rows::global_variables),
    empty(
        "KEY_COLUMN_USAGE",
        "CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME TABLE_CATALOG TABLE_SCHEMA \
         TABLE_NAME COLUMN_NAME ORDINAL_POSITION# POSITION_IN_UNIQUE_CONSTRAINT# \
         REFERENCED_TABLE_SCHEMA REFERENCED_TABLE_NAME REFERENCED_COLUMN_NAME",
    ),
    schema("KEYWORDS", "WORD RESERVED#", rows::keywords),
    schema(
        "PARAMETERS",
        "SPECIFIC_CATALOG SPECIFIC_SCHEMA SPECIFIC_NAME ORDINAL_POSITION# PARAMETER_MODE \
         PARAMETER_NAME DATA_TYPE CHARACTER_MAXIMUM_LENGTH# CHARACTER_OCTET_LENGTH# \
         NUMERIC_PRECISION# NUMERIC_SCALE# DATETIME_PRECISION# CHARACTER_SET_NAME COLLATION_NAME \
         DTD_IDENTIFIER ROUTINE_TYPE",
        rows::parameter_rows,
    ),
    empty(
        "PARTITIONS",
        "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME PARTITION_NAME SUBPARTITION_NAME \
         PARTITION_ORDINAL_POSITION# SUBPARTITION_ORDINAL_POSITION# PARTITION_METHOD \
         SUBPARTITION_METHOD PARTITION_EXPRESSION SUBPARTITION_EXPRESSION PARTITION_DESCRIPTION \
         TABLE_ROWS# AVG_ROW_LENGTH# DATA_LENGTH# MAX_DATA_LENGTH# INDEX_LENGTH# DATA_FREE# \
         CREATE_TIME UPDATE_TIME CHECK_TIME CHECKSUM# PARTITION_COMMENT NODEGROUP TABLESPACE_NAME",
    ),
    schema(
        "PLUGINS",
        "PLUGIN_NAME PLUGIN_VERSION PLUGIN_STATUS PLUGIN_TYPE PLUGIN_TYPE_VERSION PLUGIN_LIBRARY \
         PLUGIN_LIBRARY_VERSION PLUGIN_AUTHOR PLUGIN_DESCRIPTION PLUGIN_LICENSE LOAD_OPTION",
        rows::plugins,
    ),
    schema("PROCESSLIST", "ID# USER HOST DB COMMAND TIME# STATE INFO", rows::processes),
    empty("PROFILING", "QUERY_ID# SEQ# STATE DURATION"),
    empty(
        "REFERENTIAL_CONSTRAINTS",
        "CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME UNIQUE_CONSTRAINT_CATALOG \
         UNIQUE_CONSTRAINT_SCHEMA UNIQUE_CONSTRAINT_NAME MATCH_OPTION UPDATE_RULE DELETE_RULE \
         TABLE_NAME REFERENCED_TABLE_NAME",
    ),
    schema(
        "ROUTINES",
        "SPECIFIC_NAME ROUTINE_CATALOG ROUTINE_SCHEMA ROUTINE_NAME ROUTINE_TYPE DATA_TYPE \
         CHARACTER_MAXIMUM_LENGTH# CHARACTER_OCTET_LENGTH# NUMERIC_PRECISION# NUMERIC_SCALE# \
         DATETIME_PRECISION# CHARACTER_SET_NAME COLLATION_NAME DTD_IDENTIFIER ROUTINE_BODY \
         ROUTINE_DEFINITION EXTERNAL_NAME EXTERNAL_LANGUAGE PARAMETER_STYLE IS_DETERMINISTIC \
         SQL_DATA_ACCESS SQL_PATH SECURITY_TYPE CREATED LAST_ALTERED SQL_MODE ROUTINE_COMMENT \
         DEFINER CHARACTER_SET_CLIENT COLLATION_CONNECTION DATABASE_COLLATION",
        rows::routines,
    ),
    schema(
        "SCHEMATA",
        "CATALOG_NAME SCHEMA_NAME DEFAULT_CHARACTER_SET_NAME DEFAULT_COLLATION_NAME SQL_PATH \
         DEFAULT_ENCRYPTION",
        rows::schemata,
    ),
    empty("SCHEMA_PRIVILEGES", "GRANTEE TABLE_CATALOG TABLE_SCHEMA PRIVILEGE_TYPE IS_GRANTABLE"),
    schema("SESSION_STATUS", VARIABLES, rows::status_rows),
    schema("SESSION_VARIABLES", VARIABLES, rows::session_variables),
    empty(
        "STATISTICS",
        "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME NON_UNIQUE# INDEX_SCHEMA INDEX_NAME SEQ_IN_INDEX# \
         COLUMN_NAME COLLATION CARDINALITY# SUB_PART# PACKED NULLABLE INDEX_TYPE COMMENT \
         INDEX_COMMENT IS_VISIBLE EXPRESSION",
    ),
    schema(
        "TABLES",
        "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME TABLE_TYPE ENGINE VERSION# ROW_FORMAT TABLE_ROWS# \
         AVG_ROW_LENGTH# DATA_LENGTH# MAX_DATA_LENGTH# INDEX_LENGTH# DATA_FREE# AUTO_INCREMENT# \
         CREATE_TIME UPDATE_TIME CHECK_TIME TABLE_COLLATION CHECKSUM# CREATE_OPTIONS \
         TABLE_COMMENT",
        rows::tables,
    ),
    empty(
        "TABLE_CONSTRAINTS",
        "CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME TABLE_SCHEMA TABLE_NAME \
         CONSTRAINT_TYPE ENFORCED",
    ),
    empty(
        "TABLE_PRIVILEGES",
        "GRANTEE TABLE_CATALOG TABLE_SCHEMA TABLE_NAME PRIVILEGE_TYPE IS_GRANTABLE",
    ),
    empty(
        "TRIGGERS",
        "TRIGGER_CATALOG TRIGGER_SCHEMA TRIGGER_NAME EVENT_MANIPULATION EVENT_OBJECT_CATALOG \
         EVENT_OBJECT_SCHEMA EVENT_OBJECT_TABLE ACTION_ORDER# ACTION_CONDITION ACTION_STATEMENT \
         ACTION_ORIENTATION ACTION_TIMING ACTION_REFERENCE_OLD_TABLE ACTION_REFERENCE_NEW_TABLE \
         ACTION_REFERENCE_OLD_ROW ACTION_REFERENCE_NEW_ROW CREATED SQL_MODE DEFINER \
         CHARACTER_SET_CLIENT COLLATION_CONNECTION DATABASE_COLLATION",
    ),
    schema(
        "USER_PRIVILEGES",
        "GRANTEE TABLE_CATALOG PRIVILEGE_TYPE IS_GRANTABLE",
        rows::user_privileges,
    ),
    empty(
        "VIEWS",
        "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME VIEW_DEFINITION CHECK_OPTION IS_UPDATABLE DEFINER \
         SECURITY_TYPE CHARACTER_SET_CLIENT COLLATION_CONNECTION",
    ),
    // MySQL Connector/J 5 and older tools look for procedures here.
    other(
        "mysql",
        "proc",
        "db name type specific_name language sql_data_access is_deterministic security_type \
         param_list returns body definer created modified sql_mode comment character_set_client \
         collation_connection db_collation body_utf8",
        rows::procedures,
    ),
    other("mysql", "func", "name ret# dl type", rows::none),
    other("performance_schema", "global_status", VARIABLES, rows::status_rows),
    other("performance_schema", "global_variables", VARIABLES, rows::global_variables),
    other("performance_schema", "session_status", VARIABLES, rows::status_rows),
    other("performance_schema", "session_variables", VARIABLES, rows::session_variables),
];
