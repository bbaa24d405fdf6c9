use super::*;
use crate::sql::{Charset, Setup};

#[test]
fn settings_are_kept_and_shown() {
    let mut client = Client::new();
    for (set, variable, value, shown) in [
        ("SET autocommit=0", "autocommit", "0", "OFF"),
        ("SET AUTOCOMMIT = 1", "autocommit", "1", "ON"),
        ("SET @@session.autocommit = OFF", "autocommit", "0", "OFF"),
        ("set session autocommit = on", "autocommit", "1", "ON"),
        ("SET SESSION wait_timeout=28800", "wait_timeout", "28800", "28800"),
        ("set local net_write_timeout := 600", "net_write_timeout", "600", "600"),
        ("SET foreign_key_checks = 0", "foreign_key_checks", "0", "OFF"),
        ("SET SQL_SAFE_UPDATES=1", "sql_safe_updates", "1", "ON"),
        ("SET time_zone='+02:00'", "time_zone", "+02:00", "+02:00"),
        ("set sql_mode='traditional'", "length(@@sql_mode) > 50 and 1 and 'x'='x'", "1", ""),
        ("set sql_mode=default", "sql_mode", "", ""),
        (
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "tx_isolation",
            "READ-COMMITTED",
            "READ-COMMITTED",
        ),
        (
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY",
            "transaction_isolation",
            "SERIALIZABLE",
            "SERIALIZABLE",
        ),
        ("SET SESSION TRANSACTION READ WRITE", "transaction_read_only", "0", "OFF"),
        (
            "SET tx_isolation = 'REPEATABLE-READ'",
            "transaction_isolation",
            "REPEATABLE-READ",
            "REPEATABLE-READ",
        ),
        ("SET character_set_results = NULL", "character_set_results", "NULL", ""),
        ("SET group_concat_max_len = DEFAULT", "group_concat_max_len", "1024", "1024"),
    ] {
        client.done(set);
        if variable.contains('(') {
            assert_eq!(client.row(&format!("select {}", variable)), value, "{set}");
            continue;
        }
        if variable == "sql_mode" {
            continue;
        }
        assert_eq!(client.row(&format!("select @@{variable}")), value, "{set}");
        let line = client.row(&format!("show variables like '{variable}'"));
        assert_eq!(line, format!("{variable} {shown}"), "{set}");
    }
}

#[test]
fn what_cannot_be_set_is_told() {
    let mut client = Client::new();
    for (text, errno) in [
        ("set nope = 1", 1193),
        ("set session nope = 1", 1193),
        ("set @@nope = 1", 1193),
        ("set version = 'x'", 1238),
        ("set max_connections = 5", 1229),
        ("set global wait_timeout = 5", 1227),
        ("set autocommit = 2", 1231),
        ("set autocommit = 1.5", 1232),
        ("set wait_timeout = 'x'", 1232),
        ("set sql_mode = 'NOPE'", 1231),
        ("set time_zone = 'Mars'", 1298),
        ("set names gbk", 1115),
        ("set names utf8mb4 collate latin1_bin", 1253),
        ("set names utf8mb4 collate nope", 1273),
        ("set character_set_client = 'koi8r'", 1115),
        ("set transaction_isolation = 'NONE'", 1231),
        ("set password = 'x'", 1235),
        ("set", 1064),
        ("set @a", 1064),
        ("set a", 1064),
        ("set a = ", 1064),
        ("set names", 1064),
        ("set @a = 1 @b = 2", 1064),
    ] {
        assert_eq!(client.errno(text).0, errno, "{text}");
    }
}

#[test]
fn a_number_out_of_range_is_moved_into_it_with_a_warning() {
    let mut client = Client::new();
    client.done("set wait_timeout = 0");
    assert_eq!(client.state.warnings(), 1);
    let warning = client.row("show warnings");
    assert_eq!(warning, "Warning 1292 Truncated incorrect wait_timeout value: '0'");
    assert_eq!(client.row("select @@wait_timeout"), "1");
    assert_eq!(client.state.warnings(), 0);
}

