//! `GET /v1/openapi.json`: the user's functions as an OpenAPI 3.1 document.

use axum::response::Response;
use polyport_core::json::Json;
use polyport_core::{Function, Param, Type};
use serde_json::{Map, Value, json};

use super::Login;
use super::functions;
use crate::codec::Format;

/// Describes every call that the user may make.
pub(super) async fn document(Login(session): Login) -> Response {
    let calls = session.functions();
    let paths: Map<_, _> =
        calls.iter().map(|(name, own)| (format!("/v1/call/{name}"), path(name, own))).collect();
    functions::document(&json!({
        "openapi": "3.1.0",
        "info": { "title": "Polyport", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "security": [{ "bearer": [] }, { "basic": [] }],
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "basic": { "type": "http", "scheme": "basic" },
            },
            "schemas": { "Error": error() },
            "parameters": { "Timeout": timeout() },
        },
    }))
}

fn path(name: &str, own: &Function) -> Value {
    let signature = own.signature();
    let needs_body = signature.arity().0 > 0;
    let result = json!({
        "type": "object",
        "required": ["result"],
        "properties": { "result": schema(signature.returns, false) },
    });
    let error = json!({ "$ref": "#/components/schemas/Error" });
    json!({
        "post": {
            "operationId": name,
            "summary": own.help().lines().next().unwrap_or(""),
            "description": own.help(),
            "parameters": [{ "$ref": "#/components/parameters/Timeout" }],
            "requestBody": {
                "required": needs_body,
                "content": {
                    Format::Json.media_type(): { "schema": {
                        "anyOf": [by_name(&signature.params), by_position(&signature.params)],
                    } },
                    Format::Packed.media_type(): {},
                },
            },
            "responses": {
                "200": {
                    "description": "The result.",
                    "content": {
                        Format::Json.media_type(): { "schema": result },
                        Format::Packed.media_type(): {},
                        Format::Lines.media_type(): {},
                        Format::Events.media_type(): {},
                        Format::Frames.media_type(): {},
                    },
                },
                "default": {
                    "description": "The call failed.",
                    "content": { "application/json": { "schema": error } },
                },
            },
        },
    })
}

fn by_name(params: &[Param]) -> Value {
    let named = || params.iter().filter(|param| param.is_single());
    let needed: Vec<_> = named().filter(|p| p.is_required()).map(|p| p.name.as_str()).collect();
    let others = params.iter().any(|param| param.named_rest);
    let properties: Map<_, _> = named().map(|p| (p.name.to_string(), parameter(p))).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": needed,
        "additionalProperties": others,
    })
}

fn by_position(params: &[Param]) -> Value {
    let usual = || params.iter().filter(|param| param.is_usual());
    let plain: Vec<_> = usual().map(parameter).collect();
    let needed = usual().filter(|param| param.is_required()).count();
    let rest = params.iter().any(|param| param.rest);
    // An empty `prefixItems` is not allowed.
    if plain.is_empty() {
        return json!({ "type": "array", "items": rest });
    }
    json!({ "type": "array", "prefixItems": plain, "minItems": needed, "items": rest })
}

fn parameter(param: &Param) -> Value {
    let mut schema = schema(param.kind, param.nullable);
    if let (Some(default), Value::Object(schema)) = (param.known_default(), &mut schema) {
        let default = serde_json::to_value(Json(default)).unwrap_or(Value::Null);
        schema.insert("default".into(), default);
    }
    schema
}

fn schema(kind: Type, nullable: bool) -> Value {
    let name = match kind {
        Type::Any => return json!({}),
        Type::Bool => "boolean",
        Type::Int => "integer",
        Type::Number | Type::Float | Type::Decimal => "number",
        Type::Text | Type::Bytes | Type::Time => "string",
        Type::List => "array",
        Type::Map => "object",
    };
    if nullable { json!({ "type": [name, "null"] }) } else { json!({ "type": name }) }
}

fn timeout() -> Value {
    json!({
        "name": "Polyport-Timeout",
        "in": "header",
        "description": "Seconds after which the call fails as a timeout.",
        "schema": { "type": "number", "minimum": 0 },
    })
}

fn error() -> Value {
    let kinds: Vec<_> = polyport_core::Kind::ALL.iter().map(|kind| kind.name()).collect();
    json!({
        "type": "object",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["kind", "message", "class", "errno", "attributes", "ran"],
            "properties": {
                "kind": { "enum": kinds },
                "message": { "type": "string" },
                "class": { "type": "string" },
                "errno": { "type": ["integer", "null"] },
                "attributes": { "type": "object" },
                "ran": { "enum": ["no", "yes", "maybe"] },
            },
        } },
    })
}
