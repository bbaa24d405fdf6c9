//! The configuration table `[protocols.mysql]`.

use serde::Deserialize;

pub use crate::codec::handshake::Plugin;

/// The settings of the MySQL protocol.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The way of proving a password that the server proposes: `caching_sha2_password` or
    /// `mysql_native_password`. A client or an account that has only the other still gets in.
    /// Default `caching_sha2_password`.
    pub auth: Plugin,
    /// Whether logins without TLS are refused. Default false.
    pub require_tls: bool,
    /// How the results of a call are framed and its errors numbered. Default `plain`.
    pub results: Results,
    /// Prepared statements that one connection may have. Default 1,024.
    pub statements: usize,
    /// Bytes that the texts of one connection's prepared statements may take together. Default
    /// 16 MiB.
    pub statement_bytes: usize,
    /// Bytes that one connection may have sent ahead for parameters of prepared statements.
    /// Default 64 MiB.
    pub long_data_bytes: usize,
    /// The port of the web page with the server's figures, which `CALL pymysqlrpcinfo` tells; 0
    /// is none. The server fills it in when it serves HTTP. Default 0.
    pub web_port: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            auth: Plugin::Sha2,
            require_tls: false,
            results: Results::Plain,
            statements: 1_024,
            statement_bytes: 16 << 20,
            long_data_bytes: 64 << 20,
            web_port: 0,
        }
    }
}

/// How the results of a call are framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Results {
    /// One result set comes alone; of several, each announces the next, and an OK ends them.
    #[default]
    Plain,
    /// As MySQL's procedures: each result set announces more, and an OK ends them.
    Procedure,
    /// As pymysqlrpc: like `plain`, but `0`, `""` and `[]` are no results either, other values
    /// that are no table are errors, and errors have pymysqlrpc's numbers.
    Pymysqlrpc,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_and_ways_are_errors() {
        let read = |json: &str| serde_json::from_str::<Config>(json);
        assert_eq!(read("{}").unwrap(), Config::default());
        let config = read(r#"{"auth": "mysql_native_password", "results": "pymysqlrpc"}"#).unwrap();
        assert_eq!((config.auth, config.results), (Plugin::Native, Results::Pymysqlrpc));
        for wrong in
            [r#"{"atuh": 1}"#, r#"{"auth": "mysql_clear_password"}"#, r#"{"results": "x"}"#]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
