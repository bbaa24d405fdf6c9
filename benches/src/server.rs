//! Servers under test, started and ended here.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// A server process, killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// The process that serves, which a wrapper may have started.
    pub(crate) pid: u32,
    addresses: BTreeMap<String, String>,
    scratch: Option<PathBuf>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(scratch) = &self.scratch {
            let _ = std::fs::remove_dir_all(scratch);
        }
    }
}

impl Server {
    /// Our own server with the conformance functions, on free ports.
    pub(crate) fn ours(cpu: Option<usize>) -> Result<Self> {
        let program = sibling("examples/conformance")?;
        let mut command = pinned(&program, cpu);
        for protocol in ["mysql", "msgpack", "http"] {
            command.args(["--listen", &format!("{protocol}=127.0.0.1:0")]);
        }
        Self::announced(command.args(["--log-level", "error"]))
    }

    /// Our own server with functions in Python, for MySQL's clients.
    pub(crate) fn python(
        app: &str,
        package: &str,
        interpreter: &Path,
        workers: usize,
        cpu: usize,
    ) -> Result<Self> {
        let scratch = std::env::temp_dir().join(format!("polyport-bench-{}", std::process::id()));
        std::fs::create_dir_all(&scratch)?;
        let config = scratch.join("polyport.toml");
        let user = "[users.testuser]\npassword = \"testpass\"\nrights = [\"call *\"]\n";
        std::fs::write(&config, user)?;
        let mut command = pinned(&sibling("polyport")?, Some(cpu));
        command.args(["serve", app, "--only", "mysql", "--listen", "mysql=127.0.0.1:0"]);
        command.arg("--config").arg(&config).arg("--data").arg(scratch.join("data"));
        command.arg("--python").arg(interpreter).args(["--workers", &workers.to_string()]);
        command.args(["--threads", "1", "--log-level", "error"]).env("PYTHONPATH", package);
        let mut server = Self::announced(&mut command)?;
        server.scratch = Some(scratch);
        Ok(server)
    }

    /// A server that is a script in Python and announces itself as ours does.
    pub(crate) fn script(interpreter: &Path, script: &str, cpu: usize) -> Result<Self> {
        Self::announced(pinned(interpreter, Some(cpu)).arg(script))
    }

    /// The bare echo.
    pub(crate) fn echo(cpu: Option<usize>) -> Result<Self> {
        Self::announced(pinned(&std::env::current_exe()?, cpu).arg("echo"))
    }

    fn announced(command: &mut Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut addresses = BTreeMap::new();
        let out = child.stdout.take().ok_or("no standard output")?;
        for line in BufReader::new(out).lines() {
            let line = line?;
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["listening", name, address] => {
                    addresses.insert((*name).to_owned(), (*address).to_owned());
                }
                ["ready"] => {
                    let pid = child.id();
                    return Ok(Self { child, pid, addresses, scratch: None });
                }
                _ => {}
            }
        }
        Err("the server ended before it was ready".into())
    }

    /// A MariaDB of its own in a scratch folder, with the procedure `myadd`.
    pub(crate) fn mariadb(cpu: Option<usize>) -> Result<Self> {
        let scratch = std::env::temp_dir().join(format!("polyport-mariadb-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&scratch);
        let data = scratch.join("data");
        std::fs::create_dir_all(&data)?;
        let at = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
        let user = format!("--user={}", if is_root() { "root" } else { "" });
        let own = is_root().then_some(user.as_str());
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .arg(at("datadir", &data))
            .args(own)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|error| format!("mariadb-install-db: {error}; install mariadb-server"))?;
        if !made.success() {
            return Err("mariadb-install-db failed".into());
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let socket = scratch.join("socket");
        let child = pinned(Path::new("/usr/sbin/mariadbd"), cpu)
            .arg("--no-defaults")
            .arg(at("datadir", &data))
            .arg(at("socket", &socket))
            .arg(format!("--port={port}"))
            .args(["--bind-address=127.0.0.1", "--skip-log-bin", "--skip-name-resolve"])
            .args(own)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pid = child.id();
        let addresses = [("mysql".to_owned(), format!("127.0.0.1:{port}"))].into();
        let server = Self { child, pid, addresses, scratch: Some(scratch) };
        let setup = "create database polyport; \
            create procedure polyport.myadd(a int, b int) select a + b as sum; \
            create user testuser@'%' identified by 'testpass'; \
            grant all on polyport.* to testuser@'%';";
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let tried = Command::new("mariadb")
                .args(["--no-defaults", "-uroot", &at("socket", &socket), "-e", setup])
                .stderr(Stdio::null())
                .status()?;
            if tried.success() {
                return Ok(server);
            }
            if Instant::now() > deadline {
                return Err("MariaDB does not come up".into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The original pymprpc server, if this Python can run it. Its own default, a pool of
    /// processes for functions, is refused by asyncio since Python 3.11, so it is given threads.
    pub(crate) fn original_pymprpc(python: &Path, cpu: Option<usize>) -> Result<Self> {
        const PROGRAM: &str = "
import sys
from concurrent.futures import ThreadPoolExecutor
from pymprpc.server import SimpleMprpcServer

class Server(SimpleMprpcServer):
    pass

port = int(sys.argv[1])
with Server(('127.0.0.1', port), func_executor=ThreadPoolExecutor()) as server:
    @server.register_function()
    def testfunc(a, b):
        return a + b
    print('listening msgpack 127.0.0.1:%d' % port, flush=True)
    print('ready', flush=True)
    server.run_forever()
";
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = Self::announced(pinned(python, cpu).args(["-c", PROGRAM, &port.to_string()]))?;
        // It announces itself before it listens.
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(server.address("msgpack")?).is_err() {
            if Instant::now() > deadline {
                return Err("it does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    pub(crate) fn address(&self, protocol: &str) -> Result<&str> {
        let address = self.addresses.get(protocol).map(String::as_str);
        address.ok_or_else(|| format!("the server does not speak {protocol}").into())
    }

    /// Waits for the process to end by itself.
    pub(crate) fn ended_within(&mut self, limit: Duration) -> Result<std::process::ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(format!("the server still runs after {limit:?}").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// A program built beside this one.
fn sibling(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let path = own.parent().ok_or("no folder")?.join(name);
    if path.exists() {
        return Ok(path);
    }
    Err(format!(
        "{} is missing; build it with: cargo build --release --workspace --examples",
        path.display()
    )
    .into())
}

/// A command held to one processor.
pub(crate) fn pinned(program: &Path, cpu: Option<usize>) -> Command {
    match cpu {
        None => Command::new(program),
        Some(cpu) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &cpu.to_string()]).arg(program);
            command
        }
    }
}
