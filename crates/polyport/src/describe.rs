//! What the attributes implement.

use polyport_core::{Function, Object};

/// A Rust function that clients can call; `#[polyport::function]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no function that clients can call",
    note = "put `#[polyport::function]` on it"
)]
pub trait IsFunction {
    /// The function, ready to be registered.
    fn function() -> Function;
}

/// A Rust object that clients can reach; `#[polyport::object]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no object that clients can reach",
    note = "put `#[polyport::object]` on its `impl` block"
)]
pub trait IsObject: Sized + Send + Sync + 'static {
    /// Adds the methods and properties.
    fn describe(object: Object<Self>) -> Object<Self>;
}
