//! The codec's entrance for fuzz targets, which is there only in their builds.

use crate::{Bounds, Frame, Sender, decode};

const BOUNDS: Bounds = Bounds { bytes: 1 << 20, depth: 100, values: 100_000 };

/// What is written can be longer and deeper than what was read: heads of extensions have one form,
/// and maps in keys become tuples of tuples.
const LOOSE: Bounds = Bounds { bytes: 1 << 24, depth: 1_000, values: 1_000_000 };

/// Reads bytes as what either side can send, as they are and as the content of one frame. A frame
/// that was read must be written so that it reads as the same frame.
///
/// # Panics
/// When it does not.
pub fn codec(data: &[u8]) {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes();
    let framed = [b"\xce", &length[..], data].concat();
    for sender in [Sender::Worker, Sender::Server] {
        for bytes in [data, &framed] {
            let Ok(Some((frame, end))) = decode(bytes, sender, BOUNDS) else { continue };
            let whole = bytes.get(..end).unwrap_or_default();
            for cut in (0..end.min(64)).chain([end - 1]) {
                let before = whole.get(..cut).unwrap_or_default();
                assert!(matches!(decode(before, sender, BOUNDS), Ok(None)), "cut at {cut}");
            }
            let written = written(&frame);
            let again = decode(&written, sender, LOOSE);
            // Not a number is not equal to itself, so the written forms are compared.
            let same = matches!(&again, Ok(Some((again, _))) if self::written(again) == written);
            assert!(same, "{frame:?} is read back as {again:?}");
        }
    }
}

fn written(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    let written = frame.encode(&mut out, usize::MAX);
    assert!(written.is_ok(), "{frame:?} cannot be written: {written:?}");
    out
}
