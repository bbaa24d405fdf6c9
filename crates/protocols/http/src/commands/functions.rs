//! `GET /v1/functions`: what the user may call.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use polyport_core::json::Json;
use polyport_core::{Fault, Function, Kind, Param, Type};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Login, answer, name};
use crate::fault::Failure;

/// Every function that the user sees.
pub(super) async fn list(Login(session): Login) -> Response {
    let functions = session.functions();
    let shown: Vec<_> = functions.iter().map(|(name, own)| Shown { name, own }).collect();
    document(&serde_json::json!({ "functions": shown }))
}

/// One function.
pub(super) async fn one(
    Login(session): Login,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Failure> {
    let name = name(path)?;
    let own = session
        .function(&name)
        .ok_or_else(|| Fault::new(Kind::NotFound, format!("there is no function '{name}'")))?;
    Ok(document(&Shown { name: &name, own: &own }))
}

/// A JSON document. What is written here has text for keys, so it always has a form.
pub(super) fn document(what: &impl Serialize) -> Response {
    answer("application/json", serde_json::to_vec(what).unwrap_or_default())
}

/// A function, as it is described to clients.
struct Shown<'a> {
    name: &'a str,
    own: &'a Function,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let signature = self.own.signature();
        let parameters: Vec<_> = signature.params.iter().map(Parameter).collect();
        let property = self.own.property().map(|writable| if writable { "write" } else { "read" });
        let mut map = to.serialize_map(Some(6))?;
        map.serialize_entry("name", self.name)?;
        map.serialize_entry("signature", &signature.to_string())?;
        map.serialize_entry("help", self.own.help())?;
        map.serialize_entry("parameters", &parameters)?;
        map.serialize_entry("returns", type_name(signature.returns))?;
        map.serialize_entry("property", &property)?;
        map.end()
    }
}

struct Parameter<'a>(&'a Param);

impl Serialize for Parameter<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let param = self.0;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("name", param.name.as_str())?;
        map.serialize_entry("type", type_name(param.kind))?;
        map.serialize_entry("nullable", &param.nullable)?;
        map.serialize_entry("required", &param.is_required())?;
        // Absent is no default; null is the default null.
        if let Some(default) = param.known_default() {
            map.serialize_entry("default", &Json(default))?;
        }
        map.serialize_entry("rest", &param.rest)?;
        map.serialize_entry("named_rest", &param.named_rest)?;
        map.serialize_entry("only_named", &param.only_named)?;
        map.end()
    }
}

const fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Any => "any",
        typed => typed.name(),
    }
}
