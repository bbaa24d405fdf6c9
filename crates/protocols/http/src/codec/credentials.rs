//! The `Authorization` header.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// What a client shows to log in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    Bearer(String),
    Basic { user: String, password: String },
}

impl Credentials {
    /// Reads a header's value; `None` is what cannot be understood.
    pub(crate) fn parse(header: &[u8]) -> Option<Self> {
        let (scheme, rest) = std::str::from_utf8(header).ok()?.trim().split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
            return Some(Self::Bearer(rest.to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = String::from_utf8(BASE64.decode(rest).ok()?).ok()?;
        let (user, password) = pair.split_once(':')?;
        Some(Self::Basic { user: user.to_owned(), password: password.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_tokens_and_pairs() {
        let token = Some(Credentials::Bearer("abc.def".into()));
        assert!(Credentials::parse(b"Bearer abc.def") == token);
        assert!(Credentials::parse(b"bearer   abc.def ") == token);
        let pair = |user: &str, password: &str| {
            Some(Credentials::Basic { user: user.into(), password: password.into() })
        };
        assert!(Credentials::parse(b"Basic YW5uOnB3") == pair("ann", "pw"));
        // "ann:p:w" and "ann:"; a password may have colons, or not be there.
        assert!(Credentials::parse(b"BASIC YW5uOnA6dw==") == pair("ann", "p:w"));
        assert!(Credentials::parse(b"Basic YW5uOg==") == pair("ann", ""));
    }

    #[test]
    fn all_else_is_nothing() {
        for header in
            [&b""[..], b"Bearer", b"Bearer ", b"Basic YW5u", b"Basic ?", b"Digest x", b"\xff \xff"]
        {
            assert!(Credentials::parse(header).is_none());
        }
    }
}
