//! HELLO: what a worker says of its functions.

use std::collections::{BTreeMap, HashSet};

use polyport_core::{Fault, Param, Signature, Text, Type, Value};
use polyport_pack::{TYPES, fault, type_name, type_of};

use super::{Error, VERSION};

/// The pool of functions that name none.
const PLAIN: &str = "plain";

/// What a worker says first.
#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    /// The paths of source files that were loaded, to be watched for changes.
    pub files: Vec<Text>,
    /// The application, or why it could not be loaded.
    pub loaded: Result<Description, Fault>,
}

/// What an application is made of. Every worker of it says the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// What runs the functions, such as `CPython 3.11.7`.
    pub runtime: Text,
    /// Whether the worker keeps the progress file.
    pub progress: bool,
    /// The functions, no two of one name.
    pub functions: Vec<Declaration>,
    /// The pools; every pool that a function names is among them.
    pub pools: BTreeMap<Text, Pool>,
}

/// A function, as a worker declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// Letters, digits and `_`, with dots between parts.
    pub name: Text,
    /// What it takes and gives.
    pub signature: Signature,
    /// What it does; empty when nobody wrote it.
    pub help: Text,
    /// The name of the pool that runs it.
    pub pool: Text,
    /// Whether it gives a stream.
    pub stream: bool,
    /// Whether it is an object's property, and if so, whether it can be written. One that can has
    /// one parameter, which is `rest`, the other none.
    pub property: Option<bool>,
}

/// Workers that run the same functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Calls that one worker may run at once; 1 at least.
    pub concurrency: u32,
    /// How many workers it has, 1 at least; `None` is as many as the server is configured to have.
    pub workers: Option<u32>,
    /// Whether all calls of one session go to the same worker.
    pub sticky: bool,
    /// Whether the worker keeps something between calls that would be missed.
    pub state: bool,
}

impl Default for Pool {
    fn default() -> Self {
        Self { concurrency: 1, workers: None, sticky: false, state: false }
    }
}

impl Declaration {
    /// A function of the plain pool, without parameters.
    pub fn new(name: impl Into<Text>) -> Self {
        Self {
            name: name.into(),
            signature: Signature::default(),
            help: Text::new(),
            pool: PLAIN.into(),
            stream: false,
            property: None,
        }
    }
}

impl Hello {
    pub(crate) fn from_value(value: &Value) -> Result<Self, Error> {
        let root = Place::root(value).map_err(Error::Description)?;
        let files = root.list("files", Place::own_text).map_err(Error::Description)?;
        let loaded = match root.get("error") {
            Some(error) => Err(fault::read(error.value)?),
            None => Ok(Description::read(&root).map_err(Error::Description)?),
        };
        Ok(Self { files, loaded })
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut map = Fields::default();
        match &self.loaded {
            Ok(description) => description.write(&mut map),
            Err(error) => map.put("error", fault::to_value(error)),
        }
        map.list("files", self.files.iter().cloned().map(Value::Text));
        map.end()
    }
}

impl Description {
    fn read(root: &Place<'_>) -> Result<Self, String> {
        match root.number("protocol")? {
            Some(VERSION) => {}
            Some(other) => {
                return Err(format!(
                    "it speaks version {other} of the worker protocol, not {VERSION}"
                ));
            }
            None => return Err(root.at("protocol", "is missing")),
        }
        if root.get("functions").is_none() {
            return Err(root.at("functions", "is missing"));
        }
        let functions = root.list("functions", Declaration::read)?;
        if let Some((index, name)) = doubled(functions.iter().map(|function| &function.name)) {
            return Err(format!("functions[{index}].name: '{name}' is there twice"));
        }
        let mut pools = BTreeMap::new();
        for (name, pool) in root.map("pools")? {
            pools.insert(name, Pool::read(&pool)?);
        }
        for function in &functions {
            pools.entry(function.pool.clone()).or_default();
        }
        let runtime = root.text("runtime")?.unwrap_or_default();
        Ok(Self { runtime, progress: root.truth("progress")?, functions, pools })
    }

