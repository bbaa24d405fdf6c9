//! `#[polyport::function]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::Parser as _;
use syn::spanned::Spanned as _;
use syn::{Error, FnArg, ItemFn, LitStr, Result};

use crate::parameters::{self, Returned};

#[derive(Default)]
struct Options {
    name: Option<String>,
    inline: Option<proc_macro2::Span>,
}

pub(crate) fn expand(options: TokenStream, mut item: ItemFn) -> Result<TokenStream> {
    let options = read_options(options)?;
    if let Some(FnArg::Receiver(receiver)) = item.sig.inputs.first() {
        let text = "a method needs its object: put `#[polyport::object]` on the `impl` block";
        return Err(Error::new(receiver.span(), text));
    }
    let returned = Returned::of(&item.sig.output);
    let parameters = parameters::read(&mut item.sig)?;
    let waits = item.sig.asyncness.is_some();
    if let (true, Some(span)) = (waits, options.inline) {
        let text = "an async function already runs where the connection lives; remove `inline`";
        return Err(Error::new(span, text));
    }

    let ident = &item.sig.ident;
    let name = options.name.unwrap_or_else(|| ident.to_string());
    let help = parameters::help(&item.attrs);
    let (declared, returns) = (&parameters.declared, returned.declared());
    let target = quote!(#ident);
    let body = if waits {
        let call = parameters.async_call(&target, &returned);
        quote!(.asynchronous(|__call, mut __args| #call))
    } else {
        let call = parameters.plain_call(&target, &returned);
        // Making a stream is quick; what takes time happens when it is pulled.
        let inline = options.inline.is_some() || returned.is_stream();
        let end = if inline { quote!(inline) } else { quote!(blocking) };
        quote! {
            .#end(|__call, mut __args| -> ::core::result::Result<::polyport::Reply, ::polyport::Fault> #call)
        }
    };
    let visibility = &item.vis;
    let doc = format!("Registers the function `{ident}`.");
    Ok(quote! {
        #item

        #[doc = #doc]
        #[allow(non_camel_case_types)]
        #visibility struct #ident {}

        impl ::polyport::IsFunction for #ident {
            #[allow(unused_mut, unused_variables, clippy::unused_unit)]
            fn function() -> ::polyport::Function {
                ::polyport::Function::build(#name) #help #declared #returns #body
            }
        }
    })
}

fn read_options(tokens: TokenStream) -> Result<Options> {
    let mut options = Options::default();
    let parser = syn::meta::parser(|meta| {
        if meta.path.is_ident("inline") {
            options.inline = Some(meta.path.span());
            Ok(())
        } else if meta.path.is_ident("name") {
            options.name = Some(meta.value()?.parse::<LitStr>()?.value());
            Ok(())
        } else {
            Err(meta.error("the options are `inline` and `name = \"math.add\"`"))
        }
    });
    parser.parse2(tokens)?;
    Ok(options)
}
