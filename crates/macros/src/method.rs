//! One method of `#[polyport::object]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned as _;
use syn::{Error, FnArg, Ident, ImplItemFn, Result, Visibility};

use crate::parameters::{self, Parameters, Returned};

/// What a method is to clients.
pub(crate) enum Role {
    /// A method that is called.
    Method,
    /// The reading side of a property.
    Getter,
    /// The writing side of a property, by the property's name.
    Setter(String),
}

/// A method that clients reach.
pub(crate) struct Method {
    pub(crate) ident: Ident,
    pub(crate) role: Role,
    help: TokenStream,
    parameters: Parameters,
    returned: Returned,
    waits: bool,
    inline: bool,
}

/// Reads a method and strips the attributes that only this macro knows. `None` when it is not for
/// clients.
pub(crate) fn read(item: &mut ImplItemFn) -> Result<Option<Method>> {
    let mut marks = Marks::default();
    item.attrs.retain(|attribute| {
        for (name, mark) in [
            ("property", &mut marks.property),
            ("setter", &mut marks.setter),
            ("inline_call", &mut marks.inline),
            ("skip", &mut marks.skip),
        ] {
            if attribute.path().is_ident(name) {
                *mark = true;
                return false;
            }
        }
        true
    });
    let Some(FnArg::Receiver(receiver)) = item.sig.inputs.first() else { return Ok(None) };
    if marks.skip || !matches!(item.vis, Visibility::Public(_)) {
        return Ok(None);
    }
    if receiver.reference.is_none() || receiver.mutability.is_some() {
        let text = "many callers share the object, so a method takes `&self`; \
                    put what changes behind a lock, such as `std::sync::Mutex`";
        return Err(Error::new(receiver.span(), text));
    }
    let returned = Returned::of(&item.sig.output);
    let parameters = parameters::read(&mut item.sig)?;
    let (ident, waits) = (item.sig.ident.clone(), item.sig.asyncness.is_some());
    let role = role(&marks, &ident, &parameters)?;
    if waits && marks.inline {
        let text =
            "an async method already runs where the connection lives; remove `#[inline_call]`";
        return Err(Error::new(ident.span(), text));
    }
    if waits && !matches!(role, Role::Method) {
        let text = "a property is read and written without waiting; make it a plain method";
        return Err(Error::new(ident.span(), text));
    }
    let help = parameters::help(&item.attrs);
    let inline = marks.inline || returned.is_stream();
    Ok(Some(Method { ident, role, help, parameters, returned, waits, inline }))
}

#[derive(Default)]
struct Marks {
    property: bool,
    setter: bool,
    inline: bool,
    skip: bool,
}

fn role(marks: &Marks, ident: &Ident, parameters: &Parameters) -> Result<Role> {
    let name = ident.to_string();
    match (marks.property, marks.setter) {
        (false, false) => Ok(Role::Method),
        (true, false) if parameters.len() == 0 => Ok(Role::Getter),
        (true, false) => Err(Error::new(ident.span(), "a property is read without arguments")),
        (_, true) => match name.strip_prefix("set_") {
            Some(property) if parameters.len() == 1 => Ok(Role::Setter(property.to_owned())),
            _ => {
                let text = "a setter is named `set_NAME` after its property and takes one argument";
                Err(Error::new(ident.span(), text))
            }
        },
    }
}

impl Method {
    /// The call that adds the method, or the property with its setter, to the object.
    pub(crate) fn added(&self, of: &syn::Type, setter: Option<&Self>) -> TokenStream {
        let Self { ident, help, parameters, returned, .. } = self;
        let name = ident.to_string();
        let (declared, returns) = (&parameters.declared, returned.declared());
        if matches!(self.role, Role::Getter) {
            return self.added_property(of, setter);
        }
        let build = quote!(__object.build(#name) #help #declared #returns);
        if self.waits {
            let call = parameters.async_call(&quote!(__self.#ident), returned);
            return quote! {
                let __method = #build;
                let __object = __object.asynchronous(__method, |__self, __call, mut __args| #call);
            };
        }
        let call = parameters.plain_call(&quote!(__self.#ident), returned);
        let end = self.ending();
        quote! {
            let __method = #build;
            let __object = __object.#end(
                __method,
                |__self: &#of, __call, mut __args| -> ::core::result::Result<::polyport::Reply, ::polyport::Fault> #call,
            );
        }
    }

    fn added_property(&self, of: &syn::Type, setter: Option<&Self>) -> TokenStream {
        let Self { ident, help, returned, .. } = self;
        let (name, returns, end) = (ident.to_string(), returned.declared(), self.ending());
        let get = self.parameters.plain_call(&quote!(__self.#ident), returned);
        let writable = setter.is_some();
        let set = setter.map(|setter| {
            let target = &setter.ident;
            let call = setter.parameters.plain_call(&quote!(__self.#target), &setter.returned);
            quote!(if __args.is_given()? { return #call; })
        });
        quote! {
            let __method = __object.build(#name) #help #returns .property(#writable);
            let __object = __object.#end(
                __method,
                |__self: &#of, __call, mut __args| -> ::core::result::Result<::polyport::Reply, ::polyport::Fault> {
                    #set
                    #get
                },
            );
        }
    }

    fn ending(&self) -> TokenStream {
        if self.inline { quote!(inline) } else { quote!(plain) }
    }
}
