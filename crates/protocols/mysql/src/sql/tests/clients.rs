//! The first statements of clients, to the letter, as they were seen on the wire or stand in the
//! client's source.

use super::*;

/// Statements that are answered with an OK.
const SETTINGS: &[&str] = &[
    // PyMySQL, mysqlclient, aiomysql, asyncmy
    "SET NAMES utf8mb4",
    "SET AUTOCOMMIT = 0",
    "SET autocommit=0",
    "SET AUTOCOMMIT = 1",
    // mysql-connector
    "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_0900_ai_ci'",
    "SET @@session.autocommit = OFF",
    "SET @_myadd_arg1=3,@_myadd_arg2=4",
    // sqlx
    "SET sql_mode=(SELECT CONCAT(@@sql_mode, ',PIPES_AS_CONCAT,NO_ENGINE_SUBSTITUTION')),\
     time_zone='+00:00',NAMES utf8mb4;",
    "SET sql_mode=(SELECT CONCAT(@@sql_mode, ',PIPES_AS_CONCAT,NO_ENGINE_SUBSTITUTION')),\
     time_zone='+00:00',NAMES utf8mb4 COLLATE utf8mb4_unicode_ci;",
    // MariaDB Connector/J
    "set autocommit=1, sql_mode = concat(@@sql_mode,',STRICT_TRANS_TABLES')",
    "set autocommit=1, session_track_schema=1, sql_mode=concat(@@sql_mode,',STRICT_TRANS_TABLES')",
    // MySQL Connector/J
    "SET character_set_results = NULL",
    "SET autocommit=1",
    "SET sql_mode='ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,\
     ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
    "SET SQL_SELECT_LIMIT=DEFAULT",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "set session transaction read write",
    // SQLAlchemy
    "ROLLBACK",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SAVEPOINT sa_savepoint_1",
    // Django
    "SET SQL_AUTO_IS_NULL = 0",
    "SET foreign_key_checks=0",
    // Rails
    "SET @@SESSION.sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO'), \
     @@SESSION.sql_auto_is_null = 0, @@SESSION.wait_timeout = 2147483",
    "SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci, @@SESSION.sql_mode = CONCAT(@@sql_mode, \
     ',STRICT_ALL_TABLES'), @@SESSION.wait_timeout = 2147483",
    // Laravel
    "set names 'utf8mb4' collate 'utf8mb4_unicode_ci', SESSION sql_mode='ONLY_FULL_GROUP_BY'",
    // Sequelize
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;",
    "START TRANSACTION;",
    "COMMIT;",
    // Doctrine, PDO
    "SET NAMES utf8",
    "set names \"utf8mb4\"",
    // HeidiSQL
    "SET NAMES utf8mb4",
    "/*!40101 SET NAMES utf8mb4 */",
    "/*!40103 SET TIME_ZONE='+00:00' */",
    "SET SQL_NOTES=0;",
    // MySQL Workbench
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "set autocommit=1",
    "SET SQL_SAFE_UPDATES=1",
    "SET CHARACTER SET utf8",
    "SET NAMES 'utf8'",
    // phpMyAdmin
    "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci';",
    "SET lc_messages = 'en_US';",
    "SET collation_connection = 'utf8mb4_unicode_ci';",
    // mysqldump
    "/*!40100 SET @@SQL_MODE='' */",
    "/*!40103 SET TIME_ZONE='+00:00' */",
    "/*!80000 SET SESSION information_schema_stats_expiry=0 */",
    "SET SESSION NET_READ_TIMEOUT= 86400, SESSION NET_WRITE_TIMEOUT= 86400",
    "SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT",
    "/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */",
    "/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */",
    "/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */",
    "/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */",
    "UNLOCK TABLES",
];

