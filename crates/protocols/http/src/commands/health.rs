//! `/`, `/livez` and `/readyz`: for people and load balancers.

use std::sync::Arc;

use axum::extract::Extension;
use axum::http::StatusCode;

use crate::connection::Visit;

const WELCOME: &str = "\
This is a Polyport server. Over HTTP it answers:

POST /v1/call/NAME      call a function; the body is a JSON list or map of arguments
GET  /v1/functions      what you may call
GET  /v1/functions/NAME one of them
GET  /v1/openapi.json   the same as an OpenAPI document
GET  /metrics           counters and latencies for Prometheus
GET  /livez, /readyz    whether the server runs, and takes requests

Log in with a bearer token (Authorization: Bearer TOKEN) or a user and a password (Basic).
";

pub(super) async fn welcome() -> &'static str {
    WELCOME
}

pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// Fails once the server was told to stop, so that a load balancer sends no more requests.
pub(super) async fn ready(Extension(visit): Extension<Arc<Visit>>) -> (StatusCode, &'static str) {
    if visit.guest().is_shutting_down() {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}