#[test]
fn names_are_spoken_in_both_directions() {
    let mut client = Client::new();
    client.done("SET NAMES latin1");
    assert_eq!(client.state.results(), Charset::Latin1);
    let (action, _) = run(b"call echo('\xe9')", &[], &mut client.state, &client.session).unwrap();
    let Action::Call { arguments, .. } = action else { panic!("{action:?}") };
    assert_eq!(arguments, ["é".into()]);
    client.done("SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_ci'");
    assert_eq!(client.state.results(), Charset::Utf8);
    let row = client.row("select @@character_set_client, @@collation_connection");
    assert_eq!(row, "utf8mb4 utf8mb4_unicode_ci");
    client.done("SET NAMES utf8");
    assert_eq!(client.row("select @@character_set_client"), "utf8mb3");
    client.done("SET CHARACTER SET latin1");
    let row = client.row("select @@character_set_client, @@character_set_connection");
    assert_eq!(row, "latin1 utf8mb4");
    client.done("SET NAMES DEFAULT");
    assert_eq!(client.row("select @@character_set_client"), "utf8mb4");
}

#[test]
fn the_login_says_the_charset() {
    let mut client = Client::new();
    client.state = State::new(Setup { collation: 8, ..Setup::default() });
    assert_eq!(client.row("select @@character_set_client"), "latin1");
    assert_eq!(client.state.results(), Charset::Latin1);
}

#[test]
fn transactions_are_kept_in_the_status_bits() {
    let mut client = Client::new();
    for (text, status) in [
        ("BEGIN", 3),
        ("SAVEPOINT sa_savepoint_1", 3),
        ("ROLLBACK TO SAVEPOINT sa_savepoint_1", 3),
        ("RELEASE SAVEPOINT sa_savepoint_1", 3),
        ("COMMIT", 2),
        ("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", 3),
        ("ROLLBACK AND CHAIN", 3),
        ("rollback work", 2),
        ("SET autocommit=0", 0),
        ("start transaction", 1),
        ("set autocommit=1", 2),
        ("COMMIT AND NO CHAIN NO RELEASE", 2),
    ] {
        client.done(text);
        assert_eq!(client.state.status(), status, "{text}");
    }
    assert_eq!(client.errno("rollback to nope").1, "SAVEPOINT nope does not exist");
    client.done("begin");
    client.done("savepoint a");
    client.done("savepoint b");
    client.done("rollback to a");
    assert_eq!(client.errno("release savepoint b").0, 1305);
    client.done("release savepoint a");
}

#[test]
fn databases_are_chosen_by_name() {
    let mut client = Client::new();
    assert_eq!(client.run("use test"), Ok(Action::Use("test".into())));
    assert_eq!(client.row("select database()"), "test");
    assert_eq!(client.run("USE `polyport`;"), Ok(Action::Use("polyport".into())));
    assert_eq!(client.run("use INFORMATION_SCHEMA").map(|_| ()), Ok(()));
    assert_eq!(client.errno("use nope"), (1049, "Unknown database 'nope'".into()));
    client.done("create database if not exists test");
    assert_eq!(client.errno("create database test").0, 1007);
    assert_eq!(client.errno("create database other").0, 1044);
}

#[test]
fn any_database_is_chosen_where_all_are_allowed() {
    let mut client = Client::of(Limits::default(), "call *", &["polyport", "*"]);
    assert_eq!(client.run("use `any thing`"), Ok(Action::Use("any thing".into())));
    assert_eq!(client.row("select database()"), "any thing");
    client.run("call myadd(3, 4)").unwrap();
    client.run("call elsewhere.myadd(3, 4)").unwrap();
    let Ok(Action::Rows(rows)) = client.run("show databases") else { panic!() };
    assert_eq!(rows.rows.len(), 4, "{:?}", rows.rows);
}

#[test]
fn prepared_statements_have_names() {
    let mut client = Client::new();
    client.done("set @a = 3, @b = 4, @q = 'select ? + ?'");
    client.done("prepare s from 'select ? + ?'");
    let run = |client: &mut Client, text: &str| match client.run(text).unwrap() {
        Action::Rows(rows) => rows.rows,
        other => panic!("{other:?}"),
    };
    assert_eq!(run(&mut client, "execute s using @a, @b"), [[Value::Int(7)]]);
    client.done("prepare t from @q");
    assert_eq!(run(&mut client, "EXECUTE t USING @a, @a"), [[Value::Int(6)]]);
    assert_eq!(client.errno("execute s using @a").0, 1210);
    client.done("deallocate prepare s");
    assert_eq!(client.errno("execute s using @a, @b").0, 1243);
    client.done("drop prepare t");
    client.done("prepare c from 'call myadd(?, 1)'");
    match client.run("execute c using @a").unwrap() {
        Action::Call { arguments, .. } => assert_eq!(arguments, [Value::Int(3), Value::Int(1)]),
        other => panic!("{other:?}"),
    }
    client.done("prepare e from 'execute c using @a'");
    assert_eq!(client.errno("execute e").0, 1295);
}

