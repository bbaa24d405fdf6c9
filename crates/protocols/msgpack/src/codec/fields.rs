//! The fields of a pymprpc request, before anybody asks what it means.

use polyport_core::Value;

use super::value::Reader;
use super::{Bounds, Error};

/// The fields that a request may have; absent ones are null, unknown ones are passed over.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Fields {
    /// `MPRPC`, the protocol's version.
    pub(crate) version: Value,
    /// `AUTH`, a user and a password.
    pub(crate) auth: Value,
    /// `HEARTBEAT`, the text `ping`.
    pub(crate) heartbeat: Value,
    /// `ID` of a call.
    pub(crate) id: Value,
    /// `METHOD`, the function's name.
    pub(crate) method: Value,
    /// `RETURN`, whether the result is wanted.
    pub(crate) returns: Value,
    /// `ARGS`, by position.
    pub(crate) args: Value,
    /// `KWARGS`, by name.
    pub(crate) kwargs: Value,
}

const NO_MAP: Error = Error::Malformed("a message is a map");

impl Fields {
    fn field(&mut self, name: &[u8]) -> Option<&mut Value> {
        Some(match name {
            b"MPRPC" => &mut self.version,
            b"AUTH" => &mut self.auth,
            b"HEARTBEAT" => &mut self.heartbeat,
            b"ID" => &mut self.id,
            b"METHOD" => &mut self.method,
            b"RETURN" => &mut self.returns,
            b"ARGS" => &mut self.args,
            b"KWARGS" => &mut self.kwargs,
            _ => return None,
        })
    }

    /// Takes the fields out of a map.
    pub(crate) fn from_map(map: Value) -> Result<Self, Error> {
        let Value::Map(pairs) = map else { return Err(NO_MAP) };
        let mut fields = Self::default();
        for (key, value) in pairs {
            let field = key.as_text().and_then(|name| fields.field(name.as_bytes()));
            if let Some(field) = field {
                *field = value;
            }
        }
        Ok(fields)
    }

    /// Reads the fields of a body that is a map and nothing else, without a value for each name.
    pub(crate) fn from_packed(body: &[u8], bounds: Bounds) -> Result<Self, Error> {
        let mut reader = Reader::new(body, bounds);
        let mut fields = Self::default();
        for _ in 0..reader.map_length()?.ok_or(NO_MAP)? {
            let field = reader.name()?.and_then(|name| fields.field(name));
            let value = reader.value()?;
            if let Some(field) = field {
                *field = value;
            }
        }
        if reader.rest().is_empty() {
            return Ok(fields);
        }
        Err(Error::Malformed("bytes follow the map"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::value;

    #[test]
    fn a_name_may_be_written_the_long_way() {
        let bounds = Bounds { depth: 5, values: 100 };
        let fields = Fields::from_packed(b"\x81\xd9\x02ID\x07", bounds).unwrap();
        assert_eq!(fields.id, Value::Int(7));
    }

    #[test]
    fn both_ways_of_reading_find_the_same() {
        let names = ["MPRPC", "AUTH", "HEARTBEAT", "ID", "METHOD", "RETURN", "ARGS", "KWARGS"];
        let named =
            names.iter().enumerate().map(|(i, name)| (Value::from(*name), (i as i64).into()));
        let odd = [(Value::Int(7), Value::Null), ("other".into(), Value::List(vec![1.into()]))];
        let map = Value::Map(named.chain(odd).collect());
        let mut packed = Vec::new();
        value::append(&mut packed, &map, true).unwrap();
        let bounds = Bounds { depth: 5, values: 100 };
        let fields = Fields::from_packed(&packed, bounds).unwrap();
        assert_eq!(fields.kwargs, Value::Int(7));
        assert_eq!(Fields::from_map(map), Ok(fields));
        assert_eq!(Fields::from_map(Value::Null), Err(NO_MAP));
        assert_eq!(Fields::from_packed(b"\xc0", bounds), Err(NO_MAP));
        for cut in 0..packed.len() {
            assert_eq!(Fields::from_packed(&packed[..cut], bounds), Err(Error::Incomplete));
        }
    }
}
