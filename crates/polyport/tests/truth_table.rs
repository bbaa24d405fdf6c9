//! What each reply becomes in each protocol, seen by a client of that protocol.
//!
//! A protocol joins by adding a column: a function that calls by name and shows what came. The
//! table stands in `docs/protocols/README.md`; with `UPDATE_TRUTH_TABLE=1` this test writes it
//! there, otherwise it fails when the two differ.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, OptsBuilder};
use polyport::{Config, Fault, Reply, Rows, Running, Server, Stream, Type, User, Value};

/// The replies of the table, under the names of the functions that give them.
fn reply(case: &str) -> Result<Reply, Fault> {
    let typed = |kind: Type, text: &'static str| kind.coerce(text.into()).unwrap_or_default();
    let pair = |a: i64, b: &'static str| Value::Tuple(vec![a.into(), b.into()]);
    let map = || Value::map([("a", Value::Int(1)), ("b", "x".into())]);
    let rows = || Rows::new(["n", "s"]).cells(vec![1.into(), "x".into()]).cells(vec![2.into()]);
    let value = match case {
        "none" => Value::Null,
        "zero" => Value::Int(0),
        "empty_text" => "".into(),
        "truth" => true.into(),
        "integer" => Value::Int(7),
        "beyond_64_bits" => typed(Type::Int, "123456789012345678901234567890"),
        "float" => Value::Float(0.5),
        "decimal" => typed(Type::Decimal, "1.50"),
        "text" => "it's 中".into(),
        "bytes" => Value::Bytes(b"\x00\xff".into()),
        "datetime" => typed(Type::Time, "2020-01-02 03:04:05"),
        "list" => Value::List(vec![1.into(), 2.into()]),
        "empty_list" => Value::List(vec![]),
        "list_of_lists" => Value::List(vec![Value::List(vec![1.into(), 2.into()])]),
        "tuple" => pair(1, "x"),
        "list_of_tuples" => Value::List(vec![pair(1, "x"), pair(2, "y")]),
        "map" => map(),
        "list_of_maps" => Value::List(vec![map(), Value::map([("a", Value::Int(2))])]),
        "set" => Value::Set(vec![1.into()]),
        "rows" => return Ok(Reply::Rows(rows())),
        "no_rows" => return Ok(Reply::Rows(Rows::new(["n"]))),
        "many" => return Ok(Reply::Many(vec![Reply::Rows(rows()), Reply::Value(7.into())])),
        "stream" => return Ok(Reply::Stream(stream(false))),
        "stream_of_columns" => {
            let columns = [polyport::Column::typed("n", Type::Int)];
            return Ok(Reply::Stream(stream(false).with_columns(columns)));
        }
        "failing_stream" => return Ok(Reply::Stream(stream(true))),
        "exception" => return Err(Fault::raised("ValueError", "boom!")),
        "numbered" => return Err(Fault::numbered(1234, "no such thing")),
        _ => return Err(Fault::raised("KeyError", "no such case")),
    };
    Ok(Reply::Value(value))
}

fn stream(fails: bool) -> Stream {
    Stream::produce(async move |sink: polyport::Sink| {
        sink.send(1).await?;
        sink.send(2).await?;
        if fails { Err(Fault::raised("ValueError", "boom!")) } else { Ok(()) }
    })
}

const CASES: [&str; 28] = [
    "none",
    "zero",
    "empty_text",
    "truth",
    "integer",
    "beyond_64_bits",
    "float",
    "decimal",
    "text",
    "bytes",
    "datetime",
    "list",
    "empty_list",
    "list_of_lists",
    "tuple",
    "list_of_tuples",
    "map",
    "list_of_maps",
    "set",
    "rows",
    "no_rows",
    "many",
    "stream",
    "stream_of_columns",
    "failing_stream",
    "exception",
    "numbered",
    "unknown",
];

async fn start(change: impl FnOnce(&mut Config)) -> Running {
    let functions = CASES
        .iter()
        .filter(|case| **case != "unknown")
        .map(|case| polyport::Function::build(*case).inline(move |_, _| reply(case)));
    Server::builder()
        .functions(functions)
        .user(User::new("ann", "secret").right("call *"))
        .listen("mysql", "127.0.0.1:0")
        .listen("msgpack", "127.0.0.1:0")
        .listen("http", "127.0.0.1:0")
        .configure(change)
        .build()
        .unwrap()
        .start()
        .await
        .unwrap()
}

// ---------------------------------------------------------------- MySQL

async fn mysql(running: &Running) -> Conn {
    let (host, port) = running.address("mysql").unwrap().rsplit_once(':').unwrap();
    let options = OptsBuilder::default()
        .ip_or_hostname(host.to_owned())
        .tcp_port(port.parse().unwrap())
        .user(Some("ann"))
        .pass(Some("secret"));
    Conn::new(options).await.unwrap()
}

