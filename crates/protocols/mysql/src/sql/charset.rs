//! The character sets a connection may speak.

use polyport_core::Text;

/// How a connection's text is written in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Charset {
    /// `utf8mb4`, `utf8mb3` and `utf8`.
    #[default]
    Utf8,
    /// `latin1`, which in MySQL is Windows-1252.
    Latin1,
    /// `ascii`: what is beyond becomes a question mark on its way out.
    Ascii,
    /// `binary`: bytes as they are.
    Binary,
}

impl Charset {
    /// Reads bytes as text; `None` when they are no text in this charset.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<Text> {
        match self {
            Self::Utf8 | Self::Binary => std::str::from_utf8(bytes).ok().map(Text::from),
            Self::Ascii => {
                bytes.is_ascii().then(|| std::str::from_utf8(bytes).ok().map(Text::from))?
            }
            Self::Latin1 => {
                Some(bytes.iter().map(|byte| from_latin1(*byte)).collect::<String>().into())
            }
        }
    }

    /// Writes text as bytes. `None` means that the text's own UTF-8 is right.
    pub(crate) fn encode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Utf8 | Self::Binary => None,
            _ if text.is_ascii() => None,
            Self::Ascii => Some(
                text.chars()
                    .map(|c| u8::try_from(c).ok().filter(u8::is_ascii).unwrap_or(b'?'))
                    .collect(),
            ),
            Self::Latin1 => Some(text.chars().map(|c| to_latin1(c).unwrap_or(b'?')).collect()),
        }
    }
}

/// The characters of Windows-1252 from 0x80 to 0x9F; the five holes stay control characters.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

fn from_latin1(byte: u8) -> char {
    match byte.checked_sub(0x80).and_then(|index| HIGH.get(usize::from(index))) {
        Some(special) => *special,
        None => char::from(byte),
    }
}

fn to_latin1(c: char) -> Option<u8> {
    match u8::try_from(c) {
        Ok(byte) if !(0x80..0xA0).contains(&byte) => Some(byte),
        _ => {
            let index = HIGH.iter().position(|own| *own == c)?;
            u8::try_from(index).ok().map(|index| index + 0x80)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin1_goes_both_ways_for_every_byte() {
        for byte in 0..=255_u8 {
            let text = Charset::Latin1.decode(&[byte]).unwrap();
            let back = Charset::Latin1.encode(&text).unwrap_or_else(|| text.as_bytes().to_vec());
            assert_eq!(back, [byte]);
        }
        assert_eq!(Charset::Latin1.decode(b"\x80\xe9").as_deref(), Some("€é"));
        assert_eq!(Charset::Latin1.encode("é中").as_deref(), Some(&b"\xe9?"[..]));
    }

    #[test]
    fn utf8_refuses_what_is_none() {
        assert_eq!(Charset::Utf8.decode(b"\xff"), None);
        assert_eq!(Charset::Utf8.encode("é"), None);
    }
}
