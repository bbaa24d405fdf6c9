//! Whatever is sent is answered, and soon.

use std::time::{Duration, Instant};

use super::*;

/// A statement takes less than this, in a build that is not optimised and on a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// A small generator of the same numbers each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(most.max(1)).unwrap()).unwrap()
    }
}

const PIECES: &[&str] = &[
    "(",
    ")",
    "'",
    "\"",
    "`",
    "\\",
    "/*",
    "*/",
    "/*!50000",
    "--",
    "#",
    "@",
    "@@",
    "?",
    ";",
    ",",
    "[",
    "{",
    "}",
    "]",
    ":",
    "=",
    ":=",
    "NULL",
    "select",
    "from",
    "call",
    "set",
    "0x",
    "b'",
    "_",
    "x'4'",
    "1e",
    ".",
    "-",
    "not",
    "like",
    "in",
    "is",
    "case",
    "interval",
    "\0",
    "\u{e9}",
    "information_schema.",
    "99999999999999999999",
    "union",
    "limit",
    "where",
    "%",
];

fn mutate(numbers: &mut Numbers, text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        match numbers.below(5) {
            0 => bytes.truncate(at),
            1 => {
                let end = (at + numbers.below(8)).min(bytes.len());
                bytes.drain(at..end);
            }
            2 => {
                let piece = PIECES[numbers.below(PIECES.len())].as_bytes();
                bytes.splice(at..at, piece.iter().copied());
            }
            3 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(numbers.below(256)).unwrap();
                }
            }
            _ => {
                let end = (at + numbers.below(30)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

const CALLS: &[&str] = &[
    "call myadd(3,4)",
    "CALL `polyport`.`myadd`(@`_f_0`, ?, 'it\\'s', _binary'\\0', [1, {'a': (1,)}], 0.5, b'x')",
    "{? = call f(?, -1, NULL, X'00ff')}",
    "select case when 1 is not null then 'a' like '%b' else interval(1, 2) end from dual limit 1",
    "select date_add(now(), interval 1 day), cast('x' as decimal(10,2)), trim(both 'x' from 'y')",
    "prepare s from 'select ?'; execute s using @a",
];

#[test]
fn mutations_of_what_clients_send_are_answered_soon() {
    let mut client = Client::new();
    let texts: Vec<&str> = clients::all().chain(CALLS.iter().copied()).collect();
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let values = [Value::Int(1), "x".into()];
    for _ in 0..10_000 {
        let text = texts[numbers.below(texts.len())];
        let text = mutate(&mut numbers, text);
        let began = Instant::now();
        let mut rest = text.as_slice();
        for _ in 0..100 {
            match run(rest, &values, &mut client.state, &client.session) {
                Ok((_, more)) if more.len() < rest.len() => rest = more,
                _ => break,
            }
            if rest.is_empty() {
                break;
            }
        }
        let took = began.elapsed();
        assert!(took < SOON, "{took:?}: {}", String::from_utf8_lossy(&text));
        let _ = super::super::count_parameters(&text, &client.state);
    }
}

#[test]
fn nesting_is_bounded_whatever_nests() {
    let mut client = Client::new();
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("-", "1", ""),
        ("not ", "1", ""),
        ("~", "1", ""),
        ("!", "1", ""),
        ("abs(", "1", ")"),
        ("case when ", "1", " then 1 end"),
        ("(select ", "1", ")"),
        ("if(1, 1, ", "1", ")"),
        ("@a := ", "1", ""),
        ("binary ", "1", ""),
        ("1 + (", "1", ")"),
        ("1 in (", "1", ")"),
        ("exists(select ", "1", ")"),
        ("(select 1 from (select ", "1", ") t)"),
    ] {
        let text = format!("select {}{middle}{}", open.repeat(100_000), close.repeat(100_000));
        let error = client.run(&text).unwrap_err();
        assert_eq!(error.errno, 1436, "{open}: {}", error.message);
    }
    for (open, close) in [("[", "]"), ("(", ",)"), ("{1: ", "}"), ("{", "}"), ("[(", ",)]")] {
        let nested =
            |depth: usize| format!("call echo({}1{})", open.repeat(depth), close.repeat(depth));
        assert_eq!(client.run(&nested(100_000)).unwrap_err().errno, 1436, "{open}");
        assert!(client.run(&nested(30)).is_ok(), "{open}");
    }
}

#[test]
fn the_deepest_statement_that_is_let_in_has_room_on_the_stack() {
    let limits = Limits { depth: 100_000, ..Limits::default() };
    let mut client = Client::with(limits, "call *");
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("-", "@a", ""),
        ("not ", "1", ""),
        ("abs(", "1", ")"),
        ("case when ", "1", " then 1 end"),
        ("(select ", "1", ")"),
        ("if(1, ", "1", ", 1)"),
        ("1 + (2 * ", "1", ")"),
        ("1 in (1, ", "1", ")"),
        ("exists(select ", "1", ")"),
        ("(select * from (select ", "1", ") t)"),
        ("(select count(*) from information_schema.engines where 1 = ", "1", ")"),
    ] {
        let deepest = (1..300)
            .map(|depth| format!("select {}{middle}{}", open.repeat(depth), close.repeat(depth)))
            .take_while(|text| client.run(text).is_ok())
            .count();
        assert!((10..300).contains(&deepest), "{open}: {deepest}");
    }
    let deepest = (1..300)
        .map(|depth| format!("call echo({}1+1{})", "[".repeat(depth), "]".repeat(depth)))
        .take_while(|text| client.run(text).is_ok())
        .count();
    assert!((20..300).contains(&deepest), "{deepest}");
    let deepest = (1..300)
        .map(|depth| format!("call echo({}1{})", "[".repeat(depth), "]".repeat(depth)))
        .take_while(|text| client.run(text).is_ok())
        .count();
    assert!((100..300).contains(&deepest), "{deepest}");
}

