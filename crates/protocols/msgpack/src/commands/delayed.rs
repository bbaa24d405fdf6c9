//! Results of calls that wanted no answer, until `system.getresult` fetches them.

use std::collections::VecDeque;

use polyport_core::{Stream, Value};

/// Streams kept at once. Each holds a running call of the connection.
const STREAMS: usize = 16;

/// Calls of `system.getresult` that may wait at once.
const WAITING: usize = 1_000;

/// The jobs of one connection, the oldest first. `W` is a call that waits for a job's result.
#[derive(Debug)]
pub(crate) struct Delayed<W> {
    first: u64,
    jobs: VecDeque<Job<W>>,
    bytes: usize,
    waiting: usize,
}

#[derive(Debug)]
struct Job<W> {
    id: Value,
    kept: Kept<W>,
    bytes: usize,
}

/// What became of a job.
#[derive(Debug)]
enum Kept<W> {
    Running(Vec<W>),
    Done(Value),
    Failed,
    Stream(Stream),
    Gone,
}

/// What fetching a job finds.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// Its result, which stays.
    Done(&'a Value),
    /// That it failed, which was answered when it did.
    Failed,
    /// Its stream, which can be fetched once, and the id under which it has to come.
    Stream(Value, Stream),
    /// That it still runs; this is its number.
    Running(u64),
    /// Nothing, or nothing any more.
    Unknown,
}

impl<W> Default for Delayed<W> {
    fn default() -> Self {
        Self { first: 0, jobs: VecDeque::new(), bytes: 0, waiting: 0 }
    }
}

impl<W> Delayed<W> {
    /// Notes that a job begins, and gives its number. Past `most` jobs the oldest is forgotten;
    /// those who waited for it are handed back.
    pub(crate) fn begin(&mut self, id: Value, most: usize) -> (u64, Vec<W>) {
        let number = self.first + self.jobs.len() as u64;
        self.jobs.push_back(Job { id, kept: Kept::Running(Vec::new()), bytes: 0 });
        let mut forsaken = Vec::new();
        while self.jobs.len() > most {
            let Some(oldest) = self.jobs.pop_front() else { break };
            self.first += 1;
            self.bytes -= oldest.bytes;
            if let Kept::Running(mut waiting) = oldest.kept {
                self.waiting -= waiting.len();
                forsaken.append(&mut waiting);
            }
        }
        (number, forsaken)
    }

    /// Those who wait for a job, which has come to its end.
    pub(crate) fn waiting(&mut self, number: u64) -> Vec<W> {
        match self.job(number).map(|job| &mut job.kept) {
            Some(Kept::Running(waiting)) => {
                let waiting = std::mem::take(waiting);
                self.waiting -= waiting.len();
                waiting
            }
            _ => Vec::new(),
        }
    }

    /// Keeps a job's result. Past `most` bytes the oldest results are forgotten.
    pub(crate) fn done(&mut self, number: u64, result: Value, most: usize) {
        let bytes = weight(&result);
        let Some(job) = self.job(number) else { return };
        (job.kept, job.bytes) = (Kept::Done(result), bytes);
        self.bytes += bytes;
        let mut jobs = self.jobs.iter_mut();
        while self.bytes > most {
            let Some(job) = jobs.next() else { break };
            if let Kept::Done(_) = job.kept {
                self.bytes -= job.bytes;
                (job.kept, job.bytes) = (Kept::Gone, 0);
            }
        }
    }

    /// Notes that a job failed.
    pub(crate) fn failed(&mut self, number: u64) {
        if let Some(job) = self.job(number) {
            job.kept = Kept::Failed;
        }
    }

    /// Keeps a job's stream; of too many the oldest is dropped, which ends it.
    pub(crate) fn stream(&mut self, number: u64, stream: Stream) {
        let Some(job) = self.job(number) else { return };
        job.kept = Kept::Stream(stream);
        let streams = || self.jobs.iter().filter(|job| matches!(job.kept, Kept::Stream(_)));
        if streams().count() > STREAMS {
            let oldest = self.jobs.iter_mut().find(|job| matches!(job.kept, Kept::Stream(_)));
            if let Some(job) = oldest {
                job.kept = Kept::Gone;
            }
        }
    }

