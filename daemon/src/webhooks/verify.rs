//! Judges one request: headers first, then the body as it comes. Pure.
//!
//! 1. [`Verifier::begin`] takes what the scheme names out of the headers, each exactly once, and
//!    compares the timestamp with our clock, both ways.
//! 2. [`Verifier::update`] hashes the body's raw bytes, with every live secret at once.
//! 3. [`Verifier::finish`] compares every result with every signature that was presented. Nothing
//!    ends early: how long it takes depends on the numbers of both and not on which of them fits.
//!
//! A signature is strict: its prefix, then exactly the digits of one digest, in hex of either case
//! or in base64 with padding. No blanks, no `0x`, no line end, no second value where the scheme has
//! no lists.
//!
//! Not here: the size limit, and whether a request came before (`server`, `replay`).

use std::fmt;

use http::HeaderMap;
use subtle::Choice;

use super::mac::{Digest, Mac, SigningKey};
use super::scheme::{Family, Field, Scheme, ValueForm};
use super::template::Values;

/// Most signatures that are looked at in a list. A sender that rotates sends two; more would only
/// be somebody's way to make us compute.
const SIGNATURES_MAX: usize = 16;

/// Longest id, in bytes.
const ID_MAX: usize = 256;

/// Longest timestamp: seconds until the year 33658.
const TIMESTAMP_MAX: usize = 12;

/// Why a request is refused. For the log; the sender learns nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Two families of headers are there and say different things.
    HeadersDisagree,
    /// The id is empty, too long, or could be taken for something else.
    IdMalformed,
    /// The id is signed and not there.
    IdMissing,
    /// The id is there twice.
    IdRepeated,
    /// No secret is live.
    NoSecret,
    /// The signature is not written as the scheme says.
    SignatureMalformed,
    /// There is none in the header that the scheme names.
    SignatureMissing,
    /// The header is there twice.
    SignatureRepeated,
    /// It is of another secret or of other bytes.
    SignatureWrong,
    /// The timestamp lies too far ahead of our clock.
    TimestampAhead,
    /// The timestamp lies too far back.
    TimestampOld,
    /// The timestamp is not a number of seconds.
    TimestampMalformed,
    /// The timestamp is signed and not there.
    TimestampMissing,
    /// The timestamp is there twice.
    TimestampRepeated,
}

impl Reason {
    /// All of them, for tests.
    #[cfg(test)]
    pub(super) const ALL: [Self; 14] = [
        Self::HeadersDisagree,
        Self::IdMalformed,
        Self::IdMissing,
        Self::IdRepeated,
        Self::NoSecret,
        Self::SignatureMalformed,
        Self::SignatureMissing,
        Self::SignatureRepeated,
        Self::SignatureWrong,
        Self::TimestampAhead,
        Self::TimestampOld,
        Self::TimestampMalformed,
        Self::TimestampMissing,
        Self::TimestampRepeated,
    ];

    /// The stable code in the audit log.
    pub const fn code(self) -> &'static str {
        match self {
            Self::HeadersDisagree => "headers_disagree",
            Self::IdMalformed => "id_malformed",
            Self::IdMissing => "id_missing",
            Self::IdRepeated => "id_repeated",
            Self::NoSecret => "no_secret",
            Self::SignatureMalformed => "signature_malformed",
            Self::SignatureMissing => "signature_missing",
            Self::SignatureRepeated => "signature_repeated",
            Self::SignatureWrong => "signature_wrong",
            Self::TimestampAhead => "timestamp_ahead",
            Self::TimestampOld => "timestamp_old",
            Self::TimestampMalformed => "timestamp_malformed",
            Self::TimestampMissing => "timestamp_missing",
            Self::TimestampRepeated => "timestamp_repeated",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HeadersDisagree => "the two spellings of the headers say different things",
            Self::IdMalformed => "the id is not one that the scheme allows",
            Self::IdMissing => "the id is missing",
            Self::IdRepeated => "the id is there twice",
            Self::NoSecret => "no secret is live",
            Self::SignatureMalformed => "the signature is not written as the scheme says",
            Self::SignatureMissing => "the signature is missing",
            Self::SignatureRepeated => "the signature is there twice",
            Self::SignatureWrong => "the signature is of another secret or of other bytes",
            Self::TimestampAhead => "the timestamp lies in the future; is a clock wrong?",
            Self::TimestampOld => "the timestamp is too old; is a clock wrong?",
            Self::TimestampMalformed => "the timestamp is not a number of seconds",
            Self::TimestampMissing => "the timestamp is missing",
            Self::TimestampRepeated => "the timestamp is there twice",
        })
    }
}

