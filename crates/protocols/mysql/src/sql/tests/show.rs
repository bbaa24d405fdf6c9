use super::*;

#[test]
fn headings_are_those_of_mysql() {
    let mut client = Client::new();
    for (text, headings) in [
        ("show databases", "Database"),
        ("SHOW schemas LIKE 'p%'", "Database (p%)"),
        ("show tables", "Tables_in_polyport"),
        ("SHOW FULL TABLES FROM `test`", "Tables_in_test|Table_type"),
        ("show tables from test like '%x%'", "Tables_in_test (%x%)"),
        (
            "SHOW TABLE STATUS FROM `polyport`",
            "Name|Engine|Version|Row_format|Rows|Avg_row_length|Data_length|Max_data_length|\
             Index_length|Data_free|Auto_increment|Create_time|Update_time|Check_time|Collation|\
             Checksum|Create_options|Comment",
        ),
        ("show columns from information_schema.engines", "Field|Type|Null|Key|Default|Extra"),
        (
            "SHOW FULL FIELDS FROM engines FROM information_schema",
            "Field|Type|Collation|Null|Key|Default|Extra|Privileges|Comment",
        ),
        ("describe information_schema.engines", "Field|Type|Null|Key|Default|Extra"),
        (
            "show procedure status",
            "Db|Name|Type|Definer|Modified|Created|Security_type|Comment|character_set_client|\
             collation_connection|Database Collation",
        ),
        (
            "SHOW FUNCTION STATUS WHERE Db='polyport'",
            "Db|Name|Type|Definer|Modified|Created|Security_type|Comment|character_set_client|\
             collation_connection|Database Collation",
        ),
        (
            "show create procedure myadd",
            "Procedure|sql_mode|Create Procedure|character_set_client|collation_connection|\
             Database Collation",
        ),
        ("show create database polyport", "Database|Create Database"),
        ("show variables like 'autocommit'", "Variable_name|Value"),
        ("SHOW GLOBAL STATUS", "Variable_name|Value"),
        ("show warnings", "Level|Code|Message"),
        ("show errors limit 5", "Level|Code|Message"),
        ("show count(*) warnings", "@@session.warning_count"),
        ("show engines", "Engine|Support|Comment|Transactions|XA|Savepoints"),
        ("show storage engines", "Engine|Support|Comment|Transactions|XA|Savepoints"),
        ("show plugins", "Name|Status|Type|Library|License"),
        ("show privileges", "Privilege|Context|Comment"),
        ("SHOW CHARACTER SET", "Charset|Description|Default collation|Maxlen"),
        ("show charset like 'utf8%'", "Charset|Description|Default collation|Maxlen"),
        (
            "SHOW COLLATION WHERE `Default` = 'Yes'",
            "Collation|Charset|Id|Default|Compiled|Sortlen|Pad_attribute",
        ),
        ("show grants", "Grants for testuser@%"),
        ("show grants for current_user()", "Grants for testuser@%"),
        ("SHOW FULL PROCESSLIST", "Id|User|Host|db|Command|Time|State|Info"),
        ("show master status", "File|Position|Binlog_Do_DB|Binlog_Ignore_DB|Executed_Gtid_Set"),
        (
            "show events",
            "Db|Name|Definer|Time zone|Type|Execute at|Interval value|Interval field|Starts|Ends|\
             Status|Originator|character_set_client|collation_connection|Database Collation",
        ),
        (
            "SHOW TRIGGERS FROM `polyport`",
            "Trigger|Event|Table|Statement|Timing|Created|sql_mode|Definer|character_set_client|\
             collation_connection|Database Collation",
        ),
        ("show open tables", "Database|Table|In_use|Name_locked"),
        ("show profiles", "Query_ID|Duration|Query"),
        ("SHOW ENGINE INNODB STATUS", "Type|Name|Status"),
    ] {
        let (columns, _) = client.rows(text);
        assert_eq!(columns.join("|"), headings, "{text}");
    }
}

#[test]
fn functions_are_procedures() {
    let mut client = Client::new();
    let (_, rows) = client.rows("SHOW PROCEDURE STATUS WHERE Db = 'polyport'");
    let names: Vec<_> = rows.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(names, ["echo", "math.add", "myadd"]);
    assert_eq!(rows[2][7], "Adds two numbers.");
    assert_eq!(client.rows("show procedure status like 'my%'").1.len(), 2);
    let create = client.rows("SHOW CREATE PROCEDURE `polyport`.`myadd`").1.remove(0).remove(2);
    assert!(create.starts_with("CREATE DEFINER=`testuser`@`%` PROCEDURE"), "{create}");
    assert!(create.contains("(IN `a` double, IN `b` double)"), "{create}");
    assert!(create.contains("COMMENT 'Adds two numbers.'"), "{create}");
    assert_eq!(client.errno("show create procedure nope").0, 1305);
    assert_eq!(client.errno("show create function myadd").0, 1305);
    assert_eq!(client.errno("show procedure code myadd").0, 1289);
    let parameters = client.rows(
        "select PARAMETER_NAME, DATA_TYPE, ORDINAL_POSITION from information_schema.PARAMETERS \
         where SPECIFIC_SCHEMA = 'polyport' and SPECIFIC_NAME = 'myadd' order by 3",
    );
    assert_eq!(parameters.1, [["a", "double", "1"], ["b", "double", "2"]]);
    let proc = client.rows(
        "SELECT name, type, comment FROM mysql.proc WHERE name LIKE 'myadd' AND db <=> 'test' \
         ORDER BY name, type",
    );
    assert_eq!(proc.1, [["myadd", "PROCEDURE", "Adds two numbers."]]);
}

