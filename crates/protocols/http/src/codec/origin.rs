//! The `Host` and `Origin` headers: whether a request was meant for this server.
//!
//! A web page anywhere can make its visitor's browser send requests to a server on the visitor's
//! own machine. Such requests carry the page's `Origin`; and where the page's host name was
//! changed to point here ("DNS rebinding"), they carry that name as `Host`.

use std::net::{IpAddr, Ipv6Addr};

/// A host and, where one is written, a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (host, port.strip_prefix(':').or(port.is_empty().then_some(""))?)
            }
            None => text.split_once(':').unwrap_or((text, "")),
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(plain) {
            return None;
        }
        let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
        Some(Self { host, port })
    }

    /// Whether requests may be sent to this host: an address, a name of this machine, the
    /// listener's own name, or one that the configuration allows.
    pub(crate) fn is_ours(&self, listener: &str, allowed: &[String]) -> bool {
        let host = self.host;
        host.parse::<IpAddr>().is_ok()
            || is_local(host)
            || Authority::parse(listener).is_some_and(|own| own.host.eq_ignore_ascii_case(host))
            || allowed.iter().any(|pattern| fits(pattern, host))
    }
}

fn is_local(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || ends_with(host, ".localhost")
}

fn fits(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some("") => true,
        Some(suffix) => suffix.starts_with('.') && ends_with(host, suffix),
        None => pattern.eq_ignore_ascii_case(host),
    }
}

/// Whether a name ends with a suffix and has something before it.
fn ends_with(host: &str, suffix: &str) -> bool {
    let start = host.len().checked_sub(suffix.len()).filter(|start| *start > 0);
    start.and_then(|at| host.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

/// Whether a page of this origin was served by the host that it now sends to.
pub(crate) fn is_same(origin: &str, host: Authority<'_>) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else { return false };
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    Authority::parse(rest).is_some_and(|page| {
        page.host.eq_ignore_ascii_case(host.host)
            && page.port.unwrap_or(usual) == host.port.unwrap_or(usual)
    })
}

/// Whether the configuration allows pages of this origin.
pub(crate) fn is_allowed(origin: &str, allowed: &[String]) -> bool {
    let same = |own: &String| own == "*" || own.trim_end_matches('/').eq_ignore_ascii_case(origin);
    allowed.iter().any(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(host: &str) -> bool {
        let allowed = ["api.example.com".to_owned(), "*.corp.example".to_owned()];
        Authority::parse(host).is_some_and(|host| host.is_ours("box.lan:8308", &allowed))
    }

    #[test]
    fn addresses_and_known_names_are_ours() {
        for host in [
            "127.0.0.1",
            "192.168.1.5:8308",
            "[::1]:8308",
            "[::1]",
            "localhost",
            "LocalHost:1",
            "app.localhost",
            "localhost.",
            "box.lan",
            "BOX.lan:9",
            "API.example.com",
            "a.b.corp.example:80",
        ] {
            assert!(ours(host), "{host}");
        }
    }

    #[test]
    fn foreign_and_broken_names_are_not() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evillocalhost",
            ".localhost",
            "corp.example",
            ".corp.example",
            "xcorp.example",
            "",
            ":80",
            "localhost:x",
            "localhost:99999",
            "user@localhost",
            "local host",
            "[::1",
            "[::1]x",
            "[evil]",
            "a/b",
        ] {
            assert!(!ours(host), "{host}");
        }
        let any = ["*".to_owned()];
        assert!(Authority::parse("evil.example").unwrap().is_ours("unix:/x", &any));
    }

    #[test]
    fn an_origin_is_the_same_with_its_usual_port_written_or_not() {
        let host = |text| Authority::parse(text).unwrap();
        for (origin, to, same) in [
            ("http://localhost:8308", "localhost:8308", true),
            ("http://box.lan", "box.lan", true),
            ("http://box.lan", "box.lan:80", true),
            ("https://box.lan", "box.lan", true),
            ("https://box.lan", "box.lan:443", true),
            ("http://localhost:8309", "localhost:8308", false),
            ("http://evil.example", "localhost", false),
            ("null", "localhost", false),
            ("file://localhost", "localhost", false),
            ("http://localhost/", "localhost", false),
            ("http://[::1]:8308", "[::1]:8308", true),
        ] {
            assert_eq!(is_same(origin, host(to)), same, "{origin} {to}");
        }
        let allowed = ["https://App.example/".to_owned()];
        assert!(is_allowed("https://app.example", &allowed));
        assert!(!is_allowed("https://app.example.evil", &allowed));
        assert!(!is_allowed("null", &allowed));
    }
}
