use std::sync::Arc;
use std::time::Duration;

use polyport_core::{Anonymous, Limits, Listener, User, Verifier};
use polyport_mysql::Config;
use polyport_mysql::config::Plugin;
use tokio::time::Instant;

use crate::client::{Answer, Login, PLUGIN_AUTH, Packet, SESSION_TRACK, Server, USUAL, answer};

fn errno(packet: &Packet) -> u16 {
    let Packet::Error { errno, .. } = packet else { panic!("{packet:?}") };
    *errno
}

#[tokio::test(start_paused = true)]
async fn the_hello_has_a_fresh_salt_a_real_id_and_no_foreign_capability() {
    let server = Server::new();
    let (one, two) = (server.greet().await, server.greet().await);
    assert_eq!(one.hello[0], 10);
    assert!(one.hello[1..].starts_with(b"8.0."));
    assert_ne!(one.salt(), two.salt());
    for byte in one.salt() {
        assert!(byte != 0 && byte != b'$' && byte < 0x80);
    }
    let ids: Vec<u32> = server.core.connections().all().iter().map(|c| c.id).collect();
    assert_eq!(ids, [one.connection_id(), two.connection_id()]);
    let version = one.hello[1..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let low = u16::from_le_bytes([one.hello[version + 14], one.hello[version + 15]]);
    let high = u16::from_le_bytes([one.hello[version + 19], one.hello[version + 20]]);
    let offered = u32::from(high) << 16 | u32::from(low);
    for (bit, wanted) in [(5, false), (7, false), (9, true), (11, false), (17, true), (19, true)] {
        assert_eq!(offered >> bit & 1 == 1, wanted, "bit {bit}");
    }
    for bit in [25, 26, 27] {
        assert_eq!(offered >> bit & 1, 0, "bit {bit}");
    }
    assert_eq!(low >> 11 & 1, 0, "no TLS without a certificate");
    assert_eq!(one.hello[version + 17], 2, "autocommit from the start");
    assert!(one.hello.ends_with(b"\0caching_sha2_password\0"));
}

#[tokio::test(start_paused = true)]
async fn every_way_of_proving_a_password_lets_its_owner_in() {
    let server = Server::new();
    for plugin in ["caching_sha2_password", "mysql_native_password", "client_ed25519"] {
        let mut client = server.login_with(USUAL, Login { plugin, ..Login::default() }).await;
        assert_eq!(client.one("call myadd(3,4)").await.texts(), [["7"]]);
    }
    // Node's mysql 2.18 cannot name a way, and answers the hello's salt in the oldest.
    let old = Login { plugin: "mysql_native_password", ..Login::default() };
    server.login_with(USUAL & !PLUGIN_AUTH & !(1 << 21), old).await;
}

#[tokio::test(start_paused = true)]
async fn the_hello_proposes_what_is_configured() {
    let config = Config { auth: Plugin::Native, ..Config::default() };
    let client = Server::with(config, Limits::default()).greet().await;
    assert!(client.hello.ends_with(b"\0mysql_native_password\0"));
}

#[tokio::test(start_paused = true)]
async fn an_account_with_one_secret_is_asked_for_that_proof() {
    let server = Server::new();
    let [sha256, sha1] = Verifier::quick("pw").try_into().unwrap();
    for (name, verifier) in [("new", sha256), ("old", sha1)] {
        server.core.put_user(User { verifiers: vec![verifier], ..User::new(name, "") });
        for plugin in ["caching_sha2_password", "mysql_native_password"] {
            let login = Login { user: name, password: "pw", plugin, ..Login::default() };
            server.login_with(USUAL, login).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_are_alike_for_unknown_users_and_wrong_passwords() {
    let server = Server::new();
    let mut seen = Vec::new();
    for user in ["testuser", "nobody01"] {
        for plugin in ["caching_sha2_password", "mysql_native_password"] {
            let mut client = server.greet().await;
            let began = Instant::now();
            let login = Login { user, password: "wrong", plugin, ..Login::default() };
            let packet = client.login(USUAL, login).await;
            let text = format!("Access denied for user '{user}'@'localhost' (using password: YES)");
            let state = "28000".to_owned();
            assert_eq!(packet, Packet::Error { errno: 1045, state, message: text });
            assert!(client.is_closed().await);
            seen.push(began.elapsed());
        }
    }
    assert!(seen.iter().all(|took| *took == Duration::from_millis(200)), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn an_empty_password_is_refused_and_said_to_be_none() {
    let server = Server::new();
    let mut client = server.greet().await;
    let packet = client.login(USUAL, Login { password: "", ..Login::default() }).await;
    let Packet::Error { errno: 1045, message, .. } = packet else { panic!("{packet:?}") };
    assert!(message.ends_with("(using password: NO)"));
}

#[tokio::test(start_paused = true)]
async fn a_login_chooses_a_known_database_and_hears_of_it() {
    let server = Server::new();
    let login = Login { database: "polyport", ..Login::default() };
    let mut client = server.greet().await;
    let packet = client.login(USUAL | SESSION_TRACK, login).await;
    let Packet::Ok { status, rest, .. } = packet else { panic!("{packet:?}") };
    assert_eq!((status, &*rest), (0x4002, &b"\0\x0b\x01\x09\x08polyport"[..]));
    assert_eq!(client.one("select database()").await.texts(), [["polyport"]]);

    let mut client = server.greet().await;
    let login = Login { database: "nosuch", ..Login::default() };
    assert_eq!(errno(&client.login(USUAL, login).await), 1049);
}

#[tokio::test(start_paused = true)]
async fn a_listener_may_let_strangers_in_as_somebody() {
    let mut server = Server::new();
    let anonymous = Anonymous::Everywhere("testuser".into());
    server.listener = Arc::new(Listener { anonymous, ..Listener::default() });
    let login = Login { user: "whoever", password: "", ..Login::default() };
    let mut client = server.login_with(USUAL, login).await;
    assert_eq!(client.one("call myadd(1,1)").await.texts(), [["2"]]);
    let mut wrong = server.greet().await;
    let login = Login { user: "whoever", password: "x", ..Login::default() };
    assert_eq!(errno(&wrong.login(USUAL, login).await), 1045);
}

#[tokio::test(start_paused = true)]
async fn the_last_places_are_kept_for_administrators() {
    let limits = Limits { connections: 4, reserved: 3, ..Limits::default() };
    let server = Server::with(Config::default(), limits);
    let _first = server.login().await;
    let mut second = server.greet().await;
    let packet = second.login(USUAL, Login::default()).await;
    assert_eq!(errno(&packet), 1040);
    let root = Login { user: "root", password: "rootpass", ..Login::default() };
    server.login_with(USUAL, root).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_user_takes_a_new_proof_and_begins_anew() {
    let server = Server::new();
    let mut client = server.login_with(USUAL, Login::default()).await;
    client.one("set @a = 1").await;
    let root = Login { user: "root", password: "rootpass", ..Login::default() };
    let old = client.salt();
    let stale = answer(root.plugin, root.password, &old);
    let mut request = b"root\0".to_vec();
    request.push(stale.len() as u8);
    request.extend_from_slice(&stale);
    request.extend_from_slice(b"\0\x2d\0caching_sha2_password\0");
    client.command(0x11, &request).await;
    assert!(matches!(client.finish_login(root).await, Packet::Ok { .. }));
    assert_eq!(client.one("select @a").await.texts(), [["NULL"]]);
    assert_eq!(client.one("call pymysqlrpcinfo").await.columns(), ["Variable_name", "Value"]);

    client.command(0x11, b"testuser\0\0\0\x2d\0mysql_native_password\0").await;
    let wrong = Login { password: "wrong", ..Login::default() };
    assert_eq!(errno(&client.finish_login(wrong).await), 1045);
    assert!(client.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn a_client_without_plugins_changes_user_with_the_salt_it_has() {
    let server = Server::new();
    let plugin = "mysql_native_password";
    let login = Login { plugin, ..Login::default() };
    let mut client = server.login_with(USUAL & !PLUGIN_AUTH, login).await;
    let answer = answer(plugin, "testpass", &client.salt());
    let request = [b"testuser\0\x14", &*answer, b"polyport\0\x2d\0"].concat();
    assert!(matches!(client.ask(0x11, &request).await[..], [Answer::Ok { .. }]));
    assert_eq!(client.one("select database()").await.texts(), [["polyport"]]);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_log_in_is_told_and_sent_away() {
    let server = Server::new();
    let core = server.core.clone();
    let sweeper = tokio::spawn(async move { core.sweep_for_ever().await });
    let mut client = server.greet().await;
    let payload = client.read().await;
    assert_eq!(errno(&client.parse(&payload)), 1159);
    assert!(client.is_closed().await);
    sweeper.abort();
}

mod tls {
    use super::*;

    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    fn secure(config: Config) -> (Server, TlsConnector) {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let certificate = own.cert.der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let acceptor = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let connector = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let mut server = Server::with(config, Limits::default());
        server.tls = Some(TlsAcceptor::from(Arc::new(acceptor)));
        (server, TlsConnector::from(Arc::new(connector)))
    }

    #[tokio::test]
    async fn a_handshake_sent_together_with_the_request_for_it_succeeds() {
        let (server, connector) = secure(Config::default());
        let mut client = server.greet().await;
        client.start_tls(connector).await;
        let packet = client.login(USUAL, Login::default()).await;
        assert!(matches!(packet, Packet::Ok { .. }), "{packet:?}");
        assert_eq!(client.one("call myadd(3,4)").await.texts(), [["7"]]);
    }

    #[tokio::test]
    async fn a_slow_secret_is_checked_against_the_password_itself() {
        let (server, connector) = secure(Config::default());
        let verifiers = vec![Verifier::slow("pw")];
        server.core.put_user(User { verifiers, ..User::new("slow", "") });
        for plugin in ["caching_sha2_password", "mysql_native_password", "mysql_clear_password"] {
            let login = Login { user: "slow", password: "pw", plugin, ..Login::default() };
            let mut client = server.greet().await;
            client.start_tls(connector.clone()).await;
            let packet = client.login(USUAL, login).await;
            assert!(matches!(packet, Packet::Ok { .. }), "{plugin}: {packet:?}");
            let mut plain = server.greet().await;
            assert_eq!(errno(&plain.login(USUAL, login).await), 1045, "{plugin}");
        }
    }

    #[tokio::test]
    async fn where_tls_is_required_a_plain_login_is_refused_before_it_is_read() {
        let (server, connector) = secure(Config { require_tls: true, ..Config::default() });
        let mut plain = server.greet().await;
        assert_eq!(errno(&plain.login(USUAL, Login::default()).await), 3159);
        let mut client = server.greet().await;
        client.start_tls(connector).await;
        let packet = client.login(USUAL, Login::default()).await;
        assert!(matches!(packet, Packet::Ok { .. }));
    }
}