async fn through_mysql(connection: &mut Conn, case: &str) -> String {
    match mysql_sets(connection, case).await {
        Ok(sets) => sets,
        Err(mysql_async::Error::Server(error)) => {
            format!("error {} {} {}", error.code, error.state, error.message)
        }
        Err(other) => panic!("{case}: {other}"),
    }
}

async fn mysql_sets(connection: &mut Conn, case: &str) -> mysql_async::Result<String> {
    let mut result = connection.query_iter(format!("CALL {case}()")).await?;
    let mut sets = Vec::new();
    loop {
        let columns = result.columns().filter(|columns| !columns.is_empty());
        let Some(columns) = columns else {
            if sets.is_empty() {
                sets.push(format!("OK, {} rows affected", result.affected_rows()));
            }
            break;
        };
        let heads: Vec<String> = columns
            .iter()
            .map(|column| {
                let kind = format!("{:?}", column.column_type());
                format!("{} {}", column.name_str(), kind.trim_start_matches("MYSQL_TYPE_"))
            })
            .collect();
        let rows: Vec<mysql_async::Row> = result.collect().await?;
        let rows = rows.into_iter().map(|row| {
            let cells = row.unwrap().into_iter().map(|cell| cell.as_sql(true));
            format!("({})", cells.collect::<Vec<_>>().join(", "))
        });
        sets.push(format!("[{}] {}", heads.join(", "), rows.collect::<Vec<_>>().join(" ")));
        if result.is_empty() {
            break;
        }
    }
    Ok(sets.join("; ").trim_end().to_owned())
}

// ---------------------------------------------------------------- MessagePack-RPC

const END: &[u8] = b"##PRO-END##";

fn frame(json: &str) -> Vec<u8> {
    [json.as_bytes(), END].concat()
}

fn read_frame(stream: &mut TcpStream) -> Value {
    let (mut frame, mut byte) = (Vec::new(), [0]);
    while !frame.ends_with(END) {
        stream.read_exact(&mut byte).unwrap();
        frame.push(byte[0]);
    }
    polyport::json::parse(&frame[..frame.len() - END.len()]).unwrap()
}

fn pymprpc(running: &Running) -> TcpStream {
    let mut stream = TcpStream::connect(running.address("msgpack").unwrap()).unwrap();
    let login = r#"{"MPRPC":"0.1","AUTH":{"USERNAME":"ann","PASSWORD":"secret"}}"#;
    stream.write_all(&frame(login)).unwrap();
    assert_eq!(read_frame(&mut stream).get("CODE"), Some(&Value::Int(100)));
    stream
}

