use std::time::Duration;

use polyport_core::Limits;
use polyport_mysql::Config;
use tokio::time::Instant;

use crate::client::{Answer, Login, Server, USUAL};

#[tokio::test(start_paused = true)]
async fn quit_closes_without_an_answer() {
    let server = Server::new();
    let mut client = server.login().await;
    client.command(0x01, b"").await;
    assert!(client.is_closed().await);
    client.gone().await;
    let counts = server.core.stats().protocol("mysql").counters.read();
    assert_eq!((counts.closed_normal, counts.closed_error, counts.connections), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_its_call() {
    let server = Server::new();
    let mut client = server.login().await;
    client.command(3, b"call slow(2)").await;
    let began = Instant::now();
    client.gone().await;
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_killed_query_leaves_the_connection_and_a_killed_connection_does_not() {
    let server = Server::new();
    let (mut victim, mut killer) = (server.login().await, server.login().await);
    let id = victim.connection_id();
    victim.command(3, b"call slow(2)").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    killer.one(&format!("kill query {id}")).await;
    let answer = victim.answers(false).await.remove(0);
    let Answer::Error { errno: 1317, state, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(state, "70100");
    assert_eq!(victim.one("call myadd(1,1)").await.texts(), [["2"]]);

    assert!(matches!(killer.ask(0x0c, &id.to_le_bytes()).await[..], [Answer::Ok { .. }]));
    assert_eq!(victim.farewell().await.0, 3169);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_waits_can_be_killed() {
    let server = Server::new();
    let (mut victim, mut killer) = (server.login().await, server.login().await);
    let id = victim.connection_id();
    victim.command(3, b"call endless()").await;
    let reading = tokio::spawn(async move { victim.answers(false).await });
    // The clock stands still while the stream keeps the server busy.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    killer.one(&format!("kill query {id}")).await;
    assert_eq!(reading.await.unwrap()[0].errno(), 1317);
}

#[tokio::test(start_paused = true)]
async fn only_ones_own_connections_can_be_killed() {
    let server = Server::new();
    let root = Login { user: "root", password: "rootpass", ..Login::default() };
    let mut root = server.login_with(USUAL, root).await;
    let mut user = server.login().await;
    assert_eq!(user.one("kill 9999").await.errno(), 1094);
    assert_eq!(user.one(&format!("kill {}", root.connection_id())).await.errno(), 1095);
    let answer = root.one(&format!("kill {}", user.connection_id())).await;
    assert!(matches!(answer, Answer::Ok { .. }));
    user.farewell().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_the_call_finish_and_says_goodbye() {
    let server = Server::new();
    let (mut idle, mut busy) = (server.login().await, server.login().await);
    busy.command(3, b"call slow(2)").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    server.core.shut_down();
    assert_eq!(idle.farewell().await, (1053, "Server shutdown in progress".into()));
    assert_eq!(busy.answers(false).await.remove(0).texts(), [["2"]]);
    assert_eq!(busy.farewell().await.0, 1053);
}

#[tokio::test(start_paused = true)]
async fn the_idle_are_told_why_they_are_sent_away() {
    let limits = Limits { idle_s: Duration::from_secs(5), ..Limits::default() };
    let server = Server::with(Config::default(), limits);
    let core = server.core.clone();
    let sweeper = tokio::spawn(async move { core.sweep_for_ever().await });
    let mut client = server.login().await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(4)).await;
        client.ask(0x0e, b"").await;
    }
    assert_eq!(client.farewell().await.0, 4031);
    sweeper.abort();
}
