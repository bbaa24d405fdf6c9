//! The attributes of the `polyport` crate, which re-exports and documents them for use.
//!
//! Each expands to calls of the public builders, `polyport::Function::build` and
//! `polyport::Object`; whatever an attribute does can be written by hand.

mod function;
mod method;
mod object;
mod parameters;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Makes a plain, async or streaming `fn` callable by every protocol.
///
/// The function stays an ordinary Rust function. Beside it the attribute makes a type of the same
/// name that implements `polyport::IsFunction`, which `Builder::function::<name>()` registers.
///
/// ```ignore
/// /// Adds two numbers.
/// #[polyport::function]
/// fn add(a: i64, #[default(1)] b: i64) -> i64 {
///     a + b
/// }
/// ```
///
/// - Doc comments become the help text, parameter types the declared types.
/// - `#[function(inline)]` runs it where the connection lives; it must return within a
///   millisecond. Otherwise a plain function runs on a thread of its own.
/// - `#[function(name = "math.add")]` registers it under another name.
/// - An `async fn` may wait; it is dropped when the client leaves or the time is over.
/// - A result `impl Stream<Item = T>` (or of `Result<T, E>`) becomes a stream.
/// - A parameter `&Call` or `Call` is not an argument but what the function knows of its caller.
/// - `#[default(VALUE)]` on a parameter makes its argument optional; `#[rest]` on a
///   `Vec<polyport::Value>` takes all further arguments.
#[proc_macro_attribute]
pub fn function(options: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as syn::ItemFn);
    function::expand(options.into(), item).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes the `pub` methods of an `impl` block callable by every protocol.
///
/// The type then implements `polyport::IsObject`, and `Builder::object("name", value)` registers
/// it; each method is the function `name.method`.
///
/// - Methods take `&self`, since many callers share the object; state goes behind a lock.
/// - `#[property]` on a method without arguments makes it a property; a method `set_NAME` with
///   `#[setter]` makes that property writable.
/// - `#[inline_call]` is what `inline` is for functions; `#[skip]` leaves a `pub` method out.
#[proc_macro_attribute]
pub fn object(options: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as syn::ItemImpl);
    object::expand(options.into(), item).unwrap_or_else(syn::Error::into_compile_error).into()
}