/// A request under way.
#[derive(Debug)]
pub struct Verifier {
    /// One for each live secret.
    macs: Vec<Mac>,
    presented: Vec<Digest>,
    /// What is signed after the body.
    after: Vec<u8>,
    id: Option<String>,
}

/// What a request said, as texts of its headers.
struct Presented<'a> {
    signature: &'a str,
    timestamp: Option<&'a str>,
    id: Option<&'a str>,
}

impl Verifier {
    /// Judges the headers; `now` is our clock in Unix seconds.
    pub fn begin(
        scheme: &Scheme,
        keys: &[SigningKey],
        headers: &HeaderMap,
        now: i64,
    ) -> Result<Self, Reason> {
        let Presented {
            signature,
            timestamp,
            id,
        } = find(scheme, headers)?;
        let (presented, listed) = signatures(scheme, signature)?;
        let timestamp = match (scheme.signed.has_timestamp(), timestamp.or(listed)) {
            (false, _) => "",
            (true, None) => return Err(Reason::TimestampMissing),
            (true, Some(text)) => {
                check_time(scheme, text, now)?;
                text
            }
        };
        let id = match (scheme.signed.has_id(), id) {
            (false, _) => None,
            (true, None) => return Err(Reason::IdMissing),
            (true, Some(id)) => Some(check_id(scheme, id)?),
        };
        let values = Values {
            timestamp,
            id: id.unwrap_or_default(),
        };
        let before = scheme.signed.before(values);
        let mut macs = Vec::with_capacity(keys.len());
        for key in keys {
            let mut mac = Mac::new(scheme.algorithm, key).ok_or(Reason::NoSecret)?;
            mac.update(&before);
            macs.push(mac);
        }
        if macs.is_empty() {
            return Err(Reason::NoSecret);
        }
        Ok(Self {
            macs,
            presented,
            after: scheme.signed.after(values),
            id: id.map(str::to_owned),
        })
    }

    /// Adds the next bytes of the body, as they came.
    pub fn update(&mut self, chunk: &[u8]) {
        for mac in &mut self.macs {
            mac.update(chunk);
        }
    }

    /// Whether one of the signatures is one of ours; gives the signed id, if the scheme has one.
    pub fn finish(self) -> Result<Option<String>, Reason> {
        let mut good = Choice::from(0);
        for mut mac in self.macs {
            mac.update(&self.after);
            let ours = mac.finish().ok_or(Reason::SignatureWrong)?;
            for theirs in &self.presented {
                good |= ours.is(theirs);
            }
        }
        if bool::from(good) {
            Ok(self.id)
        } else {
            Err(Reason::SignatureWrong)
        }
    }
}

/// What the request says in the first family of headers that it uses. It may use several, as
/// senders do that change from one to the other; then all of them must say the same, because the
/// program behind us may read any.
fn find<'a>(scheme: &Scheme, headers: &'a HeaderMap) -> Result<Presented<'a>, Reason> {
    let mut found: Option<Presented<'a>> = None;
    for family in &scheme.families {
        if !headers.contains_key(&family.signature.name) {
            continue;
        }
        let one = family.read(headers)?;
        match &found {
            None => found = Some(one),
            Some(first) if first.is(&one) => {}
            Some(_) => return Err(Reason::HeadersDisagree),
        }
    }
    found.ok_or(Reason::SignatureMissing)
}

