//! `#[polyport::object]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned as _;
use syn::{Error, ImplItem, ItemImpl, Result};

use crate::method::{self, Method, Role};

pub(crate) fn expand(options: TokenStream, mut item: ItemImpl) -> Result<TokenStream> {
    if let Some(option) = options.into_iter().next() {
        let text =
            "the attribute takes no options; the mode is chosen where the object is registered";
        return Err(Error::new(option.span(), text));
    }
    if let Some((_, path, _)) = &item.trait_ {
        let text = "put the attribute on the object's own `impl` block, not on a trait's";
        return Err(Error::new(path.span(), text));
    }
    if let Some(generic) = item.generics.params.first() {
        let text = "an object that clients reach cannot be generic";
        return Err(Error::new(generic.span(), text));
    }
    let mut methods = Vec::new();
    for inner in &mut item.items {
        if let ImplItem::Fn(function) = inner {
            methods.extend(method::read(function)?);
        }
    }
    let setter_of = |getter: &Method| {
        let name = getter.ident.to_string();
        methods.iter().find(|m| matches!(&m.role, Role::Setter(own) if *own == name))
    };
    let of = &*item.self_ty;
    let mut added = TokenStream::new();
    for method in &methods {
        match &method.role {
            Role::Method => added.extend(method.added(of, None)),
            Role::Getter => added.extend(method.added(of, setter_of(method))),
            Role::Setter(name) => {
                let readable = |m: &Method| matches!(m.role, Role::Getter) && m.ident == name;
                if !methods.iter().any(readable) {
                    let text = format!(
                        "the property needs a reading side: `#[property] pub fn {name}(&self)`"
                    );
                    return Err(Error::new(method.ident.span(), text));
                }
            }
        }
    }
    Ok(quote! {
        // `pub` is how a method is chosen, also in a program where nothing else can see it.
        #[allow(unreachable_pub)]
        #item

        impl ::polyport::IsObject for #of {
            #[allow(unused_mut, unused_variables, clippy::unused_unit)]
            fn describe(__object: ::polyport::Object<Self>) -> ::polyport::Object<Self> {
                #added
                __object
            }
        }
    })
}
