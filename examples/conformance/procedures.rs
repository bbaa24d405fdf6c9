//! What SQL clients call.

use std::time::Duration;

use polyport::{Builder, Fault, Function, Param, Reply, Rows, Type, User, Value};

use crate::add::add;

/// The names under which `testuser` sees the functions.
const EXPORTS: [(&str, &str); 13] = [
    ("myadd", "myadd"),
    ("echo", "echo_rows"),
    ("typed", "typed"),
    ("nrows", "nrows"),
    ("one", "one"),
    ("empty", "empty"),
    ("nothing", "nothing"),
    ("mixed", "mixed"),
    ("logic", "logic"),
    ("boom", "boom"),
    ("slow", "slow"),
    ("two", "two"),
    ("big", "big"),
];

/// The user of the SQL clients.
pub(crate) fn testuser() -> User {
    let user = User::new("testuser", "testpass").token("testuser-token");
    EXPORTS.into_iter().fold(user, |user, (name, function)| user.export(name, function))
}

pub(crate) fn register(builder: Builder) -> Builder {
    // Clients write the arguments as integers, floats, decimals or digits in quotes; `Number`
    // takes all of them as the number they are.
    let myadd = Function::build("myadd")
        .param(Param::new("a", Type::Number))
        .param(Param::new("b", Type::Number))
        .help("Adds two numbers.")
        .inline(|_, mut args| -> Result<Rows, Fault> {
            let sum = add(args.take()?, args.take()?)?;
            Ok(Rows::new(["sum"]).cells(vec![sum]))
        });
    builder
        .functions([myadd])
        .function::<echo_rows>()
        .function::<typed>()
        .function::<nrows>()
        .function::<one>()
        .function::<empty>()
        .function::<nothing>()
        .function::<mixed>()
        .function::<logic>()
        .function::<boom>()
        .function::<slow>()
        .function::<two>()
        .function::<big>()
}

/// Gives its argument back as a table.
#[polyport::function(inline)]
fn echo_rows(x: Value) -> Rows {
    Rows::new(["v"]).cells(vec![x])
}

/// One column of each type.
#[polyport::function(inline)]
fn typed() -> Result<Rows, Fault> {
    let time = Type::Time.coerce("2020-01-02 03:04:05".into()).unwrap_or_default();
    let price = Type::Decimal.coerce("1.50".into()).unwrap_or_default();
    Ok(Rows::new(["i", "s", "f", "n", "d", "b", "c"]).cells(vec![
        Value::Int(1),
        "x".into(),
        Value::Float(1.5),
        Value::Null,
        time,
        Value::Bytes(b"\x00\xff".into()),
        price,
    ]))
}

/// A list of pairs.
#[polyport::function]
fn nrows(n: u32) -> Vec<(u32, String)> {
    (0..n).map(|i| (i, format!("row{i}"))).collect()
}

/// One tuple.
#[polyport::function(inline)]
fn one() -> (i64, String) {
    (1, "two".into())
}

/// A table without rows.
#[polyport::function(inline)]
fn empty() -> Rows {
    Rows::new(["a", "b"])
}

/// Nothing at all.
#[polyport::function(inline)]
fn nothing() {}

/// Pairs with a gap.
#[polyport::function(inline)]
fn mixed() -> Vec<(Option<i64>, Option<String>)> {
    vec![(Some(1), Some("a".into())), (None, None), (Some(3), Some("c".into()))]
}

/// Fails with an error number.
#[polyport::function(inline)]
fn logic() -> Result<(), Fault> {
    Err(Fault::numbered(1234, "no such thing"))
}

/// Fails with an exception.
#[polyport::function(inline)]
fn boom() -> Result<(), Fault> {
    Err(Fault::raised("ValueError", "boom!"))
}

/// Sleeps.
#[polyport::function]
async fn slow(seconds: f64) -> Result<Rows, Fault> {
    tokio::time::sleep(Duration::try_from_secs_f64(seconds)?).await;
    Ok(Rows::new(["slept"]).row([seconds]))
}

/// Two results.
#[polyport::function(inline)]
fn two() -> Reply {
    Reply::Many(vec![
        Reply::Rows(Rows::new(["a"]).row([1])),
        Reply::Rows(Rows::new(["b"]).row([2])),
    ])
}

/// A text of n times x.
#[polyport::function]
fn big(n: usize) -> Result<String, Fault> {
    const MOST: usize = 512 << 20;
    if n > MOST {
        return Err(Fault::raised("MemoryError", format!("at most {MOST} letters")));
    }
    Ok("x".repeat(n))
}
