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

/// Makes every protocol of this build.
pub(crate) fn build(config: &Config, core: &Core) -> BTreeMap<&'static str, Arc<dyn Protocol>> {
    let settings = &config.protocols;
    let all: Vec<Arc<dyn Protocol>> = vec![
        #[cfg(feature = "mysql")]
        polyport_mysql::Mysql::new(settings.mysql.clone()),
        #[cfg(feature = "msgpack")]
        polyport_msgpack::Msgpack::new(settings.msgpack.clone()),
        #[cfg(feature = "http")]
        polyport_http::Http::new(settings.http.clone(), core.clone()),
    ];
    all.into_iter().map(|protocol| (protocol.name(), protocol)).collect()
}
