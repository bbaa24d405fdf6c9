//! The configuration table `[protocols.http]`.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// Settings of the HTTP protocol.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Host names, besides addresses, `localhost` and the listener's own, that requests may be
    /// sent to: `api.example.com`, `*.example.com`, or `*` for any. Default none.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages, besides the server's own, that may send requests:
    /// `https://app.example.com`, or `*` for any. Default none.
    pub allowed_origins: Vec<String>,
    /// Seconds a connection may be idle between requests. Default 75.
    #[serde(with = "polyport_core::limits::seconds")]
    pub keep_alive_s: Duration,
    /// Bytes of a request's line and headers together. Default 32 KiB.
    pub header_bytes: usize,
    /// Headers of a request. Default 100.
    pub headers: usize,
    /// Bytes of a request's path and query. Default 8 KiB.
    pub uri_bytes: usize,
    /// Values that the body of a call may hold, at 32 bytes of memory each. Default 4,000,000.
    pub values: usize,
    /// Whether `/metrics` is shown without a login. Default false.
    pub metrics_public: bool,
    /// The user name in the path of pymysqlrpc's status page. Default `root`.
    pub status_user: String,
    /// The password in the path of pymysqlrpc's status page. Default none: there is no page.
    pub status_password: Option<Secret>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            keep_alive_s: Duration::from_secs(75),
            header_bytes: 32 << 10,
            headers: 100,
            uri_bytes: 8 << 10,
            values: 4_000_000,
            metrics_public: false,
            status_user: "root".into(),
            status_password: None,
        }
    }
}

/// Text that stays out of logs.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_key_and_refuses_others() {
        let text = r#"{
            "allowed_hosts": ["*.example.com"], "allowed_origins": ["https://a.example"],
            "keep_alive_s": 5, "header_bytes": 9000, "headers": 20, "uri_bytes": 100,
            "values": 1000,
            "metrics_public": true, "status_user": "boss", "status_password": "pw"
        }"#;
        let config: Config = serde_json::from_str(text).unwrap();
        assert_eq!(config.keep_alive_s, Duration::from_secs(5));
        assert_eq!(config.status_password, Some("pw".into()));
        assert!(serde_json::from_str::<Config>(r#"{"keepalive": 5}"#).is_err());
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), Config::default());
    }

    #[test]
    fn the_status_password_stays_out_of_debug_output() {
        let config = Config { status_password: Some("viewpass".into()), ..Config::default() };
        assert!(!format!("{config:?}").contains("viewpass"));
    }
}
