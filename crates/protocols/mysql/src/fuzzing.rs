//! The codec's entrance for fuzz targets, which is there only in their builds.

use crate::codec::handshake::Login;
use crate::codec::parameter::{self, LongData};
use crate::codec::{Capabilities, command::Command, packet};
use crate::sql::Charset;

/// Reads bytes as everything that a client can send. A message that is made of them must be found
/// again as it was made.
///
/// # Panics
/// When it is not.
pub fn codec(data: &[u8]) {
    let _ = packet::front(data, 1 << 20);
    let _ = packet::join(data.to_vec());
    let _ = Login::read(data, Capabilities::OFFERED);
    let _ = Command::read(data);
    if let Some((count, payload)) = data.split_first() {
        let (mut types, long_data) = (Vec::new(), LongData::new());
        let count = usize::from(*count);
        let _ = parameter::read(payload, count, &mut types, long_data, Charset::Utf8);
    }
    let (mut out, mut sequence) = (Vec::new(), 0);
    let begun = packet::begin(&mut out);
    out.extend_from_slice(data);
    packet::end(&mut out, begun, &mut sequence);
    let Ok(Some(message)) = packet::front(&out, data.len()) else {
        panic!("a whole message is not found")
    };
    assert_eq!((message.raw, message.payload), (out.len(), Some(data)));
    assert_eq!(packet::join(out), data);
}