#[test]
fn long_chains_nest_nothing() {
    let mut client = Client::new();
    for (between, count) in
        [(" + 1", 40_000), (" or 1", 40_000), (" and 1", 40_000), (" xor 1", 40_000)]
    {
        let text = format!("select 1{}", between.repeat(count));
        assert!(client.run(&text).is_ok(), "{between}");
    }
    for between in [" = 1", " is null", " in (1)", " like 1", " collate utf8mb4_bin"] {
        let text = format!("select 1{}", between.repeat(90_000));
        assert!(client.run(&text).is_err(), "{between}");
    }
    let dots = format!("select a{}", ".a".repeat(90_000));
    assert!(client.run(&dots).is_err());
    let union = format!("select 1{}", " union select 1 from dual".repeat(20_000));
    let _ = client.run(&union);
}

#[test]
fn a_statement_takes_only_so_much_time_and_memory() {
    let limits = Limits { message_bytes: 1 << 20, ..Limits::default() };
    let mut client = Client::with(limits, "call *");
    let columns = "information_schema.columns";
    for text in [
        "select repeat('x', 10000000)".to_owned(),
        "select length(concat(repeat('x', 600000), repeat('x', 600000)))".to_owned(),
        "select lpad('x', 9000000000, 'y')".to_owned(),
        "select space(9223372036854775807)".to_owned(),
        "select replace(repeat('x', 1000), 'x', repeat('y', 100000))".to_owned(),
        "select cast('x' as binary(4000000000))".to_owned(),
        format!("select count(*) from {columns} a, {columns} b, {columns} c, {columns} d"),
        format!("select (select count(*) from {columns} b, {columns} c) from {columns} a"),
        "select repeat('a', 50000) like concat('%', repeat('a', 25000), 'b')".to_owned(),
    ] {
        let began = Instant::now();
        let error = client.run(&text).unwrap_err();
        assert_eq!(error.errno, 3170, "{text}: {}", error.message);
        assert!(began.elapsed() < SOON, "{text}");
    }
    client.done("set @a = repeat('x', 700000)");
    assert_eq!(client.run("set @b = @a").unwrap_err().errno, 3170);
    assert_eq!(client.errno("select 'x' regexp '(a{1000}){1000}'").0, 3685);
    assert_eq!(client.errno("select 'x' regexp '('").0, 3685);
}

#[test]
fn many_columns_and_tables_are_refused() {
    let mut client = Client::new();
    assert_eq!(client.errno(&format!("select 1{}", ",1".repeat(5_000))).0, 1117);
    let tables = ", information_schema.views v".repeat(70);
    let text = format!("select 1 from information_schema.views v{tables}");
    assert_eq!(client.errno(&text).0, 1116);
}

#[test]
fn long_texts_take_time_in_proportion() {
    let mut client = Client::new();
    let long = "x".repeat(4 << 20);
    for text in [
        format!("select '{long}"),
        format!("select 1 /* {long}"),
        format!("select {}", "'a' ".repeat(1 << 20)),
        format!("select {}1", "/* */ ".repeat(1 << 19)),
        format!("call f({}", "'a',".repeat(1 << 19)),
        format!("call f({})", "''".repeat(1 << 20)),
        format!("select {}", "\\'".repeat(1 << 20)),
        ";".repeat(1 << 20),
        format!("select `{long}`"),
        "/*!".repeat(1 << 20),
        format!("select 1 {}", "-- \n".repeat(1 << 20)),
        format!("select @{long}"),
        format!("select {}", "9".repeat(1 << 20)),
        format!("call f({})", "9".repeat(1 << 20)),
    ] {
        let began = Instant::now();
        let _ = client.run(&text);
        let shown: String = text.chars().take(30).collect();
        assert!(began.elapsed() < SOON, "{shown}: {:?}", began.elapsed());
    }
}
