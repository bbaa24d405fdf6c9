//! What functions and methods have in common: parameters, result, doc comment.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned as _;
use syn::{Error, Expr, FnArg, Ident, Pat, Result, ReturnType, Signature, Type};

/// A function's signature, as far as clients are concerned.
pub(crate) struct Parameters {
    /// Calls of `.param(..)`, one for each.
    pub(crate) declared: TokenStream,
    /// The types to take from the arguments, in order.
    taken: Vec<Type>,
    /// What stands in the Rust call, in order.
    passed: Vec<TokenStream>,
}

/// Reads a signature and strips the attributes that only this macro knows.
pub(crate) fn read(signature: &mut Signature) -> Result<Parameters> {
    refuse_shapes(signature)?;
    let mut declared = TokenStream::new();
    let (mut taken, mut passed) = (Vec::new(), Vec::new());
    for input in &mut signature.inputs {
        let FnArg::Typed(param) = input else { continue };
        if let Some(by_reference) = is_call(&param.ty) {
            passed.push(if by_reference { quote!(&__call) } else { quote!(__call.clone()) });
            continue;
        }
        let Pat::Ident(pattern) = &*param.pat else {
            let text = "a parameter that clients fill needs a plain name, such as `point`";
            return Err(Error::new(param.pat.span(), text));
        };
        if let Type::Reference(reference) = &*param.ty {
            let text = "a client's argument is owned by the call: take `String` instead of `&str`, \
                        `Vec<T>` instead of `&[T]`; only `&Call` is passed by reference";
            return Err(Error::new(reference.span(), text));
        }
        let (name, kind) = (pattern.ident.to_string(), (*param.ty).clone());
        let name = name.trim_start_matches("r#").trim_start_matches('_').to_owned();
        let mut build = quote!(::polyport::Param::of::<#kind>(#name));
        let mut failed = None;
        param.attrs.retain(|attribute| {
            if attribute.path().is_ident("default") {
                match attribute.parse_args::<Expr>() {
                    Ok(value) => build = quote!(#build.or(#value)),
                    Err(_) => {
                        failed = Some((attribute.span(), "write the default as `#[default(3)]`"))
                    }
                }
                return false;
            }
            if attribute.path().is_ident("rest") {
                build = quote!(#build.rest());
                return false;
            }
            true
        });
        if let Some((span, text)) = failed {
            return Err(Error::new(span, text));
        }
        declared.extend(quote!(.param(#build)));
        let slot = format_ident!("__argument_{}", taken.len());
        taken.push(kind);
        passed.push(quote!(#slot));
    }
    Ok(Parameters { declared, taken, passed })
}

fn refuse_shapes(signature: &Signature) -> Result<()> {
    if let Some(generic) = signature.generics.params.first() {
        let text = "clients send plain values, so the function cannot be generic; \
                    take `polyport::Value` to accept anything";
        return Err(Error::new(generic.span(), text));
    }
    if let Some(token) = &signature.unsafety {
        return Err(Error::new(token.span(), "clients cannot promise what `unsafe` asks for"));
    }
    if let Some(abi) = &signature.abi {
        return Err(Error::new(abi.span(), "the function is called by name, not through an ABI"));
    }
    if let Some(variadic) = &signature.variadic {
        let text = "use `#[rest] more: Vec<polyport::Value>` for any number of arguments";
        return Err(Error::new(variadic.span(), text));
    }
    Ok(())
}

/// Whether a type is `&Call` (true) or `Call` (false); `None` for all others.
fn is_call(kind: &Type) -> Option<bool> {
    let (inner, by_reference) = match kind {
        Type::Reference(reference) if reference.mutability.is_none() => (&*reference.elem, true),
        other => (other, false),
    };
    let Type::Path(path) = inner else { return None };
    let last = path.path.segments.last()?;
    (last.ident == "Call" && last.arguments.is_empty()).then_some(by_reference)
}

impl Parameters {
    fn slots(&self) -> Vec<Ident> {
        (0..self.taken.len()).map(|index| format_ident!("__argument_{index}")).collect()
    }

    /// How many arguments clients send.
    pub(crate) fn len(&self) -> usize {
        self.taken.len()
    }

    /// A closure body that takes the arguments and calls, for plain functions.
    pub(crate) fn plain_call(&self, target: &TokenStream, result: &Returned) -> TokenStream {
        let (slots, taken, passed) = (self.slots(), &self.taken, &self.passed);
        let reply = result.reply(&quote!(#target(#(#passed),*)));
        quote! {{
            #(let #slots: #taken = __args.take()?;)*
            #reply
        }}
    }

    /// A closure body that makes a future, for async functions.
    pub(crate) fn async_call(&self, target: &TokenStream, result: &Returned) -> TokenStream {
        let (slots, taken, passed) = (self.slots(), &self.taken, &self.passed);
        let reply = result.reply(&quote!(#target(#(#passed),*).await));
        quote! {{
            let __taken = (|| -> ::core::result::Result<_, ::polyport::Fault> {
                #(let #slots: #taken = __args.take()?;)*
                ::core::result::Result::Ok((#(#slots,)*))
            })();
            ::std::boxed::Box::pin(async move {
                let (#(#slots,)*) = __taken?;
                #reply
            })
        }}
    }
}

/// What a function returns.
pub(crate) enum Returned {
    /// A type that turns into a reply by itself.
    Plain(Box<Type>),
    /// Nothing.
    Unit,
    /// `impl Stream<..>`.
    Stream,
}

impl Returned {
    pub(crate) fn of(output: &ReturnType) -> Self {
        match output {
            ReturnType::Default => Self::Unit,
            ReturnType::Type(_, kind) => match &**kind {
                Type::ImplTrait(_) => Self::Stream,
                other => Self::Plain(Box::new(other.clone())),
            },
        }
    }

    pub(crate) const fn is_stream(&self) -> bool {
        matches!(self, Self::Stream)
    }

    /// A call of `.returns(..)`, where the type can be named.
    pub(crate) fn declared(&self) -> TokenStream {
        match self {
            Self::Plain(kind) => quote!(.returns(<#kind as ::polyport::IntoReply>::TYPE)),
            Self::Unit | Self::Stream => TokenStream::new(),
        }
    }

    fn reply(&self, call: &TokenStream) -> TokenStream {
        let reply = quote!(::polyport::IntoReply::into_reply);
        match self {
            Self::Stream => quote!(#reply(::polyport::Stream::new(#call))),
            Self::Plain(_) => quote!(#reply(#call)),
            Self::Unit => quote!({ #call; #reply(()) }),
        }
    }
}

/// The doc comment, as a call of `.help(..)`.
pub(crate) fn help(attributes: &[syn::Attribute]) -> TokenStream {
    let lines: Vec<String> = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("doc"))
        .filter_map(|attribute| match &attribute.meta.require_name_value().ok()?.value {
            Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => {
                let line = text.value();
                Some(line.strip_prefix(' ').unwrap_or(&line).to_owned())
            }
            _ => None,
        })
        .collect();
    if lines.is_empty() {
        return TokenStream::new();
    }
    let text = lines.join("\n");
    quote!(.help(#text))
}
