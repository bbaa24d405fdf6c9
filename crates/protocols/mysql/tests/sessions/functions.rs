//! The functions that the shared acceptance clients call, and some that only these tests need.

use std::time::Duration;

use polyport_core::{
    Bound, Column, Core, Fault, Function, Param, Reply, Rows, Sink, Stream, Time, Type, User, Value,
};

/// Registers the functions and adds the users `testuser`, whose calls may take three seconds, and
/// `root`, who sees the figures and no functions.
pub(crate) fn furnish(core: &Core) {
    core.register(functions()).unwrap();
    let names = [
        "myadd", "echo", "typed", "nrows", "one", "empty", "nothing", "mixed", "logic", "boom",
        "slow", "two", "big", "zero", "scalar", "maps", "stream", "untyped", "broken", "endless",
        "foreign",
    ];
    let user = User::new("testuser", "testpass").time_limit("mysql", Duration::from_secs(3));
    core.put_user(names.into_iter().fold(user, |user, name| user.export(name, name)));
    core.put_user(User::new("root", "rootpass").right("admin").export_nothing());
}

fn plain(name: &'static str, body: fn(Bound<'_>) -> Result<Reply, Fault>) -> Function {
    Function::build(name).inline(move |_, args| body(args))
}

fn add(a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Value::Int(a + b),
        _ => {
            let float = |value: &Value| match Type::Float.coerce(value.clone()) {
                Ok(Value::Float(number)) => number,
                _ => f64::NAN,
            };
            Value::Float(float(a) + float(b))
        }
    }
}

fn rows(rows: Rows) -> Result<Reply, Fault> {
    Ok(Reply::Rows(rows))
}

fn functions() -> Vec<Function> {
    let number = |name| Param::new(name, Type::Number);
    let mut all = vec![
        Function::build("myadd").param(number("a")).param(number("b")).inline(|_, mut args| {
            let [a, b] = args.values().try_into().unwrap_or_default();
            Rows::new(["sum"]).cells(vec![add(&a, &b)])
        }),
        Function::build("echo")
            .param(Param::new("x", Type::Any))
            .inline(|_, mut args| Rows::new(["v"]).cells(args.values())),
        Function::build("nrows").param(Param::new("n", Type::Int)).inline(|_, mut args| {
            let count: i64 = args.take()?;
            let row = |i: i64| Value::Tuple(vec![Value::Int(i), format!("row{i}").into()]);
            Ok::<_, Fault>(Reply::Value(Value::List((0..count).map(row).collect())))
        }),
        Function::build("big").param(Param::new("n", Type::Int)).inline(|_, mut args| {
            let count: usize = args.take()?;
            Ok::<_, Fault>(Rows::new(["x"]).cells(vec!["x".repeat(count).into()]))
        }),
        Function::build("slow").param(Param::new("sec", Type::Float)).asynchronous(
            |_, mut args| {
                let seconds = args.take::<f64>();
                Box::pin(async move {
                    let seconds = seconds?;
                    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
                    Ok(Reply::Rows(Rows::new(["slept"]).cells(vec![Value::Float(seconds)])))
                })
            },
        ),
    ];
    all.extend(results());
    all.extend(streams());
    all
}

fn results() -> Vec<Function> {
    vec![
        plain("typed", |_| {
            let names = ["i", "s", "f", "n", "d", "b", "c"];
            rows(Rows::new(names).cells(vec![
                Value::Int(1),
                "x".into(),
                Value::Float(1.5),
                Value::Null,
                Value::Time(Time::parse("2020-01-02 03:04:05").unwrap()),
                Value::Bytes(b"\0\xff".into()),
                Value::Decimal(Box::new("1.50".parse().unwrap())),
            ]))
        }),
        plain("one", |_| Ok(Reply::Value(Value::Tuple(vec![Value::Int(1), "two".into()])))),
        plain("empty", |_| rows(Rows::new(["a", "b"]))),
        plain("nothing", |_| Ok(Reply::Value(Value::Null))),
        plain("zero", |_| Ok(Reply::Value(Value::Int(0)))),
        plain("scalar", |_| Ok(Reply::Value(Value::Int(5)))),
        plain("maps", |_| {
            let first = Value::map([("a", Value::Int(1)), ("b", Value::List(vec![Value::Int(2)]))]);
            Ok(Reply::Value(Value::List(vec![first, Value::map([("c", 3)])])))
        }),
        plain("mixed", |_| {
            let row = |a: Value, b: Value| Value::Tuple(vec![a, b]);
            Ok(Reply::Value(Value::List(vec![
                row(1.into(), "a".into()),
                row(Value::Null, Value::Null),
                row(3.into(), "c".into()),
            ])))
        }),
        plain("logic", |_| Err(Fault::numbered(1234, "no such thing"))),
        plain("boom", |_| Err(Fault::raised("ValueError", "boom!"))),
        plain("two", |_| {
            let one = |name: &'static str, value: i64| Reply::Rows(Rows::new([name]).row([value]));
            Ok(Reply::Many(vec![one("a", 1), one("b", 2)]))
        }),
        plain("foreign", |_| {
            let object = polyport_core::Opaque { dialect: "pickle", bytes: b"x".into() };
            Ok(Reply::Value(Value::Opaque(std::sync::Arc::new(object))))
        }),
    ]
}

fn streams() -> Vec<Function> {
    let columns = || [Column::typed("i", Type::Int), Column::typed("t", Type::Text)];
    let item = |i: i64| Value::Tuple(vec![Value::Int(i), format!("t{i}").into()]);
    let counted = move |count: i64, fails: bool| {
        Stream::produce(move |sink: Sink| async move {
            for i in 0..count {
                sink.send(item(i)).await?;
            }
            if fails { Err(Fault::raised("ValueError", "spent")) } else { Ok(()) }
        })
    };
    let endless = || Stream::new(futures_util::stream::repeat(Value::Tuple(vec![1.into()])));
    vec![
        Function::build("stream").param(Param::new("n", Type::Int)).inline(move |_, mut args| {
            let count: i64 = args.take()?;
            Ok::<_, Fault>(counted(count, false).with_columns(columns()))
        }),
        Function::build("untyped").param(Param::new("n", Type::Int)).inline(move |_, mut args| {
            let count: i64 = args.take()?;
            Ok::<_, Fault>(counted(count, false))
        }),
        Function::build("broken")
            .inline(move |_, _| Ok::<_, Fault>(counted(3, true).with_columns(columns()))),
        Function::build("endless")
            .inline(move |_, _| Ok::<_, Fault>(endless().with_columns(["i"]))),
    ]
}
