//! Whole conversations over a pipe in memory, with paused time.

mod calls;
mod hostile;
mod logins;
mod packed;
mod pages;
mod support;
mod timing;