    fn write(&self, map: &mut Fields) {
        map.put("protocol", number(VERSION));
        map.put("runtime", Value::Text(self.runtime.clone()));
        map.flag("progress", self.progress);
        map.list("functions", self.functions.iter().map(Declaration::to_value));
        let pools = self.pools.iter().map(|(name, pool)| (name.clone(), pool.to_value()));
        map.put("pools", Value::map(pools));
    }
}

impl Declaration {
    fn read(place: &Place<'_>) -> Result<Self, String> {
        let name = place.text("name")?.ok_or_else(|| place.at("name", "is missing"))?;
        let word = |part: &str| {
            !part.is_empty() && part.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
        };
        if !name.as_str().split('.').all(word) {
            let rule = "letters, digits and '_', with dots between parts";
            return Err(place.at("name", &format!("'{name}' is not made of {rule}")));
        }
        let params = place.list("params", read_param)?;
        check_params(place, &params)?;
        let property = match place.text("property")?.as_deref() {
            None => None,
            Some("read") => Some(false),
            Some("write") => Some(true),
            Some(other) => {
                return Err(place.at("property", &format!("'{other}' is neither read nor write")));
            }
        };
        let fits = match (property, params.as_slice()) {
            (None, _) | (Some(false), []) | (Some(true), [Param { rest: true, .. }]) => true,
            (Some(_), _) => false,
        };
        if !fits {
            let rule = "a property to read has no parameters, one to write a single 'rest'";
            return Err(place.at("params", rule));
        }
        Ok(Self {
            name,
            signature: Signature { params, returns: place.kind("returns")? },
            help: place.text("help")?.unwrap_or_default(),
            pool: place.text("pool")?.unwrap_or_else(|| PLAIN.into()),
            stream: place.truth("stream")?,
            property,
        })
    }

    fn to_value(&self) -> Value {
        let mut map = Fields::default();
        map.put("name", Value::Text(self.name.clone()));
        map.list("params", self.signature.params.iter().map(param_to_value));
        map.kind("returns", self.signature.returns);
        map.put("help", Value::Text(self.help.clone()));
        map.put("pool", Value::Text(self.pool.clone()));
        map.flag("stream", self.stream);
        if let Some(writable) = self.property {
            map.put("property", if writable { "write" } else { "read" }.into());
        }
        map.end()
    }
}

fn read_param(place: &Place<'_>) -> Result<Param, String> {
    let name = place.text("name")?.ok_or_else(|| place.at("name", "is missing"))?;
    let mut param = Param::new(name, place.kind("type")?);
    param.nullable |= place.truth("nullable")?;
    param.rest = place.truth("rest")?;
    param.named_rest = place.truth("named_rest")?;
    param.only_named = place.truth("only_named")?;
    // Here null is a value: the default of many parameters.
    let default = place.value.get("default");
    let own = place.text("own_default")?;
    if usize::from(param.rest) + usize::from(param.named_rest) + usize::from(param.only_named) > 1 {
        return Err(place.wrong("can be one of rest, named_rest and only_named"));
    }
    match (default, own) {
        (None, None) => Ok(param),
        _ if !param.is_single() => {
            Err(place.wrong("takes any number of arguments, so it has no default"))
        }
        (Some(default), None) => Ok(param.or(default.clone())),
        (None, Some(shown)) => Ok(param.or_own(&shown)),
        (Some(_), Some(_)) => Err(place.wrong("has both default and own_default")),
    }
}

fn check_params(place: &Place<'_>, params: &[Param]) -> Result<(), String> {
    if let Some((index, name)) = doubled(params.iter().map(|param| &param.name)) {
        return Err(place.at(&format!("params[{index}].name"), &format!("'{name}' is there twice")));
    }
    let more = |is: fn(&Param) -> bool| params.iter().filter(|param| is(param)).count() > 1;
    if more(|param| param.rest) || more(|param| param.named_rest) {
        return Err(place.at("params", "there can be one with rest and one with named_rest"));
    }
    Ok(())
}

/// The first name that was there before, and its place.
fn doubled<'n>(names: impl Iterator<Item = &'n Text>) -> Option<(usize, &'n Text)> {
    let mut known = HashSet::new();
    names.enumerate().find(|(_, name)| !known.insert(*name))
}

