//! The chain that makes a change to the log visible. Pure.
//!
//! A sealed line is `PREFIX,"seq":N,"mac":"HEX"}`. Its MAC is HMAC-SHA-256 over the 32 bytes of the
//! line before it and then `PREFIX,"seq":N}`, that is the line without the member `mac`. Who does
//! not hold the key can neither change, drop, insert nor swap lines: the next MAC no longer fits.
//!
//! Not here: what is cut off at the very end of the newest file leaves no trace in a chain. While
//! the daemon runs, [`super::journal`] sees it by the file's length.

use std::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of a MAC.
pub(super) const MAC_LEN: usize = 32;

const SEQ: &[u8] = b",\"seq\":";
const MAC: &[u8] = b",\"mac\":\"";
const END: &[u8] = b"\"}";
/// Bytes of the member `mac` with the closing brace.
const MAC_MEMBER_LEN: usize = MAC.len() + 2 * MAC_LEN + END.len();

/// A MAC of the chain; not a secret.
pub(super) type Mac = [u8; MAC_LEN];

/// The key of the chain, derived from the install secret.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct AuditKey([u8; MAC_LEN]);

impl AuditKey {
    /// Derives the key from the vault's install secret (HKDF, RFC 5869).
    pub fn derive(install_secret: &[u8]) -> Self {
        let mut key = [0; MAC_LEN];
        let expanded =
            Hkdf::<Sha256>::new(None, install_secret).expand(b"authsome audit chain v1", &mut key);
        // HKDF gives up to 255 blocks, and this is one
        debug_assert!(expanded.is_ok(), "one block was too much for HKDF");
        Self(key)
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey(..)")
    }
}

/// A place in the chain: the last line so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Point {
    /// Its sequence number; 0 before the first line.
    pub(super) seq: u64,
    /// Its MAC; zeros before the first line.
    pub(super) mac: Mac,
}

/// Why a line does not continue the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// Not a sealed line at all.
    #[error("it is not an audit record")]
    Malformed,
    /// The MAC is not the one of this text after that line.
    #[error("its MAC does not fit its text and the line before")]
    Mac,
    /// The MAC fits but the number is not the next.
    #[error("its sequence number is not the next one")]
    Sequence,
}

/// Seals and checks lines with one key.
pub(super) struct Chain {
    /// The hash with the key already in; a copy of it starts each MAC.
    keyed: Hmac<Sha256>,
}

impl Chain {
    pub(super) fn new(key: &AuditKey) -> Self {
        // HMAC fills a short key up with zeros to one block, so this is the same key
        let mut block = [0; 64];
        block
            .iter_mut()
            .zip(key.0)
            .for_each(|(to, from)| *to = from);
        let chain = Self {
            keyed: Hmac::new(&block.into()),
        };
        block.zeroize();
        chain
    }

    /// Appends the sealed line of `prefix`, with its end of line, and moves `point` onto it.
    pub(super) fn seal(&self, point: &mut Point, prefix: &[u8], out: &mut Vec<u8>) {
        point.seq += 1;
        out.extend_from_slice(prefix);
        let from = out.len() - prefix.len();
        out.extend_from_slice(SEQ);
        decimal(out, point.seq);
        out.push(b'}');
        point.mac = self.mac(&point.mac, &[out.get(from..).unwrap_or_default()]);
        out.pop();
        out.extend_from_slice(MAC);
        hex(out, &point.mac);
        out.extend_from_slice(END);
        out.push(b'\n');
    }

    /// The point after `line` (without its end), if it continues the chain at `point`.
    pub(super) fn check(&self, point: &Point, line: &[u8]) -> Result<Point, LineFault> {
        let (text, seq, claimed) = parts(line).ok_or(LineFault::Malformed)?;
        let mac = self.mac(&point.mac, &[text, b"}"]);
        if mac != claimed {
            return Err(LineFault::Mac);
        }
        if point.seq.checked_add(1) != Some(seq) {
            return Err(LineFault::Sequence);
        }
        Ok(Point { seq, mac })
    }

