//! What every log must do, as one suite of tests.
//!
//! An implementation calls [`all`] from a test of its own. Each part gets a fresh log and panics
//! with the rule that was broken.

use super::{Log, LogError, Position, Replay, Writer};

/// What a load brought back, for comparing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The snapshot's chunks.
    pub chunks: Vec<Vec<u8>>,
    /// The records after it.
    pub records: Vec<(Position, Vec<u8>)>,
}

impl Recorded {
    fn texts(&self) -> Vec<String> {
        self.records.iter().map(|(_, r)| String::from_utf8_lossy(r).into_owned()).collect()
    }
}

impl Replay for Recorded {
    fn chunk(&mut self, chunk: &[u8]) {
        self.chunks.push(chunk.to_vec());
    }

    fn record(&mut self, position: Position, record: &[u8]) {
        self.records.push((position, record.to_vec()));
    }
}

/// A reader that lets another writer take over in the middle of its load.
struct Deposer<'a> {
    log: &'a dyn Log,
    done: bool,
}

impl Replay for Deposer<'_> {
    fn chunk(&mut self, _: &[u8]) {}

    fn record(&mut self, _: Position, _: &[u8]) {
        if !self.done {
            self.done = true;
            let (_, writer) = load(self.log);
            writer.append(&[b"from the one in between"]).expect("the newest writer may append");
        }
    }
}

fn load(log: &dyn Log) -> (Recorded, Box<dyn Writer>) {
    let mut recorded = Recorded::default();
    let writer = log.load(&mut recorded).expect("a log that is whole can be loaded");
    (recorded, writer)
}

/// Runs every part of the suite, each on a fresh log.
///
/// # Panics
/// When the log breaks a rule.
pub async fn all(fresh: &(dyn Fn() -> Box<dyn Log> + Sync)) {
    keeps_order_and_batches(&*fresh()).await;
    counts_upwards_over_epochs(&*fresh());
    deposes_the_writer_before(&*fresh());
    deposes_a_writer_in_the_middle_of_its_load(&*fresh());
    replaces_records_by_a_snapshot(&*fresh());
    keeps_what_was_appended_during_a_snapshot(&*fresh());
    keeps_the_former_snapshot_when_a_deposed_writer_takes_one(&*fresh());
}

async fn keeps_order_and_batches(log: &dyn Log) {
    let (nothing, writer) = load(log);
    assert_eq!(nothing, Recorded::default(), "a fresh log is empty");
    let one = writer.append(&[b"a"]).expect("appending works");
    let two = writer.append(&[b"b", b"", b"c"]).expect("appending works");
    assert!(one < two, "positions go up");
    writer.until_durable(two).await.expect("what was appended becomes durable");
    assert!(writer.durable() >= two, "the durable position covers what was waited for");
    drop(writer);
    let (back, _) = load(log);
    assert_eq!(back.texts(), ["a", "b", "", "c"], "records come back in order");
    let places: Vec<_> = back.records.iter().map(|(position, _)| *position).collect();
    assert_eq!(places, [one, two, two, two], "the records of a batch share its position");
}

fn counts_upwards_over_epochs(log: &dyn Log) {
    let (_, writer) = load(log);
    let before = writer.append(&[b"a"]).expect("appending works");
    let (_, writer) = load(log);
    let after = writer.append(&[b"b"]).expect("appending works");
    assert!(after.epoch > before.epoch, "each load begins an epoch");
    assert_eq!(after.sequence, before.sequence + 1, "the count goes on over epochs");
}

fn deposes_the_writer_before(log: &dyn Log) {
    let (_, old) = load(log);
    old.append(&[b"a"]).expect("appending works");
    let (_, new) = load(log);
    let refused = old.append(&[b"lost"]).expect_err("a deposed writer may not append");
    assert!(matches!(refused, LogError::Deposed { .. }), "it is told why: {refused}");
    new.append(&[b"b"]).expect("the new writer may");
    assert_eq!(load(log).0.texts(), ["a", "b"], "nothing of the deposed writer is kept");
}

fn deposes_a_writer_in_the_middle_of_its_load(log: &dyn Log) {
    let (_, writer) = load(log);
    writer.append(&[b"a"]).expect("appending works");
    let mut deposer = Deposer { log, done: false };
    match log.load(&mut deposer) {
        Err(LogError::Deposed { .. }) => {}
        Err(other) => panic!("a writer that lost its load is deposed, not: {other}"),
        Ok(writer) => {
            let refused = writer.append(&[b"lost"]).expect_err("it missed a record");
            assert!(matches!(refused, LogError::Deposed { .. }), "it is told why: {refused}");
        }
    }
    assert_eq!(load(log).0.texts(), ["a", "from the one in between"]);
}

fn replaces_records_by_a_snapshot(log: &dyn Log) {
    let (_, writer) = load(log);
    writer.append(&[b"a"]).expect("appending works");
    let upto = writer.append(&[b"b"]).expect("appending works");
    writer.append(&[b"c"]).expect("appending works");
    let mut chunks = [b"ab1".to_vec(), b"ab2".to_vec()].into_iter();
    writer.snapshot(upto, &mut chunks).expect("a snapshot can be taken");
    let (back, _) = load(log);
    assert_eq!(back.chunks, [b"ab1", b"ab2"], "the chunks come back in order");
    assert_eq!(back.texts(), ["c"], "the records that the snapshot stands for are gone");
}

fn keeps_what_was_appended_during_a_snapshot(log: &dyn Log) {
    let (_, writer) = load(log);
    let upto = writer.append(&[b"a"]).expect("appending works");
    let mut chunks = (0..2).map(|chunk: u8| {
        writer.append(&[b"meanwhile"]).expect("appending goes on during a snapshot");
        vec![chunk]
    });
    writer.snapshot(upto, &mut chunks).expect("a snapshot can be taken");
    drop(chunks);
    let (back, _) = load(log);
    assert_eq!(back.chunks, [[0], [1]]);
    assert_eq!(back.texts(), ["meanwhile", "meanwhile"]);
}

fn keeps_the_former_snapshot_when_a_deposed_writer_takes_one(log: &dyn Log) {
    let (_, old) = load(log);
    let upto = old.append(&[b"a"]).expect("appending works");
    old.snapshot(upto, &mut [b"good".to_vec()].into_iter()).expect("a snapshot can be taken");
    let (_, new) = load(log);
    let refused = old.snapshot(upto, &mut [b"bad".to_vec()].into_iter());
    assert!(matches!(refused, Err(LogError::Deposed { .. })), "a deposed writer takes none");
    new.append(&[b"b"]).expect("appending works");
    let (back, _) = load(log);
    assert_eq!(back.texts(), ["b"]);
    assert_eq!(back.chunks, [b"good"]);
}
