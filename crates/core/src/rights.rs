//! What a user may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Call a function.
    Call,
    /// Read data.
    Read,
    /// Write data.
    Write,
    /// Create, change and remove tables, queues and names.
    Configure,
    /// Remove typed data with a flush command.
    Flush,
    /// Everything, the server itself included.
    Admin,
}

impl Verb {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Call, "call"),
        (Self::Read, "read"),
        (Self::Write, "write"),
        (Self::Configure, "configure"),
        (Self::Flush, "flush"),
        (Self::Admin, "admin"),
    ];

    /// The word that stands for it in a right.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(verb, _)| *verb == self).map_or("", |(_, word)| word)
    }
}

/// What it is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A function, by its registered name.
    Function,
    /// A table.
    Table,
    /// A queue.
    Queue,
    /// An entry of the name table.
    Name,
    /// A file.
    File,
}

impl Target {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Function, "function"),
        (Self::Table, "table"),
        (Self::Queue, "queue"),
        (Self::Name, "name"),
        (Self::File, "file"),
    ];

    /// The word that stands for it in a right.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(target, _)| *target == self).map_or("", |(_, word)| word)
    }
}

/// One right: `call math.*`, `read table:users*`, `configure *:tmp.*`, `admin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    verb: Verb,
    /// `None` is every kind.
    target: Option<Target>,
    glob: Glob,
}

/// A pattern in which `*` stands for any run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Box<str>);

impl Glob {
    /// Whether the whole text fits the pattern. Takes time linear in text × stars at most.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let pattern = &*self.0;
        // The commonest pattern is asked at every call.
        if pattern == "*" {
            return true;
        }
        let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
        let Some(mut rest) = text.strip_prefix(head) else { return false };
        let mut parts = tail.split('*').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            match rest.find(part) {
                Some(at) => rest = rest.get(at + part.len()..).unwrap_or(""),
                None => return false,
            }
        }
        true
    }
}

impl Right {
    /// The right to do everything.
    #[must_use]
    pub fn admin() -> Self {
        Self { verb: Verb::Admin, target: None, glob: Glob("*".into()) }
    }

    fn allows(&self, verb: Verb, target: Target, name: &str) -> bool {
        self.verb == Verb::Admin
            || (self.verb == verb
                && self.target.is_none_or(|own| own == target)
                && self.glob.matches(name))
    }
}

/// Reads `VERB`, `VERB GLOB` or `VERB KIND:GLOB`. `call` without a kind means functions, the other
/// verbs without one mean every kind.
impl FromStr for Right {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let (verb, what) = (words.next().unwrap_or(""), words.next());
        let bad = |why: &str| {
            format!(
                "'{text}' is no right: {why}; examples: \"call math.*\", \"read table:users*\", \"admin\""
            )
        };
        if words.next().is_some() {
            return Err(bad("it has more than two words"));
        }
        let Some((verb, _)) = Verb::ALL.into_iter().find(|(_, word)| *word == verb) else {
            return Err(bad("the verbs are call, read, write, configure, flush and admin"));
        };
        let (kind, glob) = match what {
            None if matches!(verb, Verb::Admin | Verb::Flush) => (None, "*"),
            None => return Err(bad("a name or a pattern with * is missing")),
            Some(what) => match what.split_once(':') {
                Some((kind, glob)) => (Some(kind), glob),
                None => (None, what),
            },
        };
        let target = match kind {
            None if verb == Verb::Call => Some(Target::Function),
            None | Some("*") => None,
            Some(word) => match Target::ALL.iter().find(|(_, own)| *own == word) {
                Some((target, _)) => Some(*target),
                None => return Err(bad("the kinds are function, table, queue, name and file")),
            },
        };
        Ok(Self { verb, target, glob: Glob(glob.into()) })
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, glob) = (self.verb.word(), &self.glob.0);
        match self.target {
            _ if self.verb == Verb::Admin => f.write_str(verb),
            Some(Target::Function) if self.verb == Verb::Call => write!(f, "{verb} {glob}"),
            Some(target) => write!(f, "{verb} {}:{glob}", target.word()),
            None if self.verb == Verb::Call => write!(f, "{verb} *:{glob}"),
            None => write!(f, "{verb} {glob}"),
        }
    }
}

impl<'de> Deserialize<'de> for Right {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Right {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// All rights of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Rights(pub Vec<Right>);

impl Rights {
    /// Whether one of the rights allows it.
    #[must_use]
    pub fn allow(&self, verb: Verb, target: Target, name: &str) -> bool {
        self.0.iter().any(|right| right.allows(verb, target, name))
    }

    /// Whether the user may do everything.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.0.iter().any(|right| right.verb == Verb::Admin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(list: &[&str]) -> Rights {
        Rights(list.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn a_right_covers_what_its_pattern_names_and_no_more() {
        let own = rights(&["call math.*", "read table:users*"]);
        assert!(own.allow(Verb::Call, Target::Function, "math.add"));
        assert!(!own.allow(Verb::Call, Target::Function, "mathematics"));
        assert!(own.allow(Verb::Read, Target::Table, "users:1"));
        assert!(!own.allow(Verb::Write, Target::Table, "users:1"));
        assert!(!own.allow(Verb::Read, Target::Queue, "users:1"));
        assert!(!own.is_admin());
        assert!(rights(&["admin"]).allow(Verb::Write, Target::File, "/x"));
    }

    #[test]
    fn globs_match_anywhere_they_have_stars() {
        for (glob, text, fits) in [
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "ac", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b", "ab-c", false),
            ("*aa", "aaa", true),
            ("a*a", "a", false),
            ("abc", "abcd", false),
            ("**", "x", true),
        ] {
            assert_eq!(Glob(glob.into()).matches(text), fits, "{glob} {text}");
        }
    }

    #[test]
    fn rights_read_back_as_they_are_written() {
        for text in ["call math.*", "read table:users*", "write *", "flush *", "admin"] {
            assert_eq!(text.parse::<Right>().unwrap().to_string(), text);
        }
        for text in ["", "call", "fly *", "read cloud:x", "call a b"] {
            assert!(text.parse::<Right>().is_err(), "{text}");
        }
    }
}
