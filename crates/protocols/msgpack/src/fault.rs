//! Faults in the words of both dialects.

use polyport_core::{Fault, Kind};

/// How pymprpc tells that one call failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The code, by which the client chooses the exception that it raises.
    pub(crate) code: u16,
    /// The name of that exception.
    pub(crate) class: &'static str,
    /// All of the failure that the client's user reads.
    pub(crate) text: String,
}

impl Failure {
    /// The failure of a call of `method`. With `details` a 404 tells more than the original's.
    pub(crate) fn new(fault: &Fault, method: &str, details: bool) -> Self {
        let message = fault.message();
        let raised = || {
            let text = format!("Error:{} happend in method {method}", fault.class());
            let text = if details { format!("{text}: {message}") } else { text };
            (404, "RPCRuntimeError", text)
        };
        let own = |code, class| (code, class, message.to_owned());
        let (code, class, text) = match fault.kind() {
            Kind::NotFound if is_the_function(fault, method) => return Self::not_found(method),
            Kind::Arguments => return Self::arguments(method),
            Kind::Denied | Kind::Login => own(403, "RestrictAccessError"),
            Kind::TooLarge => own(405, "ResultLimitError"),
            // The original checks that arguments bind and no more, so a value of the wrong type
            // fails in the function there.
            Kind::Type
            | Kind::NotFound
            | Kind::Syntax
            | Kind::Raised
            | Kind::Timeout
            | Kind::Cancelled
            | Kind::Busy
            | Kind::Conflict
            | Kind::Unsupported
            | Kind::Unavailable
            | Kind::Internal => raised(),
        };
        Self { code, class, text }
    }

    /// A request without a function's name.
    pub(crate) fn no_method() -> Self {
        let text = "request do not have method".to_owned();
        Self { code: 400, class: "RequestError", text }
    }

    /// A function that the user does not see.
    pub(crate) fn not_found(method: &str) -> Self {
        let text = format!("method \"{method}\" is not supported");
        Self { code: 401, class: "NotFindError", text }
    }

    /// Arguments that do not bind to the parameters.
    pub(crate) fn arguments(method: &str) -> Self {
        let text = format!("args can not bind to method {method}");
        Self { code: 402, class: "ParamError", text }
    }

    /// The exception as Python prints its class.
    pub(crate) fn exception(&self) -> String {
        format!("<class 'pymprpc.errors.{}'>", self.class)
    }
}

/// Whether what was not found is the called function, and not something it looked for.
fn is_the_function(fault: &Fault, method: &str) -> bool {
    fault.attribute("function").and_then(|name| name.as_text()) == Some(method)
}

/// The traceback as pymprpc writes it, with `/n` behind each line and without the folders of the
/// files. A function that has none gets its last line alone.
pub(crate) fn frame(fault: &Fault) -> String {
    if fault.trace().is_empty() {
        return format!("{}: {}\n/n", fault.class(), fault.message());
    }
    fault.trace().lines().map(|line| format!("{}\n/n", without_folder(line))).collect()
}

/// Cuts the folder off the file's name in a line of a Python traceback.
fn without_folder(line: &str) -> String {
    let Some((before, rest)) = line.split_once("File \"") else { return line.to_owned() };
    let Some((path, after)) = rest.split_once('"') else { return line.to_owned() };
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    format!("{before}File \"{name}\"{after}")
}

/// The text that a standard MessagePack-RPC client is given as its error.
pub(crate) fn standard_text(fault: &Fault) -> String {
    match fault.kind() {
        Kind::Raised => format!("{}: {}", fault.class(), fault.message()),
        Kind::Syntax
        | Kind::NotFound
        | Kind::Arguments
        | Kind::Type
        | Kind::Denied
        | Kind::Login
        | Kind::Timeout
        | Kind::Cancelled
        | Kind::Busy
        | Kind::TooLarge
        | Kind::Conflict
        | Kind::Unsupported
        | Kind::Unavailable
        | Kind::Internal => fault.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code_of_one_call() {
        for kind in Kind::ALL {
            let failure = Failure::new(&Fault::new(kind, "why"), "f", false);
            assert!((400..=406).contains(&failure.code), "{kind:?}");
            assert!(!standard_text(&Fault::new(kind, "why")).is_empty());
        }
    }

    #[test]
    fn texts_are_those_of_the_original() {
        let text = |fault: &Fault| Failure::new(fault, "add", false).text;
        let missing = Fault::new(Kind::NotFound, "x").with("function", "add");
        assert_eq!(text(&missing), "method \"add\" is not supported");
        let arguments = Fault::new(Kind::Arguments, "x");
        assert_eq!(text(&arguments), "args can not bind to method add");
        let raised = Fault::raised("TypeError", "x");
        assert_eq!(text(&raised), "Error:TypeError happend in method add");
        let failure = Failure::new(&raised, "add", true);
        assert_eq!(failure.text, "Error:TypeError happend in method add: x");
        assert_eq!(failure.exception(), "<class 'pymprpc.errors.RPCRuntimeError'>");
    }

    #[test]
    fn what_a_function_does_not_find_is_its_own_failure() {
        let inner = Fault::new(Kind::NotFound, "no such row");
        assert_eq!(Failure::new(&inner, "lookup", false).code, 404);
    }

    #[test]
    fn tracebacks_lose_their_folders() {
        let trace = "Traceback:\n  File \"/home/ann/app.py\", line 3, in f\nValueError: x";
        let fault = Fault::raised("ValueError", "x").with_trace(trace);
        let want = "Traceback:\n/n  File \"app.py\", line 3, in f\n/nValueError: x\n/n";
        assert_eq!(frame(&fault), want);
        assert_eq!(frame(&Fault::raised("ValueError", "x")), "ValueError: x\n/n");
    }
}
