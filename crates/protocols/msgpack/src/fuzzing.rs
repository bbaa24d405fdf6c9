//! The codec's entrance for fuzz targets, which is there only in their builds.

use crate::codec::message::Messages;
use crate::codec::value::{Reader, append};
use crate::codec::{Bounds, frame, json};

const BOUNDS: Bounds = Bounds { depth: 100, values: 100_000 };

/// Reads bytes as everything that a peer can send. What was read as a value must be written so
/// that it reads as the same value.
///
/// # Panics
/// When it does not.
pub fn codec(data: &[u8]) {
    let mut reader = Reader::new(data, BOUNDS);
    if let Ok(value) = reader.value() {
        let mut written = Vec::new();
        if append(&mut written, &value, true).is_ok() {
            let again = Reader::new(&written, BOUNDS).value();
            // Not a number is not equal to itself, so the written forms are compared.
            let mut twice = Vec::new();
            let same = again.is_ok_and(|again| append(&mut twice, &again, true).is_ok());
            assert!(same && twice == written, "{value} is read back as another value");
        }
    }
    let _ = json::read(data, BOUNDS);
    let _ = frame::find_mark(data);
    // Whole, and cut in two at every place: the first message must be the same.
    let whole = Messages::default().next(data, data.len(), BOUNDS);
    let end = whole.as_ref().ok().and_then(|found| Some(found.as_ref()?.1));
    for cut in 1..data.len().min(64) {
        let mut messages = Messages::default();
        let first = messages.next(data.get(..cut).unwrap_or_default(), data.len(), BOUNDS);
        if let Ok(None) = first {
            let then = messages.next(data, data.len(), BOUNDS);
            assert_eq!(then.ok().and_then(|found| Some(found?.1)), end, "cut at {cut}");
        }
    }
}