/// Statements that are answered with rows.
const QUESTIONS: &[&str] = &[
    // mariadb and mysql on a terminal
    "show databases",
    "show tables",
    "select @@version_comment limit 1",
    "SELECT DATABASE()",
    "select USER()",
    // mysql-connector
    "SELECT @@session.sql_mode",
    "SELECT @_myadd_arg1 AS myadd_arg1,@_myadd_arg2 AS myadd_arg2",
    // mysql_async
    "SELECT @@max_allowed_packet,@@wait_timeout,@@socket",
    // MariaDB Connector/J
    "SELECT @@max_allowed_packet,@@system_time_zone,@@time_zone,@@auto_increment_increment",
    "select @@tx_isolation",
    // MySQL Connector/J 8
    "/* mysql-connector-j-8.3.0 (Revision: 1) */SELECT  @@session.auto_increment_increment AS \
     auto_increment_increment, @@character_set_client AS character_set_client, \
     @@character_set_connection AS character_set_connection, @@character_set_results AS \
     character_set_results, @@character_set_server AS character_set_server, @@collation_server AS \
     collation_server, @@collation_connection AS collation_connection, @@init_connect AS \
     init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license, \
     @@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS \
     max_allowed_packet, @@net_write_timeout AS net_write_timeout, @@performance_schema AS \
     performance_schema, @@query_cache_size AS query_cache_size, @@query_cache_type AS \
     query_cache_type, @@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, \
     @@time_zone AS time_zone, @@transaction_isolation AS transaction_isolation, @@wait_timeout \
     AS wait_timeout",
    "SHOW WARNINGS",
    "select @@session.transaction_read_only",
    "SELECT @@session.transaction_isolation",
    "/* ping */ SELECT 1",
    "SELECT ROUTINE_SCHEMA AS PROCEDURE_CAT, NULL AS PROCEDURE_SCHEM, ROUTINE_NAME AS \
     PROCEDURE_NAME, NULL AS RESERVED_1, NULL AS RESERVED_2, NULL AS RESERVED_3, ROUTINE_COMMENT \
     AS REMARKS, CASE WHEN ROUTINE_TYPE = 'PROCEDURE' THEN 1 WHEN ROUTINE_TYPE='FUNCTION' THEN 2 \
     ELSE 0 END AS PROCEDURE_TYPE, ROUTINE_NAME AS SPECIFIC_NAME FROM \
     INFORMATION_SCHEMA.ROUTINES WHERE ROUTINE_SCHEMA LIKE 'polyport' AND ROUTINE_NAME LIKE '%' \
     ORDER BY ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE",
    "SELECT SPECIFIC_SCHEMA AS PROCEDURE_CAT, NULL AS `PROCEDURE_SCHEM`, SPECIFIC_NAME AS \
     `PROCEDURE_NAME`, IFNULL(PARAMETER_NAME, '') AS `COLUMN_NAME`, CASE WHEN PARAMETER_MODE = \
     'IN' THEN 1 WHEN PARAMETER_MODE = 'OUT' THEN 4 WHEN PARAMETER_MODE = 'INOUT' THEN 2 WHEN \
     ORDINAL_POSITION = 0 THEN 5 ELSE 0 END AS `COLUMN_TYPE`, CASE UPPER(DATA_TYPE) WHEN \
     'DOUBLE' THEN 8 ELSE 1111 END AS `DATA_TYPE`, UPPER(CASE WHEN UPPER(DATA_TYPE)='TINYINT' \
     THEN CASE WHEN LOCATE('(1)', DTD_IDENTIFIER) != 0 THEN 'BIT' ELSE DATA_TYPE END ELSE \
     DATA_TYPE END) AS TYPE_NAME, NUMERIC_PRECISION AS `PRECISION`, 65535 AS LENGTH, \
     ORDINAL_POSITION FROM INFORMATION_SCHEMA.PARAMETERS WHERE SPECIFIC_SCHEMA = 'polyport' AND \
     SPECIFIC_NAME LIKE 'myadd' AND (PARAMETER_NAME LIKE '%' OR PARAMETER_NAME IS NULL) ORDER BY \
     SPECIFIC_SCHEMA, SPECIFIC_NAME, ROUTINE_TYPE, ORDINAL_POSITION",
    // SQLAlchemy
    "SELECT VERSION()",
    "SELECT @@transaction_isolation",
    "SELECT @@tx_isolation",
    "SELECT @@sql_mode",
    "SELECT @@lower_case_table_names",
    "SHOW schemas",
    "SHOW FULL TABLES FROM `polyport`",
    "SELECT CAST('test plain returns' AS CHAR(60)) AS anon_1",
    "SELECT CAST('test unicode returns' AS CHAR(60)) AS anon_1",
    "show variables like 'lower_case_table_names'",
    // Django
    "SELECT VERSION(), @@sql_mode, @@default_storage_engine, @@sql_auto_is_null, \
     @@lower_case_table_names, CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL",
    "SHOW FULL TABLES",
    "SELECT table_name, table_type, table_comment FROM information_schema.tables WHERE \
     table_schema = DATABASE()",
    // Rails
    "SHOW VARIABLES LIKE 'collation_database'",
    "SELECT table_name FROM (SELECT * FROM information_schema.tables WHERE table_schema = \
     database()) _subquery WHERE _subquery.table_type = 'BASE TABLE'",
    "SELECT @@max_allowed_packet",
    // Sequelize
    "SELECT VERSION() as `version`",
    "SELECT 1+1 AS result",
    "SELECT CONSTRAINT_NAME as constraint_name FROM INFORMATION_SCHEMA.KEY_COLUMN_USAGE WHERE \
     TABLE_NAME = 't' AND CONSTRAINT_SCHEMA = 'polyport' AND REFERENCED_TABLE_NAME IS NOT NULL;",
    "SHOW TABLES LIKE 'users'",
    // Prisma, TypeORM
    "SELECT @@GLOBAL.version, @@version, @@socket",
    "SELECT VERSION() AS `version`",
    "SELECT DATABASE() AS `db_name`",
    // DBeaver
    "SELECT * FROM information_schema.PLUGINS",
    "SHOW PLUGINS",
    "SHOW ENGINES",
    "SHOW CHARSET",
    "SHOW COLLATION",
    "SHOW DATABASES",
    "SHOW VARIABLES LIKE 'lower_case_table_names'",
    "SELECT @@GLOBAL.character_set_server,@@GLOBAL.collation_server",
    "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM \
     information_schema.SCHEMATA WHERE SCHEMA_NAME = 'polyport'",
    "SHOW FULL TABLES FROM `polyport`",
    "SELECT * FROM information_schema.TABLES t WHERE t.TABLE_SCHEMA = 'information_schema' AND \
     t.TABLE_NAME = 'CHECK_CONSTRAINTS'",
    "SELECT * FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA='polyport' ORDER BY \
     ROUTINE_NAME",
    "SHOW FULL PROCESSLIST",
    "SHOW GLOBAL VARIABLES",
    "SHOW SESSION STATUS",
    "SELECT cc.CONSTRAINT_NAME, cc.CHECK_CLAUSE, tc.TABLE_NAME FROM (SELECT CONSTRAINT_NAME, \
     CHECK_CLAUSE FROM INFORMATION_SCHEMA.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA='polyport' \
     ORDER BY CONSTRAINT_NAME) cc, (SELECT TABLE_NAME, CONSTRAINT_NAME FROM \
     INFORMATION_SCHEMA.TABLE_CONSTRAINTS WHERE TABLE_SCHEMA='polyport') tc WHERE \
     cc.CONSTRAINT_NAME = tc.CONSTRAINT_NAME",
    // HeidiSQL
    "SELECT CONNECTION_ID();",
    "SHOW VARIABLES;",
    "SHOW /*!50002 GLOBAL */ STATUS;",
    "SHOW /*!50002 GLOBAL */ STATUS LIKE 'Com\\_%';",
    "SELECT NOW();",
    "SELECT `DEFAULT_COLLATION_NAME` FROM `information_schema`.`SCHEMATA` WHERE \
     `SCHEMA_NAME`='polyport';",
    "SHOW TABLE STATUS FROM `polyport`;",
    "SHOW FUNCTION STATUS WHERE `Db`='polyport';",
    "SHOW PROCEDURE STATUS WHERE `Db`='polyport';",
    "SHOW TRIGGERS FROM `polyport`;",
    "SELECT *, EVENT_SCHEMA AS `Db`, EVENT_NAME AS `Name` FROM information_schema.`EVENTS` WHERE \
     `EVENT_SCHEMA`='polyport';",
    "SHOW CREATE PROCEDURE `polyport`.`myadd`;",
    "SELECT `PLUGIN_NAME`, `PLUGIN_STATUS` FROM information_schema.PLUGINS",
    // MySQL Workbench
    "SELECT current_user()",
    "SHOW SESSION STATUS LIKE 'Ssl_cipher'",
    "SHOW SESSION VARIABLES LIKE 'lower_case_table_names'",
    "SHOW SESSION VARIABLES LIKE 'sql_mode'",
    "SELECT name, type FROM mysql.proc WHERE Db='polyport'",
    "show character set where charset = 'utf8mb4'",
    "SHOW GRANTS FOR CURRENT_USER()",
    "SHOW DATABASES LIKE 'polyport'",
    "SELECT st.* FROM performance_schema.global_status st WHERE VARIABLE_NAME = 'Uptime'",
    // phpMyAdmin
    "SELECT @@version, @@version_comment",
    "SELECT CURRENT_USER();",
    "SELECT SCHEMA_NAME FROM `INFORMATION_SCHEMA`.`SCHEMATA` LIMIT 100",
    "SHOW SESSION VARIABLES LIKE 'FOREIGN_KEY_CHECKS';",
    "SELECT @@lower_case_table_names",
    "SELECT COUNT(*) FROM `INFORMATION_SCHEMA`.`TABLES` WHERE `TABLE_SCHEMA`='polyport' AND \
     `TABLE_TYPE` IN ('BASE TABLE','SYSTEM VERSIONED')",
    "SELECT `SCHEMA_NAME` FROM `INFORMATION_SCHEMA`.`SCHEMATA`, (SELECT DB_first_level FROM ( \
     SELECT DISTINCT SUBSTRING_INDEX(SCHEMA_NAME, '_', 1) DB_first_level FROM \
     INFORMATION_SCHEMA.SCHEMATA WHERE TRUE ) t ORDER BY DB_first_level ASC LIMIT 0, 100) t2 \
     WHERE TRUE AND 1 = LOCATE(CONCAT(DB_first_level, '_'), CONCAT(SCHEMA_NAME, '_')) ORDER BY \
     SCHEMA_NAME ASC",
    "SELECT `CHARACTER_SET_NAME` AS `Charset`, `DESCRIPTION` AS `Description` FROM \
     `information_schema`.`CHARACTER_SETS`",
    "SELECT 1 FROM (SELECT `GRANTEE`, `IS_GRANTABLE` FROM `INFORMATION_SCHEMA`.\
     `COLUMN_PRIVILEGES` UNION SELECT `GRANTEE`, `IS_GRANTABLE` FROM `INFORMATION_SCHEMA`.\
     `TABLE_PRIVILEGES` UNION SELECT `GRANTEE`, `IS_GRANTABLE` FROM `INFORMATION_SCHEMA`.\
     `USER_PRIVILEGES`) t WHERE `IS_GRANTABLE` = 'YES' AND '''testuser''@''localhost''' LIKE \
     `GRANTEE` LIMIT 1",
    "SELECT `PLUGIN_NAME`, `PLUGIN_DESCRIPTION` FROM `information_schema`.`PLUGINS` WHERE \
     `PLUGIN_TYPE` = 'AUTHENTICATION';",
    "SHOW MASTER STATUS",
    "SHOW SLAVE STATUS",
    "SHOW REPLICA STATUS",
    // mysqldump
    "SHOW VARIABLES LIKE 'gtid\\_mode'",
    "SELECT LOGFILE_GROUP_NAME, FILE_NAME, TOTAL_EXTENTS, INITIAL_SIZE, ENGINE, EXTRA FROM \
     INFORMATION_SCHEMA.FILES WHERE ENGINE = 'ndbcluster' AND FILE_TYPE = 'UNDO LOG' AND \
     FILE_NAME IS NOT NULL AND LOGFILE_GROUP_NAME IS NOT NULL GROUP BY LOGFILE_GROUP_NAME, \
     FILE_NAME, ENGINE, TOTAL_EXTENTS, INITIAL_SIZE ORDER BY LOGFILE_GROUP_NAME",
    "SHOW CREATE DATABASE IF NOT EXISTS `polyport`",
    "show events",
    // pools and monitors
    "SELECT 1",
    "select 1 from dual",
    "SELECT CURRENT_TIMESTAMP",
    "SHOW STATUS LIKE 'Threads_connected'",
];

