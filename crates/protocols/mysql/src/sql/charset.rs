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

impl Charset {
    /// The charset of this name; `None` for one that is not spoken here.
    pub(super) fn named(name: &str) -> Option<Self> {
        SETS.iter()
            .find(|set| set.name.eq_ignore_ascii_case(canonical(name)))
            .map(|set| set.charset)
    }
}

/// A character set as `SHOW CHARACTER SET` lists it.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) charset: Charset,
    pub(super) description: &'static str,
    pub(super) default: &'static str,
    pub(super) bytes_most: i64,
}

/// A collation as `SHOW COLLATION` lists it.
#[derive(Debug)]
pub(super) struct Collation {
    pub(super) id: u16,
    pub(super) name: &'static str,
    pub(super) set: &'static str,
}

impl Collation {
    /// The collation of this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        let name = name.to_ascii_lowercase();
        // MySQL 8.0.30 renamed utf8 to utf8mb3 and still reads the old names.
        let renamed = name.strip_prefix("utf8_").map(|rest| format!("utf8mb3_{rest}"));
        COLLATIONS.iter().find(|own| own.name == renamed.as_ref().unwrap_or(&name))
    }

    /// The collation of a login's number. One that is not known is the server's own, as MySQL
    /// has it.
    pub(super) fn numbered(id: u16) -> &'static Self {
        COLLATIONS.iter().find(|own| own.id == id).unwrap_or(&COLLATIONS[0])
    }

    /// The first collation of a character set.
    pub(super) fn default_of(set: &str) -> Option<&'static Self> {
        Self::named(SETS.iter().find(|own| own.name == set)?.default)
    }

    /// Whether it compares bytes.
    pub(super) fn is_binary(name: &str) -> bool {
        name == "binary" || name.ends_with("_bin") || name.ends_with("_cs")
    }
}

/// The name under which a character set is listed: `utf8` is another name of `utf8mb3`.
pub(super) fn canonical(name: &str) -> &str {
    if name.eq_ignore_ascii_case("utf8") { "utf8mb3" } else { name }
}

/// The character set of this name.
pub(super) fn set_named(name: &str) -> Option<&'static Set> {
    SETS.iter().find(|set| set.name.eq_ignore_ascii_case(canonical(name)))
}

/// The character sets that are spoken here.
pub(super) static SETS: [Set; 5] = [
    Set {
        name: "ascii",
        charset: Charset::Ascii,
        description: "US ASCII",
        default: "ascii_general_ci",
        bytes_most: 1,
    },
    Set {
        name: "binary",
        charset: Charset::Binary,
        description: "Binary pseudo charset",
        default: "binary",
        bytes_most: 1,
    },
    Set {
        name: "latin1",
        charset: Charset::Latin1,
        description: "cp1252 West European",
        default: "latin1_swedish_ci",
        bytes_most: 1,
    },
    Set {
        name: "utf8mb3",
        charset: Charset::Utf8,
        description: "UTF-8 Unicode",
        default: "utf8mb3_general_ci",
        bytes_most: 3,
    },
    Set {
        name: "utf8mb4",
        charset: Charset::Utf8,
        description: "UTF-8 Unicode",
        default: "utf8mb4_0900_ai_ci",
        bytes_most: 4,
    },
];

const fn collation(id: u16, name: &'static str, set: &'static str) -> Collation {
    Collation { id, name, set }
}

/// The collations that are known here, the server's own first. All but the binary ones compare
/// without regard to case.
pub(super) static COLLATIONS: [Collation; 25] = [
    collation(255, "utf8mb4_0900_ai_ci", "utf8mb4"),
    collation(278, "utf8mb4_0900_as_cs", "utf8mb4"),
    collation(305, "utf8mb4_0900_as_ci", "utf8mb4"),
    collation(309, "utf8mb4_0900_bin", "utf8mb4"),
    collation(46, "utf8mb4_bin", "utf8mb4"),
    collation(45, "utf8mb4_general_ci", "utf8mb4"),
    collation(246, "utf8mb4_unicode_520_ci", "utf8mb4"),
    collation(224, "utf8mb4_unicode_ci", "utf8mb4"),
    collation(83, "utf8mb3_bin", "utf8mb3"),
    collation(33, "utf8mb3_general_ci", "utf8mb3"),
    collation(214, "utf8mb3_unicode_520_ci", "utf8mb3"),
    collation(192, "utf8mb3_unicode_ci", "utf8mb3"),
    collation(223, "utf8mb3_general_mysql500_ci", "utf8mb3"),
    collation(76, "utf8mb3_tolower_ci", "utf8mb3"),
    collation(11, "ascii_general_ci", "ascii"),
    collation(65, "ascii_bin", "ascii"),
    collation(63, "binary", "binary"),
    collation(8, "latin1_swedish_ci", "latin1"),
    collation(47, "latin1_bin", "latin1"),
    collation(15, "latin1_danish_ci", "latin1"),
    collation(48, "latin1_general_ci", "latin1"),
    collation(49, "latin1_general_cs", "latin1"),
    collation(5, "latin1_german1_ci", "latin1"),
    collation(31, "latin1_german2_ci", "latin1"),
    collation(94, "latin1_spanish_ci", "latin1"),
];

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
    fn every_collation_belongs_to_a_set_and_every_set_has_its_default() {
        for own in &COLLATIONS {
            assert!(SETS.iter().any(|set| set.name == own.set), "{}", own.name);
        }
        for set in &SETS {
            assert_eq!(Collation::named(set.default).unwrap().set, set.name);
        }
        assert_eq!(Collation::named("utf8_general_ci").unwrap().id, 33);
        assert_eq!(Collation::numbered(9999).id, 255);
        assert_eq!(Charset::named("UTF8"), Some(Charset::Utf8));
        assert_eq!(Charset::named("gbk"), None);
    }

    #[test]
    fn utf8_refuses_what_is_none() {
        assert_eq!(Charset::Utf8.decode(b"\xff"), None);
        assert_eq!(Charset::Utf8.encode("é"), None);
    }
}
