//! Faults as HTTP answers: a status for each kind, and a body that says the rest.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use polyport_core::json::Json;
use polyport_core::{Fault, Kind, Ran};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::codec::{self, Format};

/// The status of a kind of fault.
///
/// A call that never ran because of what the client sent is a 4xx. What the function itself did
/// wrong is a 500, told apart from the server's own defects by `kind`.
pub(crate) const fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Syntax => StatusCode::BAD_REQUEST,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Arguments | Kind::Type => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Denied => StatusCode::FORBIDDEN,
        Kind::Login => StatusCode::UNAUTHORIZED,
        Kind::Raised | Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Kind::Busy | Kind::Cancelled | Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Whether the same request may pass a moment later.
const fn may_pass_later(kind: Kind) -> bool {
    matches!(kind, Kind::Busy | Kind::Unavailable)
}

/// Seconds after which a client may try again.
const RETRY_AFTER: &str = "1";

/// A request that failed, with its status.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) fault: Fault,
}

impl Failure {
    /// A failure that HTTP has a status of its own for.
    pub(crate) const fn of(status: StatusCode, fault: Fault) -> Self {
        Self { status, fault }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { status: status(fault.kind()), fault }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.written(Format::Json)
    }
}

impl Failure {
    /// The answer, in MessagePack where the client asked for it and else in JSON.
    pub(crate) fn written(self, format: Format) -> Response {
        let (media_type, body) = if format.is_packed() {
            (codec::PACKED, codec::packed_fault(&self.fault))
        } else {
            (Format::Json.media_type(), body(&self.fault))
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        if self.status == StatusCode::UNAUTHORIZED {
            let basic = r#"Basic realm="polyport", charset="UTF-8""#;
            for challenge in [r#"Bearer realm="polyport""#, basic] {
                headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
        }
        if may_pass_later(self.fault.kind()) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }
}

/// The body of an answer that failed: `{"error": {...}}`.
pub(crate) fn body(fault: &Fault) -> Vec<u8> {
    struct Outer<'a>(&'a Fault);
    impl Serialize for Outer<'_> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            let mut map = to.serialize_map(Some(1))?;
            map.serialize_entry("error", &Told(self.0))?;
            map.end()
        }
    }
    // Writing to a vector cannot fail, and every key is text.
    serde_json::to_vec(&Outer(fault)).unwrap_or_default()
}

/// The whole answer, head and body, after which the connection is closed. For answers that are
/// given where no request was read to its end.
pub(crate) fn whole_answer(fault: &Fault) -> Vec<u8> {
    answer(status(fault.kind()), fault)
}

/// As [`whole_answer`], for a request that began and did not go on.
pub(crate) fn too_slow(fault: &Fault) -> Vec<u8> {
    answer(StatusCode::REQUEST_TIMEOUT, fault)
}

fn answer(status: StatusCode, fault: &Fault) -> Vec<u8> {
    let body = body(fault);
    let retry = if may_pass_later(fault.kind()) { "retry-after: 1\r\n" } else { "" };
    let mut whole = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{retry}\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    whole.extend(body);
    whole
}

/// All that a client is told about a fault. A traceback is for the server's log.
struct Told<'a>(&'a Fault);

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let fault = self.0;
        let mut map = to.serialize_map(Some(6))?;
        map.serialize_entry("kind", fault.kind().name())?;
        map.serialize_entry("message", fault.message())?;
        map.serialize_entry("class", fault.class())?;
        map.serialize_entry("errno", &fault.errno())?;
        map.serialize_entry("attributes", &Attributes(fault))?;
        map.serialize_entry("ran", ran(fault.ran()))?;
        map.end()
    }
}

struct Attributes<'a>(&'a Fault);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let attributes = self.0.attributes();
        to.collect_map(attributes.iter().map(|(name, value)| (name.as_str(), Json(value))))
    }
}

const fn ran(ran: Ran) -> &'static str {
    match ran {
        Ran::No => "no",
        Ran::Yes => "yes",
        Ran::Maybe => "maybe",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_did_wrong_is_a_4xx_and_all_else_a_5xx() {
        for kind in Kind::ALL {
            let fault = Fault::new(kind, "x");
            let client = status(kind).is_client_error();
            assert!(client || status(kind).is_server_error());
            assert!(!client || fault.ran() == Ran::No, "{kind:?}");
        }
    }

    #[test]
    fn a_fault_is_told_in_full_but_for_its_trace() {
        let fault = Fault::numbered(1234, "no such \"thing\"").with("n", 3).with_trace("secret");
        let text = String::from_utf8(body(&fault)).unwrap();
        assert_eq!(
            text,
            r#"{"error":{"kind":"raised","message":"no such \"thing\"","class":"LogicError","errno":1234,"attributes":{"n":3},"ran":"yes"}}"#
        );
    }

    #[test]
    fn the_answer_to_a_full_server_is_a_complete_message() {
        let text = String::from_utf8(whole_answer(&Fault::new(Kind::Busy, "full"))).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(head.contains(&format!("content-length: {}", body.len())));
        assert!(head.contains("retry-after: 1") && head.contains("connection: close"));
    }
}
