use polyport_core::Limits;
use polyport_mysql::Config;

use crate::client::{Answer, Login, MULTI_STATEMENTS, SESSION_TRACK, Server, USUAL};

const OK: Answer = Answer::Ok { affected: 0, status: 2 };

#[tokio::test(start_paused = true)]
async fn simple_commands_answer_ok() {
    let mut client = Server::new().login().await;
    assert_eq!(client.ask(0x0e, b"").await, [OK]);
    assert_eq!(client.ask(0x1f, b"").await, [OK]);
    assert_eq!(client.ask(0x1b, b"\x01\0").await, [OK]);
    assert_eq!(client.ask(0x02, b"test").await, [OK]);
    assert_eq!(client.one("select database()").await.texts(), [["test"]]);
    assert_eq!(client.ask(0x02, b"nosuch").await[0].errno(), 1049);
}

#[tokio::test(start_paused = true)]
async fn unknown_commands_are_errors() {
    let mut client = Server::new().login().await;
    for code in [0x05, 0x07, 0x08, 0x0d, 0x12, 0x1d, 0x20, 0xff] {
        let answer = client.ask(code, b"").await.remove(0);
        let Answer::Error { errno: 1047, state, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(state, "08S01");
    }
    assert_eq!(client.ask(0x17, b"\x01").await[0].errno(), 1835);
    assert_eq!(client.ask(0x0e, b"").await, [OK]);
}

#[tokio::test(start_paused = true)]
async fn statistics_come_as_plain_text() {
    let mut client = Server::new().login().await;
    client.command(0x09, b"").await;
    let text = String::from_utf8(client.read().await).unwrap();
    assert!(text.starts_with("Uptime: 0  Threads: 1  Questions: 1  "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_fields_of_a_table_that_is_not_there_are_an_error() {
    let mut client = Server::new().login().await;
    client.one("use polyport").await;
    assert_eq!(client.ask(0x04, b"t\0%").await[0].errno(), 1146);
    client.one("use information_schema").await;
    client.command(0x04, b"SCHEMATA\0%NAME").await;
    let mut fields = Vec::new();
    loop {
        let payload = client.read().await;
        if payload[0] == 0xfe {
            break;
        }
        fields.push(payload);
    }
    assert!(fields.len() >= 3, "{fields:?}");
    assert!(fields.iter().all(|field| field.starts_with(b"\x03def")));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_database_is_told_to_those_who_track_it() {
    let server = Server::new();
    let mut client = server.login_with(USUAL | SESSION_TRACK, Login::default()).await;
    client.command(3, b"use test").await;
    assert_eq!(client.read().await, b"\0\0\0\x02\x40\0\0\0\x07\x01\x05\x04test");
}

#[tokio::test(start_paused = true)]
async fn several_statements_run_only_where_they_are_agreed_on() {
    let server = Server::new();
    let mut client = server.login().await;
    assert_eq!(client.query("call myadd(1,1); call one()").await[0].errno(), 1064);

    let mut client = server.login_with(USUAL | MULTI_STATEMENTS, Login::default()).await;
    let all = client.query("call myadd(1,1); set @a = 1; call two(); call one()").await;
    let statuses: Vec<u16> = all
        .iter()
        .map(|answer| match answer {
            Answer::Ok { status, .. } => *status,
            Answer::Set(set) => set.status,
            Answer::Error { .. } => panic!("{answer:?}"),
        })
        .collect();
    assert_eq!(statuses, [10, 10, 10, 10, 10, 2]);
    let cut = client.query("call myadd(1,1); call boom(); call one()").await;
    assert_eq!((cut.len(), cut[1].errno()), (2, 500));
    assert_eq!(client.ask(0x1b, b"\x01\0").await, [OK]);
    assert_eq!(client.query("call one(); call one()").await[0].errno(), 1064);
    assert_eq!(client.ask(0x1b, b"\0\0").await, [OK]);
    assert_eq!(client.query("call one(); call one()").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn statements_are_prepared_executed_and_forgotten() {
    let mut client = Server::new().login().await;
    client.command(0x16, b"call myadd(?, ?) -- ?").await;
    let reply = client.read().await;
    assert_eq!(reply, b"\0\x01\0\0\0\0\0\x02\0\0\0\0", "two parameters, no columns");
    for _ in 0..2 {
        let definition = client.read().await;
        assert!(definition.starts_with(b"\x03def\0\0\0\x01?\0\x0c\x3f\0"), "{definition:?}");
    }
    assert_eq!(client.read().await[0], 0xfe);
    assert_eq!(client.execute(1, b"").await[0].errno(), 1835);
    assert_eq!(client.execute(1, b"\0\0").await[0].errno(), 1210);
    assert_eq!(client.ask(0x1a, b"\x01\0\0\0").await, [OK]);
    assert_eq!(client.ask(0x1c, b"\x01\0\0\0\x01\0\0\0").await[0].errno(), 1421);
    client.command(0x19, b"\x01\0\0\0").await;
    assert_eq!(client.execute(1, b"").await[0].errno(), 1243);
    assert_eq!(client.ask(0x1a, b"\x01\0\0\0").await[0].errno(), 1243);
}

#[tokio::test(start_paused = true)]
async fn parameters_may_be_sent_ahead() {
    let mut client = Server::new().login().await;
    let id = client.prepare("call echo(?)").await;
    for part in [b"ab", b"cd"] {
        let payload = [&id.to_le_bytes()[..], b"\0\0", part].concat();
        client.command(0x18, &payload).await;
    }
    let [Answer::Set(set)] = &client.execute(id, b"\0\x01\xfd\0").await[..] else { panic!() };
    assert_eq!(set.rows, [b"\0\0\x04abcd"]);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_statements_is_limited_and_a_reset_forgets_them() {
    let config = Config { statements: 2, ..Config::default() };
    let mut client = Server::with(config, Limits::default()).login().await;
    let _ = (client.prepare("select 1").await, client.prepare("select 1").await);
    assert_eq!(client.ask(0x16, b"select 1").await[0].errno(), 1461);
    client.one("set @a = 1").await;
    client.one("use test").await;
    assert_eq!(client.ask(0x1f, b"").await, [OK]);
    assert_eq!(client.one("select @a, database()").await.texts(), [["NULL", "test"]]);
    let _ = client.prepare("select 1").await;
}

#[tokio::test(start_paused = true)]
async fn pymysqlrpcs_own_calls_are_for_administrators() {
    let server = Server::new();
    let root = Login { user: "root", password: "rootpass", ..Login::default() };
    let mut root = server.login_with(USUAL, root).await;
    let mut user = server.login().await;
    for call in ["call pymysqlrpcinfo", "call PYMYSQLRPCINFO()"] {
        let names: Vec<String> =
            root.one(call).await.texts().into_iter().map(|row| row[0].clone()).collect();
        let seen = names.join("|");
        assert_eq!(
            seen,
            "python_version|gevent_version|pymysqlrpc_ver|server listen|webviewer port|monitor|\
             begin   time|running time|pool  stat|conn  stat|auth  stat|query stat|\
             online client|client 1|client 2"
        );
    }
    for (call, state) in [("call turnonlog", "True"), ("call turnofflog()", "False")] {
        let answer = root.one(call).await;
        assert_eq!(
            (answer.columns(), answer.texts()),
            (vec!["frameworklog"], vec![vec![state.to_owned()]])
        );
        assert_eq!(user.one(call).await, OK);
    }
    assert_eq!(user.one("call pymysqlrpcinfo").await, OK);
}

#[tokio::test(start_paused = true)]
async fn results_can_be_kept_or_shown_as_one_cell() {
    let mut client = Server::new().login().await;
    let cell = client.one("select myadd(3, 4)").await;
    assert_eq!((cell.columns(), cell.texts()), (vec!["myadd(3, 4)"], vec![vec!["7".to_owned()]]));
    assert_eq!(client.one("do myadd(3, 4)").await, OK);
    let Answer::Error { errno: 1305, message, .. } = client.one("select nope(1)").await else {
        panic!()
    };
    assert_eq!(message, "FUNCTION nope does not exist");
}
