//! What a call that failed answers, in words every protocol can translate.

use std::fmt;

use crate::value::{Text, Value};

/// Why something failed. Closed on purpose: each protocol maps every kind with one total `match`,
/// so a new kind does not compile until every protocol has decided what to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request cannot be understood.
    Syntax,
    /// Nothing of that name is there, or the user may not see that it is.
    NotFound,
    /// The arguments do not fit the parameters: too few, too many, unknown or doubled names.
    Arguments,
    /// An argument cannot become the type its parameter declares.
    Type,
    /// The user lacks the right.
    Denied,
    /// Nobody is logged in, or the login was refused.
    Login,
    /// The function itself failed: the exception or error it raised.
    Raised,
    /// The time limit passed.
    Timeout,
    /// Somebody stopped the call: the client left, or an operator killed it.
    Cancelled,
    /// A limit on connections, calls or memory is reached; the same request may pass later.
    Busy,
    /// One request, reply or value is over its size limit; it will not pass later.
    TooLarge,
    /// Somebody else was first: the name exists, the version changed, the owner is another.
    Conflict,
    /// Understood, but not offered.
    Unsupported,
    /// Something behind the server is gone: a worker, the log, or the server itself is stopping.
    Unavailable,
    /// A defect of the server.
    Internal,
}

impl Kind {
    /// Every kind, for tests and documentation.
    pub const ALL: [Self; 15] = [
        Self::Syntax,
        Self::NotFound,
        Self::Arguments,
        Self::Type,
        Self::Denied,
        Self::Login,
        Self::Raised,
        Self::Timeout,
        Self::Cancelled,
        Self::Busy,
        Self::TooLarge,
        Self::Conflict,
        Self::Unsupported,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The kind's name as it stands in JSON answers, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::NotFound => "not_found",
            Self::Arguments => "arguments",
            Self::Type => "type",
            Self::Denied => "denied",
            Self::Login => "login",
            Self::Raised => "raised",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Busy => "busy",
            Self::TooLarge => "too_large",
            Self::Conflict => "conflict",
            Self::Unsupported => "unsupported",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

/// Whether a call that failed may have had an effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ran {
    /// The function never began; sending the call again is safe.
    No,
    /// The function began and its failure is what is reported.
    #[default]
    Yes,
    /// Nobody knows: the function was cut off from outside.
    Maybe,
}

/// A failure, boxed so that a `Result` with it stays small.
#[derive(Clone, PartialEq)]
pub struct Fault(Box<Inner>);

#[derive(Clone, Debug, PartialEq)]
struct Inner {
    kind: Kind,
    message: Text,
    class: Text,
    errno: Option<u16>,
    attributes: Vec<(Text, Value)>,
    trace: Text,
    ran: Ran,
}

impl Fault {
    /// A fault of a kind, with the text that the user reads.
    pub fn new(kind: Kind, message: impl Into<Text>) -> Self {
        let ran = match kind {
            Kind::Raised | Kind::Internal => Ran::Yes,
            Kind::Timeout | Kind::Cancelled => Ran::Maybe,
            _ => Ran::No,
        };
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            class: Text::new(),
            errno: None,
            attributes: Vec::new(),
            trace: Text::new(),
            ran,
        }))
    }

    /// The function's own failure, with the class name of its exception or error type.
    pub fn raised(class: impl Into<Text>, message: impl Into<Text>) -> Self {
        Self::new(Kind::Raised, message).with_class(class)
    }

    /// The function's own failure with an error number, which MySQL clients receive as it is.
    ///
    /// This is pymysqlrpc's `LogicError(errno, message)`.
    pub fn numbered(errno: u16, message: impl Into<Text>) -> Self {
        Self::raised("LogicError", message).with_errno(errno)
    }

    /// Sets the class name of the exception or error.
    #[must_use]
    pub fn with_class(mut self, class: impl Into<Text>) -> Self {
        self.0.class = class.into();
        self
    }

    /// Sets the error number.
    #[must_use]
    pub fn with_errno(mut self, errno: u16) -> Self {
        self.0.errno = Some(errno);
        self
    }

    /// Adds a named detail, such as `expected` and `got` of an argument count.
    #[must_use]
    pub fn with(mut self, name: impl Into<Text>, value: impl Into<Value>) -> Self {
        self.0.attributes.push((name.into(), value.into()));
        self
    }

    /// Sets the traceback of a function in another language.
    #[must_use]
    pub fn with_trace(mut self, trace: impl Into<Text>) -> Self {
        self.0.trace = trace.into();
        self
    }

    /// Sets whether the call may have had an effect.
    #[must_use]
    pub fn with_ran(mut self, ran: Ran) -> Self {
        self.0.ran = ran;
        self
    }

    /// Why it failed.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The text that the user reads.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The class name of the exception; the kind's usual Python class when none was given.
    #[must_use]
    pub fn class(&self) -> &str {
        if !self.0.class.is_empty() {
            return &self.0.class;
        }
        match self.0.kind {
            Kind::Syntax => "SyntaxError",
            Kind::NotFound => "LookupError",
            Kind::Arguments | Kind::Type => "TypeError",
            Kind::Denied | Kind::Login => "PermissionError",
            Kind::Timeout => "TimeoutError",
            Kind::Unsupported => "NotImplementedError",
            Kind::Cancelled => "CancelledError",
            Kind::Unavailable => "ConnectionError",
            Kind::Raised | Kind::Busy | Kind::TooLarge | Kind::Conflict | Kind::Internal => {
                "RuntimeError"
            }
        }
    }

    /// The error number that the function chose.
    #[must_use]
    pub fn errno(&self) -> Option<u16> {
        self.0.errno
    }

    /// A named detail.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        self.0.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// All named details, in the order they were added.
    #[must_use]
    pub fn attributes(&self) -> &[(Text, Value)] {
        &self.0.attributes
    }

    /// The traceback, empty when there is none.
    #[must_use]
    pub fn trace(&self) -> &str {
        &self.0.trace
    }

    /// Whether the call may have had an effect.
    #[must_use]
    pub fn ran(&self) -> Ran {
        self.0.ran
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, message, class, errno, attributes, ran, .. } = &*self.0;
        let mut out = f.debug_struct("Fault");
        out.field("kind", kind).field("message", message);
        if !class.is_empty() {
            out.field("class", class);
        }
        if let Some(errno) = errno {
            out.field("errno", errno);
        }
        if !attributes.is_empty() {
            out.field("attributes", attributes);
        }
        out.field("ran", ran).finish()
    }
}

