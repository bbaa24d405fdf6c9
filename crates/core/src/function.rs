//! Functions: a name, a signature, a help text and a body.

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::call::Call;
use crate::convert::FromValue;
use crate::fault::{Fault, Kind};
use crate::reply::{IntoReply, Reply};
use crate::types::Type;
use crate::value::{Opaque, Text, Value};

/// Arguments as a client sends them: by position, by name, or both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments {
    /// Arguments by position.
    pub positional: Vec<Value>,
    /// Arguments by name.
    pub named: Vec<(Text, Value)>,
}

impl Arguments {
    /// Arguments by position only.
    #[must_use]
    pub const fn positional(values: Vec<Value>) -> Self {
        Self { positional: values, named: Vec::new() }
    }

    /// Adds an argument by name.
    #[must_use]
    pub fn named(mut self, name: impl Into<Text>, value: impl Into<Value>) -> Self {
        self.named.push((name.into(), value.into()));
        self
    }
}

impl<T: Into<Value>> FromIterator<T> for Arguments {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::positional(values.into_iter().map(Into::into).collect())
    }
}

/// The dialect of a default that only the function's own language can make; its bytes are the text
/// that stands for it in the signature. A body receives it where the argument is absent.
pub const OWN_DEFAULT: &str = "own default";

/// One parameter of a function.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a trait that a parameter has or not")]
pub struct Param {
    /// The name, for arguments by name and for the signature.
    pub name: Text,
    /// What an argument is coerced to.
    pub kind: Type,
    /// Whether a null is accepted as it is.
    pub nullable: bool,
    /// The value that an absent argument has; without one the argument is required.
    pub default: Option<Value>,
    /// Whether this parameter takes all further positional arguments, as a list.
    pub rest: bool,
    /// Whether this parameter takes all arguments by name that no other has, as a map.
    pub named_rest: bool,
    /// Whether an argument is taken by name only.
    pub only_named: bool,
}

impl Param {
    /// A required parameter.
    pub fn new(name: impl Into<Text>, kind: Type) -> Self {
        let (rest, named_rest, only_named) = (false, false, false);
        let nullable = kind == Type::Any;
        Self { name: name.into(), kind, nullable, default: None, rest, named_rest, only_named }
    }

    /// A required parameter of a Rust type.
    pub fn of<T: FromValue>(name: impl Into<Text>) -> Self {
        let nullable = T::NULLABLE || T::TYPE == Type::Any;
        Self { nullable, ..Self::new(name, T::TYPE) }
    }

    /// Gives the parameter a default, so that the argument may be left out.
    #[must_use]
    pub fn or(mut self, default: impl Into<Value>) -> Self {
        self.default = Some(default.into());
        self
    }

    /// Gives the parameter a default that only the function's own language can make, shown in the
    /// signature as this text.
    #[must_use]
    pub fn or_own(mut self, shown: &str) -> Self {
        let default = Opaque { dialect: OWN_DEFAULT, bytes: shown.as_bytes().into() };
        self.default = Some(Value::Opaque(Arc::new(default)));
        self
    }

    /// Makes the parameter take all further positional arguments, as a list.
    #[must_use]
    pub fn rest(mut self) -> Self {
        self.rest = true;
        self
    }

    /// Makes the parameter take all arguments by name that no other parameter has, as a map.
    #[must_use]
    pub fn named_rest(mut self) -> Self {
        self.named_rest = true;
        self
    }

    /// Makes the parameter take its argument by name only.
    #[must_use]
    pub fn only_named(mut self) -> Self {
        self.only_named = true;
        self
    }

    /// Whether it takes one argument, by position or by name.
    #[must_use]
    pub const fn is_usual(&self) -> bool {
        self.is_single() && !self.only_named
    }

    /// Whether it takes one argument of its own name.
    #[must_use]
    pub const fn is_single(&self) -> bool {
        !self.rest && !self.named_rest
    }

    /// Whether a call without an argument for it fails.
    #[must_use]
    pub const fn is_required(&self) -> bool {
        self.is_single() && self.default.is_none()
    }

    /// The default as a value, if it is one that can be told.
    #[must_use]
    pub fn known_default(&self) -> Option<&Value> {
        self.default.as_ref().filter(|default| !is_own(default))
    }

