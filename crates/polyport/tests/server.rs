//! A server as programs build, start and stop it.

use std::path::PathBuf;

use polyport::{Config, Server, User, Value};

#[polyport::function(inline)]
fn double(n: i64) -> i64 {
    2 * n
}

/// A folder of its own for each test, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("polyport-test-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_server_runs_inside_another_tokio_program() {
    let server = Server::builder()
        .function::<double>()
        .user(User::new("ann", "secret").right("call *"))
        .build()
        .unwrap();
    let client = server.client("ann").unwrap();
    assert_eq!(client.value("double", [21]).await.unwrap(), Value::Int(42));
    assert!(server.client("nobody").is_err());
}

#[test]
fn a_name_can_be_registered_once() {
    let error = Server::builder().function::<double>().function::<double>().build().unwrap_err();
    assert!(error.to_string().contains("'double' is already registered"), "{error}");
}

#[test]
fn an_unknown_protocol_is_an_error_that_lists_those_there_are() {
    let error = Server::builder().listen("gopher", "127.0.0.1:0").build().unwrap_err();
    assert!(error.to_string().starts_with("there is no protocol 'gopher'"), "{error}");
    assert!(error.to_string().contains("this build has"), "{error}");
}

#[tokio::test]
async fn users_kept_in_the_data_folder_are_read_again_on_demand() {
    let scratch = Scratch::new("reload");
    let write = |users: &str| std::fs::write(scratch.0.join("users.toml"), users).unwrap();
    write("[users.ann]\npassword = \"secret words\"\nrights = [\"call *\"]\n");
    let running = Server::builder()
        .function::<double>()
        .user(User::new("root", "secret").right("admin"))
        .data(&scratch.0)
        .configure(|config: &mut Config| config.listen.clear())
        .build()
        .unwrap();
    assert!(running.client("ann").is_ok());
    let root = running.client("root").unwrap();
    let ann = running.client("ann").unwrap();
    root.call("user.add", ["bob", "secret words"]).await.unwrap();
    let kept = std::fs::read_to_string(scratch.0.join("users.toml")).unwrap();
    assert!(kept.contains("[users.bob]") && kept.contains("[users.ann]"), "{kept}");
    assert!(!kept.contains("secret words"), "{kept}");
    assert!(!kept.contains("[users.root]"), "{kept}");
    assert_eq!(ann.value("double", [1]).await.unwrap(), Value::Int(2));
}

#[test]
fn a_server_without_users_makes_a_password_and_does_not_open_itself_to_others() {
    let scratch = Scratch::new("password");
    let server = Server::builder().data(&scratch.0).build().unwrap();
    assert!(server.client("polyport").is_ok());
    let password = std::fs::read_to_string(scratch.0.join("password")).unwrap();
    assert_eq!(password.trim().len(), 24);
}
