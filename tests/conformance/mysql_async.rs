//! The Rust client mysql_async, which is not ours, against a server in this process: text and
//! prepared calls, several results, errors, pools.

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, OptsBuilder, Pool, Row};
use polyport::{Fault, Reply, Rows, Running, Server, User, Value};

#[polyport::function(inline)]
fn myadd(a: i64, b: i64) -> Rows {
    Rows::new(["sum"]).row([a + b])
}

#[polyport::function(inline)]
fn echo(x: Value) -> Rows {
    Rows::new(["v"]).cells(vec![x])
}

#[polyport::function(inline)]
fn two() -> Reply {
    let set = |name: &'static str, value: i64| Reply::Rows(Rows::new([name]).row([value]));
    Reply::Many(vec![set("a", 1), set("b", 2)])
}

#[polyport::function(inline)]
fn logic() -> Result<(), Fault> {
    Err(Fault::numbered(1234, "no such thing"))
}

#[polyport::function(inline)]
fn pairs() -> Vec<(i64, Option<String>)> {
    vec![(1, Some("one".into())), (2, None)]
}

async fn start() -> Running {
    Server::builder()
        .function::<myadd>()
        .function::<echo>()
        .function::<two>()
        .function::<logic>()
        .function::<pairs>()
        .user(User::new("ann", "secret").right("call *"))
        .listen("mysql", "127.0.0.1:0")
        .build()
        .unwrap()
        .start()
        .await
        .unwrap()
}

fn options(running: &Running) -> OptsBuilder {
    let (host, port) = running.address("mysql").unwrap().rsplit_once(':').unwrap();
    OptsBuilder::default()
        .ip_or_hostname(host.to_owned())
        .tcp_port(port.parse().unwrap())
        .user(Some("ann"))
        .pass(Some("secret"))
        .db_name(Some("polyport"))
}

#[tokio::test]
async fn text_and_prepared_calls_give_the_same() {
    let running = start().await;
    let mut connection = Conn::new(options(&running)).await.unwrap();
    let text: Option<i64> = connection.query_first("CALL myadd(3, 4)").await.unwrap();
    let prepared: Option<i64> = connection.exec_first("CALL myadd(?, ?)", (3, 4)).await.unwrap();
    assert_eq!((text, prepared), (Some(7), Some(7)));
    for number in [i64::MIN, -1, 0, i64::MAX] {
        let back: Option<i64> = connection.exec_first("CALL echo(?)", (number,)).await.unwrap();
        assert_eq!(back, Some(number));
    }
    let back: Option<Vec<u8>> =
        connection.exec_first("CALL echo(?)", (vec![0_u8, 255],)).await.unwrap();
    assert_eq!(back, Some(vec![0, 255]));
    let back: Option<Option<f64>> = connection.exec_first("CALL echo(?)", (2.5,)).await.unwrap();
    assert_eq!(back, Some(Some(2.5)));
    let rows: Vec<(i64, Option<String>)> = connection.exec("CALL pairs()", ()).await.unwrap();
    assert_eq!(rows, [(1, Some("one".to_owned())), (2, None)]);
    connection.disconnect().await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn several_results_come_one_after_the_other() {
    let running = start().await;
    let mut connection = Conn::new(options(&running)).await.unwrap();
    for round in 0..2 {
        let mut results = connection.query_iter("CALL two()").await.unwrap();
        let first: Vec<Row> = results.collect().await.unwrap();
        let second: Vec<Row> = results.collect().await.unwrap();
        assert_eq!((first[0].get("a"), second[0].get("b")), (Some(1), Some(2)), "round {round}");
        results.drop_result().await.unwrap();
    }
    let mut results = connection.exec_iter("CALL two()", ()).await.unwrap();
    let first: Vec<i64> = results.collect().await.unwrap();
    let second: Vec<i64> = results.collect().await.unwrap();
    assert_eq!((first, second), (vec![1], vec![2]));
    results.drop_result().await.unwrap();
    connection.disconnect().await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn errors_keep_number_state_and_text() {
    let running = start().await;
    let mut connection = Conn::new(options(&running)).await.unwrap();
    let error = connection.query_drop("CALL logic()").await.unwrap_err();
    let mysql_async::Error::Server(error) = error else {
        panic!("no error of the server: {error}")
    };
    assert_eq!((error.code, error.state.as_str()), (1234, "HY100"));
    assert_eq!(error.message, "no such thing");
    assert!(connection.query_drop("CALL nope()").await.is_err());
    let sum: Option<i64> = connection.query_first("CALL myadd(1, 1)").await.unwrap();
    assert_eq!(sum, Some(2));
    connection.disconnect().await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_pool_of_connections_is_reset_and_used_again() {
    let running = start().await;
    let pool = Pool::new(options(&running));
    for round in 0..3 {
        let calls = (0..8).map(|number| {
            let pool = pool.clone();
            async move {
                let mut connection = pool.get_conn().await.unwrap();
                let sum: Option<i64> =
                    connection.exec_first("CALL myadd(?, ?)", (number, round)).await.unwrap();
                assert_eq!(sum, Some(number + round));
            }
        });
        let tasks: Vec<_> = calls.map(tokio::spawn).collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
    pool.disconnect().await.unwrap();
    running.stop().await;
}