    fn coerce(&self, value: Value) -> Result<Value, Fault> {
        if matches!(value, Value::Null) && self.nullable || self.default.as_ref() == Some(&value) {
            return Ok(value);
        }
        self.kind.coerce(value).map_err(|value| self.refuse(&value))
    }

    fn refuse(&self, value: &Value) -> Fault {
        let shown: String = value.to_string().chars().take(80).collect();
        let wanted = if self.kind == Type::Any { "such a value" } else { self.kind.name() };
        Fault::new(Kind::Type, format!("argument '{}' takes {wanted}, not {shown}", self.name))
            .with("parameter", self.name.clone())
    }
}

fn is_own(default: &Value) -> bool {
    matches!(default, Value::Opaque(own) if own.dialect == OWN_DEFAULT)
}

/// What a function takes and gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signature {
    /// The parameters, from left to right.
    pub params: Vec<Param>,
    /// The type of the result, [`Type::Any`] when it is not declared.
    pub returns: Type,
}

impl Signature {
    /// How many arguments a call needs at least and takes at most; `None` is no upper bound.
    #[must_use]
    pub fn arity(&self) -> (usize, Option<usize>) {
        let single = || self.params.iter().filter(|param| param.is_single());
        let needed = self.params.iter().filter(|param| param.is_required()).count();
        let most = (single().count() == self.params.len()).then_some(self.params.len());
        (needed, most)
    }

    /// Puts the arguments into the parameters' order, fills in defaults and coerces each.
    ///
    /// # Errors
    /// [`Kind::Arguments`] when there are too few or too many, or one is unknown or given twice;
    /// [`Kind::Type`] when one cannot become its declared type.
    pub fn bind(&self, name: &str, arguments: Arguments) -> Result<Vec<Value>, Fault> {
        let Arguments { positional, named } = arguments;
        let given = positional.len() + named.len();
        let simple = named.is_empty() && positional.len() == self.params.len();
        if simple && self.params.iter().all(Param::is_usual) {
            return self.params.iter().zip(positional).map(|(p, v)| p.coerce(v)).collect();
        }
        let miss = |what: String| {
            let (needed, most) = self.arity();
            let expected = if given < needed { needed } else { most.unwrap_or(needed) };
            Fault::new(Kind::Arguments, format!("{name}{self} {what}"))
                .with("function", name)
                .with("expected", expected)
                .with("got", given)
        };

        let mut slots: Vec<Option<Value>> = vec![None; self.params.len()];
        let mut left_over = Vec::new();
        let usual = self.params.iter().take_while(|param| param.is_usual()).count();
        for (index, value) in positional.into_iter().enumerate() {
            match slots.get_mut(index).filter(|_| index < usual) {
                Some(slot) => *slot = Some(value),
                None => left_over.push(value),
            }
        }
        match self.params.iter().position(|param| param.rest).and_then(|at| slots.get_mut(at)) {
            Some(rest) => *rest = Some(Value::List(left_over)),
            None if left_over.is_empty() => {}
            None => return Err(miss(format!("takes at most {usual} arguments, got {given}"))),
        }
        let mut others = Vec::new();
        let mut other_names = HashSet::new();
        let takes_others = self.params.iter().position(|param| param.named_rest);
        for (key, value) in named {
            let slot = self.params.iter().position(|p| p.name == key && p.is_single());
            let mut is_new = || other_names.insert(key.clone());
            match slot.and_then(|index| slots.get_mut(index)) {
                Some(slot @ None) => *slot = Some(value),
                None if takes_others.is_none() => {
                    return Err(miss(format!("has no parameter '{key}'")));
                }
                None if is_new() => others.push((Value::Text(key), value)),
                Some(Some(_)) | None => return Err(miss(format!("got argument '{key}' twice"))),
            }
        }
        if let Some(slot) = takes_others.and_then(|index| slots.get_mut(index)) {
            *slot = Some(Value::Map(others));
        }
        let mut bound = Vec::with_capacity(slots.len());
        for (param, slot) in self.params.iter().zip(slots) {
            match slot.or_else(|| param.default.clone()) {
                Some(value) if !param.is_single() => bound.push(value),
                Some(value) => bound.push(param.coerce(value)?),
                None => return Err(miss(format!("lacks argument '{}'", param.name))),
            }
        }
        Ok(bound)
    }
}

