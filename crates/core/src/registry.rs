//! The table of functions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::fault::{Fault, Kind};
use crate::function::Function;
use crate::value::Text;

/// All functions by name. Reading takes no lock; registering replaces the whole table.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    table: ArcSwap<Table>,
    writer: Mutex<()>,
}

/// Functions by name, in the order of their names.
pub(crate) type Table = BTreeMap<Text, Arc<Function>>;

impl Registry {
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Function>> {
        self.table.load().get(name).cloned()
    }

    pub(crate) fn all(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Removes functions and adds others in their place; all of it or nothing.
    pub(crate) fn replace(&self, old: &[Text], functions: Vec<Function>) -> Result<(), Fault> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = (*self.table.load_full()).clone();
        for name in old {
            table.remove(name);
        }
        for function in functions {
            let name = function.shared_name();
            check(&name)?;
            if table.insert(name.clone(), Arc::new(function)).is_some() {
                return Err(Fault::new(
                    Kind::Conflict,
                    format!("a function named '{name}' is already registered; rename one of them"),
                ));
            }
        }
        self.table.store(Arc::new(table));
        Ok(())
    }
}

/// A name is parts joined by dots; a part is what every protocol can say: letters, digits and
/// underscores, not beginning with a digit.
fn check(name: &str) -> Result<(), Fault> {
    let word = |part: &str| {
        let first = part.chars().next();
        first.is_some_and(|c| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    if name.len() <= 200 && name.split('.').all(word) {
        return Ok(());
    }
    Err(Fault::new(
        Kind::Syntax,
        format!("'{name}' is no function name: use letters, digits and _, with dots between parts"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &'static str) -> Function {
        Function::build(name).inline(|_, _| ())
    }

    #[test]
    fn adds_all_or_none() {
        let registry = Registry::default();
        registry.replace(&[], vec![named("a"), named("b.c")]).unwrap();
        let fault = registry.replace(&[], vec![named("d"), named("a")]).unwrap_err();
        assert_eq!(fault.kind(), Kind::Conflict);
        assert!(registry.find("d").is_none());
        assert!(registry.find("b.c").is_some());
    }

    #[test]
    fn replaces_all_or_nothing() {
        let registry = Registry::default();
        registry.replace(&[], vec![named("a"), named("b"), named("kept")]).unwrap();
        let old = ["a".into(), "b".into()];
        assert!(registry.replace(&old, vec![named("a"), named("kept")]).is_err());
        assert!(registry.find("b").is_some());
        registry.replace(&old, vec![named("a"), named("c")]).unwrap();
        assert!(registry.find("a").is_some() && registry.find("c").is_some());
        assert!(registry.find("b").is_none());
    }

    #[test]
    fn refuses_names_no_client_could_say() {
        for name in ["", ".", "a..b", "a b", "1a", "a.", "a-b"] {
            assert!(check(name).is_err(), "{name}");
        }
        check("größe.über_2").unwrap();
    }
}
