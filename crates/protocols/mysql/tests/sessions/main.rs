//! Whole sessions in memory, with a clock that stands still while nothing happens.

mod client;
mod functions;

mod commands;
mod endings;
mod hostile;
mod logins;
mod results;