#[test]
fn settings_of_clients_are_taken() {
    let mut client = Client::new();
    client.done("BEGIN");
    for text in SETTINGS {
        client.done(text);
    }
}

#[test]
fn questions_of_clients_are_answered() {
    let mut client = Client::new();
    for text in QUESTIONS {
        let (headings, rows) = client.rows(text);
        assert!(rows.iter().all(|row| row.len() == headings.len()), "{text}");
    }
}

#[test]
fn a_driver_that_repeats_its_modes_gets_them_once() {
    let mut client = Client::new();
    for text in &SETTINGS[7..9] {
        client.done(text);
        let modes = client.row("select @@sql_mode");
        assert_eq!(modes.matches("PIPES_AS_CONCAT").count(), 1, "{modes}");
        assert_eq!(modes.matches("NO_ENGINE_SUBSTITUTION").count(), 1, "{modes}");
    }
}

#[test]
fn the_variables_that_logins_parse_can_be_parsed() {
    let mut client = Client::new();
    let row = client.rows(QUESTIONS[7]).1.remove(0);
    assert!(row[0].parse::<u64>().unwrap() > 0);
    assert!(row[1].parse::<u64>().unwrap() > 0);
    // mysql_async would leave TCP for a socket that is named here.
    assert_eq!(row[2], "");
    let row = client.rows(QUESTIONS[8]).1.remove(0);
    assert!(!row[1].is_empty() && row[2] == "SYSTEM" && row[3] == "1", "{row:?}");
    let version = client.row("select version()");
    assert!(version.starts_with("8.0.36-Polyport-"), "{version}");
}

pub(super) fn all() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().chain(QUESTIONS).copied()
}
