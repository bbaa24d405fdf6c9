use super::*;

#[test]
fn a_heading_is_the_alias_or_the_source_to_the_letter() {
    let mut client = Client::new();
    for (text, heading) in [
        ("select 1", "1"),
        ("SELECT  1+ 1", "1+ 1"),
        ("select VERSION( )", "VERSION( )"),
        ("select @@version_comment limit 1", "@@version_comment"),
        ("select @@session.sql_mode", "@@session.sql_mode"),
        ("select @_f_0", "@_f_0"),
        ("select @`_f_0`", "@`_f_0`"),
        ("select 1 as `a b`", "a b"),
        ("select 1 a", "a"),
        ("select 1 'a b'", "a b"),
        ("select 'it''s'", "it's"),
        ("select null from dual", "NULL"),
        ("select true", "TRUE"),
        ("select date '2020-01-02'", "date '2020-01-02'"),
        ("select .5e1", ".5e1"),
        ("select N'x'", "x"),
        ("select /* x */ 1 /* y */", "1"),
        ("select _utf8mb4'x'", "x"),
        ("select 'x' like 'y'", "'x' like 'y'"),
    ] {
        assert_eq!(client.rows(text).0, [heading], "{text}");
    }
}

#[test]
fn operators_and_functions_give_what_mysql_gives() {
    let mut client = Client::new();
    client.done("set @a = 5, @b := 'x', time_zone = '+00:00'");
    for (expression, value) in [
        ("1", "1"),
        ("1 + 2 * 3 - 4", "3"),
        ("(1 + 2) * 3", "9"),
        ("7 / 2", "3.5000"),
        ("7 div 2", "3"),
        ("-7 % 3", "-1"),
        ("7 mod 3", "1"),
        ("2 - -2", "4"),
        ("2--2", "4"),
        ("1 / 0", "NULL"),
        ("NULL + 1", "NULL"),
        ("'3' + 4", "7"),
        ("'3 apples' * 2", "6"),
        ("0x1F + 0", "31"),
        ("b'101' + 0", "5"),
        ("1.50", "1.50"),
        ("1.5e0", "1.5"),
        ("1 = 1", "1"),
        ("1 = 1.0", "1"),
        ("'a' = 'A'", "1"),
        ("binary 'a' = 'A'", "0"),
        ("'a' = 'A' collate utf8mb4_bin", "0"),
        ("NULL = NULL", "NULL"),
        ("NULL <=> NULL", "1"),
        ("1 <=> NULL", "0"),
        ("1 <> 2 and 1 != 2", "1"),
        ("1 in (2, 1)", "1"),
        ("1 not in (2, NULL)", "NULL"),
        ("(1, 2) in ((1, 2), (3, 4))", "1"),
        ("2 between 1 and 3", "1"),
        ("2 not between 1 and 3", "0"),
        ("1 is null", "0"),
        ("NULL is not null", "0"),
        ("NULL is unknown", "1"),
        ("2 is true", "1"),
        ("not 1", "0"),
        ("!1", "0"),
        ("1 and NULL", "NULL"),
        ("0 and NULL", "0"),
        ("1 or NULL", "1"),
        ("1 xor 1", "0"),
        ("1 || 0", "1"),
        ("1 && 0", "0"),
        ("5 & 3 | 8", "9"),
        ("1 << 4 >> 1", "8"),
        ("~0", "18446744073709551615"),
        ("5 ^ 1", "4"),
        ("'abc' like 'A%'", "1"),
        ("'abc' not like '_b_'", "0"),
        ("'a%' like 'a|%' escape '|'", "1"),
        ("'abc' regexp '^a.c$'", "1"),
        ("'abc' rlike 'B'", "1"),
        ("'abc' not regexp 'x'", "1"),
        ("case 1 when 1 then 'one' else 'other' end", "one"),
        ("case when 0 then 1 end", "NULL"),
        ("if(1 > 0, 'yes', 'no')", "yes"),
        ("ifnull(NULL, 2)", "2"),
        ("nullif(1, 1)", "NULL"),
        ("coalesce(NULL, NULL, 3)", "3"),
        ("isnull(NULL)", "1"),
        ("cast('12' as signed)", "12"),
        ("cast(-1 as unsigned)", "18446744073709551615"),
        ("cast(1.555 as decimal(10,2))", "1.56"),
        ("cast('2020-01-02' as date)", "2020-01-02"),
        ("cast('2020-01-02 03:04:05' as time)", "03:04:05"),
        ("cast(12 as char)", "12"),
        ("cast('abc' as char(2))", "ab"),
        ("convert('x' using utf8mb4)", "x"),
        ("convert('12', signed integer)", "12"),
        ("concat('a', 1, 'b')", "a1b"),
        ("concat('a', NULL)", "NULL"),
        ("concat_ws(',', 'a', NULL, 'b')", "a,b"),
        ("length('é')", "2"),
        ("char_length('é')", "1"),
        ("upper('abc')", "ABC"),
        ("lcase('ABC')", "abc"),
        ("substring('hello', 2, 3)", "ell"),
        ("substring('hello' from 2 for 3)", "ell"),
        ("substr('hello', -3)", "llo"),
        ("substring_index('a.b.c', '.', 2)", "a.b"),
        ("substring_index('a.b.c', '.', -1)", "c"),
        ("left('hello', 2)", "he"),
        ("right('hello', 2)", "lo"),
        ("trim('  x ')", "x"),
        ("trim(leading 'x' from 'xxyxx')", "yxx"),
        ("trim(both from ' y ')", "y"),
        ("replace('aXbX', 'X', '-')", "a-b-"),
        ("lpad('5', 3, '0')", "005"),
        ("repeat('ab', 3)", "ababab"),
        ("reverse('abc')", "cba"),
        ("instr('foobar', 'BAR')", "4"),
        ("locate('o', 'foo', 3)", "3"),
        ("field('b', 'a', 'b')", "2"),
        ("elt(2, 'a', 'b')", "b"),
        ("find_in_set('b', 'a,b')", "2"),
        ("hex('abc')", "616263"),
        ("hex(255)", "FF"),
        ("unhex('4142')", "b'AB'"),
        ("sha1('abc')", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("sha2('abc', 256)", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("format(1234567.891, 2)", "1,234,567.89"),
        ("quote('it''s')", r"'it\'s'"),
        ("strcmp('a', 'b')", "-1"),
        ("ascii('A')", "65"),
        ("abs(-5)", "5"),
        ("sign(-2)", "-1"),
        ("round(1.5)", "2"),
        ("round(1.298, 1)", "1.3"),
        ("truncate(1.999, 1)", "1.9"),
        ("floor(-1.5)", "-2"),
        ("ceil(1.2)", "2"),
        ("mod(7, 3)", "1"),
        ("pow(2, 10)", "1024"),
        ("greatest(1, 3, 2)", "3"),
        ("least('b', 'a')", "a"),
        ("interval(23, 1, 15, 17)", "3"),
        ("unix_timestamp('2020-01-02 03:04:05')", "1577934245"),
        ("from_unixtime(1577934245)", "2020-01-02 03:04:05"),
        ("date_add('2020-01-31', interval 1 month)", "2020-02-29"),
        ("date '2020-01-31' + interval 1 day", "2020-02-01"),
        ("date_sub(timestamp '2020-01-01 00:00:00', interval 1 second)", "2019-12-31 23:59:59"),
        ("datediff('2020-01-03', '2020-01-01')", "2"),
        ("timestampdiff(hour, '2020-01-01', '2020-01-02')", "24"),
        ("date_format('2020-01-02 03:04:05', '%Y/%m/%d %H:%i:%s')", "2020/01/02 03:04:05"),
        ("year('2020-01-02') + month('2020-01-02')", "2021"),
        ("extract(day from '2020-01-02')", "2"),
        ("dayofweek('2020-01-02')", "5"),
        ("convert_tz('2020-01-02 00:00:00', '+00:00', '+02:00')", "2020-01-02 02:00:00"),
        ("{d '2020-01-02'}", "2020-01-02"),
        ("{ts '2020-01-02 03:04:05'}", "2020-01-02 03:04:05"),
        ("{fn upper('x')}", "X"),
        ("@a + 1", "6"),
        ("@b", "x"),
        ("@nothing", "NULL"),
        ("@c := 1 + 1", "2"),
        ("true", "1"),
        ("database()", "polyport"),
        ("user()", "testuser@localhost"),
        ("current_user", "testuser@%"),
        ("connection_id()", "1"),
        ("last_insert_id()", "0"),
        ("charset('x')", "utf8mb4"),
        ("collation('x')", "utf8mb4_0900_ai_ci"),
        ("(select 1 + 1)", "2"),
        ("exists (select 1)", "1"),
        ("exists(select 1 from information_schema.views)", "0"),
        ("2 in (select 2)", "1"),
        ("@@session.autocommit", "1"),
        ("@@global.autocommit", "1"),
        ("count(*)", "1"),
        ("position('b' in 'abc')", "2"),
        ("bin(5)", "101"),
        ("oct(8)", "10"),
        ("conv('ff', 16, 10)", "255"),
        ("insert('abcd', 2, 2, 'xyz')", "axyzd"),
        ("md5('a')", "0cc175b9c0f1b6a831c399e269772661"),
        ("crc32('a')", "3904355907"),
        ("to_base64('abc')", "YWJj"),
        ("from_base64('YWJj')", "b'abc'"),
        ("lpad('a', 3, '')", "NULL"),
        ("sec_to_time(3661)", "01:01:01"),
        ("time_to_sec('01:01:01')", "3661"),
        ("to_days('2020-01-02')", "737791"),
        ("addtime('10:00:00', '01:00:00')", "11:00:00"),
        ("cast('2020-01-02 10:11:12.5' as datetime)", "2020-01-02 10:11:13"),
        ("cast('2020-01-02 10:11:12.55' as datetime(1))", "2020-01-02 10:11:12.600000"),
        ("cast('10:11:12.5' as time)", "10:11:13"),
    ] {
        assert_eq!(client.row(&format!("select {expression}")), value, "{expression}");
    }
}

#[test]
fn kinds_of_values_are_kept() {
    let mut client = Client::new();
    let decimal = |text: &str| Value::Decimal(Box::new(text.parse().unwrap()));
    client.done("set @i = 5, @t = 'x', @d = 1.50, @f = 1e0, @n = null, @b = x'00ff'");
    for (name, value) in [
        ("i", Value::Int(5)),
        ("t", "x".into()),
        ("d", decimal("1.50")),
        ("f", Value::Float(1.0)),
        ("n", Value::Null),
        ("b", Value::Bytes(b"\0\xff".into())),
    ] {
        assert_eq!(client.value(&format!("select @{name}")), value, "{name}");
    }
}

#[test]
fn what_has_a_clock_tells_the_time() {
    let mut client = Client::new();
    client.done("set time_zone = '+00:00'");
    assert_eq!(client.row("select abs(timestampdiff(second, now(), utc_timestamp())) < 5"), "1");
    assert_eq!(client.row("select length(now()), length(now(6)), length(curdate())"), "19 26 10");
    assert_eq!(client.row("select length(uuid()), rand() < 1"), "36 1");
    client.done("set time_zone = '+02:00'");
    let hours = client.row("select timestampdiff(hour, utc_timestamp(), now())");
    assert_eq!(hours, "2");
}

#[test]
fn sleeping_is_left_to_the_connection() {
    let mut client = Client::new();
    match client.run("select sleep(0.5)").unwrap() {
        Action::Wait(time, rows) => {
            assert_eq!(time.as_millis(), 500);
            assert_eq!(rows.rows, [[Value::Int(0)]]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(client.errno("select sleep(-1)").0, 1210);
    assert_eq!(client.errno("select sleep(1), 1").0, 1235);
}

#[test]
fn errors_are_mysqls() {
    let mut client = Client::new();
    for (text, errno, message) in [
        ("select x", 1054, "Unknown column 'x' in 'field list'"),
        ("select 1 from dual where x = 1", 1054, "Unknown column 'x' in 'where clause'"),
        ("select @@nope", 1193, "Unknown system variable 'nope'"),
        (
            "select abs(1, 2)",
            1582,
            "Incorrect parameter count in the call to native function 'abs'",
        ),
        ("select *", 1096, "No tables used"),
        ("select (1, 2)", 1241, "Operand should contain 1 column(s)"),
        ("select (select 1, 2)", 1241, "Operand should contain 1 column(s)"),
        ("select 9e307 * 100", 1690, "DOUBLE value is out of range"),
        ("select convert('x' using gbk)", 1115, "Unknown character set: 'gbk'"),
        ("select 'x' collate nope", 1273, "Unknown collation: 'nope'"),
        (
            "select sum(sum(1)) from information_schema.engines",
            1111,
            "Invalid use of group function",
        ),
        ("", 1065, "Query was empty"),
        (" ; ", 1065, "Query was empty"),
        ("-- nothing", 1065, "Query was empty"),
    ] {
        assert_eq!(client.errno(text), (errno, message.into()), "{text}");
    }
    for text in [
        "select",
        "select 1 +",
        "select from",
        "select 1 from",
        "select and(1)",
        "select 1,",
        "select case end",
        "select 1 2 3",
        "selec 1",
        "select [1]",
        "select {'a': 1}",
        "@a",
        "select 'x",
        "select 1 limit",
        "select not",
        "select 1 is 2",
    ] {
        assert_eq!(client.errno(text).0, 1064, "{text}");
    }
}

#[test]
fn pipes_and_quotes_follow_the_mode() {
    let mut client = Client::new();
    client.done("set sql_mode = 'ANSI'");
    assert_eq!(client.row("select 'a' || 'b'"), "ab");
    assert_eq!(client.rows("select 1 as \"x y\"").0, ["x y"]);
    client.done("set sql_mode = 'NO_BACKSLASH_ESCAPES'");
    assert_eq!(client.row(r"select 'a\'"), r"a\");
    assert_eq!(client.call(r"call echo('\n')").1, [r"\n".into()]);
    client.done("set sql_mode = ''");
    assert_eq!(client.row("select 'a' || 'b'"), "0");
}
