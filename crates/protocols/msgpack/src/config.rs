//! The configuration table `[protocols.msgpack]`.

use std::time::Duration;

use polyport_core::limits::seconds;
use serde::Deserialize;

/// Settings of the protocol. The configuration table `[protocols.msgpack]` has these keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Text about the service that a pymprpc client is given at login, the `DESC` that the
    /// original takes from its server class. Default empty, which is sent as null.
    pub description: String,
    /// Seconds that a pymprpc connection may be idle before it is told so with code 504 and
    /// closed; 0 is for ever. Default 180, as in pymprpc. A running call or stream is no idleness.
    #[serde(with = "seconds")]
    pub idle_s: Duration,
    /// Results of calls that wanted no answer, kept per connection for `system.getresult`; past
    /// that the oldest is forgotten. Default 1,000.
    pub delayed_results: usize,
    /// Bytes that those results may take per connection. Default 16 MiB.
    pub delayed_bytes: usize,
    /// Values that one message may hold, at 32 bytes of memory each. Default 4,000,000.
    pub values: usize,
    /// Whether a standard MessagePack-RPC client may log in by calling `login(user, password)`
    /// first, on a listener without an anonymous user. Default true.
    pub standard_login: bool,
    /// Whether the text of a pymprpc error 404 goes on with what the function said. Default false,
    /// which is the original's bare `Error:TypeError happend in method NAME`.
    pub error_details: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            description: String::new(),
            idle_s: Duration::from_secs(180),
            delayed_results: 1_000,
            delayed_bytes: 16 << 20,
            values: 4_000_000,
            standard_login: true,
            error_details: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_left_out_have_their_defaults_and_unknown_ones_are_refused() {
        assert_eq!(toml::from_str::<Config>(""), Ok(Config::default()));
        let config: Config = toml::from_str("idle_s = 0\ndescription = \"Sums\"").unwrap();
        assert_eq!((config.idle_s, config.description.as_str()), (Duration::ZERO, "Sums"));
        assert!(toml::from_str::<Config>("idle = 5").is_err());
    }
}