/// Writes the signature as Python's `inspect.signature` prints it: `(a: int, b: int = 4) -> int`.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        let mut starred = false;
        for (index, param) in self.params.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            if param.only_named && !starred {
                f.write_str("*, ")?;
            }
            starred |= param.rest || param.only_named;
            let star = match (param.rest, param.named_rest) {
                (true, _) => "*",
                (_, true) => "**",
                _ => "",
            };
            write!(f, "{star}{}", param.name)?;
            let typed = param.kind != Type::Any && param.is_single();
            if typed {
                write!(f, ": {}", param.kind.name())?;
                if param.nullable {
                    f.write_str(" | None")?;
                }
            }
            let is = if typed { " = " } else { "=" };
            match &param.default {
                Some(Value::Opaque(own)) => {
                    write!(f, "{is}{}", Text::from_utf8_lossy(own.bytes.clone()))?
                }
                Some(value) => write!(f, "{is}{value}")?,
                None => {}
            }
        }
        f.write_str(")")?;
        match self.returns {
            Type::Any => Ok(()),
            returns => write!(f, " -> {}", returns.name()),
        }
    }
}

/// The bound arguments of one call, one for each parameter, in order.
#[derive(Debug)]
pub struct Bound<'f> {
    params: &'f [Param],
    values: std::vec::IntoIter<Value>,
    next: usize,
}

impl Bound<'_> {
    /// Takes the next argument as a Rust type.
    ///
    /// # Errors
    /// [`Kind::Type`] when the value is out of the type's range; [`Kind::Internal`] when the body
    /// takes more arguments than it declared.
    pub fn take<T: FromValue>(&mut self) -> Result<T, Fault> {
        let param = self.params.get(self.next);
        self.next += 1;
        let (Some(param), Some(value)) = (param, self.values.next()) else {
            return Err(Fault::new(Kind::Internal, "the function takes undeclared arguments"));
        };
        if matches!(value, Value::Null) && T::NULLABLE {
            return T::from_value(value).map_err(|value| param.refuse(&value));
        }
        T::TYPE.coerce(value).and_then(T::from_value).map_err(|value| param.refuse(&value))
    }

    /// Whether a writable property is to be written, and not read; the argument is then the next
    /// to be taken.
    ///
    /// # Errors
    /// [`Kind::Arguments`] when there is more than one argument.
    pub fn is_given(&mut self) -> Result<bool, Fault> {
        let given = match self.values.as_slice() {
            [Value::List(given)] => given.clone(),
            _ => Vec::new(),
        };
        let count = given.len();
        self.values = given.into_iter();
        if count > 1 {
            let fault = Fault::new(Kind::Arguments, "a property takes one value at most");
            return Err(fault.with("expected", 1).with("got", count));
        }
        Ok(count == 1)
    }

    /// Takes all remaining arguments as they are.
    pub fn values(&mut self) -> Vec<Value> {
        self.next = self.params.len();
        self.values.by_ref().collect()
    }
}

/// A call's future. It is dropped, and so stopped, when the client leaves or the time is over.
pub type CallFuture = Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send>>;

