//! The opening exchange: the one layout that never changes.
//!
//! 1. The client's first frame is a [`Hello`]: the protocol versions it speaks, the encoding it
//!    wants for everything after, and its build (for messages only).
//! 2. The daemon answers with its own [`Hello`]; its `encoding` is the accepted one, or
//!    [`Encoding::NONE`] when it refuses, after which it closes.
//! 3. Both compute the version with [`Hello::agree`].
//!
//! Layout, frozen forever, inside one frame (see [`crate::frame`]), integers big-endian:
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | magic `AUTHSOME` |
//! | 2 | lowest version spoken |
//! | 2 | highest version spoken |
//! | 1 | encoding: 1 bincode, 2 JSON, 0 none (refusal) |
//! | 1 | length of the build text |
//! | n | build text, UTF-8 |
//!
//! Bytes after the build text are ignored, so that a later release can add some.

/// First bytes of every [`Hello`].
pub const MAGIC: [u8; 8] = *b"AUTHSOME";

/// Lowest protocol version this build speaks.
pub const LOWEST: u16 = 1;

/// Highest protocol version this build speaks.
pub const HIGHEST: u16 = 1;

/// Largest opening frame. A [`Hello`] has at most 269 bytes; anything longer is not a peer of ours
/// and must not make us allocate.
pub const HELLO_MAX: usize = 512;

/// How messages after the opening exchange are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding(pub u8);

impl Encoding {
    /// No encoding: a refusal.
    pub const NONE: Self = Self(0);
    /// bincode 2, standard configuration; what our client speaks.
    pub const BINCODE: Self = Self(1);
    /// JSON, for editors and scripts.
    pub const JSON: Self = Self(2);
}

/// One end's introduction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Lowest version spoken.
    pub lowest: u16,
    /// Highest version spoken.
    pub highest: u16,
    /// Wanted (client) or accepted (daemon) encoding.
    pub encoding: Encoding,
    /// Build of the sender, at most 255 bytes, for messages only.
    pub build: String,
}

/// Why bytes are not a [`Hello`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseHelloError {
    /// The magic is missing: something else speaks on this socket.
    #[error("the peer does not speak the authsome protocol")]
    Magic,
    /// The frame ends early, or the build text is not UTF-8.
    #[error("the peer's greeting is cut short or malformed")]
    Malformed,
}

impl Hello {
    /// The greeting of this build.
    pub fn ours(encoding: Encoding) -> Self {
        Self {
            lowest: LOWEST,
            highest: HIGHEST,
            encoding,
            build: env!("CARGO_PKG_VERSION").into(),
        }
    }

    /// The bytes of the frame's payload.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut end = self.build.len().min(255);
        while !self.build.is_char_boundary(end) {
            end -= 1;
        }
        let build = self.build.get(..end).unwrap_or_default();
        let mut out = Vec::with_capacity(14 + build.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.lowest.to_be_bytes());
        out.extend_from_slice(&self.highest.to_be_bytes());
        out.push(self.encoding.0);
        out.push(u8::try_from(build.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(build.as_bytes());
        out
    }

    /// Reads a peer's greeting.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParseHelloError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(ParseHelloError::Magic)?;
        let (&[l0, l1, h0, h1, encoding, build_len], rest) = rest
            .split_first_chunk::<6>()
            .ok_or(ParseHelloError::Malformed)?;
        let build = rest
            .get(..usize::from(build_len))
            .ok_or(ParseHelloError::Malformed)?;
        Ok(Self {
            lowest: u16::from_be_bytes([l0, l1]),
            highest: u16::from_be_bytes([h0, h1]),
            encoding: Encoding(encoding),
            build: str::from_utf8(build)
                .map_err(|_| ParseHelloError::Malformed)?
                .into(),
        })
    }

    /// The version both ends speak, the highest if there are several.
    pub fn agree(&self, other: &Self) -> Option<u16> {
        let version = self.highest.min(other.highest);
        (version >= self.lowest.max(other.lowest)).then_some(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// L10: the layout is frozen; these bytes were sent by the first release.
    #[test]
    fn golden_hello_of_the_first_release() {
        let hello = Hello {
            lowest: 1,
            highest: 1,
            encoding: Encoding::BINCODE,
            build: "0.1.0".into(),
        };
        let golden = b"AUTHSOME\x00\x01\x00\x01\x01\x050.1.0";
        assert_eq!(hello.to_bytes(), golden);
        assert_eq!(Hello::from_bytes(golden), Ok(hello));
    }

    #[test]
    fn bytes_after_the_build_are_left_to_later_releases() {
        let mut bytes = Hello::ours(Encoding::JSON).to_bytes();
        bytes.extend_from_slice(b"more");
        assert_eq!(Hello::from_bytes(&bytes), Ok(Hello::ours(Encoding::JSON)));
    }

    #[test]
    fn a_greeting_cut_anywhere_is_malformed() {
        let bytes = Hello::ours(Encoding::BINCODE).to_bytes();
        for end in 0..bytes.len() {
            assert!(Hello::from_bytes(&bytes[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn the_highest_common_version_is_chosen() {
        let hello = |lowest, highest| Hello {
            lowest,
            highest,
            encoding: Encoding::BINCODE,
            build: String::new(),
        };
        assert_eq!(hello(1, 3).agree(&hello(2, 5)), Some(3));
        assert_eq!(hello(1, 3).agree(&hello(3, 3)), Some(3));
        assert_eq!(hello(1, 3).agree(&hello(4, 5)), None);
        assert_eq!(hello(4, 5).agree(&hello(1, 3)), None);
    }
}
