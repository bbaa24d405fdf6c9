//! The seam to the log: where acknowledged changes go.
//!
//! Changes live in memory and are recorded here in the order they were made. Core brings a log that
//! forgets when the process ends; `tests` of any other implementation call [`suite`], which is what
//! a log must do.

use std::fmt;

use futures_core::future::BoxFuture;

mod memory;
pub mod suite;

pub use memory::MemoryLog;

/// A place in the log. Positions of a later epoch come after all of an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Which writer wrote it; each load begins a new epoch.
    pub epoch: u64,
    /// Counts the batches, over all epochs, from 1.
    pub sequence: u64,
}

/// Why the log refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogError {
    /// Another writer has loaded since. This one writes no more, and must load again.
    Deposed {
        /// The epoch of the writer that took over.
        by: u64,
    },
    /// There is no room; a later attempt may find some.
    Full(String),
    /// A write failed in a way that leaves what is durable in doubt; nothing is accepted until a
    /// restart.
    Poisoned(String),
    /// What is stored is damaged.
    Corrupt {
        /// Which part, for example a file name.
        part: String,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deposed { by } => write!(f, "another writer (epoch {by}) has taken over the log"),
            Self::Full(why) => write!(f, "the log is full: {why}"),
            Self::Poisoned(why) => write!(f, "the log accepts nothing until a restart: {why}"),
            Self::Corrupt { part, offset, what } => {
                write!(f, "{part} is damaged at byte {offset}: {what}")
            }
        }
    }
}

impl std::error::Error for LogError {}

/// What a load brings back.
pub trait Replay {
    /// One chunk of the newest snapshot. Chunks come before all records.
    ///
    /// A snapshot is taken while writing goes on, so a record may repeat what a chunk already
    /// holds; applying it again must change nothing.
    fn chunk(&mut self, chunk: &[u8]);

    /// One record, in the order of appending. All records of a batch have one position.
    fn record(&mut self, position: Position, record: &[u8]);
}

/// A log that one writer at a time appends to.
pub trait Log: Send + Sync {
    /// Reads back all that is stored and becomes its writer; the writer before is deposed.
    ///
    /// # Errors
    /// [`LogError::Corrupt`], naming the place; [`LogError::Deposed`] when another load was faster.
    fn load(&self, into: &mut dyn Replay) -> Result<Box<dyn Writer>, LogError>;
}

/// The writing end of a log.
///
/// The writer holds the position of its last batch as a fencing token: an append is accepted in
/// order, or the writer learns that it is deposed.
pub trait Writer: Send + Sync {
    /// Appends a batch; on a later load either all of its records are there or none. It is durable
    /// once [`Writer::durable`] has reached the position returned.
    ///
    /// # Errors
    /// Any but [`LogError::Corrupt`]; nothing of the batch was then taken.
    fn append(&self, batch: &[&[u8]]) -> Result<Position, LogError>;

    /// The position up to which everything survives a crash.
    fn durable(&self) -> Position;

    /// Waits until everything up to a position survives a crash.
    fn until_durable(&self, position: Position) -> BoxFuture<'_, Result<(), LogError>>;

    /// Replaces all records up to a position by chunks that stand for them. The chunks are drawn
    /// one by one, and appending goes on in between; on a later load either all of them count or
    /// none.
    ///
    /// # Errors
    /// Any but [`LogError::Corrupt`]; the former snapshot then stands.
    fn snapshot(
        &self,
        upto: Position,
        chunks: &mut dyn Iterator<Item = Vec<u8>>,
    ) -> Result<(), LogError>;
}