impl Family {
    fn read<'a>(&self, headers: &'a HeaderMap) -> Result<Presented<'a>, Reason> {
        let optional = |field: &Option<Field>, repeated, malformed| match field {
            Some(field) => single(headers, field, repeated, malformed),
            None => Ok(None),
        };
        Ok(Presented {
            signature: single(
                headers,
                &self.signature,
                Reason::SignatureRepeated,
                Reason::SignatureMalformed,
            )?
            .ok_or(Reason::SignatureMissing)?,
            timestamp: optional(
                &self.timestamp,
                Reason::TimestampRepeated,
                Reason::TimestampMalformed,
            )?,
            id: optional(&self.id, Reason::IdRepeated, Reason::IdMalformed)?,
        })
    }
}

impl Presented<'_> {
    fn is(&self, other: &Self) -> bool {
        let Self {
            signature,
            timestamp,
            id,
        } = self;
        (signature, timestamp, id) == (&other.signature, &other.timestamp, &other.id)
    }
}

/// The value of a header that may be there once.
fn single<'a>(
    headers: &'a HeaderMap,
    field: &Field,
    repeated: Reason,
    malformed: Reason,
) -> Result<Option<&'a str>, Reason> {
    let mut values = headers.get_all(&field.name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(repeated);
    }
    value.to_str().map(Some).map_err(|_| malformed)
}

/// The signatures in `text`, and the timestamp if it stands among them.
fn signatures<'a>(
    scheme: &Scheme,
    text: &'a str,
) -> Result<(Vec<Digest>, Option<&'a str>), Reason> {
    match &scheme.value {
        ValueForm::One { prefix } => {
            let digest = text
                .strip_prefix(prefix.as_str())
                .and_then(|signature| scheme.decode(signature))
                .ok_or(Reason::SignatureMalformed)?;
            Ok((vec![digest], None))
        }
        ValueForm::List {
            separator,
            prefix,
            timestamp: timestamp_prefix,
        } => {
            let (mut digests, mut timestamp) = (Vec::new(), None);
            for element in text.split(*separator) {
                if let Some(signature) = element.strip_prefix(prefix.as_str()) {
                    // one that cannot be right does not spoil those beside it
                    digests.extend(scheme.decode(signature));
                } else if let Some(prefix) = timestamp_prefix
                    && let Some(found) = element.strip_prefix(prefix.as_str())
                    && timestamp.replace(found).is_some()
                {
                    return Err(Reason::TimestampRepeated);
                }
                // elements of other versions are for others
            }
            if digests.is_empty() || digests.len() > SIGNATURES_MAX {
                return Err(Reason::SignatureMalformed);
            }
            Ok((digests, timestamp))
        }
    }
}

/// Refuses a timestamp that is far from our clock, before or behind it.
fn check_time(scheme: &Scheme, text: &str, now: i64) -> Result<(), Reason> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || text.len() > TIMESTAMP_MAX {
        return Err(Reason::TimestampMalformed);
    }
    let time: i64 = text.parse().map_err(|_| Reason::TimestampMalformed)?;
    let tolerance = i64::try_from(scheme.tolerance.as_secs()).unwrap_or(i64::MAX);
    if time < now.saturating_sub(tolerance) {
        return Err(Reason::TimestampOld);
    }
    if time > now.saturating_add(tolerance) {
        return Err(Reason::TimestampAhead);
    }
    Ok(())
}

fn check_id<'a>(scheme: &Scheme, id: &'a str) -> Result<&'a str, Reason> {
    let is_plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || id.len() > ID_MAX || !scheme.signed.allows_id(id) {
        return Err(Reason::IdMalformed);
    }
    Ok(id)
}

#[cfg(test)]
mod tests;
