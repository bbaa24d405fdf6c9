//! The paths that are answered, and what every request passes before its handler.

mod call;
mod functions;
mod health;
mod items;
mod metrics;
mod openapi;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use polyport_core::{Fault, Kind, Peer, Session};

use crate::StatusLines;
use crate::codec::origin::{self, Authority};
use crate::config::Config;
use crate::connection::Visit;
use crate::fault::Failure;

/// How many seconds a client gives a call.
const TIMEOUT: HeaderName = HeaderName::from_static("polyport-timeout");

/// What all connections share.
pub(crate) struct Site {
    pub(crate) config: Config,
    pub(crate) status: Option<StatusLines>,
}

/// Every path, with the gate before all but the two that tell nothing worth guarding.
pub(crate) fn router(site: Arc<Site>) -> Router {
    let mut guarded = Router::new()
        .route("/", get(health::welcome))
        .route("/v1/call/{name}", post(call::call))
        .route("/v1/functions", get(functions::list))
        .route("/v1/functions/{name}", get(functions::one))
        .route("/v1/openapi.json", get(openapi::document))
        .route("/metrics", get(metrics::metrics));
    if site.config.status_password.is_some() && site.status.is_some() {
        guarded = guarded
            .route("/pymysqlrpc/info/{user}/{password}", get(status::page))
            .route("/pymysqlrpc", get(status::greeting))
            .route("/pymysqlrpc/", get(status::greeting))
            .route("/pymysqlrpc/{*rest}", get(status::greeting));
    }
    guarded
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(site.clone(), gate))
        .route("/livez", get(health::live).fallback(wrong_method))
        .route("/readyz", get(health::ready).fallback(wrong_method))
        .with_state(site)
}

async fn unknown_path(request: Request) -> Failure {
    let text = format!("there is nothing at {}; / lists the paths", request.uri().path());
    Fault::new(Kind::NotFound, text).into()
}

/// axum adds the `Allow` header.
async fn wrong_method(request: Request) -> Failure {
    let text = format!("{} does not answer {}", request.uri().path(), request.method());
    Failure::of(StatusCode::METHOD_NOT_ALLOWED, Fault::new(Kind::Unsupported, text))
}

/// Refuses requests that were not meant for this server, and answers those a browser sends before
/// the real one.
async fn gate(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Arc<Visit>>,
    request: Request,
    next: Next,
) -> Response {
    let foreign = match check(&site.config, &visit, &request) {
        Ok(foreign) => foreign,
        Err(failure) => return failure.into_response(),
    };
    let Some(origin) = foreign else { return next.run(request).await };
    let asks_first = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks_first { permission() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    response
}

/// Checks a request's size, host and origin; returns the origin if it is another's that the
/// configuration allows.
fn check(
    config: &Config,
    visit: &Visit,
    request: &Request,
) -> Result<Option<HeaderValue>, Failure> {
    let most = config.uri_bytes;
    let uri = request.uri();
    if uri.path_and_query().is_some_and(|path| path.as_str().len() > most) {
        let text = format!("the path and query have more than {most} bytes (uri_bytes)");
        return Err(Failure::of(StatusCode::URI_TOO_LONG, Fault::new(Kind::TooLarge, text)));
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    let bad = |text: &'static str| Failure::from(Fault::new(Kind::Syntax, text));
    if more.is_some() {
        return Err(bad("there is more than one Host header"));
    }
    let named = host.map(|host| host.to_str().ok().and_then(Authority::parse));
    let host = match (uri.authority().map(|own| Authority::parse(own.as_str())), named) {
        (_, Some(None)) | (Some(None), _) => {
            return Err(bad("the host is not a name or an address"));
        }
        (Some(host), _) | (None, Some(host)) => host,
        (None, None) if request.version() < Version::HTTP_11 => None,
        (None, None) => return Err(bad("there is no Host header")),
    };
    // Nothing that a browser can be led to connects to a Unix socket.
    let local = visit.connection().peer == Peer::Unix;
    let listener = &visit.guest().listener().address;
    if !local && host.is_some_and(|host| !host.is_ours(listener, &config.allowed_hosts)) {
        let text = "the request is for another host (protocols.http.allowed_hosts)";
        let fault = Fault::new(Kind::Denied, text);
        return Err(Failure::of(StatusCode::MISDIRECTED_REQUEST, fault));
    }
    let Some(page) = request.headers().get(header::ORIGIN) else { return Ok(None) };
    let origin = page.to_str().unwrap_or("");
    if host.is_some_and(|host| origin::is_same(origin, host)) {
        return Ok(None);
    }
    if origin::is_allowed(origin, &config.allowed_origins) {
        return Ok(Some(page.clone()));
    }
    let text = "pages of this origin may not send requests (protocols.http.allowed_origins)";
    Err(Fault::new(Kind::Denied, text).into())
}

/// The answer to a browser that asks whether a page may send a request.
fn permission() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "accept, authorization, content-type, polyport-timeout",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A logged-in user, or the listener's anonymous one. A handler that takes this needs one.
pub(crate) struct Login(pub(crate) Session);

impl FromRequestParts<Arc<Site>> for Login {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Site>) -> Result<Self, Failure> {
        let Some(visit) = parts.extensions.get::<Arc<Visit>>().cloned() else {
            return Err(Fault::new(Kind::Internal, "a request without its connection").into());
        };
        Ok(Self(visit.session(&parts.headers).await?))
    }
}

/// The function's name in a path.
fn name(path: Result<axum::extract::Path<String>, PathRejection>) -> Result<String, Failure> {
    path.map(|path| path.0)
        .map_err(|_| Fault::new(Kind::Syntax, "the name in the path is not UTF-8").into())
}

/// A header's value as text, empty when there is none.
fn text_of(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// An answer of a media type.
fn answer(media_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
