use polyport_core::Limits;
use polyport_mysql::Config;
use polyport_mysql::config::Results;

use crate::client::{Answer, DEPRECATE_EOF, Login, MULTI_RESULTS, Server, USUAL};

/// The types of a result set's columns.
fn types(answer: &Answer) -> Vec<u8> {
    let Answer::Set(set) = answer else { panic!("{answer:?}") };
    set.columns.iter().map(|(_, kind)| *kind).collect()
}

fn server(results: Results) -> Server {
    Server::with(Config { results, ..Config::default() }, Limits::default())
}

#[tokio::test(start_paused = true)]
async fn every_shape_of_result_becomes_a_table() {
    let mut client = Server::new().login().await;
    let one = client.one("call one()").await;
    assert_eq!(
        (one.columns(), one.texts()),
        (vec!["0", "1"], vec![vec!["1".into(), "two".into()]])
    );
    assert_eq!(client.one("call nrows(2)").await.texts(), [["0", "row0"], ["1", "row1"]]);
    let empty = client.one("call empty()").await;
    assert_eq!((empty.columns(), empty.texts().len()), (vec!["a", "b"], 0));
    let scalar = client.one("call scalar()").await;
    assert_eq!((scalar.columns(), scalar.texts()), (vec!["result"], vec![vec!["5".to_owned()]]));
    let maps = client.one("call maps()").await;
    assert_eq!(maps.columns(), ["a", "b", "c"]);
    assert_eq!(maps.texts(), [["1", "[2]", "NULL"], ["NULL", "NULL", "3"]]);
    assert_eq!(types(&maps), [3, 245, 3]);
    assert_eq!(client.one("call nothing()").await, Answer::Ok { affected: 0, status: 2 });
    assert_eq!(client.one("call foreign()").await.errno(), 1235);
}

#[tokio::test(start_paused = true)]
async fn types_are_those_that_fit_all_rows() {
    let mut client = Server::new().login().await;
    let typed = client.one("call typed()").await;
    assert_eq!(types(&typed), [3, 253, 5, 253, 12, 252, 246]);
    let mixed = client.one("call mixed()").await;
    assert_eq!(types(&mixed), [3, 253]);
    assert_eq!(mixed.texts(), [["1", "a"], ["NULL", "NULL"], ["3", "c"]]);
    assert_eq!(types(&client.one("call echo(4294967296)").await), [8]);
}

