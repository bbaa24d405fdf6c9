//! Users: who may come in, and what each sees and may do.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::fault::{Fault, Kind};
use crate::rights::{Right, Rights};
use crate::value::Text;
use crate::verifier::{Verifier, sha256};

/// A user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct User {
    /// The login name.
    pub name: Text,
    /// Stored secrets; any that fits what the client shows is checked. Without one, nobody can
    /// log in as this user, and it serves as an anonymous user only.
    pub verifiers: Vec<Verifier>,
    /// SHA-256 of each bearer token.
    pub tokens: Vec<[u8; 32]>,
    /// What the user may do.
    pub rights: Rights,
    /// The functions the user sees, exported name → registered name, and no others. `None` is all
    /// that the rights allow, under their own names. This is pymysqlrpc's ACL map.
    pub exports: Option<BTreeMap<Text, Text>>,
    /// How long a call may take, by protocol name; `"*"` is every other protocol.
    pub time_limits: BTreeMap<Text, Duration>,
}

impl User {
    /// A user with a password and no rights yet.
    pub fn new(name: impl Into<Text>, password: &str) -> Self {
        Self { name: name.into(), verifiers: Verifier::quick(password), ..Self::default() }
    }

    /// A user that nobody can log in as, for anonymous listeners.
    pub fn anonymous(name: impl Into<Text>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds a right, written as `VERB KIND:GLOB`.
    ///
    /// # Panics
    /// When the text is no right; programs write rights down as literals.
    #[must_use]
    pub fn right(mut self, right: &str) -> Self {
        match right.parse::<Right>() {
            Ok(right) => self.rights.0.push(right),
            Err(why) => panic!("{why}"),
        }
        self
    }

    /// Exports one function under a name; all others become invisible to the user.
    #[must_use]
    pub fn export(mut self, name: impl Into<Text>, function: impl Into<Text>) -> Self {
        self.exports.get_or_insert_default().insert(name.into(), function.into());
        self
    }

    /// Makes every function invisible to the user.
    #[must_use]
    pub fn export_nothing(mut self) -> Self {
        self.exports.get_or_insert_default();
        self
    }

    /// Limits how long the user's calls may take through one protocol, or `"*"` for all others.
    #[must_use]
    pub fn time_limit(mut self, protocol: impl Into<Text>, limit: Duration) -> Self {
        self.time_limits.insert(protocol.into(), limit);
        self
    }

    /// Adds a bearer token.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.tokens.push(token_hash(token));
        self
    }

    pub(crate) fn time_limit_for(&self, protocol: &str) -> Option<Duration> {
        self.time_limits.get(protocol).or_else(|| self.time_limits.get("*")).copied()
    }
}

/// The hash under which a bearer token is stored. Tokens are long and random, so one round does.
#[must_use]
pub fn token_hash(token: &str) -> [u8; 32] {
    sha256(&[b"polyport token ", token.as_bytes()])
}

/// A user as it is now; sessions hold this, so a change reaches them at their next operation.
pub(crate) type Account = ArcSwap<User>;

/// All users.
#[derive(Debug, Default)]
pub(crate) struct Users {
    accounts: RwLock<HashMap<Text, Arc<Account>>>,
}

impl Users {
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Account>> {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn by_token(&self, token: &str) -> Option<Arc<Account>> {
        let hash = token_hash(token);
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        accounts.values().find(|account| account.load().tokens.contains(&hash)).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<User>> {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        let mut users: Vec<_> = accounts.values().map(|account| account.load_full()).collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        users
    }

    /// Adds a user or replaces the one of that name, whose open sessions follow.
    pub(crate) fn put(&self, user: User) {
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        match accounts.get(&user.name) {
            Some(account) => account.store(Arc::new(user)),
            None => {
                accounts.insert(user.name.clone(), Arc::new(ArcSwap::from_pointee(user)));
            }
        }
    }

    /// Removes a user. What its open sessions see from now on may do nothing.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Fault> {
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        let gone = accounts
            .remove(name)
            .ok_or_else(|| Fault::new(Kind::NotFound, format!("there is no user '{name}'")))?;
        gone.store(Arc::new(User::anonymous(Text::from(name)).export_nothing()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_user_can_do_nothing_in_sessions_still_open() {
        let users = Users::default();
        users.put(User::new("ann", "pw").right("admin"));
        let account = users.find("ann").unwrap();
        assert!(account.load().rights.is_admin());
        users.remove("ann").unwrap();
        assert!(!account.load().rights.is_admin());
        assert!(users.find("ann").is_none());
        assert_eq!(users.remove("ann").unwrap_err().kind(), Kind::NotFound);
    }

    #[test]
    fn the_protocols_own_time_limit_wins() {
        let second = Duration::from_secs(1);
        let user = User::new("a", "b").time_limit("*", second).time_limit("mysql", second * 3);
        assert_eq!(user.time_limit_for("mysql"), Some(second * 3));
        assert_eq!(user.time_limit_for("http"), Some(second));
    }
}
