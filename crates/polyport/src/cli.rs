//! The command line of `polyport`, and of programs that want the same flags.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use rustix::process::Signal;

use crate::config::{Config, IfTaken, Listen, LogFormat};
use crate::error::Error;
use crate::protocols;
use crate::server::{Builder, Running, usual_listeners};

mod banner;
mod call;
mod demo;
mod logging;
mod user;

/// Where data is kept unless told otherwise.
const DATA: &str = "polyport-data";

#[derive(Parser)]
#[command(
    name = "polyport",
    version,
    about = "One server for the clients you already have.",
    long_about = "Write a function once; MySQL, MessagePack-RPC and HTTP clients all call it, \
                  unmodified.",
    after_help = "Try it:\n  polyport demo\n  mariadb -h 127.0.0.1 -P 3308 -u testuser -ptestpass \
                  -e 'call myadd(3,4)'",
    max_term_width = 100
)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve sample functions on this machine, with the users of the examples.
    Demo(ServeFlags),
    /// Serve the functions of a Python file, and what the configuration says.
    Serve(ServeFlags),
    /// Call a function of a server that is running.
    Call(call::CallCommand),
    /// Load the application of a server that is running anew, and say what came of it.
    Reload(call::ReloadCommand),
    /// Manage the users kept in the data folder.
    User(user::UserCommand),
    /// Check the configuration and the data folder, and say what would be served.
    Check(ServeFlags),
}

/// The flags of `polyport serve`.
#[derive(Args, Clone, Debug, Default)]
#[command(
    after_help = "Examples:\n  polyport serve app.py\n  polyport serve app.py --workers 4 --reload\n  \
                        polyport serve --config polyport.toml\n  \
                        polyport serve --listen mysql=127.0.0.1:3306 --only mysql,http\n\n\
                        Settings come from the file, then from POLYPORT_… variables \
                        (POLYPORT_LIMITS__CONNECTIONS=100), then from flags."
)]
pub struct ServeFlags {
    /// The Python file, or the dotted name of the module, whose functions are served.
    #[cfg(feature = "workers")]
    app: Option<String>,
    /// The Python that runs it; usually the one of the active virtual environment.
    #[cfg(feature = "workers")]
    #[arg(long, value_name = "EXE", env = "POLYPORT_PYTHON")]
    python: Option<PathBuf>,
    /// Processes that run it.
    #[cfg(feature = "workers")]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Load it anew when one of its files changes.
    #[cfg(feature = "workers")]
    #[arg(long)]
    reload: bool,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", env = "POLYPORT_CONFIG")]
    config: Option<PathBuf>,
    /// The folder that data is kept in.
    #[arg(short, long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Listen for a protocol at host:port or unix:path; port 0 takes a free one.
    #[arg(short, long, value_name = "NAME=ADDR", env = "POLYPORT_LISTEN", value_delimiter = ',')]
    listen: Vec<String>,
    /// Serve these protocols and no others.
    #[arg(long, value_name = "NAMES", env = "POLYPORT_ONLY", value_delimiter = ',')]
    only: Vec<String>,
    /// Threads that serve connections.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Allow listening beyond this machine without TLS.
    #[arg(long)]
    insecure: bool,
    /// What to log: error, warn, info, debug, trace, or a filter.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How to log: auto, human or json.
    #[arg(long, value_name = "FORMAT", value_parser = log_format)]
    log_format: Option<LogFormat>,
    /// Log each call.
    #[arg(long)]
    log_calls: bool,
    /// Stop when standard input ends, as it does when the program that started this one is gone.
    #[arg(long)]
    until_eof: bool,
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        _ => Err("the formats are auto, human and json".into()),
    }
}

/// The `polyport` command.
#[must_use]
pub fn main() -> ExitCode {
    let done = match Command::parse().verb {
        Verb::Demo(flags) => demo::builder().and_then(|demo| run(demo, &flags, IfTaken::Move)),
        Verb::Serve(flags) => run(with_data(Builder::default()), &flags, IfTaken::GoOn),
        Verb::Call(command) => command.run(),
        Verb::Reload(command) => command.run(),
        Verb::User(command) => command.run(),
        Verb::Check(flags) => check(with_data(Builder::default()), &flags),
    };
    report(done)
}

/// Runs a program's own server with the flags of `polyport serve`.
///
/// What the program has set stands, unless a configuration file, the environment or a flag says
/// otherwise.
#[must_use]
pub fn serve(builder: Builder) -> ExitCode {
    #[derive(Parser)]
    #[command(version, about = "A Polyport server.", max_term_width = 100)]
    struct Program {
        #[command(flatten)]
        flags: ServeFlags,
    }
    report(run(builder, &Program::parse().flags, IfTaken::GoOn))
}

