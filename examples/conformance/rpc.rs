//! What RPC clients call: functions, coroutines, streams, and the same as methods of an instance.

use std::time::Duration;

use polyport::{Builder, Fault, Sink, Stream, Value};

use crate::add::add;

/// How long the slow ones take for each step.
const STEP: Duration = Duration::from_millis(100);

pub(crate) fn register(builder: Builder) -> Builder {
    builder
        .function::<testfunc>()
        .function::<testcoro>()
        .function::<testcorogen>()
        .function::<echo>()
        .function::<divide>()
        .instance(TestClass)
}

/// 有help
#[polyport::function(inline)]
fn testfunc(a: Value, b: Value) -> Result<Value, Fault> {
    add(a, b)
}

#[polyport::function]
async fn testcoro(a: Value, b: Value) -> Result<Value, Fault> {
    tokio::time::sleep(STEP).await;
    add(a, b)
}

#[polyport::function]
fn testcorogen(a: Value, b: Value) -> Stream {
    ten_sums(a, b)
}

/// Gives its argument back.
#[polyport::function(inline)]
fn echo(x: Value) -> Value {
    x
}

/// Divides two numbers.
#[polyport::function(inline)]
fn divide(a: f64, b: f64) -> Result<f64, Fault> {
    if b == 0.0 {
        return Err(Fault::raised("ZeroDivisionError", "division by zero"));
    }
    Ok(a / b)
}

struct TestClass;

#[polyport::object]
impl TestClass {
    #[inline_call]
    pub fn testclassmethod(&self, a: Value, b: Value) -> Result<Value, Fault> {
        add(a, b)
    }

    pub async fn testclasscoro(&self, a: Value, b: Value) -> Result<Value, Fault> {
        tokio::time::sleep(STEP).await;
        add(a, b)
    }

    #[inline_call]
    pub fn testclasscorogen(&self, a: Value, b: Value) -> Stream {
        ten_sums(a, b)
    }
}

/// i + a + b for ten i, one each step.
fn ten_sums(a: Value, b: Value) -> Stream {
    Stream::produce(async move |sink: Sink| {
        for i in 0..10 {
            tokio::time::sleep(STEP).await;
            sink.send(add(add(Value::Int(i), a.clone())?, b.clone())?).await?;
        }
        Ok(())
    })
}