    fn mac(&self, previous: &Mac, text: &[&[u8]]) -> Mac {
        let mut mac = self.keyed.clone();
        mac.update(previous);
        for part in text {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// The prefix of a sealed line, to be sealed anew elsewhere.
pub(super) fn prefix_of(line: &[u8]) -> Option<&[u8]> {
    let (text, ..) = parts(line)?;
    text.get(..rfind(text, SEQ)?)
}

/// The sequence number that a line claims.
pub(super) fn seq_of(line: &[u8]) -> Option<u64> {
    parts(line).map(|(_, seq, _)| seq)
}

/// The text before `mac` (without a closing brace), the sequence number, and the MAC.
fn parts(line: &[u8]) -> Option<(&[u8], u64, Mac)> {
    let (text, member) = line.split_at_checked(line.len().checked_sub(MAC_MEMBER_LEN)?)?;
    let hex = member.strip_prefix(MAC)?.strip_suffix(END)?;
    let mac = unhex(hex)?;
    let digits = text.get(rfind(text, SEQ)? + SEQ.len()..)?;
    let seq = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((text, seq, mac))
}

fn rfind(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).rposition(|window| window == what)
}

fn decimal(out: &mut Vec<u8>, number: u64) {
    use std::io::Write as _;
    let written = write!(out, "{number}");
    debug_assert!(written.is_ok(), "a vector refused bytes");
}

/// Appends `bytes` in lower-case hex.
fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |nibble: u8| {
        if nibble < 10 {
            b'0' + nibble
        } else {
            b'a' + nibble - 10
        }
    };
    for byte in bytes {
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
    }
}

/// `mac` as text.
pub(super) fn hex_of(mac: &Mac) -> String {
    let mut out = Vec::with_capacity(2 * MAC_LEN);
    hex(&mut out, mac);
    String::from_utf8(out).unwrap_or_default()
}

/// The MAC that 64 lower-case hex digits spell.
pub(super) fn unhex(text: &[u8]) -> Option<Mac> {
    if text.len() != 2 * MAC_LEN {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut mac = [0; MAC_LEN];
    for (to, pair) in mac.iter_mut().zip(text.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *to = value(high)? << 4 | value(low)?;
    }
    Some(mac)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chain() -> Chain {
        Chain::new(&AuditKey::derive(b"install secret"))
    }

    #[test]
    fn debug_of_the_key_hides_it() {
        assert_eq!(format!("{:?}", AuditKey::derive(b"x")), "AuditKey(..)");
    }

    /// Pins the format: a change here would make every log in the field look tampered with.
    #[test]
    fn sealed_line_and_its_mac_never_change() {
        let (mut point, mut out) = (Point::default(), Vec::new());
        chain().seal(&mut point, br#"{"event":"x""#, &mut out);
        let line = String::from_utf8(out).unwrap();
        assert_eq!(
            line,
            "{\"event\":\"x\",\"seq\":1,\"mac\":\"MACHEX\"}\n"
                .replace("MACHEX", &hex_of(&point.mac))
        );
        // computed by another implementation (Python's hmac and hashlib)
        assert_eq!(
            hex_of(&point.mac),
            "52246f0c595eb0c3e4ba142cc9e5d4d457a150e1a2d3968abdb50f9be3cc26af"
        );
    }

    proptest! {
        #[test]
        fn a_changed_byte_anywhere_is_found(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let (mut point, mut out) = (Point::default(), Vec::new());
            chain().seal(&mut point, br#"{"event":"inject","path":"/me""#, &mut out);
            out.pop();
            prop_assert_eq!(chain().check(&Point::default(), &out), Ok(point));
            let at = at.index(out.len());
            out[at] ^= 1 << bit;
            prop_assert!(chain().check(&Point::default(), &out).is_err());
        }

        #[test]
        fn garbage_is_refused_without_a_panic(line in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(chain().check(&Point::default(), &line).is_err());
            prop_assert_eq!(prefix_of(&line), None);
        }
    }
}
