//! Packets: three bytes of length, one of sequence, and the payload.
//!
//! A payload of [`MOST`] bytes means that another packet goes on with it; an exact multiple ends
//! with an empty packet.

/// The most bytes that one packet carries.
pub(crate) const MOST: usize = 0xff_ffff;

/// Bytes before each packet's payload.
const HEADER: usize = 4;

/// A message that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// The bytes it takes, headers included.
    pub(crate) raw: usize,
    /// The sequence number that its reply begins with.
    pub(crate) next: u8,
    /// Its payload, when it came in one packet; otherwise [`join`] makes it.
    pub(crate) payload: Option<&'a [u8]>,
}

/// A message that says it is longer than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge {
    /// The sequence number that the refusal has.
    pub(crate) next: u8,
}

/// Finds the message at the front of the input; `None` while it is incomplete.
///
/// # Errors
/// As soon as a header tells that the message is longer than `limit`.
pub(crate) fn front(input: &[u8], limit: usize) -> Result<Option<Message<'_>>, TooLarge> {
    let (mut at, mut size) = (0, 0);
    loop {
        let header = input.get(at..).and_then(|rest| rest.first_chunk::<HEADER>());
        let Some([a, b, c, sequence]) = header.copied() else { return Ok(None) };
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        let next = sequence.wrapping_add(1);
        size += length;
        if size > limit {
            return Err(TooLarge { next });
        }
        let Some(payload) = input.get(at + HEADER..at + HEADER + length) else { return Ok(None) };
        let first = at == 0;
        at += HEADER + length;
        if length < MOST {
            let payload = first.then_some(payload);
            return Ok(Some(Message { raw: at, next, payload }));
        }
    }
}

/// Takes the headers out of a message of several packets.
pub(crate) fn join(mut raw: Vec<u8>) -> Vec<u8> {
    let (mut from, mut to) = (0, 0);
    while let Some([a, b, c, _]) = raw.get(from..).and_then(|rest| rest.first_chunk::<HEADER>()) {
        let length = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
        let start = from + HEADER;
        let end = (start + length).min(raw.len());
        raw.copy_within(start..end, to);
        to += end - start;
        from = end;
    }
    raw.truncate(to);
    raw
}

/// Leaves room for a packet's header, and returns what [`end`] needs to fill it in.
pub(crate) fn begin(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.extend_from_slice(&[0; HEADER]);
    at
}

/// Ends a packet that [`begin`] began; one that is too long becomes several.
pub(crate) fn end(out: &mut Vec<u8>, begun: usize, sequence: &mut u8) {
    let length = out.len() - begun - HEADER;
    if length < MOST {
        put_header(out, begun, length, sequence);
    } else {
        split(out, begun, length, sequence);
    }
}

fn split(out: &mut Vec<u8>, begun: usize, length: usize, sequence: &mut u8) {
    let more = length / MOST;
    out.resize(out.len() + more * HEADER, 0);
    // From the back, each piece moves by as many headers as will stand before it.
    for piece in (1..=more).rev() {
        let from = begun + HEADER + piece * MOST;
        let size = (length - piece * MOST).min(MOST);
        out.copy_within(from..from + size, from + piece * HEADER);
    }
    for piece in 0..=more {
        let size = (length - piece * MOST).min(MOST);
        put_header(out, begun + piece * (HEADER + MOST), size, sequence);
    }
}

fn put_header(out: &mut [u8], at: usize, length: usize, sequence: &mut u8) {
    let [a, b, c, ..] = length.to_le_bytes();
    if let Some(header) = out.get_mut(at..at + HEADER) {
        header.copy_from_slice(&[a, b, c, *sequence]);
    }
    *sequence = sequence.wrapping_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(payload: &[u8]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        let begun = begin(&mut out);
        out.extend_from_slice(payload);
        end(&mut out, begun, &mut 255);
        out.split_off(6)
    }

    #[test]
    fn payloads_of_every_awkward_length_come_back_whole() {
        for length in [0, 1, MOST - 1, MOST, MOST + 1, 2 * MOST - 1, 2 * MOST, 2 * MOST + 5] {
            let payload: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let bytes = packed(&payload);
            assert_eq!(bytes.len(), length + 4 * (length / MOST + 1));
            let message = front(&bytes, usize::MAX).unwrap().unwrap();
            assert_eq!(message.raw, bytes.len());
            assert_eq!(usize::from(message.next), length / MOST);
            match message.payload {
                Some(whole) => assert!(whole == payload),
                None => assert!(join(bytes) == payload),
            }
        }
    }

    #[test]
    fn a_message_is_incomplete_until_its_last_byte() {
        let mut bytes = packed(&vec![7; MOST + 10]);
        bytes.extend_from_slice(b"next");
        for cut in [0, 3, 4, 100, MOST + 3, MOST + 4, MOST + 7, MOST + 17] {
            assert_eq!(front(&bytes[..cut], usize::MAX), Ok(None), "{cut}");
        }
        assert!(front(&bytes[..MOST + 18], usize::MAX).unwrap().is_some());
    }

    #[test]
    fn a_message_over_the_limit_is_refused_at_its_header() {
        assert_eq!(front(b"\x05\0\0\x01", 4), Err(TooLarge { next: 2 }));
        assert_eq!(front(b"\x04\0\0\x01", 4), Ok(None));
    }
}
