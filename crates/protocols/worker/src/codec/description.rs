//! HELLO: what a worker says of its functions.

use std::collections::{BTreeMap, HashSet};

use polyport_core::{Fault, Param, Signature, Text, Type, Value};

use super::value::{TYPES, type_name, type_of};
use super::{Error, VERSION};
use crate::fault;

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
        let mut names = HashSet::new();
        for (index, function) in functions.iter().enumerate() {
            if !names.insert(&function.name) {
                let name = &function.name;
                return Err(format!("functions[{index}].name: '{name}' is there twice"));
            }
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
    let mut names = HashSet::new();
    for (index, param) in params.iter().enumerate() {
        if !names.insert(&param.name) {
            let name = &param.name;
            return Err(place.at("params", &format!("'{name}', number {index}, is there twice")));
        }
    }
    let more = |is: fn(&Param) -> bool| params.iter().filter(|param| is(param)).count() > 1;
    if more(|param| param.rest) || more(|param| param.named_rest) {
        return Err(place.at("params", "there can be one with rest and one with named_rest"));
    }
    Ok(())
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

    fn at(&self, key: &str, what: &str) -> String {
        let dot = if self.path.is_empty() { "" } else { "." };
        format!("{}{dot}{key}: {what}", self.path)
    }

    fn wrong(&self, what: &str) -> String {
        format!("{}: {what}", self.path)
    }

    /// What stands under a key; null is as good as nothing.
    fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|value| **value != Value::Null)?;
        Some(Self { path: self.at(key, "").trim_end_matches(": ").to_owned(), value })
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
