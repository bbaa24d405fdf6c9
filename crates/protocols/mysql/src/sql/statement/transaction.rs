//! Transactions: nothing here can be undone, and yet drivers and ORMs open and end them around
//! everything, so their state is kept as MySQL keeps it.

use polyport_core::Text;

use crate::sql::SqlError;
use crate::sql::parser::{Parsed, Parser, lower};
use crate::sql::state::State;

/// Savepoints that a transaction may have.
const SAVEPOINTS_MOST: usize = 1_000;

/// A statement about transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sql) enum Transaction {
    Begin,
    /// `COMMIT` or `ROLLBACK`, and whether a new transaction follows (`AND CHAIN`).
    End(bool),
    Savepoint(Text),
    RollbackTo(Text),
    Release(Text),
}

impl Parser<'_> {
    /// Takes a statement about transactions, if one comes.
    pub(super) fn transaction(&mut self) -> Parsed<Option<Transaction>> {
        if self.take("BEGIN") {
            self.take("WORK");
            return Ok(Some(Transaction::Begin));
        }
        if self.is("START") && self.after_is("TRANSACTION") {
            self.next();
            self.next();
            self.characteristics()?;
            return Ok(Some(Transaction::Begin));
        }
        if self.take("COMMIT") {
            self.take("WORK");
            return self.completion().map(|chain| Some(Transaction::End(chain)));
        }
        if self.take("ROLLBACK") {
            self.take("WORK");
            if self.take("TO") {
                self.take("SAVEPOINT");
                return Ok(Some(Transaction::RollbackTo(lower(&self.name()?))));
            }
            return self.completion().map(|chain| Some(Transaction::End(chain)));
        }
        if self.take("SAVEPOINT") {
            return Ok(Some(Transaction::Savepoint(lower(&self.name()?))));
        }
        if self.take("RELEASE") {
            self.expect("SAVEPOINT")?;
            return Ok(Some(Transaction::Release(lower(&self.name()?))));
        }
        Ok(None)
    }

    fn characteristics(&mut self) -> Parsed<()> {
        if self.at_end() {
            return Ok(());
        }
        loop {
            if self.take("WITH") {
                self.expect("CONSISTENT")?;
                self.expect("SNAPSHOT")?;
            } else {
                self.expect("READ")?;
                if self.take_any(&["ONLY", "WRITE"]).is_none() {
                    return self.error();
                }
            }
            if !self.take_symbol(",") {
                return Ok(());
            }
        }
    }

    /// Takes `AND [NO] CHAIN [NO] RELEASE`. `RELEASE` would end the connection and is refused.
    fn completion(&mut self) -> Parsed<bool> {
        let mut chain = false;
        if self.take("AND") {
            chain = !self.take("NO");
            self.expect("CHAIN")?;
        }
        let no = self.take("NO");
        if self.take("RELEASE") {
            if !no {
                return Err(SqlError::unsupported("COMMIT RELEASE"));
            }
        } else if no {
            return self.error();
        }
        Ok(chain)
    }
}

impl Transaction {
    /// Follows the statement.
    pub(super) fn apply(&self, state: &mut State) -> Parsed<()> {
        let missing =
            |name: &Text| SqlError::new(1305, "42000", format!("SAVEPOINT {name} does not exist"));
        match self {
            Self::Begin => {
                state.in_transaction = true;
                state.savepoints.clear();
            }
            Self::End(chain) => {
                state.in_transaction = *chain;
                state.savepoints.clear();
            }
            // Outside of a transaction a savepoint is gone at once, as in MySQL.
            Self::Savepoint(_) if !state.in_transaction && state.autocommit => {}
            Self::Savepoint(name) => {
                state.savepoints.retain(|own| own != name);
                if state.savepoints.len() >= SAVEPOINTS_MOST {
                    return Err(SqlError::too_much("savepoints"));
                }
                state.savepoints.push(name.clone());
            }
            Self::RollbackTo(name) => {
                let place = state.savepoints.iter().position(|own| own == name);
                state.savepoints.truncate(place.ok_or_else(|| missing(name))? + 1);
            }
            Self::Release(name) => {
                let place = state.savepoints.iter().position(|own| own == name);
                state.savepoints.truncate(place.ok_or_else(|| missing(name))?);
            }
        }
        Ok(())
    }
}
