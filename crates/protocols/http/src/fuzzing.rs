//! The codec's entrance for fuzz targets, which is there only in their builds.

use polyport_pack::Bounds;

use crate::codec::credentials::Credentials;
use crate::codec::origin::{self, Authority};
use crate::codec::{self, Format};

/// Reads bytes as everything in a request that hyper leaves to us.
pub fn codec(data: &[u8]) {
    let bounds = Bounds { depth: 100, values: 100_000, foreign: false };
    for media_type in ["application/json", codec::PACKED] {
        let _ = codec::arguments(media_type, data, bounds);
    }
    let _ = codec::timeout(data);
    let _ = Credentials::parse(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Format::wanted(text);
        let (name, other) = text.split_at(text.floor_char_boundary(text.len() / 2));
        if let Some(host) = Authority::parse(name) {
            let _ = host.is_ours("127.0.0.1:8308", &["*.example.com".to_owned()]);
            let _ = origin::is_same(other, host);
        }
    }
}