fn param_to_value(param: &Param) -> Value {
    let mut map = Fields::default();
    map.put("name", Value::Text(param.name.clone()));
    map.kind("type", param.kind);
    map.flag("nullable", param.nullable && param.kind != Type::Any);
    match (&param.default, param.known_default()) {
        (_, Some(default)) => map.put("default", default.clone()),
        (Some(Value::Opaque(own)), None) => {
            map.put("own_default", Value::Text(Text::from_utf8_lossy(own.bytes.clone())));
        }
        (_, None) => {}
    }
    map.flag("rest", param.rest);
    map.flag("named_rest", param.named_rest);
    map.flag("only_named", param.only_named);
    map.end()
}

impl Pool {
    fn read(place: &Place<'_>) -> Result<Self, String> {
        let count = |key| match place.number(key)? {
            None => Ok(None),
            Some(0) => Err(place.at(key, "is 0, and has to be 1 at least")),
            Some(number) => match u32::try_from(number) {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(place.at(key, &format!("{number} is too many"))),
            },
        };
        Ok(Self {
            concurrency: count("concurrency")?.unwrap_or(1),
            workers: count("workers")?,
            sticky: place.truth("sticky")?,
            state: place.truth("state")?,
        })
    }

    fn to_value(&self) -> Value {
        let mut map = Fields::default();
        map.put("concurrency", number(self.concurrency));
        if let Some(workers) = self.workers {
            map.put("workers", number(workers));
        }
        map.flag("sticky", self.sticky);
        map.flag("state", self.state);
        map.end()
    }
}

/// A map within the description, and where it stands, for errors that name the place.
struct Place<'v> {
    path: String,
    value: &'v Value,
}

impl<'v> Place<'v> {
    fn root(value: &'v Value) -> Result<Self, String> {
        match value {
            Value::Map(_) => Ok(Self { path: String::new(), value }),
            other => Err(format!("the description is no map, but {}", shown(other))),
        }
    }

    fn join(&self, key: &str) -> String {
        let dot = if self.path.is_empty() { "" } else { "." };
        format!("{}{dot}{key}", self.path)
    }

    fn at(&self, key: &str, what: &str) -> String {
        format!("{}: {what}", self.join(key))
    }

    fn wrong(&self, what: &str) -> String {
        format!("{}: {what}", self.path)
    }

    /// What stands under a key; null is as good as nothing.
    fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|value| **value != Value::Null)?;
        Some(Self { path: self.join(key), value })
    }

    fn own_text(&self) -> Result<Text, String> {
        match self.value {
            Value::Text(text) => Ok(text.clone()),
            other => Err(self.wrong(&format!("{} is no text", shown(other)))),
        }
    }

    fn text(&self, key: &str) -> Result<Option<Text>, String> {
        self.get(key).map(|place| place.own_text()).transpose()
    }

    fn truth(&self, key: &str) -> Result<bool, String> {
        match self.get(key).map(|place| place.value) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => {
                Err(self.at(key, &format!("{} is neither true nor false", shown(other))))
            }
        }
    }

    fn number(&self, key: &str) -> Result<Option<u64>, String> {
        let Some(place) = self.get(key) else { return Ok(None) };
        let number = place.value.as_int().and_then(|number| u64::try_from(number).ok());
        let wrong = || place.wrong(&format!("{} is no integer from 0 up", shown(place.value)));
        number.ok_or_else(wrong).map(Some)
    }

    fn kind(&self, key: &str) -> Result<Type, String> {
        let Some(name) = self.text(key)? else { return Ok(Type::Any) };
        type_of(&name).ok_or_else(|| {
            let all = TYPES.map(|(name, _)| name).join(", ");
            self.at(key, &format!("'{name}' is no type; the types are {all}"))
        })
    }

    /// Reads each element of the array under a key. Elements that `read` looks into are maps.
    fn list<T>(
        &self,
        key: &str,
        read: impl Fn(&Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let Some(place) = self.get(key) else { return Ok(Vec::new()) };
        let Value::List(items) = place.value else {
            return Err(place.wrong(&format!("{} is no array", shown(place.value))));
        };
        let item =
            |(index, value)| read(&Place { path: format!("{}[{index}]", place.path), value });
        items.iter().enumerate().map(item).collect()
    }

    /// The places of the map under a key, by their names.
    fn map(&self, key: &str) -> Result<Vec<(Text, Self)>, String> {
        let Some(place) = self.get(key) else { return Ok(Vec::new()) };
        let Value::Map(pairs) = place.value else {
            return Err(place.wrong(&format!("{} is no map", shown(place.value))));
        };
        let named = |(name, value): &'v (Value, Value)| match (name, value) {
            (Value::Text(name), Value::Map(_)) => {
                Ok((name.clone(), Place { path: format!("{}.{name}", place.path), value }))
            }
            _ => Err(place.wrong("is no map from names to maps")),
        };
        pairs.iter().map(named).collect()
    }
}

