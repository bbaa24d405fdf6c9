//! `polyport demo`: sample functions, and the users of the examples.

use std::time::Duration;

use polyport_core::{Anonymous, Fault, Rows, Sink, Stream, User, Value};

use crate::config::{IfTaken, Listen};
use crate::error::Error;
use crate::server::{Builder, Server, usual_listeners};

/// Adds two numbers, as a table with one column.
#[polyport::function(inline)]
fn myadd(a: i64, b: i64) -> Result<Rows, Fault> {
    let sum =
        a.checked_add(b).ok_or_else(|| Fault::raised("OverflowError", "the sum is too big"))?;
    Ok(Rows::new(["sum"]).row([sum]))
}

/// Greets somebody.
#[polyport::function(inline)]
fn hello(#[default("world")] name: String) -> String {
    format!("Hello, {name}!")
}

/// The first n squares, as a table.
#[polyport::function]
fn squares(n: u32) -> Rows {
    let rows = Rows::new(["n", "square"]);
    (1..=u64::from(n.min(10_000))).fold(rows, |rows, n| rows.row([n, n * n]))
}

/// Waits so many seconds, at most 60, without holding anybody up.
#[polyport::function]
async fn sleep(seconds: f64) -> Result<Value, Fault> {
    let time = Duration::try_from_secs_f64(seconds.min(60.0))?;
    tokio::time::sleep(time).await;
    Ok(Value::Float(time.as_secs_f64()))
}

/// Counts from 1 to n, a number every tenth of a second.
#[polyport::function]
fn count(n: u32) -> Stream {
    let numbers = Stream::produce(async move |sink: Sink| {
        for number in 1..=n {
            sink.send(number).await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    });
    numbers.with_columns([polyport::Column::typed("number", polyport::Type::Int)])
}

/// The demo server, with the users that the examples log in as.
pub(super) fn builder() -> Result<Builder, Error> {
    let sample = User::new("testuser", "testpass").export("myadd", "myadd");
    let sample = ["hello", "squares", "sleep", "count"]
        .into_iter()
        .fold(sample, |user, name| user.export(name, name));
    let mut builder = Server::builder()
        .function::<myadd>()
        .function::<hello>()
        .function::<squares>()
        .function::<sleep>()
        .function::<count>()
        .user(sample.time_limit("mysql", Duration::from_secs(60)))
        .user(User::new("root", "rootpass").right("admin").export_nothing())
        .user(User::new("admin", "admin").right("call *"))
        .user(User::anonymous("guest").right("call *"));
    let config = builder.config();
    config.listen = usual_listeners(IfTaken::Move);
    config.listen.iter_mut().filter(|listen| listen.protocol == "msgpack").for_each(standard);
    #[cfg(feature = "http")]
    {
        config.protocols.http.status_password = Some("viewpass".into());
    }
    Ok(builder)
}

/// Lets clients of the standard dialect in, which has no login.
fn standard(listen: &mut Listen) {
    let by_dialect = [("standard".into(), "guest".into())].into();
    listen.anonymous = Anonymous::ByDialect(by_dialect);
}