fn through_pymprpc(stream: &mut TcpStream, case: &str) -> String {
    let call = format!(r#"{{"MPRPC":"0.1","ID":"1","METHOD":"{case}","RETURN":true}}"#);
    stream.write_all(&frame(&call)).unwrap();
    let mut shown = Vec::new();
    loop {
        let answer = read_frame(stream);
        let message = answer.get("MESSAGE").cloned().unwrap_or_default();
        let field = |name| message.get(name).map(polyport::json::to_string).unwrap_or_default();
        let code = answer.get("CODE").and_then(Value::as_int).unwrap();
        match code {
            200 => return field("RESULT"),
            202 => shown.push(field("RESULT")),
            206 => return format!("201 {} 206 {}", shown.join(" "), field("MESSAGE")),
            201 => {}
            _ => return format!("{code} {}", field("MESSAGE")),
        }
    }
}

fn standard(running: &Running) -> TcpStream {
    let mut stream = TcpStream::connect(running.address("msgpack").unwrap()).unwrap();
    stream.write_all(b"\x94\x00\x00\xa5login\x92\xa3ann\xa6secret").unwrap();
    assert_eq!(show_message(&mut stream), "1 0 nil true");
    stream
}

fn through_standard(stream: &mut TcpStream, case: &str) -> String {
    let mut request = b"\x94\x00\x01".to_vec();
    request.push(0xA0 | u8::try_from(case.len()).unwrap());
    request.extend_from_slice(case.as_bytes());
    request.push(0x90);
    stream.write_all(&request).unwrap();
    let shown = show_message(stream);
    match shown.strip_prefix("1 1 nil ") {
        Some(result) => result.to_owned(),
        None => shown.trim_start_matches("1 1 ").trim_end_matches(" nil").to_owned(),
    }
}

/// Reads one message and writes it down: a byte string as `bin`, the elements of the outermost
/// array with blanks between.
fn show_message(stream: &mut TcpStream) -> String {
    let mut kind = [0];
    stream.read_exact(&mut kind).unwrap();
    let count = usize::from(kind[0] & 0x0F);
    (0..count).map(|_| show(stream)).collect::<Vec<_>>().join(" ")
}

fn bytes(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn number(stream: &mut TcpStream, count: usize) -> u64 {
    bytes(stream, count).into_iter().fold(0, |sum, byte| sum << 8 | u64::from(byte))
}

fn show(stream: &mut TcpStream) -> String {
    let kind = bytes(stream, 1)[0];
    let text = |bytes: Vec<u8>| match String::from_utf8(bytes) {
        Ok(text) => format!("{text:?}"),
        Err(error) => format!("raw {:02x?}", error.into_bytes()),
    };
    let list = |stream: &mut TcpStream, count: u64| {
        let items: Vec<_> = (0..count).map(|_| show(stream)).collect();
        format!("[{}]", items.join(", "))
    };
    let map = |stream: &mut TcpStream, count: u64| {
        let pairs: Vec<_> =
            (0..count).map(|_| format!("{}: {}", show(stream), show(stream))).collect();
        format!("{{{}}}", pairs.join(", "))
    };
    match kind {
        0x00..=0x7F => kind.to_string(),
        0xE0..=0xFF => i8::from_be_bytes([kind]).to_string(),
        0x80..=0x8F => map(stream, u64::from(kind & 0x0F)),
        0x90..=0x9F => list(stream, u64::from(kind & 0x0F)),
        0xA0..=0xBF => text(bytes(stream, usize::from(kind & 0x1F))),
        0xC0 => "nil".into(),
        0xC2 => "false".into(),
        0xC3 => "true".into(),
        0xC4 => {
            let count = usize::try_from(number(stream, 1)).unwrap();
            format!("bin {:02x?}", bytes(stream, count))
        }
        0xCB => f64::from_bits(number(stream, 8)).to_string(),
        0xCC..=0xCF => number(stream, 1 << (kind - 0xCC)).to_string(),
        0xDA => {
            let count = usize::try_from(number(stream, 2)).unwrap();
            text(bytes(stream, count))
        }
        0xDC => {
            let count = number(stream, 2);
            list(stream, count)
        }
        other => panic!("no form for {other:02x}"),
    }
}

// ---------------------------------------------------------------- HTTP

fn through_http(running: &Running, case: &str) -> String {
    let mut stream = TcpStream::connect(running.address("http").unwrap()).unwrap();
    // "ann:secret" in base64.
    let request = format!(
        "POST /v1/call/{case} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\
         Authorization: Basic YW5uOnNlY3JldA==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    let body = polyport::json::parse(body.as_bytes()).unwrap();
    match (body.get("result"), body.get("error")) {
        (Some(result), _) => polyport::json::to_string(result),
        (_, Some(error)) => {
            let field = |name| error.get(name).and_then(Value::as_text).unwrap_or_default();
            format!("{status} {}: {}", field("kind"), field("message"))
        }
        _ => panic!("{case}: neither a result nor an error"),
    }
}

// ---------------------------------------------------------------- the table

async fn table() -> String {
    let running = start(|_| {}).await;
    let compatible = start(|config| {
        config.protocols.mysql.results = polyport_mysql::config::Results::Pymysqlrpc;
    })
    .await;
    let mut plain = mysql(&running).await;
    let mut pymysqlrpc = mysql(&compatible).await;
    let mut out = String::from(
        "| reply | mysql | mysql, pymysqlrpc's results | msgpack, pymprpc in JSON mode | msgpack, standard | http |\n\
         |---|---|---|---|---|---|\n",
    );
    for case in CASES {
        let mut cells = vec![case.replace('_', " ")];
        cells.push(through_mysql(&mut plain, case).await);
        cells.push(through_mysql(&mut pymysqlrpc, case).await);
        let running = &running;
        cells.extend(tokio::task::block_in_place(|| {
            let rpc = through_pymprpc(&mut pymprpc(running), case);
            let standard = through_standard(&mut standard(running), case);
            [rpc, standard, through_http(running, case)]
        }));
        let cells = cells.into_iter().map(|cell| {
            let cell = cell.replace('|', "\\|");
            if cell == case.replace('_', " ") { cell } else { format!("`{}`", cell.trim()) }
        });
        let _ = writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    plain.disconnect().await.unwrap();
    pymysqlrpc.disconnect().await.unwrap();
    running.stop().await;
    compatible.stop().await;
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reply_becomes_what_the_documents_say() {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocols/README.md");
    let table = table().await;
    let document = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- truth table -->\n", "<!-- end of truth table -->");
    let (before, rest) = document.split_once(begin).expect("the document has the mark");
    let (written, after) = rest.split_once(end).expect("the document has the end mark");
    if std::env::var_os("UPDATE_TRUTH_TABLE").is_some() {
        std::fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
        return;
    }
    for (number, (now, then)) in table.lines().zip(written.lines()).enumerate() {
        assert_eq!(now, then, "row {number}; UPDATE_TRUTH_TABLE=1 writes the table anew");
    }
    assert_eq!(table, written);
}
