//! The two fields of a stored certificate that a restart needs: its public key and its end.
//!
//! Reads our own certificates only (definite lengths, as DER has them); anything else is `None`.

use std::time::{Duration, SystemTime};

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// What is needed of a stored certificate.
pub(super) struct StoredCertificate<'a> {
    /// `SubjectPublicKeyInfo`, with its header.
    pub(super) public_key: &'a [u8],
    /// End of its validity.
    pub(super) not_after: SystemTime,
}

impl<'a> StoredCertificate<'a> {
    /// Reads the certificate `der` (RFC 5280, section 4.1).
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let (certificate, rest) = element(der, SEQUENCE)?;
        if !rest.is_empty() {
            return None;
        }
        let (body, _) = element(certificate, SEQUENCE)?;
        let (_, body) = element(body, VERSION)?;
        let (_, body) = element(body, INTEGER)?;
        let (_, body) = element(body, SEQUENCE)?; // signature algorithm
        let (_, body) = element(body, SEQUENCE)?; // issuer
        let (validity, body) = element(body, SEQUENCE)?;
        let (_, body) = element(body, SEQUENCE)?; // subject
        let (_, after_key) = element(body, SEQUENCE)?;
        let public_key = body.get(..body.len() - after_key.len())?;
        let (_, not_after) = either_time(validity)?;
        let (not_after, _) = either_time(not_after)?;
        Some(Self {
            public_key,
            not_after,
        })
    }
}

fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, bytes) = bytes.split_first()?;
    if found != tag {
        return None;
    }
    let (&first, bytes) = bytes.split_first()?;
    let (len, bytes) = match first {
        0..=0x7f => (usize::from(first), bytes),
        0x81..=0x83 => {
            let (len, bytes) = bytes.split_at_checked(usize::from(first & 0x7f))?;
            (
                len.iter()
                    .fold(0, |len, byte| len << 8 | usize::from(*byte)),
                bytes,
            )
        }
        _ => return None,
    };
    bytes.split_at_checked(len)
}

fn either_time(bytes: &[u8]) -> Option<(SystemTime, &[u8])> {
    let (text, rest, century) = if let Some((text, rest)) = element(bytes, UTC_TIME) {
        // RFC 5280, section 4.1.2.5.1: years below 50 are of this century
        let century = if text.first()? < &b'5' { "20" } else { "19" };
        (text, rest, century)
    } else {
        let (text, rest) = element(bytes, GENERALIZED_TIME)?;
        (text, rest, "")
    };
    let digits = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let civil =
        jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", format!("{century}{digits}")).ok()?;
    let seconds = civil
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()?
        .timestamp()
        .as_second();
    Some((
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?),
        rest,
    ))
}
