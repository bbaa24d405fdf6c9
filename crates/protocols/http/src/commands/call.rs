//! `POST /v1/call/NAME`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use polyport_core::{Fault, Kind, Reply, Value};
use polyport_pack::Bounds;
use tokio::time::Instant;

use super::items::Items;
use super::{Site, TIMEOUT, answer, name, text_of};
use crate::codec::{self, Format};
use crate::connection::Visit;
use crate::fault::Failure;

/// Calls a function. Dropping this future, as hyper does when the client leaves, drops the call.
pub(super) async fn call(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Arc<Visit>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let format = Format::wanted(text_of(&headers, header::ACCEPT));
    let called = Call { site: &site, visit, headers, format }.run(path, body).await;
    called.unwrap_or_else(|failure| failure.written(format))
}

struct Call<'a> {
    site: &'a Site,
    visit: Arc<Visit>,
    headers: HeaderMap,
    format: Format,
}

impl Call<'_> {
    async fn run(
        self,
        path: Result<Path<String>, PathRejection>,
        body: Body,
    ) -> Result<Response, Failure> {
        let Self { site, visit, headers, format } = self;
        let deadline = deadline(&headers)?;
        let session = visit.session(&headers).await?;
        let name = name(path)?;
        let encoding = text_of(&headers, header::CONTENT_ENCODING);
        if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
            let text = "the body must not be compressed";
            let fault = Fault::new(Kind::Unsupported, text);
            return Err(Failure::of(StatusCode::UNSUPPORTED_MEDIA_TYPE, fault));
        }
        let body = visit.body(body).await?;
        let limits = session.limits();
        let bounds = Bounds { depth: limits.depth, values: site.config.values, foreign: false };
        let kind = text_of(&headers, header::CONTENT_TYPE);
        let arguments = codec::arguments(kind, &body, bounds)?;
        drop(body);
        let reply = match deadline {
            Some(at) => visit.stoppable(session.call_until(&name, arguments, at)).await?,
            None => visit.stoppable(session.call(&name, arguments)).await?,
        };
        if format.is_stream() {
            return Ok(Items::new(visit, format, reply).into_response());
        }
        let body = if format.is_packed() {
            codec::packed_result(visit.stoppable(gathered(reply, limits.gathered_items)).await?)?
        } else {
            let value = visit.stoppable(reply.into_value(limits.gathered_items)).await?;
            codec::result(&value)
        };
        Ok(answer(format.media_type(), body))
    }
}

/// When the client's patience ends, counted from the moment its request's head was read.
fn deadline(headers: &HeaderMap) -> Result<Option<Instant>, Fault> {
    let mut given = headers.get_all(TIMEOUT).iter();
    let (Some(text), None) = (given.next(), given.next()) else {
        return match headers.contains_key(TIMEOUT) {
            true => Err(Fault::new(Kind::Syntax, "there is more than one Polyport-Timeout")),
            false => Ok(None),
        };
    };
    Ok(Instant::now().checked_add(codec::timeout(text.as_bytes())?))
}

/// The reply with its streams gathered into lists, and all else as it is.
async fn gathered(reply: Reply, most: usize) -> Result<Reply, Fault> {
    match reply {
        Reply::Stream(stream) => Ok(Reply::Value(Value::List(stream.gather(most).await?))),
        Reply::Many(replies) => {
            let mut all = Vec::with_capacity(replies.len());
            for reply in replies {
                all.push(Box::pin(gathered(reply, most)).await?);
            }
            Ok(Reply::Many(all))
        }
        reply @ (Reply::Value(_) | Reply::Rows(_)) => Ok(reply),
    }
}