/// Lets `?` turn any error into the function's own failure, named after the error's type.
///
/// For the same reason `Fault` is not itself a [`std::error::Error`]: the two would collide.
impl<E: std::error::Error + Send + Sync + 'static> From<E> for Fault {
    fn from(error: E) -> Self {
        let path = std::any::type_name::<E>();
        let plain = path.split('<').next().unwrap_or(path);
        let class = plain.rsplit("::").next().unwrap_or(plain);
        Self::raised(class, error.to_string())
    }
}

/// A fault as a [`std::error::Error`], for programs whose `main` returns one.
#[derive(Debug)]
struct AsError(Fault);

impl fmt::Display for AsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for AsError {}

impl From<Fault> for Box<dyn std::error::Error + Send + Sync> {
    fn from(fault: Fault) -> Self {
        Box::new(AsError(fault))
    }
}

impl From<Fault> for Box<dyn std::error::Error> {
    fn from(fault: Fault) -> Self {
        Box::new(AsError(fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_becomes_a_fault_of_its_own_class() {
        let fault: Fault = "x".parse::<i32>().unwrap_err().into();
        assert_eq!(fault.kind(), Kind::Raised);
        assert_eq!(fault.class(), "ParseIntError");
        assert_eq!(fault.message(), "invalid digit found in string");
    }

    #[test]
    fn a_fault_passes_through_a_boxed_error() {
        let error: Box<dyn std::error::Error> = Fault::numbered(1234, "no such thing").into();
        assert_eq!(error.to_string(), "no such thing");
    }

    #[test]
    fn a_result_with_a_fault_is_two_words_at_most() {
        assert!(size_of::<Result<u64, Fault>>() <= 16);
    }
}
