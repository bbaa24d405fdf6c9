//! What MessagePack lacks: the extensions that hold such values, and the names of types.

use polyport_core::Type;

pub(crate) const INTEGER: u8 = 1;
pub(crate) const DECIMAL: u8 = 2;
pub(crate) const DATE: u8 = 3;
pub(crate) const DATE_TIME: u8 = 4;
pub(crate) const SPAN: u8 = 5;
pub(crate) const TUPLE: u8 = 6;
pub(crate) const SET: u8 = 7;
pub(crate) const OPAQUE: u8 = 8;
pub(crate) const ABSENT: u8 = 9;
pub(crate) const TABLE: u8 = 16;
pub(crate) const MANY: u8 = 17;

/// The dialects whose objects a worker can hold and give back.
pub(crate) const DIALECTS: [&str; 2] = ["pickle", "msgpack"];

/// The types by their names on the wire.
pub const TYPES: [(&str, Type); 11] = [
    ("any", Type::Any),
    ("bool", Type::Bool),
    ("int", Type::Int),
    ("number", Type::Number),
    ("float", Type::Float),
    ("decimal", Type::Decimal),
    ("text", Type::Text),
    ("bytes", Type::Bytes),
    ("time", Type::Time),
    ("list", Type::List),
    ("map", Type::Map),
];

/// The type of this name.
#[must_use]
pub fn type_of(name: &str) -> Option<Type> {
    TYPES.into_iter().find(|(known, _)| *known == name).map(|(_, kind)| kind)
}

/// The name of a type.
#[must_use]
pub const fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Any => "any",
        Type::Bool => "bool",
        Type::Int => "int",
        Type::Number => "number",
        Type::Float => "float",
        Type::Decimal => "decimal",
        Type::Text => "text",
        Type::Bytes => "bytes",
        Type::Time => "time",
        Type::List => "list",
        Type::Map => "map",
    }
}