/// The body of a function that computes and returns.
pub type PlainBody = dyn Fn(&Call, Bound<'_>) -> Result<Reply, Fault> + Send + Sync;

/// The body of a function that waits.
pub type AsyncBody = dyn Fn(Call, Bound<'_>) -> CallFuture + Send + Sync;

#[derive(Clone)]
pub(crate) enum Body {
    /// Runs where the connection lives; must return within a millisecond.
    Inline(Arc<PlainBody>),
    /// Runs on a thread of the blocking pool.
    Blocking(Arc<PlainBody>),
    /// Runs where the connection lives, and waits without holding it up.
    Async(Arc<AsyncBody>),
}

/// A function as every protocol sees it.
#[derive(Clone)]
pub struct Function {
    name: Text,
    signature: Signature,
    help: Text,
    property: Option<bool>,
    slow_runs: Arc<AtomicU64>,
    pub(crate) body: Body,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Function({}{})", self.name, self.signature)
    }
}

impl Function {
    /// Starts a function of this name. A dot makes a namespace: `math.add`.
    pub fn build(name: impl Into<Text>) -> Builder {
        let name = name.into();
        Builder { name, signature: Signature::default(), help: Text::new(), property: None }
    }

    /// The name it is registered under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it takes and gives.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// What it does, for its users; empty when nobody wrote it.
    #[must_use]
    pub fn help(&self) -> &str {
        &self.help
    }

    /// Whether this is an object's property, and if so, whether it can be written. A property is
    /// read by a call without arguments and written by a call with one.
    #[must_use]
    pub fn property(&self) -> Option<bool> {
        self.property
    }

    /// The same function under another name.
    #[must_use]
    pub fn renamed(mut self, name: impl Into<Text>) -> Self {
        self.name = name.into();
        self
    }

    pub(crate) fn shared_name(&self) -> Text {
        self.name.clone()
    }

    /// How often an inline body took too long.
    pub(crate) fn slow_runs(&self) -> &AtomicU64 {
        &self.slow_runs
    }

    pub(crate) fn bound(&self, values: Vec<Value>) -> Bound<'_> {
        Bound { params: &self.signature.params, values: values.into_iter(), next: 0 }
    }
}

/// A function in the making. `#[polyport::function]` expands to calls of this.
#[derive(Clone, Debug)]
pub struct Builder {
    name: Text,
    signature: Signature,
    help: Text,
    property: Option<bool>,
}

impl Builder {
    /// Adds a parameter.
    #[must_use]
    pub fn param(mut self, param: Param) -> Self {
        self.signature.params.push(param);
        self
    }

    /// Declares the type of the result.
    #[must_use]
    pub fn returns(mut self, kind: Type) -> Self {
        self.signature.returns = kind;
        self
    }

    /// Sets the help text. It is stripped and unindented as Python does with docstrings.
    #[must_use]
    pub fn help(mut self, text: &str) -> Self {
        self.help = unindent(text).into();
        self
    }

    /// Makes this an object's property, which a call without arguments reads and, if it is
    /// writable, a call with one argument writes.
    #[must_use]
    pub fn property(mut self, writable: bool) -> Self {
        self.property = Some(writable);
        if writable { self.param(Param::new("value", Type::Any).rest()) } else { self }
    }

