//! The server that the conformance tests of every protocol run against.
//!
//! It is written against the public crate alone, takes the flags of `polyport serve`, and offers
//! exactly the functions, users and settings that the tests' real clients expect.

mod add;
mod procedures;
mod rpc;

use std::process::ExitCode;
use std::time::Duration;

use polyport::{Anonymous, Listen, Server, User};

fn main() -> ExitCode {
    let builder = procedures::register(Server::builder());
    let builder = rpc::register(builder);
    let builder = builder
        .user(procedures::testuser().time_limit("mysql", Duration::from_secs(3)))
        .user(User::new("root", "rootpass").right("admin").export_nothing())
        .user(User::new("admin", "admin").right("call *"))
        .user(User::anonymous("standard").right("call *"));
    let builder = builder.configure(|config| {
        config.databases = Some(vec!["polyport".into(), "test".into()]);
        config.protocols.http.status_password = Some("viewpass".into());
        for protocol in polyport::protocol_names() {
            config.listen.push(Listen {
                protocol: (*protocol).into(),
                anonymous: anonymous(protocol),
                ..Listen::default()
            });
        }
    });
    polyport::cli::serve(builder)
}

/// Whom strangers become; dialects without a login have no other way in.
fn anonymous(protocol: &str) -> Anonymous {
    match protocol {
        "msgpack" => Anonymous::ByDialect([("standard".into(), "standard".into())].into()),
        _ => Anonymous::Nobody,
    }
}
