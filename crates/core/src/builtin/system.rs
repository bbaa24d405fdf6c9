//! `system.*`: what can be called, and how. The names and results are those of XML-RPC's and
//! pymprpc's introspection.

use std::sync::atomic::Ordering::Relaxed;

use crate::function::{Function, Param};
use crate::reply::Rows;
use crate::types::Type;
use crate::value::Value;

pub(super) fn functions() -> Vec<Function> {
    let name = || Param::new("name", Type::Text);
    vec![
        Function::build("system.listMethods")
            .help("The names of all functions that the caller may call, sorted.")
            .returns(Type::List)
            .inline(|call, _| {
                let names = call.session().functions().into_iter().map(|(name, _)| name);
                names.collect::<Vec<_>>()
            }),
        Function::build("system.methodSignature")
            .param(name())
            .help("A function's signature as Python prints it; empty for an unknown name.")
            .returns(Type::Text)
            .inline(|call, mut args| {
                let name: String = args.take()?;
                let function = call.session().function(&name);
                Ok::<_, crate::Fault>(
                    function.map_or_else(String::new, |f| f.signature().to_string()),
                )
            }),
        Function::build("system.methodHelp")
            .param(name())
            .help("A function's help text; empty for an unknown name.")
            .returns(Type::Text)
            .inline(|call, mut args| {
                let name: String = args.take()?;
                let function = call.session().function(&name);
                Ok::<_, crate::Fault>(function.map_or_else(String::new, |f| f.help().to_owned()))
            }),
        Function::build("system.functions")
            .help("All functions that the caller may call, with signature and help, as a table.")
            .inline(|call, _| {
                let mut table = Rows::new(["name", "signature", "help"]);
                for (name, function) in call.session().functions() {
                    let signature = function.signature().to_string();
                    let help = function.help();
                    table.push(vec![Value::Text(name), signature.into(), help.to_owned().into()]);
                }
                table
            }),
        Function::build("system.lenConnections")
            .help("How many connections the caller's protocol has open, the caller's included.")
            .returns(Type::Int)
            .inline(|call, _| call.session().connection().stats.counters.connections.load(Relaxed)),
        Function::build("system.lenUndoneTasks")
            .help("How many calls and streams of the caller's protocol are running, this included.")
            .returns(Type::Int)
            .inline(|call, _| call.session().connection().stats.counters.in_flight.load(Relaxed)),
        Function::build("system.version")
            .help("The server's version.")
            .returns(Type::Text)
            .inline(|_, _| env!("CARGO_PKG_VERSION")),
    ]
}
