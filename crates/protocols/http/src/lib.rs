//! HTTP/1.1: functions by `POST /v1/call/NAME`, what there is to call, metrics and health.
//!
//! It is no web server: it serves no files, speaks no HTTP/2, and upgrades to nothing. hyper reads
//! and writes the messages and axum finds the handler; what is ours is what a request means. Start
//! reading at `commands.rs`, the list of paths; `connection.rs` is one connection's life.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

mod codec;
mod commands;
mod config;
mod connection;
mod fault;
#[cfg(fuzzing)]
pub mod fuzzing;

use std::sync::Arc;

use futures_core::future::BoxFuture;
use polyport_core::{Fault, Kind};
use polyport_wire::{Accepted, Protocol};

use crate::commands::Site;
pub use crate::config::{Config, Secret};

/// Writes the lines of pymysqlrpc's status page, as name and value.
pub type StatusLines = Arc<dyn Fn() -> Vec<(String, String)> + Send + Sync>;

/// The HTTP protocol.
pub struct Http {
    site: Arc<Site>,
    router: axum::Router,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("config", &self.site.config).finish_non_exhaustive()
    }
}

impl Http {
    /// The protocol with these settings.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::build(Site { config, status: None })
    }

    /// Adds what pymysqlrpc's status page shows. The page itself is there only when
    /// [`Config::status_password`] is set too.
    #[must_use]
    pub fn with_status(self, lines: StatusLines) -> Self {
        Self::build(Site { config: self.site.config.clone(), status: Some(lines) })
    }

    fn build(site: Site) -> Self {
        let site = Arc::new(site);
        Self { router: commands::router(site.clone()), site }
    }
}

impl Protocol for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn default_port(&self) -> u16 {
        8308
    }

    fn no_room(&self) -> Vec<u8> {
        fault::whole_answer(&Fault::new(Kind::Busy, "too many connections"))
    }

    fn serve(self: Arc<Self>, accepted: Accepted) -> BoxFuture<'static, ()> {
        Box::pin(connection::serve(self, accepted))
    }
}