#[test]
fn the_catalogue_answers_queries() {
    let mut client = Client::new();
    for (text, rows) in [
        (
            "select schema_name from information_schema.schemata order by schema_name desc limit 2",
            vec!["test", "polyport"],
        ),
        ("select count(*) from INFORMATION_SCHEMA.SCHEMATA", vec!["5"]),
        ("select count(*), max(id) from information_schema.collations where id < 10", vec!["2 8"]),
        ("SELECT DISTINCT routine_type FROM information_schema.routines", vec!["PROCEDURE"]),
        (
            "select routine_name n from information_schema.routines r where r.routine_schema = \
             database() order by n limit 1, 1",
            vec!["math.add"],
        ),
        (
            "select character_set_name, count(*) c from information_schema.collations group by \
             character_set_name having c > 6 order by c desc",
            vec!["latin1 8", "utf8mb4 8"],
        ),
        (
            "select r.routine_name, p.parameter_name from information_schema.routines r join \
             information_schema.parameters p on p.specific_name = r.specific_name and \
             p.specific_schema = r.routine_schema where r.routine_schema = 'test' and \
             r.routine_name like 'my%' order by p.ordinal_position",
            vec!["myadd a", "myadd b"],
        ),
        (
            "select s.schema_name, t.table_name from information_schema.schemata s left join \
             information_schema.tables t on t.table_schema = s.schema_name where \
             s.schema_name = 'test'",
            vec!["test NULL"],
        ),
        (
            "select (select count(*) from information_schema.parameters p where p.specific_name \
             = r.routine_name and p.specific_schema = r.routine_schema) from \
             information_schema.routines r where routine_schema = 'test' order by routine_name",
            vec!["1", "2", "2"],
        ),
        (
            "select n from (select 1 as n union all select 2 union all select 2) t",
            vec!["1", "2", "2"],
        ),
        ("select 1 union select 1 union select 2 order by 1 desc", vec!["2", "1"]),
        (
            "select group_concat(schema_name separator '+') from information_schema.schemata \
          where schema_name < 'n'",
            vec!["information_schema+mysql"],
        ),
        (
            "select variable_value from performance_schema.session_variables where variable_name = \
          'autocommit'",
            vec!["ON"],
        ),
        ("select support from information_schema.engines where engine = 'innodb'", vec!["DEFAULT"]),
        ("select * from information_schema.key_column_usage", vec![]),
        ("select 1 from dual where 1 = 0", vec![]),
        (
            "select table_type from information_schema.tables where table_name='engines'",
            vec!["SYSTEM VIEW"],
        ),
    ] {
        let (_, found) = client.rows(text);
        let found: Vec<_> = found.iter().map(|row| row.join(" ")).collect();
        assert_eq!(found, rows, "{text}");
    }
    assert_eq!(client.errno("select * from information_schema.nope").0, 1109);
    assert_eq!(client.errno("select nope from information_schema.engines").0, 1054);
    assert_eq!(client.errno("select nope from information_schema.views").0, 1054);
    assert_eq!(client.errno("select t.* from information_schema.views v").0, 1051);
}

#[test]
fn processes_are_those_that_the_user_may_see() {
    let mut client = Client::new();
    let (_, rows) = client.rows("show processlist");
    assert_eq!(
        rows,
        [["1", "testuser", "memory", "polyport", "Query", "0", "mysql", "show processlist"]]
    );
    let row = client.row("select id, user from information_schema.processlist");
    assert_eq!(row, "1 testuser");
}

#[test]
fn grants_tell_the_own_rights_only() {
    let mut client = Client::new();
    let (_, rows) = client.rows("show grants");
    assert_eq!(rows[0], ["GRANT USAGE ON *.* TO `testuser`@`%`"]);
    assert_eq!(rows[1], ["GRANT EXECUTE ON `polyport`.* TO `testuser`@`%`"]);
    assert_eq!(client.errno("show grants for 'root'@'%'").0, 1141);
    assert_eq!(client.rows("show grants for 'testuser'@'%'").1.len(), 3);
}

#[test]
fn what_is_not_there_has_mysqls_error() {
    let mut client = Client::new();
    for (text, errno) in [
        ("SHOW CREATE TABLE `t`", 1146),
        ("show columns from t", 1146),
        ("show index from t", 1146),
        ("show keys from test.t", 1146),
        ("show tables from nope", 1049),
        ("show table status from nope", 1049),
        ("show create database nope", 1049),
        ("show create view v", 1146),
        ("show create trigger t", 1360),
        ("show create event e", 1539),
        ("show binary logs", 1381),
        ("show nope", 1064),
        ("show", 1064),
        ("show tables like", 1064),
        ("show databases where", 1064),
    ] {
        assert_eq!(client.errno(text).0, errno, "{text}");
    }
    client.state.database = "".into();
    assert_eq!(client.errno("show tables"), (1046, "No database selected".into()));
}
