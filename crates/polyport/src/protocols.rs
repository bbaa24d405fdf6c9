//! The protocols that this build has, in one list.

use std::collections::BTreeMap;
use std::sync::Arc;

use polyport_core::Core;
use polyport_wire::Protocol;
use serde::Deserialize;

use crate::config::Config;

/// Each protocol's own settings; the configuration table `[protocols]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Protocols {
    /// `[protocols.mysql]`
    #[cfg(feature = "mysql")]
    pub mysql: polyport_mysql::Config,
    /// `[protocols.msgpack]`
    #[cfg(feature = "msgpack")]
    pub msgpack: polyport_msgpack::Config,
    /// `[protocols.http]`
    #[cfg(feature = "http")]
    pub http: polyport_http::Config,
}

impl Protocols {
    /// Puts each protocol's settings over these, where they differ from the defaults.
    #[cfg(feature = "cli")]
    #[allow(unused_variables, reason = "a build without protocols has no settings")]
    pub(crate) fn overlay(&mut self, over: Self) {
        #[cfg(feature = "mysql")]
        if over.mysql != polyport_mysql::Config::default() {
            self.mysql = over.mysql;
        }
        #[cfg(feature = "msgpack")]
        if over.msgpack != polyport_msgpack::Config::default() {
            self.msgpack = over.msgpack;
        }
        #[cfg(feature = "http")]
        if over.http != polyport_http::Config::default() {
            self.http = over.http;
        }
    }
}

/// The names of the protocols in this build.
#[must_use]
pub fn names() -> &'static [&'static str] {
    &[
        #[cfg(feature = "mysql")]
        "mysql",
        #[cfg(feature = "msgpack")]
        "msgpack",
        #[cfg(feature = "http")]
        "http",
    ]
}

/// Protocols by name.
pub(crate) type ByName = BTreeMap<&'static str, Arc<dyn Protocol>>;

/// What a protocol is made from.
#[allow(dead_code, reason = "which of it is used depends on the protocols of the build")]
struct Parts<'p> {
    settings: &'p Protocols,
    core: &'p Core,
    addresses: &'p [(String, String)],
}

/// Makes every protocol of this build. `addresses` is what they listen on, as protocol and
/// address; it is empty while nothing listens.
pub(crate) fn build(config: &Config, core: &Core, addresses: &[(String, String)]) -> ByName {
    #[allow(unused_variables, reason = "a build without protocols makes none")]
    let parts = Parts { settings: &config.protocols, core, addresses };
    let all: &[Arc<dyn Protocol>] = &[
        #[cfg(feature = "mysql")]
        parts.mysql(),
        #[cfg(feature = "msgpack")]
        Arc::new(polyport_msgpack::Msgpack::new(parts.settings.msgpack.clone())),
        #[cfg(feature = "http")]
        parts.http(),
    ];
    all.iter().map(|protocol| (protocol.name(), protocol.clone())).collect()
}

#[allow(dead_code, reason = "which of it is used depends on the protocols of the build")]
impl Parts<'_> {
    #[cfg(feature = "mysql")]
    fn mysql(&self) -> Arc<dyn Protocol> {
        let mut config = self.settings.mysql.clone();
        if config.web_port == 0 {
            config.web_port = self.web_port();
        }
        polyport_mysql::Mysql::new(config)
    }

    #[cfg(feature = "http")]
    fn http(&self) -> Arc<dyn Protocol> {
        let http = polyport_http::Http::new(self.settings.http.clone());
        #[cfg(feature = "mysql")]
        let http = http.with_status(self.status());
        Arc::new(http)
    }

    /// pymysqlrpc's status page shows what the user in its path would see through MySQL.
    #[cfg(all(feature = "mysql", feature = "http"))]
    fn status(&self) -> polyport_http::StatusLines {
        let (core, user) = (self.core.clone(), self.settings.http.status_user.clone());
        let (listen, web_port) = (self.address("mysql").to_owned(), self.web_port());
        Arc::new(move || {
            let Ok(client) = crate::client::Client::new(&core, &user) else { return Vec::new() };
            let facts =
                polyport_mysql::info::Facts { listen: &listen, web_port, stats: core.stats() };
            polyport_mysql::info::lines(client.session(), facts)
        })
    }

    fn address(&self, protocol: &str) -> &str {
        let found = self.addresses.iter().find(|(name, _)| name == protocol);
        found.map_or("", |(_, address)| address)
    }

    fn web_port(&self) -> u16 {
        let address = self.address("http");
        address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_default()
    }
}