fn with_data(mut builder: Builder) -> Builder {
    builder.config().data.get_or_insert_with(|| DATA.into());
    builder
}

fn report(done: Result<(), Error>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let red = std::io::stderr().is_terminal();
            let (on, off) = if red { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
            eprintln!("{on}error{off}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut builder: Builder, flags: &ServeFlags, if_taken: IfTaken) -> Result<(), Error> {
    flags.apply(builder.config(), if_taken)?;
    logging::start(&builder.config().log)?;
    // Each connection is a file descriptor, and the usual soft limit of 1024 is far below what
    // the server can hold.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    if flags.until_eof {
        std::thread::spawn(stop_at_eof);
    }
    let server = builder.build()?;
    server.run_with(|running| {
        banner::show(running);
        announce(running);
    })
}

/// Waits until standard input ends, and then stops this process as SIGTERM does.
fn stop_at_eof() {
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::TERM);
}

/// One line for each listener on standard output, then `ready`, for programs that start us.
fn announce(running: &Running) {
    let mut out = std::io::stdout().lock();
    for (name, address) in running.addresses() {
        let _ = writeln!(out, "listening {name} {address}");
    }
    let _ = writeln!(out, "ready");
    let _ = out.flush();
}

fn check(mut builder: Builder, flags: &ServeFlags) -> Result<(), Error> {
    flags.apply(builder.config(), IfTaken::GoOn)?;
    let config = builder.config().clone();
    let server = builder.build()?;
    server.check()?;
    println!("configuration: good");
    for listen in &config.listen {
        let address = listen.address.as_deref().unwrap_or("its usual port");
        let tls = if listen.tls.is_some() { ", TLS" } else { "" };
        println!("listener: {} at {address}{tls}", listen.protocol);
    }
    println!("users: {}", server.user_names().join(", "));
    if let Some(data) = &config.data {
        println!("data folder: {}", data.display());
    }
    #[cfg(feature = "workers")]
    if config.workers.is_used() {
        println!("functions in workers: {}", server.worker_functions()?.join(", "));
    }
    Ok(())
}

impl ServeFlags {
    /// Puts the file, the environment and the flags over what the program has set.
    fn apply(&self, config: &mut Config, if_taken: IfTaken) -> Result<(), Error> {
        let loaded = Config::load(self.config.as_deref())?;
        config.overlay(loaded);
        if let Some(data) = &self.data {
            config.data = Some(data.clone());
        }
        config.threads = self.threads.or(config.threads);
        #[cfg(feature = "workers")]
        {
            let workers = &mut config.workers;
            workers.app = self.app.clone().or(workers.app.take());
            workers.python = self.python.clone().or(workers.python.take());
            workers.count = self.workers.or(workers.count);
            workers.reload |= self.reload;
        }
        config.insecure |= self.insecure;
        config.log.calls |= self.log_calls;
        config.log.level = self.log_level.clone().or(config.log.level.take());
        config.log.format = self.log_format.unwrap_or(config.log.format);
        if config.listen.is_empty() {
            config.listen = usual_listeners(if_taken);
        }
        for listen in &self.listen {
            place(config, listen)?;
        }
        if !self.only.is_empty() {
            for name in &self.only {
                known(name)?;
            }
            config.listen.retain(|listen| self.only.contains(&listen.protocol));
        }
        Ok(())
    }
}

/// Moves the protocol's listener to an address, keeping its other settings, or adds one.
fn place(config: &mut Config, text: &str) -> Result<(), Error> {
    let (name, address) = text.split_once('=').ok_or_else(|| {
        Error::new(format!("--listen {text}: write NAME=ADDR, such as mysql=127.0.0.1:3308"))
    })?;
    known(name)?;
    let asked = |listen: &mut Listen| {
        listen.address = Some(address.to_owned());
        listen.if_taken = IfTaken::Fail;
    };
    let mut own = config.listen.iter_mut().filter(|listen| listen.protocol == name);
    match (own.next(), own.next()) {
        (Some(listen), None) => asked(listen),
        _ => {
            let mut listen = Listen { protocol: name.to_owned(), ..Listen::default() };
            asked(&mut listen);
            config.listen.push(listen);
        }
    }
    Ok(())
}

fn known(name: &str) -> Result<(), Error> {
    if protocols::names().contains(&name) {
        return Ok(());
    }
    let names = protocols::names().join(", ");
    Err(Error::new(format!("there is no protocol '{name}'"))
        .hint(format!("this build has {names}")))
}