#[tokio::test(start_paused = true)]
async fn one_set_comes_alone_and_several_end_with_an_ok() {
    let server = Server::new();
    for capabilities in [USUAL, USUAL | DEPRECATE_EOF] {
        let mut client = server.login_with(capabilities, Login::default()).await;
        assert_eq!(client.query("call one()").await.len(), 1);
        let two = client.query("call two()").await;
        let [Answer::Set(a), Answer::Set(b), Answer::Ok { status: 2, .. }] = &two[..] else {
            panic!("{two:?}")
        };
        assert_eq!((a.status, b.status), (10, 10));
        assert_eq!(client.one("call myadd(1,1)").await.texts(), [["2"]]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_one_result_is_told_when_there_are_more() {
    let server = Server::new();
    let mut client = server.login_with(USUAL & !MULTI_RESULTS, Login::default()).await;
    assert_eq!(client.one("call one()").await.texts().len(), 1);
    assert_eq!(client.one("call two()").await.errno(), 1312);
}

#[tokio::test(start_paused = true)]
async fn procedures_always_end_with_an_ok() {
    let mut client = server(Results::Procedure).login().await;
    assert!(matches!(client.query("call one()").await[..], [Answer::Set(_), Answer::Ok { .. }]));
    assert!(matches!(client.query("call nothing()").await[..], [Answer::Ok { .. }]));
    assert_eq!(client.query("call two()").await.len(), 3);
    // A query that is no call has no procedure's manners.
    assert_eq!(client.query("select 1").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn pymysqlrpcs_rules_hold_where_they_are_wanted() {
    let mut client = server(Results::Pymysqlrpc).login().await;
    assert_eq!(client.one("call zero()").await, Answer::Ok { affected: 1, status: 2 });
    assert_eq!(client.one("call nothing()").await, Answer::Ok { affected: 1, status: 2 });
    for (call, state) in [
        ("call scalar()", "HY102"),
        ("call nope()", "HY101"),
        ("call myadd(1)", "HY102"),
        ("call slow(9)", "HY103"),
    ] {
        let error = client.one(call).await;
        let Answer::Error { errno: 500, state: got, .. } = &error else { panic!("{error:?}") };
        assert_eq!(got, state, "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_carry_mysqls_numbers_and_states() {
    let mut client = Server::new().login().await;
    client.one("use polyport").await;
    for (call, errno, state, text) in [
        ("call nope()", 1305, "42000", "PROCEDURE polyport.nope does not exist"),
        ("call logic()", 1234, "HY100", "no such thing"),
        ("call boom()", 500, "HY102", "func call 2: --ValueError: boom!--:call boom"),
        (
            "call myadd(1)",
            1318,
            "42000",
            "Incorrect number of arguments for PROCEDURE polyport.myadd; expected 2, got 1",
        ),
        (
            "call slow(9)",
            3024,
            "HY000",
            "Query execution was interrupted, maximum statement execution time exceeded",
        ),
        ("call nrows('x')", 1366, "HY000", "argument 'n' takes int, not 'x'"),
    ] {
        let (state, message) = (state.to_owned(), text.to_owned());
        assert_eq!(client.one(call).await, Answer::Error { errno, state, message });
    }
    assert_eq!(client.one("call myadd(1,1)").await.texts(), [["2"]]);
}

#[tokio::test(start_paused = true)]
async fn prepared_calls_answer_in_binary() {
    let server = Server::new();
    for capabilities in [USUAL, USUAL | DEPRECATE_EOF] {
        let mut client = server.login_with(capabilities, Login::default()).await;
        let id = client.prepare("call myadd(?, ?)").await;
        let [Answer::Set(set)] =
            &client.execute(id, b"\0\x01\x03\0\x08\0\x03\0\0\0\x04\0\0\0\0\0\0\0").await[..]
        else {
            panic!()
        };
        assert_eq!(set.rows, [[&b"\0\0"[..], &7i32.to_le_bytes()].concat()]);
        // The types of the first execution hold for the second.
        let [Answer::Set(set)] = &client.execute(id, b"\0\0\x05\0\0\0\x05\0\0\0\0\0\0\0").await[..]
        else {
            panic!()
        };
        assert_eq!(set.rows, [[&b"\0\0"[..], &10i32.to_le_bytes()].concat()]);
        let id = client.prepare("call typed()").await;
        let [Answer::Set(set)] = &client.execute(id, b"").await[..] else { panic!() };
        let mut row = vec![0, 0b10_0000, 0];
        row.extend_from_slice(b"\x01\0\0\0\x01x");
        row.extend_from_slice(&1.5f64.to_le_bytes());
        row.extend_from_slice(b"\x07\xe4\x07\x01\x02\x03\x04\x05\x02\0\xff\x041.50");
        assert_eq!(set.rows, [row]);
        let id = client.prepare("call two()").await;
        assert_eq!(client.execute(id, b"").await.len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_columns_comes_row_by_row() {
    let mut client = Server::new().login().await;
    let answer = client.one("call stream(1000)").await;
    assert_eq!((answer.columns(), types(&answer)), (vec!["i", "t"], vec![8, 253]));
    let rows = answer.texts();
    assert_eq!((rows.len(), rows[999].clone()), (1000, vec!["999".into(), "t999".into()]));
    let broken = client.one("call broken()").await;
    let Answer::Error { errno: 500, message, .. } = broken else { panic!("{broken:?}") };
    assert!(message.contains("ValueError: spent"));
    assert_eq!(client.one("call myadd(1,1)").await.texts(), [["2"]]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_columns_is_gathered_up_to_a_limit() {
    let limits = Limits { gathered_items: 10, ..Limits::default() };
    let mut client = Server::with(Config::default(), limits).login().await;
    let answer = client.one("call untyped(10)").await;
    assert_eq!((answer.columns(), types(&answer)), (vec!["0", "1"], vec![3, 253]));
    assert_eq!(client.one("call untyped(11)").await.errno(), 1153);
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_for_its_client() {
    let server = Server { pipe: 1024, ..Server::new() };
    let mut client = server.login().await;
    client.command(3, b"call endless()").await;
    // Nothing is read, so the stream stands still and the clock may run.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let sent = server.core.stats().protocol("mysql").counters.read().bytes_out;
    assert!(sent < 200_000, "{sent}");
}

#[tokio::test(start_paused = true)]
async fn values_longer_than_a_packet_pass_both_ways() {
    let mut client = Server { pipe: 1 << 20, ..Server::new() }.login().await;
    let [row] = &client.one("call big(17825792)").await.texts()[..] else { panic!() };
    assert_eq!(row[0].len(), 17_825_792);
    let text = "y".repeat(17 << 20);
    let [row] = &client.one(&format!("call echo('{text}')")).await.texts()[..] else { panic!() };
    assert!(row[0] == text);
}

#[tokio::test(start_paused = true)]
async fn text_goes_both_ways_in_the_clients_charset() {
    let mut client = Server::new().login().await;
    assert_eq!(client.one("call echo('é中')").await.texts(), [["é中"]]);
    client.one("set names latin1").await;
    client.command(3, b"call echo('\xe9')").await;
    let [Answer::Set(set)] = &client.answers(false).await[..] else { panic!() };
    assert_eq!(set.rows, [b"\x01\xe9"]);
}
