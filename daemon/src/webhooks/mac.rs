//! HMACs of the algorithms that webhooks use, and their comparison in constant time. Pure.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq as _};

use crate::sys::locked::LockedBytes;

/// Longest digest, in bytes.
const DIGEST_MAX: usize = 64;

/// The hash below an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// 20 bytes. Broken as a hash, not as an HMAC (RFC 6151 says the same of MD5).
    Sha1,
    /// 32 bytes.
    Sha256,
    /// 64 bytes.
    Sha512,
}

impl Algorithm {
    /// Length of its digests in bytes.
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// A secret as the bytes of an HMAC key; never empty.
#[derive(Clone)]
pub struct SigningKey(LockedBytes);

impl SigningKey {
    /// A key of `bytes`; `None` if there are none. The caller wipes its own copy.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (!bytes.is_empty()).then(|| Self(LockedBytes::new(bytes)))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// A signature as bytes; as long as its algorithm says, whatever was sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest {
    bytes: [u8; DIGEST_MAX],
    algorithm: Algorithm,
}

impl Digest {
    /// The digest in `bytes`; `None` unless they are as many as the algorithm's digests have.
    pub fn new(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != algorithm.digest_len() {
            return None;
        }
        let mut padded = [0; DIGEST_MAX];
        padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self {
            bytes: padded,
            algorithm,
        })
    }

    /// Whether both are the same, in a time that does not tell where they differ.
    pub fn is(&self, other: &Self) -> Choice {
        // the algorithm is no secret
        Choice::from(u8::from(self.algorithm == other.algorithm)) & self.bytes.ct_eq(&other.bytes)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes
            .get(..self.algorithm.digest_len())
            .unwrap_or_default()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // a signature that is accepted elsewhere is worth something
        f.write_str("Digest(..)")
    }
}

/// An HMAC under way.
pub struct Mac {
    algorithm: Algorithm,
    state: State,
}

enum State {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Box<Hmac<Sha512>>),
}

impl Mac {
    /// An HMAC that has seen nothing yet.
    pub fn new(algorithm: Algorithm, key: &SigningKey) -> Option<Self> {
        let key = key.0.as_ref();
        // HMAC takes keys of any length; the library's error is for MACs that do not
        let state = match algorithm {
            Algorithm::Sha1 => State::Sha1(Hmac::new_from_slice(key).ok()?),
            Algorithm::Sha256 => State::Sha256(Hmac::new_from_slice(key).ok()?),
            Algorithm::Sha512 => State::Sha512(Box::new(Hmac::new_from_slice(key).ok()?)),
        };
        Some(Self { algorithm, state })
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha1(mac) => mac.update(bytes),
            State::Sha256(mac) => mac.update(bytes),
            State::Sha512(mac) => mac.update(bytes),
        }
    }

    /// The digest of all of them.
    pub fn finish(self) -> Option<Digest> {
        let algorithm = self.algorithm;
        match self.state {
            State::Sha1(mac) => Digest::new(algorithm, &mac.finalize().into_bytes()),
            State::Sha256(mac) => Digest::new(algorithm, &mac.finalize().into_bytes()),
            State::Sha512(mac) => Digest::new(algorithm, &mac.finalize().into_bytes()),
        }
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::hex;

    fn digest(algorithm: Algorithm, key: &[u8], chunks: &[&[u8]]) -> String {
        let mut mac = Mac::new(algorithm, &SigningKey::new(key).unwrap()).unwrap();
        for chunk in chunks {
            mac.update(chunk);
        }
        hex(mac.finish().unwrap().bytes())
    }

    /// RFC 4231, section 4: keys, data, HMAC-SHA-256, HMAC-SHA-512. Case 5 is truncated to 128 bits.
    #[test]
    fn rfc_4231() {
        let cases: [(Vec<u8>, Vec<u8>, &str, &str); 7] = [
            (
                vec![0x0b; 20],
                b"Hi There".to_vec(),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?".to_vec(),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
            (
                vec![0xaa; 20],
                vec![0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
                "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb",
            ),
            (
                (1..=25).collect(),
                vec![0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
                "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3dba91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd",
            ),
            (
                vec![0x0c; 20],
                b"Test With Truncation".to_vec(),
                "a3b6167473100ee06e0c796c2955552b",
                "415fad6271580a531d4179bc891d87a6",
            ),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
                "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
            ),
            (
                vec![0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.".to_vec(),
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
                "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58",
            ),
        ];
        for (key, data, sha256, sha512) in cases {
            for (algorithm, expected) in [(Algorithm::Sha256, sha256), (Algorithm::Sha512, sha512)]
            {
                let whole = digest(algorithm, &key, &[&data]);
                assert!(whole.starts_with(expected), "{whole} is not {expected}");
                let (front, back) = data.split_at(data.len() / 3);
                assert_eq!(digest(algorithm, &key, &[front, b"", back]), whole);
            }
        }
    }

    /// RFC 2202, section 3, cases 1, 2 and 6.
    #[test]
    fn rfc_2202() {
        for (key, data, expected) in [
            (
                vec![0x0b; 20],
                &b"Hi There"[..],
                "b617318655057264e28bc0b6fb378c8ef146be00",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?",
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            ),
            (
                vec![0xaa; 80],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "aa4ae5e15272d00e95705637ce8a3b55ed402112",
            ),
        ] {
            assert_eq!(digest(Algorithm::Sha1, &key, &[data]), expected);
        }
    }

    #[test]
    fn a_digest_of_another_length_is_none() {
        for len in [0, 19, 21, 31, 33, 63, 65] {
            assert!(
                Digest::new(Algorithm::Sha256, &vec![0; len]).is_none(),
                "{len}"
            );
        }
        let (short, long) = (
            Digest::new(Algorithm::Sha1, &[0; 20]).unwrap(),
            Digest::new(Algorithm::Sha256, &[0; 32]).unwrap(),
        );
        assert!(!bool::from(short.is(&long)), "padding makes them no equals");
        assert!(bool::from(short.is(&short.clone())));
    }

    #[test]
    fn an_empty_key_is_none_and_neither_key_nor_digest_is_shown() {
        assert!(SigningKey::new(b"").is_none());
        let key = SigningKey::new(b"hunter2").unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
        let mac = Mac::new(Algorithm::Sha256, &key).unwrap();
        assert_eq!(format!("{mac:?}"), "Mac(..)");
        assert_eq!(format!("{:?}", mac.finish().unwrap()), "Digest(..)");
    }
}
