//! Log lines on standard error: for reading on a terminal, as JSON otherwise.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogSettings};
use crate::error::Error;

/// Starts logging for the whole process.
pub(super) fn start(settings: &LogSettings) -> Result<(), Error> {
    let level = settings.level.as_deref().unwrap_or("info");
    let filter = EnvFilter::try_new(level).map_err(|error| {
        Error::new(format!("log level '{level}': {error}"))
            .hint("use error, warn, info, debug, trace, or a filter such as info,polyport=debug")
    })?;
    let terminal = std::io::stderr().is_terminal();
    let json = match settings.format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Human => false,
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if json {
        lines.json().flatten_event(true).with_current_span(false).try_init()
    } else {
        lines.with_ansi(terminal).with_target(false).try_init()
    };
    // A program that already logs in its own way keeps it.
    drop(started);
    Ok(())
}
