//! Workers that do what they should not, and what that costs everybody else: nothing.

mod calls;
mod support;
