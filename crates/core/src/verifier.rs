//! Stored secrets, and what clients show to prove that they know them.

use std::fmt;
use std::str::FromStr;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// A stored secret that a password can be checked against.
///
/// The double hashes exist because challenge protocols force them: their clients never send the
/// password, so the server must hold what the answer is computed from. Where a user comes in only
/// through protocols that send the password, Argon2id is the one to store.
#[derive(Clone, PartialEq, Eq)]
pub enum Verifier {
    /// SHA-1 of the SHA-1 of the password.
    Sha1Twice([u8; 20]),
    /// SHA-256 of the SHA-256 of the password.
    Sha256Twice([u8; 32]),
    /// An Argon2id hash in PHC form.
    Argon2id(Box<str>),
}

/// What a client shows to log in.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// The password itself.
    Password(&'a str),
    /// `SHA1(password) XOR SHA1(salt + SHA1(SHA1(password)))`, 20 bytes.
    Sha1Answer {
        /// What the server sent.
        salt: &'a [u8],
        /// What the client answered.
        answer: &'a [u8],
    },
    /// `SHA256(password) XOR SHA256(SHA256(SHA256(password)) + salt)`, 32 bytes.
    Sha256Answer {
        /// What the server sent.
        salt: &'a [u8],
        /// What the client answered.
        answer: &'a [u8],
    },
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha1Twice(_) => "Sha1Twice(..)",
            Self::Sha256Twice(_) => "Sha256Twice(..)",
            Self::Argon2id(_) => "Argon2id(..)",
        })
    }
}

impl fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(..)",
            Self::Sha1Answer { .. } => "Sha1Answer(..)",
            Self::Sha256Answer { .. } => "Sha256Answer(..)",
        })
    }
}

fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut hash = Sha1::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// SHA-256 of the parts joined together.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

fn xor<const N: usize>(left: &[u8], right: [u8; N]) -> Option<[u8; N]> {
    let left: [u8; N] = left.try_into().ok()?;
    Some(std::array::from_fn(|i| left.get(i).unwrap_or(&0) ^ right.get(i).unwrap_or(&0)))
}

impl Verifier {
    /// Both double hashes of a password, which every challenge protocol and every password
    /// protocol can check without delay.
    #[must_use]
    pub fn quick(password: &str) -> Vec<Self> {
        let password = password.as_bytes();
        vec![
            Self::Sha256Twice(sha256(&[&sha256(&[password])])),
            Self::Sha1Twice(sha1(&[&sha1(&[password])])),
        ]
    }

    /// The Argon2id hash of a password, with a fresh salt. Takes tens of milliseconds.
    ///
    /// # Panics
    /// When the system has no random numbers.
    #[must_use]
    pub fn slow(password: &str) -> Self {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).expect("the system has random numbers");
        let salt = SaltString::encode_b64(&salt).expect("16 bytes are a salt");
        let hash = Argon2::default()
            .hash_password(password.as_bytes(), &salt)
            .expect("the default parameters are valid");
        Self::Argon2id(hash.to_string().into())
    }

    /// Whether checking a password against this takes long enough to need a thread of its own.
    pub(crate) const fn is_slow(&self) -> bool {
        matches!(self, Self::Argon2id(_))
    }

    /// Whether the proof is of a kind that this secret can check.
    pub(crate) const fn fits(&self, proof: Proof<'_>) -> bool {
        matches!(
            (self, proof),
            (_, Proof::Password(_))
                | (Self::Sha1Twice(_), Proof::Sha1Answer { .. })
                | (Self::Sha256Twice(_), Proof::Sha256Answer { .. })
        )
    }

    /// Checks a proof. Comparisons take the same time wherever they differ.
    #[must_use]
    pub fn check(&self, proof: Proof<'_>) -> bool {
        match (self, proof) {
            (Self::Sha1Twice(stored), Proof::Password(password)) => {
                sha1(&[&sha1(&[password.as_bytes()])]).ct_eq(stored).into()
            }
            (Self::Sha256Twice(stored), Proof::Password(password)) => {
                sha256(&[&sha256(&[password.as_bytes()])]).ct_eq(stored).into()
            }
            (Self::Argon2id(stored), Proof::Password(password)) => PasswordHash::new(stored)
                .is_ok_and(|hash| {
                    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
                }),
            (Self::Sha1Twice(stored), Proof::Sha1Answer { salt, answer }) => {
                xor(answer, sha1(&[salt, stored]))
                    .is_some_and(|once| sha1(&[&once]).ct_eq(stored).into())
            }
            (Self::Sha256Twice(stored), Proof::Sha256Answer { salt, answer }) => {
                xor(answer, sha256(&[stored, salt]))
                    .is_some_and(|once| sha256(&[&once]).ct_eq(stored).into())
            }
            (Self::Sha1Twice(_) | Self::Argon2id(_), Proof::Sha256Answer { .. })
            | (Self::Sha256Twice(_) | Self::Argon2id(_), Proof::Sha1Answer { .. }) => false,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Writes `sha1x2:HEX`, `sha256x2:HEX` or the PHC form `$argon2id$…`.
impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha1Twice(hash) => write!(f, "sha1x2:{}", hex(hash)),
            Self::Sha256Twice(hash) => write!(f, "sha256x2:{}", hex(hash)),
            Self::Argon2id(hash) => f.write_str(hash),
        }
    }
}

