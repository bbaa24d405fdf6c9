//! `POST /v1/call/NAME`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use polyport_core::{Fault, Kind};

use super::items::Items;
use super::{Login, answer, name, text_of};
use crate::codec::{self, Format};
use crate::connection::Visit;
use crate::fault::Failure;

/// Calls a function. Dropping this future, as hyper does when the client leaves, drops the call.
pub(super) async fn call(
    Login(session): Login,
    Extension(visit): Extension<Arc<Visit>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let name = name(path)?;
    let encoding = text_of(&headers, header::CONTENT_ENCODING);
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
        let text = "the body must not be compressed";
        let fault = Fault::new(Kind::Unsupported, text);
        return Err(Failure::of(StatusCode::UNSUPPORTED_MEDIA_TYPE, fault));
    }
    let body = visit.body(body).await?;
    // The type of the body is not asked for: curl calls what -d sends a form.
    let arguments = codec::arguments(&body, session.limits().depth)?;
    drop(body);
    let format = Format::wanted(text_of(&headers, header::ACCEPT));
    let reply = visit.stoppable(session.call(&name, arguments)).await?;
    if format != Format::Json {
        return Ok(Items::new(visit, format, reply).into_response());
    }
    let most = session.limits().gathered_items;
    let value = visit.stoppable(reply.into_value(most)).await?;
    Ok(answer(format.media_type(), codec::result(&value)))
}
