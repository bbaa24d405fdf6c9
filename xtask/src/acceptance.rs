//! `cargo xtask acceptance`: clients that were written by others to judge the project. They lie
//! beside it, in `../shared/acceptance`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::bail;

use crate::conform::{ends_well, limited};
use crate::server::{self, Server, Start};
use crate::step::{root, say, target};
use crate::tally::{self, Tally};
use crate::wheel::{self, Installed};
use crate::{python, tools};

/// The packages that `mysql_clients.js` names.
const NODE_PACKAGES: &str =
    r#"{ "dependencies": { "mysql2": "3.24.5", "mysql": "2.18.1", "mariadb": "3.5.4" } }"#;

pub(crate) fn alone() -> anyhow::Result<()> {
    tools::system_packages()?;
    server::build()?;
    run(&wheel::build()?)?.conclude()
}

/// Runs the clients of every protocol, against functions in Rust and, from the wheel, the same in
/// Python. Where they are missing nothing is run, unless `CI=true` says that they must be there.
pub(crate) fn run(wheel: &Path) -> anyhow::Result<Tally> {
    let scripts = root().join("../shared/acceptance");
    if !scripts.is_dir() {
        if std::env::var("CI").is_ok_and(|ci| ci == "true") {
            bail!("../shared/acceptance is missing");
        }
        say("no ../shared/acceptance: left out");
        return Ok(Tally::default());
    }
    let mut tally = all(&scripts, "Rust", &Server::start)?;
    let installed = Installed::new(&tools::usual_python()?, "acceptance", wheel)?;
    tally += all(&scripts, "Python", &|name| python::conformance(&installed, name))?;
    Ok(tally)
}

fn all(scripts: &Path, language: &str, start: Start<'_>) -> anyhow::Result<Tally> {
    let mut tally = mysql(scripts, language, start)?;
    tally += msgpack(scripts, language, start)?;
    Ok(tally)
}

fn mysql(scripts: &Path, language: &str, start: Start<'_>) -> anyhow::Result<Tally> {
    let python = tools::venv("mysql", &scripts.join("requirements-mysql.txt"))?;
    fs::create_dir_all(target().join("node"))?;
    let list = target().join("node/mysql.json");
    fs::write(&list, NODE_PACKAGES)?;
    let node = tools::node_modules("mysql", &list)?;
    let server = start("acceptance-mysql")?;
    let mut command = limited();
    command.arg(python).arg(scripts.join("mysql_clients.py"));
    command.args(["--host", "127.0.0.1", "--level", "full", "--port", server.port("mysql")?]);
    command.args(["--webport", server.port("http")?]).arg("--node-modules").arg(node);
    judge(&format!("MySQL clients, functions in {language}"), &mut command, server)
}

fn msgpack(scripts: &Path, language: &str, start: Start<'_>) -> anyhow::Result<Tally> {
    let python = tools::venv("mprpc", &scripts.join("requirements-mprpc.txt"))?;
    let mut tally = Tally::default();
    for (what, more) in [("pymprpc", None), ("pymprpc, beyond the original", Some("--beyond"))] {
        let server = start("acceptance-msgpack")?;
        let mut command = limited();
        command.arg(&python).arg(scripts.join("mprpc_client.py"));
        command.args(["--host", "127.0.0.1", "--port", server.port("msgpack")?]);
        command.args(["--user", "admin", "--password", "admin"]).args(more);
        let what = format!("{what}, functions in {language}");
        tally += judge(&what, &mut command, server)?;
    }
    Ok(tally)
}

fn judge(what: &str, command: &mut Command, server: Server) -> anyhow::Result<Tally> {
    say(&format!("acceptance: {what}"));
    let mut tally = tally::count(command, tally::client_line)?;
    tally.note(ends_well(server)?);
    Ok(tally)
}