impl FromStr for Verifier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.split_once(':') {
            Some(("sha1x2", hash)) => unhex(hash).map(Self::Sha1Twice),
            Some(("sha256x2", hash)) => unhex(hash).map(Self::Sha256Twice),
            _ if text.starts_with("$argon2id$") && PasswordHash::new(text).is_ok() => {
                Some(Self::Argon2id(text.into()))
            }
            _ => None,
        };
        parsed.ok_or_else(|| {
            "no stored password: it begins with sha1x2:, sha256x2: or $argon2id$ (polyport user add writes them)".into()
        })
    }
}

impl<'de> Deserialize<'de> for Verifier {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Verifier {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// What a client computes; here for tests and for Polyport's own clients.
pub mod client {
    use super::{sha1, sha256, xor};

    /// The answer to a SHA-1 challenge; empty for an empty password.
    #[must_use]
    pub fn sha1_answer(password: &str, salt: &[u8]) -> Vec<u8> {
        if password.is_empty() {
            return Vec::new();
        }
        let once = sha1(&[password.as_bytes()]);
        xor(&once, sha1(&[salt, &sha1(&[&once])])).map(Vec::from).unwrap_or_default()
    }

    /// The answer to a SHA-256 challenge; empty for an empty password.
    #[must_use]
    pub fn sha256_answer(password: &str, salt: &[u8]) -> Vec<u8> {
        if password.is_empty() {
            return Vec::new();
        }
        let once = sha256(&[password.as_bytes()]);
        xor(&once, sha256(&[&sha256(&[&once]), salt])).map(Vec::from).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_every_verifier_and_no_other_password() {
        let mut all = Verifier::quick("secret");
        all.push(Verifier::slow("secret"));
        for verifier in all {
            assert!(verifier.check(Proof::Password("secret")));
            assert!(!verifier.check(Proof::Password("Secret")));
            assert!(!verifier.check(Proof::Password("")));
            let read: Verifier = verifier.to_string().parse().unwrap();
            assert_eq!(read, verifier);
        }
    }

    #[test]
    fn challenges_are_answered_only_with_the_password() {
        let salt = b"abcdefghijklmnopqrst";
        let [two56, one] = Verifier::quick("secret").try_into().unwrap();
        let (a, b) = (client::sha1_answer("secret", salt), client::sha256_answer("secret", salt));
        assert!(one.check(Proof::Sha1Answer { salt, answer: &a }));
        assert!(two56.check(Proof::Sha256Answer { salt, answer: &b }));
        assert!(!one.check(Proof::Sha1Answer { salt: b"another", answer: &a }));
        for answer in [&b""[..], &a[1..], &[0; 20], &[0; 32]] {
            assert!(!one.check(Proof::Sha1Answer { salt, answer }));
            assert!(!two56.check(Proof::Sha256Answer { salt, answer }));
        }
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        assert_eq!(format!("{:?}", Verifier::quick("secret")), "[Sha256Twice(..), Sha1Twice(..)]");
        assert_eq!(format!("{:?}", Proof::Password("secret")), "Password(..)");
    }
}