    /// Ends with a body that runs where the connection lives. It must return within a
    /// millisecond, since it holds up the connections beside it; one that does not is warned
    /// about by name.
    pub fn inline<R: IntoReply>(
        self,
        body: impl Fn(&Call, Bound<'_>) -> R + Send + Sync + 'static,
    ) -> Function {
        self.end(Body::Inline(Arc::new(move |call, args| body(call, args).into_reply())))
    }

    /// Ends with a body that runs on a thread of its own and may take its time.
    pub fn blocking<R: IntoReply>(
        self,
        body: impl Fn(&Call, Bound<'_>) -> R + Send + Sync + 'static,
    ) -> Function {
        self.end(Body::Blocking(Arc::new(move |call, args| body(call, args).into_reply())))
    }

    /// Ends with a body that makes a future.
    pub fn asynchronous(
        self,
        body: impl Fn(Call, Bound<'_>) -> CallFuture + Send + Sync + 'static,
    ) -> Function {
        self.end(Body::Async(Arc::new(body)))
    }

    fn end(self, body: Body) -> Function {
        let Self { name, signature, help, property } = self;
        Function { name, signature, help, property, slow_runs: Arc::default(), body }
    }
}

/// Strips blank lines around and the common indent of all lines but the first, as Python's
/// `inspect.cleandoc` does.
fn unindent(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let margin = lines.iter().skip(1).filter(|l| !l.is_empty()).map(indent).min().unwrap_or(0);
    for (index, line) in lines.iter_mut().enumerate() {
        *line = if index == 0 { line.trim_start() } else { line.get(margin..).unwrap_or("") };
    }
    lines.join("\n").trim_matches('\n').trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature() -> Signature {
        let params = vec![
            Param::new("a", Type::Int),
            Param::of::<Option<String>>("b").or(Value::Null),
            Param::new("more", Type::Any).rest(),
        ];
        Signature { params, returns: Type::Int }
    }

    fn two() -> Signature {
        let params = vec![Param::new("a", Type::Int), Param::new("b", Type::Int)];
        Signature { params, returns: Type::Any }
    }

    #[test]
    fn prints_as_python_does() {
        assert_eq!(signature().to_string(), "(a: int, b: str | None = None, *more) -> int");
        let untyped = Signature {
            params: vec![Param::new("a", Type::Any), Param::new("b", Type::Any)],
            returns: Type::Any,
        };
        assert_eq!(untyped.to_string(), "(a, b)");
    }

    #[test]
    fn binds_by_position_by_name_and_both() {
        let want = Ok(vec![Value::Int(5), Value::Int(4)]);
        assert_eq!(two().bind("f", Arguments::from_iter(["5", "4"])), want);
        assert_eq!(two().bind("f", Arguments::default().named("b", 4).named("a", 5)), want);
        assert_eq!(two().bind("f", Arguments::from_iter([5]).named("b", 4)), want);
    }

    #[test]
    fn fills_defaults_and_gathers_the_rest() {
        let bound = signature().bind("f", Arguments::from_iter([1])).unwrap();
        assert_eq!(bound, [Value::Int(1), Value::Null, Value::List(vec![])]);
        let bound = signature().bind("f", Arguments::from_iter(["1", "x", "y", "z"])).unwrap();
        let rest = Value::List(vec!["y".into(), "z".into()]);
        assert_eq!(bound, [Value::Int(1), "x".into(), rest]);
    }

    /// As Python has it: `def f(a, *more, only, own=…, **others)`.
    fn pythonic() -> Signature {
        let params = vec![
            Param::new("a", Type::Any),
            Param::new("more", Type::Any).rest(),
            Param::new("only", Type::Int).only_named(),
            Param::new("own", Type::Int).or_own("<object>").only_named(),
            Param::new("others", Type::Any).named_rest(),
        ];
        Signature { params, returns: Type::Any }
    }

    #[test]
    fn takes_what_is_named_only_and_names_that_no_parameter_has() {
        let text = "(a, *more, only: int, own: int = <object>, **others)";
        assert_eq!(pythonic().to_string(), text);
        let bare =
            Signature { params: vec![Param::new("k", Type::Any).only_named()], returns: Type::Any };
        assert_eq!(bare.to_string(), "(*, k)");
        assert!(bare.bind("f", Arguments::from_iter([1])).is_err());

        let given = Arguments::from_iter([1, 2, 3]).named("x", 5).named("only", "4");
        let bound = pythonic().bind("f", given).unwrap();
        let own = pythonic().params[3].default.clone().unwrap();
        let more = Value::List(vec![Value::Int(2), Value::Int(3)]);
        let others = Value::map([("x", 5)]);
        assert_eq!(bound, [Value::Int(1), more, Value::Int(4), own, others]);

        let twice = Arguments::from_iter([1]).named("only", 1).named("x", 1).named("x", 2);
        let fault = pythonic().bind("f", twice).unwrap_err();
        assert!(fault.message().ends_with("got argument 'x' twice"), "{fault}");
    }

    #[test]
    fn says_what_does_not_fit_and_counts_it() {
        for (arguments, got) in [
            (Arguments::from_iter([1]), 1),
            (Arguments::default(), 0),
            (Arguments::from_iter([1, 2, 3]), 3),
            (Arguments::from_iter([1, 2]).named("c", 3), 3),
            (Arguments::from_iter([1, 2]).named("a", 3), 3),
        ] {
            let fault = two().bind("f", arguments).unwrap_err();
            assert_eq!(fault.kind(), Kind::Arguments);
            assert_eq!(fault.attribute("expected"), Some(&Value::Int(2)));
            assert_eq!(fault.attribute("got"), Some(&Value::Int(got)));
        }
        let fault = two().bind("f", Arguments::from_iter(["x", "1"])).unwrap_err();
        assert_eq!(fault.kind(), Kind::Type);
        assert_eq!(fault.message(), "argument 'a' takes int, not 'x'");
    }

    #[test]
    fn help_is_unindented() {
        assert_eq!(unindent("有help\n        "), "有help");
        assert_eq!(unindent(" First.\n\n     - a\n       - b\n"), "First.\n\n- a\n  - b");
    }
}