    /// Looks for the youngest job of an id; clients use one id for several.
    pub(crate) fn fetch(&mut self, id: &Value) -> Found<'_> {
        let Some(index) = self.jobs.iter().rposition(|job| job.id == *id) else {
            return Found::Unknown;
        };
        let number = self.first + index as u64;
        let Some(job) = self.jobs.get_mut(index) else { return Found::Unknown };
        match &mut job.kept {
            Kept::Running(_) => Found::Running(number),
            Kept::Done(result) => Found::Done(result),
            Kept::Failed => Found::Failed,
            Kept::Gone => Found::Unknown,
            kept @ Kept::Stream(_) => match std::mem::replace(kept, Kept::Gone) {
                Kept::Stream(stream) => Found::Stream(job.id.clone(), stream),
                _ => Found::Unknown,
            },
        }
    }

    /// Lets a call wait for a running job; hands it back when too many wait.
    pub(crate) fn wait(&mut self, number: u64, who: W) -> Result<(), W> {
        if self.waiting >= WAITING {
            return Err(who);
        }
        match self.job(number).map(|job| &mut job.kept) {
            Some(Kept::Running(waiting)) => waiting.push(who),
            _ => return Err(who),
        }
        self.waiting += 1;
        Ok(())
    }

    fn job(&mut self, number: u64) -> Option<&mut Job<W>> {
        let index = number.checked_sub(self.first)?;
        self.jobs.get_mut(usize::try_from(index).ok()?)
    }
}

/// The memory that a value takes, about.
fn weight(value: &Value) -> usize {
    let inside = match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) | Value::Tuple(items) | Value::Set(items) => {
            items.iter().map(weight).sum()
        }
        Value::Map(pairs) => pairs.iter().map(|(key, value)| weight(key) + weight(value)).sum(),
        Value::Opaque(object) => object.bytes.len(),
        Value::Big(number) => usize::try_from(number.bits() / 8).unwrap_or(usize::MAX),
        _ => 0,
    };
    size_of::<Value>().saturating_add(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(delayed: &mut Delayed<u8>, id: &str, result: &str) {
        let (number, _) = delayed.begin(id.into(), 3);
        delayed.done(number, result.into(), 1000);
    }

    fn result(delayed: &mut Delayed<u8>, id: &str) -> Option<Value> {
        match delayed.fetch(&id.into()) {
            Found::Done(value) => Some(value.clone()),
            _ => None,
        }
    }

    #[test]
    fn results_can_be_fetched_again_until_they_are_the_oldest_of_too_many() {
        let mut delayed = Delayed::default();
        for id in ["a", "b", "c"] {
            finished(&mut delayed, id, id);
        }
        assert_eq!(result(&mut delayed, "a"), Some("a".into()));
        assert_eq!(result(&mut delayed, "a"), Some("a".into()));
        finished(&mut delayed, "d", "d");
        assert_eq!(result(&mut delayed, "a"), None);
        assert_eq!(result(&mut delayed, "d"), Some("d".into()));
    }

    #[test]
    fn of_two_jobs_with_one_id_the_younger_is_meant() {
        let mut delayed = Delayed::default();
        finished(&mut delayed, "a", "old");
        finished(&mut delayed, "a", "new");
        assert_eq!(result(&mut delayed, "a"), Some("new".into()));
    }

    #[test]
    fn too_many_bytes_push_the_oldest_results_out() {
        let mut delayed = Delayed::default();
        finished(&mut delayed, "a", &"x".repeat(600));
        finished(&mut delayed, "b", &"x".repeat(600));
        assert_eq!(result(&mut delayed, "a"), None);
        assert!(result(&mut delayed, "b").is_some());
        finished(&mut delayed, "c", &"x".repeat(2000));
        assert_eq!(result(&mut delayed, "c"), None);
        assert_eq!(delayed.bytes, 0);
    }

    #[test]
    fn those_who_wait_are_handed_back_when_the_job_ends_or_is_forgotten() {
        let mut delayed = Delayed::default();
        let (number, _) = delayed.begin("a".into(), 1);
        assert!(matches!(delayed.fetch(&"a".into()), Found::Running(n) if n == number));
        delayed.wait(number, 7).unwrap();
        assert_eq!(delayed.waiting(number), [7]);
        delayed.wait(number, 8).unwrap();
        let (_, forsaken) = delayed.begin("b".into(), 1);
        assert_eq!(forsaken, [8]);
        delayed.done(number, Value::Null, 1000);
        assert!(matches!(delayed.fetch(&"a".into()), Found::Unknown));
        assert_eq!(delayed.waiting, 0);
    }

    #[test]
    fn only_so_many_may_wait() {
        let mut delayed = Delayed::default();
        let (number, _) = delayed.begin("a".into(), 1);
        for _ in 0..WAITING {
            delayed.wait(number, 1).unwrap();
        }
        assert_eq!(delayed.wait(number, 2), Err(2));
    }

    #[test]
    fn a_stream_can_be_fetched_once_and_only_so_many_are_kept() {
        let mut delayed = Delayed::<u8>::default();
        for id in 0..=STREAMS {
            let (number, _) = delayed.begin(Value::Int(id as i64), 1000);
            delayed.stream(number, Stream::new(futures_util::stream::iter([1])));
        }
        assert!(matches!(delayed.fetch(&Value::Int(0)), Found::Unknown));
        assert!(matches!(delayed.fetch(&Value::Int(1)), Found::Stream(Value::Int(1), _)));
        assert!(matches!(delayed.fetch(&Value::Int(1)), Found::Unknown));
    }
}