/// The beginning of a value, for an error.
fn shown(value: &Value) -> String {
    value.to_string().chars().take(40).collect()
}

/// The pairs of a map in the making.
#[derive(Default)]
struct Fields(Vec<(Value, Value)>);

impl Fields {
    fn put(&mut self, key: &'static str, value: Value) {
        self.0.push((key.into(), value));
    }

    fn flag(&mut self, key: &'static str, flag: bool) {
        if flag {
            self.put(key, Value::Bool(true));
        }
    }

    fn kind(&mut self, key: &'static str, kind: Type) {
        if kind != Type::Any {
            self.put(key, type_name(kind).into());
        }
    }

    fn list(&mut self, key: &'static str, items: impl Iterator<Item = Value>) {
        self.put(key, Value::List(items.collect()));
    }

    fn end(self) -> Value {
        Value::Map(self.0)
    }
}

fn number(number: impl Into<u64>) -> Value {
    Value::from_big(number.into().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A description of one function, with this map in place of it.
    fn function(pairs: &[(&'static str, Value)]) -> Value {
        let function = Value::map(pairs.iter().cloned());
        described([("functions", Value::List(vec![function]))])
    }

    fn param(pairs: &[(&'static str, Value)]) -> Value {
        let params = Value::List(vec![Value::map(pairs.iter().cloned())]);
        function(&[("name", "f".into()), ("params", params)])
    }

    fn described<const N: usize>(pairs: [(&'static str, Value); N]) -> Value {
        let mut all = vec![("protocol", Value::Int(1))];
        all.extend(pairs);
        Value::map(all)
    }

    fn named(names: &[&'static str]) -> Value {
        let named = |name: &&'static str| Value::map([("name", *name)]);
        Value::List(names.iter().map(named).collect())
    }

    fn why(value: &Value) -> String {
        match Hello::from_value(value).unwrap_err() {
            Error::Description(why) => why,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn what_is_absent_or_null_has_its_default() {
        let pools = Value::map([("wide", Value::map([("concurrency", Value::Int(4))]))]);
        let functions = [Value::map([("name", Value::from("f")), ("help", Value::Null)])];
        let functions = Value::List(functions.to_vec());
        let hello = Hello::from_value(&described([("functions", functions), ("pools", pools)]));
        let Hello { files, loaded } = hello.unwrap();
        let description = loaded.unwrap();
        assert_eq!(description.functions, [Declaration::new("f")]);
        let wide = Pool { concurrency: 4, ..Pool::default() };
        let pools = [("plain".into(), Pool::default()), ("wide".into(), wide)];
        assert_eq!(description.pools, pools.into());
        assert!(files.is_empty() && description.runtime.is_empty() && !description.progress);
    }

    #[test]
    fn a_default_may_be_null_and_one_of_the_workers_own_shows_its_text() {
        let read = |pairs: &[(&'static str, Value)]| {
            let hello = Hello::from_value(&param(pairs)).unwrap();
            hello.loaded.unwrap().functions[0].signature.to_string()
        };
        let name = ("name", Value::from("a"));
        let kind = ("type", Value::from("int"));
        assert_eq!(read(&[name.clone(), ("default", Value::Null)]), "(a=None)");
        let own = ("own_default", Value::from("<object>"));
        assert_eq!(read(&[name.clone(), kind.clone(), own]), "(a: int = <object>)");
        let nullable = ("nullable", Value::Bool(true));
        assert_eq!(read(&[name.clone(), kind, nullable]), "(a: int | None)");
        assert_eq!(read(&[name.clone(), ("rest", true.into())]), "(*a)");
        assert_eq!(read(&[name.clone(), ("named_rest", true.into())]), "(**a)");
        assert_eq!(read(&[name, ("only_named", true.into())]), "(*, a)");
    }

    #[test]
    fn an_error_names_the_place_and_what_is_wrong_there() {
        let (name, yes) = (("name", Value::from("f")), Value::Bool(true));
        let a = ("name", Value::from("a"));
        let functions = ("functions", Value::List(vec![]));
        let pool = |pair: (&'static str, Value)| {
            let pools = Value::map([("wide", Value::map([pair]))]);
            described([("functions", Value::List(vec![])), ("pools", pools)])
        };
        let cases = [
            (Value::List(vec![]), "the description is no map, but []"),
            (Value::map([functions.clone()]), "protocol: is missing"),
            (
                Value::map([("protocol", Value::Int(2)), functions.clone()]),
                "it speaks version 2 of the worker protocol, not 1",
            ),
            (described([]), "functions: is missing"),
            (described([("functions", Value::Int(1))]), "functions: 1 is no array"),
            (
                described([("functions", named(&["f", "g", "f"]))]),
                "functions[2].name: 'f' is there twice",
            ),
            (function(&[]), "functions[0].name: is missing"),
            (function(&[("name", Value::Int(3))]), "functions[0].name: 3 is no text"),
            (
                function(&[("name", "a..b".into())]),
                "functions[0].name: 'a..b' is not made of letters, digits and '_', with dots \
                 between parts",
            ),
            (
                function(&[name.clone(), ("stream", Value::Int(1))]),
                "functions[0].stream: 1 is neither true nor false",
            ),
            (
                function(&[name.clone(), ("property", "both".into())]),
                "functions[0].property: 'both' is neither read nor write",
            ),
            (
                function(&[name.clone(), ("property", "write".into())]),
                "functions[0].params: a property to read has no parameters, one to write a \
                 single 'rest'",
            ),
            (
                function(&[name.clone(), ("params", named(&["a", "a"]))]),
                "functions[0].params[1].name: 'a' is there twice",
            ),
            (
                param(&[a.clone(), ("type", "strng".into())]),
                "functions[0].params[0].type: 'strng' is no type; the types are any, bool, int, \
                 number, float, decimal, text, bytes, time, list, map",
            ),
            (
                param(&[a.clone(), ("rest", yes.clone()), ("default", Value::Null)]),
                "functions[0].params[0]: takes any number of arguments, so it has no default",
            ),
            (
                param(&[a.clone(), ("rest", yes.clone()), ("named_rest", yes.clone())]),
                "functions[0].params[0]: can be one of rest, named_rest and only_named",
            ),
            (
                param(&[a, ("default", 1.into()), ("own_default", "1".into())]),
                "functions[0].params[0]: has both default and own_default",
            ),
            (
                pool(("concurrency", 0.into())),
                "pools.wide.concurrency: is 0, and has to be 1 at least",
            ),
            (pool(("workers", (-1).into())), "pools.wide.workers: -1 is no integer from 0 up"),
            (pool(("workers", (1_i64 << 32).into())), "pools.wide.workers: 4294967296 is too many"),
            (described([functions.clone(), ("pools", named(&[]))]), "pools: [] is no map"),
            (
                described([functions.clone(), ("files", Value::List(vec![Value::Int(1)]))]),
                "files[0]: 1 is no text",
            ),
        ];
        for (value, text) in cases {
            assert_eq!(why(&value), text);
        }
        let rest = |name: &'static str| Value::map([("name", name.into()), ("rest", yes.clone())]);
        let params = Value::List(vec![rest("a"), rest("b")]);
        let text = "functions[0].params: there can be one with rest and one with named_rest";
        assert_eq!(why(&function(&[name, ("params", params)])), text);
    }

    #[test]
    fn why_it_could_not_be_loaded_stands_instead_of_all_but_the_files() {
        let error = Value::map([("kind", "raised"), ("message", "invalid syntax")]);
        let files = Value::List(vec!["app.py".into()]);
        let hello = Hello::from_value(&Value::map([("error", error), ("files", files)])).unwrap();
        assert_eq!(hello.files, ["app.py"]);
        assert_eq!(hello.loaded, Err(Fault::new(polyport_core::Kind::Raised, "invalid syntax")));
        assert!(Hello::from_value(&Value::map([("error", Value::Int(1))])).is_err());
    }
}
