//! Workers that do what they should not, and what that costs everybody else: nothing.

mod calls;
mod lifetimes;
mod misbehave;
mod reload;
mod sessions;
mod streams;
mod support;