#[test]
fn results_go_into_variables() {
    let mut client = Client::new();
    client.done("select 1, 'x' into @a, @b");
    assert_eq!(client.row("select @a, @b"), "1 x");
    client.done("select 5 into @c from dual");
    assert_eq!(client.row("select @c, row_count()"), "5 1");
    assert_eq!(client.errno("select 1, 2 into @a").0, 1222);
    assert_eq!(client.errno("select 1 into outfile '/tmp/x'").0, 1290);
}

#[test]
fn warnings_last_until_the_next_statement() {
    let mut client = Client::new();
    assert_eq!(client.errno("select nope").0, 1054);
    assert_eq!(client.row("show warnings"), "Error 1054 Unknown column 'nope' in 'field list'");
    assert_eq!(client.row("SHOW COUNT(*) WARNINGS"), "1");
    assert_eq!(client.row("show count(*) errors"), "1");
    assert_eq!(client.row("SELECT @@session.warning_count"), "1");
    assert_eq!(client.rows("show errors").1.len(), 1);
    assert_eq!(client.row("select 1"), "1");
    assert_eq!(client.rows("SHOW WARNINGS LIMIT 64").1.len(), 0);
    assert_eq!(client.row("select '3 apples' + 1"), "4");
    let warning = client.row("show warnings");
    assert_eq!(warning, "Warning 1292 Truncated incorrect DOUBLE value: '3 apples'");
}

#[test]
fn what_is_no_table_is_refused_in_words() {
    let mut client = Client::new();
    for (text, errno) in [
        ("insert into t values (1)", 1142),
        ("UPDATE t SET a = 1", 1142),
        ("delete from t", 1142),
        ("CREATE TABLE t (a int)", 1142),
        ("alter table t add b int", 1142),
        ("truncate t", 1142),
        ("grant all on *.* to x", 1142),
        ("drop table t", 1051),
        ("drop procedure p", 1142),
        ("select * from t", 1146),
        ("select * from polyport.t", 1146),
        ("select * from nope.t", 1049),
        ("DESCRIBE `polyport`.`t`", 1146),
        ("desc t", 1146),
        ("explain t", 1146),
        ("explain select 1", 1235),
        ("load data local infile '/etc/hostname' into table t", 3948),
        ("LOAD DATA INFILE 'x' INTO TABLE t", 3948),
        ("handler t open", 1235),
        ("flush tables", 1235),
        ("analyze table t", 1235),
        ("shutdown", 1235),
        ("with a as (select 1) select * from a", 1235),
        ("xa start 'x'", 1235),
        ("help 'x'", 1235),
    ] {
        assert_eq!(client.errno(text).0, errno, "{text}");
    }
    assert_eq!(client.errno("select * from t").1, "Table 'polyport.t' doesn't exist");
    assert!(client.errno("insert into t values (1)").1.contains("offers functions"));
    client.done("drop table if exists t, polyport.u");
    assert_eq!(client.state.warnings(), 2);
    client.done("LOCK TABLES t READ");
    client.done("unlock tables");
    client.state.database = "".into();
    assert_eq!(client.errno("select * from t").0, 1046);
}

#[test]
fn connections_are_killed_by_number() {
    let mut client = Client::new();
    for (text, only_call) in
        [("KILL 7", false), ("kill connection 7", false), ("KILL QUERY 7", true)]
    {
        assert_eq!(client.run(text), Ok(Action::Kill { id: 7, only_call }), "{text}");
    }
    assert_eq!(client.errno("kill -1").0, 1094);
    assert_eq!(client.run("do 1, 2"), Ok(Action::Done));
}

#[test]
fn a_limit_of_the_session_holds_for_queries_without_their_own() {
    let mut client = Client::new();
    client.done("set SQL_SELECT_LIMIT=2");
    assert_eq!(client.rows("select * from information_schema.collations").1.len(), 2);
    assert_eq!(client.rows("select * from information_schema.collations limit 3").1.len(), 3);
    client.done("set SQL_SELECT_LIMIT=DEFAULT");
    assert_eq!(client.rows("select * from information_schema.collations").1.len(), 25);
}

#[test]
fn counts_of_the_last_statement_can_be_asked_for() {
    let mut client = Client::new();
    client.rows("select engine from information_schema.engines");
    assert_eq!(client.row("select found_rows(), row_count()"), "1 -1");
    client.rows("select sql_calc_found_rows * from information_schema.collations limit 2");
    assert_eq!(client.row("select found_rows()"), "25");
    client.state.answered(Some(3));
    assert_eq!(client.row("select found_rows()"), "3");
    client.state.answered(None);
    assert_eq!(client.row("select row_count()"), "0");
}
