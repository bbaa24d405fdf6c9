//! The three compressions of pymprpc, each frame on its own.

use std::io::{self, Read, Write as _};

use bzip2::bufread::BzDecoder;
use bzip2::write::BzEncoder;
use flate2::bufread::ZlibDecoder;
use flate2::write::ZlibEncoder;
use lzma_rust2::{XzOptions, XzReader, XzWriter};

use super::Error;

/// How a connection's frames are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// A zlib stream.
    Zlib,
    /// A bzip2 stream.
    Bz2,
    /// An xz container, which Python calls `lzma`.
    Xz,
}

/// Memory that an xz stream may ask for, which is what the highest preset (9) needs.
const XZ_MEMORY_KIB: u32 = 72 * 1024;
/// Preset and dictionary of Python's `lzma.compress`.
const XZ_PRESET: u32 = 6;
const XZ_DICTIONARY: std::ops::RangeInclusive<usize> = 4096..=8 << 20;

impl Compression {
    /// The name of the Python module, which the login answer gives.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Zlib => "zlib",
            Self::Bz2 => "bz2",
            Self::Xz => "lzma",
        }
    }

    /// Unpacks a whole body into at most `limit` bytes.
    pub(crate) fn unpack(self, body: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
        let mut plain = Vec::new();
        let rest = match self {
            Self::Zlib => {
                let mut stream = ZlibDecoder::new(body);
                read_all(&mut stream, &mut plain, limit)?;
                stream.into_inner()
            }
            Self::Bz2 => {
                let mut stream = BzDecoder::new(body);
                read_all(&mut stream, &mut plain, limit)?;
                stream.into_inner()
            }
            Self::Xz => {
                let mut stream = XzReader::new_mem_limit(body, false, XZ_MEMORY_KIB);
                read_all(&mut stream, &mut plain, limit)?;
                stream.into_inner()
            }
        };
        if rest.is_empty() { Ok(plain) } else { Err(Error::Malformed("bytes follow the stream")) }
    }

    /// Packs a body at the level that the Python module uses unless told otherwise. Block and
    /// dictionary are no larger than the body, which changes nothing but the memory they take.
    ///
    /// # Errors
    /// The library's own.
    pub(crate) fn pack(self, plain: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Zlib => {
                let mut stream = ZlibEncoder::new(Vec::new(), flate2::Compression::default());
                stream.write_all(plain)?;
                stream.finish()
            }
            Self::Bz2 => {
                let blocks = u32::try_from(plain.len() / 100_000 + 1).unwrap_or(9).min(9);
                let mut stream = BzEncoder::new(Vec::new(), bzip2::Compression::new(blocks));
                stream.write_all(plain)?;
                stream.finish()
            }
            Self::Xz => {
                let largest = *XZ_DICTIONARY.end();
                let wanted = plain.len().clamp(*XZ_DICTIONARY.start(), largest);
                let mut options = XzOptions::with_preset(XZ_PRESET);
                let dictionary = u32::try_from(wanted.next_power_of_two().min(largest));
                options.lzma_options.dict_size = dictionary.unwrap_or(u32::MAX);
                let mut stream = XzWriter::new(Vec::new(), options)?;
                stream.write_all(plain)?;
                stream.finish()
            }
        }
    }
}

/// Reads to the end in steps. `Read::read_to_end` would touch twice the memory of what comes.
fn read_all(stream: &mut impl Read, plain: &mut Vec<u8>, limit: usize) -> Result<(), Error> {
    loop {
        let start = plain.len();
        plain.resize(start + STEP_BYTES, 0);
        let read = stream.read(plain.get_mut(start..).unwrap_or_default());
        plain.truncate(start + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => return Ok(()),
            Ok(_) if plain.len() > limit => {
                let why = "a compressed message unpacks to more than a message may have";
                return Err(Error::TooLarge(why));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Error::Incomplete);
            }
            Err(_) => return Err(Error::Malformed("a compressed message is damaged")),
        }
    }
}

const STEP_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Compression; 3] = [Compression::Zlib, Compression::Bz2, Compression::Xz];

    #[test]
    fn bodies_of_all_sizes_come_back() {
        for compression in ALL {
            for length in [0, 1, 76, 5_000, 300_000] {
                let plain: Vec<u8> = (0..length).map(|i: u32| (i % 251) as u8).collect();
                let packed = compression.pack(&plain).unwrap();
                assert_eq!(compression.unpack(&packed, 300_000), Ok(plain));
            }
        }
    }

    #[test]
    fn a_stream_cut_anywhere_is_incomplete_and_one_that_goes_on_is_malformed() {
        for compression in ALL {
            let packed = compression.pack(b"some body, some body, some body").unwrap();
            for cut in 0..packed.len() {
                let part = compression.unpack(&packed[..cut], 1000);
                assert_eq!(part, Err(Error::Incomplete), "{compression:?} {cut}");
            }
            let longer = [&packed[..], b"x"].concat();
            assert!(matches!(compression.unpack(&longer, 1000), Err(Error::Malformed(_))));
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        for compression in ALL {
            let packed = compression.pack(&vec![0; 4 << 20]).unwrap();
            assert!(packed.len() < 10_000);
            let unpacked = compression.unpack(&packed, 1 << 20);
            assert!(matches!(unpacked, Err(Error::TooLarge(_))));
        }
    }

    #[test]
    fn an_xz_stream_cannot_ask_for_more_memory_than_the_highest_preset_needs() {
        let mut options = XzOptions::with_preset(6);
        options.lzma_options.dict_size = 64 << 20;
        let mut largest = XzWriter::new(Vec::new(), options.clone()).unwrap();
        largest.write_all(b"body").unwrap();
        let largest = largest.finish().unwrap();
        assert!(Compression::Xz.unpack(&largest, 100).is_ok());
        // The dictionary's size is the first property byte of the block header; 40 is 4 GiB. The
        // header's checksum is made anew by asking the library for it.
        let position = largest.windows(2).position(|pair| pair == [0x21, 0x01]).unwrap() + 2;
        let mut greedy = largest.clone();
        greedy[position] = 40;
        let header = 12..12 + (usize::from(greedy[12]) + 1) * 4 - 4;
        let sum = crc32(&greedy[header.clone()]).to_le_bytes();
        greedy[header.end..header.end + 4].copy_from_slice(&sum);
        assert!(Compression::Xz.unpack(&greedy, 100).is_err());
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }
}
