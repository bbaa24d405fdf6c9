//! A log in memory: durable at once, gone with the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_core::future::BoxFuture;

use super::{Log, LogError, Position, Replay, Writer};

/// A log in memory. Clones share what is stored, as two processes share a disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog(Arc<Mutex<Stored>>);

#[derive(Debug, Default)]
struct Stored {
    last: Position,
    snapshot: Vec<Vec<u8>>,
    batches: Vec<(Position, Vec<Vec<u8>>)>,
}

impl MemoryLog {
    fn lock(&self) -> MutexGuard<'_, Stored> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for MemoryLog {
    fn load(&self, into: &mut dyn Replay) -> Result<Box<dyn Writer>, LogError> {
        // The epoch is claimed before reading, so that no append of the writer before can slip in
        // between what is read here and what is written later.
        let (epoch, snapshot, batches) = {
            let mut stored = self.lock();
            stored.last.epoch += 1;
            (stored.last.epoch, stored.snapshot.clone(), stored.batches.clone())
        };
        for chunk in &snapshot {
            into.chunk(chunk);
        }
        for (position, batch) in &batches {
            for record in batch {
                into.record(*position, record);
            }
        }
        let writer = MemoryWriter { log: self.clone(), epoch };
        writer.check(&self.lock())?;
        Ok(Box::new(writer))
    }
}

struct MemoryWriter {
    log: MemoryLog,
    epoch: u64,
}

impl MemoryWriter {
    fn check(&self, stored: &Stored) -> Result<(), LogError> {
        if stored.last.epoch == self.epoch {
            return Ok(());
        }
        Err(LogError::Deposed { by: stored.last.epoch })
    }
}

impl Writer for MemoryWriter {
    fn append(&self, batch: &[&[u8]]) -> Result<Position, LogError> {
        let mut stored = self.log.lock();
        self.check(&stored)?;
        stored.last.sequence += 1;
        let position = stored.last;
        stored.batches.push((position, batch.iter().map(|record| record.to_vec()).collect()));
        Ok(position)
    }

    fn durable(&self) -> Position {
        self.log.lock().last
    }

    fn until_durable(&self, position: Position) -> BoxFuture<'_, Result<(), LogError>> {
        let stored = self.log.lock();
        let known = stored.batches.last().is_some_and(|(last, _)| *last >= position)
            || stored.last.sequence >= position.sequence;
        let result = if known { Ok(()) } else { self.check(&stored) };
        Box::pin(std::future::ready(result))
    }

    fn snapshot(
        &self,
        upto: Position,
        chunks: &mut dyn Iterator<Item = Vec<u8>>,
    ) -> Result<(), LogError> {
        let snapshot: Vec<_> = chunks.collect();
        let mut stored = self.log.lock();
        self.check(&stored)?;
        stored.snapshot = snapshot;
        stored.batches.retain(|(position, _)| *position > upto);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn does_what_a_log_must() {
        super::super::suite::all(&|| Box::new(MemoryLog::default())).await;
    }
}
