//! pymysqlrpc's status page, for those who have it in their bookmarks.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Site, answer};

/// What every path of pymysqlrpc answers that is not the page.
const GREETING: &str = "this is one pymysqlrpc";

/// How long a refused password takes, as a refused login does.
const REFUSAL: Duration = Duration::from_millis(200);

pub(super) async fn greeting() -> &'static str {
    GREETING
}

/// The status as `name : value` lines, for who knows the password in the path.
pub(super) async fn page(
    State(site): State<Arc<Site>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Response {
    let known = path.is_ok_and(|Path((user, password))| is_known(&site, &user, &password));
    let (Some(lines), true) = (&site.status, known) else {
        tokio::time::sleep(REFUSAL).await;
        return answer("text/plain; charset=utf-8", GREETING);
    };
    let mut response = answer("text/html; charset=utf-8", render(&lines()));
    let headers = response.headers_mut();
    // The path holds a password: no cache keeps it, and no link hands it on.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn is_known(site: &Site, user: &str, password: &str) -> bool {
    let Some(own) = &site.config.status_password else { return false };
    let hash = |user: &str, password: &str| Sha256::digest(format!("{user}\0{password}"));
    hash(user, password).ct_eq(&hash(&site.config.status_user, &own.0)).into()
}

fn render(lines: &[(String, String)]) -> String {
    let mut page = String::from("<pre>\n");
    for (name, value) in lines {
        let _ = writeln!(page, "{:14} : {}", escape(name), escape(value));
    }
    page.push_str("</pre>");
    page
}

/// Text as HTML shows it. A user's name stands in the page, and could be anything.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_padded_as_pymysqlrpc_does_and_escaped() {
        let lines = [
            ("server listen".into(), "('0.0.0.0', 3308)".into()),
            ("client 1".into(), "<script>&".into()),
        ];
        let text = render(&lines);
        assert_eq!(
            text,
            "<pre>\nserver listen  : ('0.0.0.0', 3308)\nclient 1       : &lt;script&gt;&amp;\n</pre>"
        );
    }
}
