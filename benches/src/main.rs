//! Load generators, and comparisons of Polyport with the servers it replaces.

mod compare;
mod load;
mod measure;
mod msgpack;
mod mysql;
mod python;
mod server;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Load generators, and comparisons with the original servers.")]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Send MySQL statements to any server.
    Mysql(mysql::Load),
    /// Send MessagePack-RPC requests to any server.
    Msgpack(msgpack::Load),
    /// Answer each request of so many bytes with so many bytes; the bare cost of a round trip.
    Echo(msgpack::Echo),
    /// MySQL calls and selects beside MariaDB's.
    CompareMysql(compare::Options),
    /// MessagePack-RPC calls beside a bare echo, and beside the original server where it starts.
    CompareMsgpack(compare::Options),
    /// MySQL calls of functions in Python beside a gevent server of pymysqlrpc's shape.
    ComparePython(python::Options),
    /// Round trips to a worker in Python beside a bare echo, and two workers beside one.
    Workers(python::Options),
    /// Give back what comes on standard input, a socket.
    #[command(hide = true)]
    UnixEcho,
    /// Memory of idle logged-in connections, and whether others are answered meanwhile.
    Idle(watch::Idle),
    /// Growth of memory over a million calls.
    Leak(watch::Leak),
    /// Peak memory of a 64 MiB text.
    Big(watch::Big),
    /// SIGTERM while clients call in a loop.
    Stop(watch::Stop),
}

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Command::parse().verb {
        Verb::Mysql(load) => load.run().await,
        Verb::Msgpack(load) => load.run().await,
        Verb::Echo(echo) => echo.run().await,
        Verb::CompareMysql(options) => compare::mysql(&options),
        Verb::CompareMsgpack(options) => compare::msgpack(&options),
        Verb::ComparePython(options) => python::beside_gevent(&options),
        Verb::Workers(options) => python::round_trips(&options).await,
        Verb::UnixEcho => python::unix_echo(),
        Verb::Idle(idle) => idle.run().await,
        Verb::Leak(leak) => leak.run().await,
        Verb::Big(big) => big.run().await,
        Verb::Stop(stop) => stop.run().await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
