//! Which fields a form has, and what is taken from them. Pure.
//!
//! [`fields`] is the list from which the page is written and a body is read, so the two agree.
//! [`read`] takes the body apart, compares the page's own token, and judges each value.
//!
//! Invariants:
//! - D1 A body has each field of its form exactly once and no other one, or it is not ours (O2).
//! - D2 A value is taken as it was typed or refused with the reason, never mended (D10), and no reason
//!   repeats any of it.
//! - D3 Values are wiped wherever they go no further.

use authsome_proto::Secret;
use authsome_proto::secret::SECRET_MAX;
use serde::de::IgnoredAny;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::{Asked, LoginForm, Submission};

/// The hidden field.
pub(super) const TOKEN_FIELD: &str = "token";

/// Longest client ID. They have up to 100 characters, and this one is written to a file.
const ID_MAX: usize = 1024;

/// A field that a person fills in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) is_needed: bool,
}

/// What is typed into a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// An API key or a signing secret.
    Key,
    /// An OAuth client's id; what it must be, if that is known.
    ClientId(Option<String>),
    ClientSecret,
    /// The JSON key file of a service account.
    KeyFile,
    /// The cookie of this name.
    Cookie(String),
}

/// The fields of a form, in the order of the page.
pub(super) fn fields(asked: &Asked) -> Vec<Field> {
    let field = |name: &str, kind, is_needed| Field {
        name: name.to_owned(),
        kind,
        is_needed,
    };
    match asked {
        Asked::ApiKey | Asked::SigningSecret { .. } => vec![field("key", Kind::Key, true)],
        Asked::Client {
            id, secret_needed, ..
        } => vec![
            field("client_id", Kind::ClientId(id.clone()), true),
            field("client_secret", Kind::ClientSecret, *secret_needed),
        ],
        Asked::ServiceAccount => vec![field("key", Kind::KeyFile, true)],
        Asked::Cookies { names, needed, .. } => names
            .iter()
            .enumerate()
            // by number: a cookie's name would have to be escaped in a body
            .map(|(at, name)| {
                field(
                    &format!("cookie-{at}"),
                    Kind::Cookie(name.clone()),
                    at < *needed,
                )
            })
            .collect(),
    }
}

/// What a form shows again after it was not taken.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Amiss {
    /// What is wrong with all of it.
    pub(super) problem: Option<String>,
    /// What is wrong with the field of that number.
    pub(super) faults: Vec<(usize, Fault)>,
    /// The client ID that was typed; no secret.
    pub(super) id: Option<String>,
}

impl Amiss {
    pub(super) fn problem(text: &str) -> Self {
        Self {
            problem: Some(text.to_owned()),
            ..Self::default()
        }
    }
}

/// Why a form's body is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// It does not come from our page.
    Foreign,
    /// The person should look again.
    Amiss(Amiss),
}

/// What is wrong with a value; shown on the page, so written as sentences.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("The field is empty. Paste {what} and try again.")]
    Empty { what: &'static str },
    #[error("There is a space before or after {what}. Paste it again without.")]
    Padded { what: &'static str },
    #[error("A character in {what} cannot be sent. Copy it again from its source.")]
    Character { what: &'static str },
    #[error(
        "The value of a cookie has no spaces, quotes, commas, semicolons or backslashes. Copy the value alone, without quotes around it."
    )]
    Cookie,
    #[error("This is not a whole JSON file. Copy all of it, from the first `{{` to the last `}}`.")]
    NotJson,
    #[error("This does not look like {what} for {name}. Check that all of it was copied.")]
    Pattern { what: &'static str, name: String },
    #[error("This is too long to be right.")]
    TooLong,
}

/// Takes what was typed out of a form's body.
pub(super) fn read(form: &LoginForm, token: &str, body: &[u8]) -> Result<Submission, BodyFault> {
    let fields = fields(&form.asked);
    let values = split(&fields, token, body).ok_or(BodyFault::Foreign)?;
    let mut faults = Vec::new();
    let mut taken = Vec::new();
    for (at, (field, value)) in fields.iter().zip(values).enumerate() {
        match judge(form, field, value) {
            Ok(secret) => taken.push(secret),
            Err(fault) => {
                faults.push((at, fault));
                taken.push(None);
            }
        }
    }
    if let Asked::Client { id: Some(id), .. } = &form.asked {
        // the field cannot be changed on our page
        let found = taken.first().and_then(Option::as_ref);
        if found.is_some_and(|found| found.expose() != id) {
            return Err(BodyFault::Foreign);
        }
    }
    let mut values = taken.into_iter();
    let mut next = || values.next().flatten();
    let (id, secret) = match &form.asked {
        Asked::Client { .. } => (next().map(|id| id.expose().to_owned()), next()),
        Asked::ApiKey | Asked::SigningSecret { .. } | Asked::ServiceAccount => (None, next()),
        Asked::Cookies { names, .. } if faults.is_empty() => {
            let cookies = names.iter().cloned().zip(values);
            return Ok(Submission::Cookies(
                cookies
                    .filter_map(|(name, value)| Some((name, value?)))
                    .collect(),
            ));
        }
        Asked::Cookies { .. } => (None, None),
    };
    if !faults.is_empty() {
        return Err(BodyFault::Amiss(Amiss {
            problem: None,
            faults,
            id,
        }));
    }
    match (id, secret) {
        (Some(id), secret) => Ok(Submission::Client { id, secret }),
        (None, Some(secret)) => Ok(Submission::Secret(secret)),
        // a needed field without a value is a fault
        (None, None) => Err(BodyFault::Foreign),
    }
}

/// The values of the fields, in their order.
fn split(fields: &[Field], token: &str, body: &[u8]) -> Option<Vec<Zeroizing<Vec<u8>>>> {
    let mut values: Vec<Option<Zeroizing<Vec<u8>>>> = fields.iter().map(|_| None).collect();
    let mut found_token = None;
    for pair in body.split(|byte| *byte == b'&') {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let (name, value) = (halves.next()?, halves.next().unwrap_or_default());
        let slot = if name == TOKEN_FIELD.as_bytes() {
            &mut found_token
        } else {
            let at = fields
                .iter()
                .position(|field| field.name.as_bytes() == name)?;
            values.get_mut(at)?
        };
        if slot.replace(decode(value)).is_some() {
            return None;
        }
    }
    let is_ours = bool::from(found_token?.as_slice().ct_eq(token.as_bytes()));
    // all of them are there: browsers send empty fields, too
    values
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .filter(|_| is_ours)
}

/// Whether a value can be stored and sent, and looks like what was asked for. Nothing, where nothing
/// was typed and nothing is needed.
fn judge(
    form: &LoginForm,
    field: &Field,
    mut value: Zeroizing<Vec<u8>>,
) -> Result<Option<Secret>, Fault> {
    let what = field.kind.what();
    if value.is_empty() {
        return if field.is_needed {
            Err(Fault::Empty { what })
        } else {
            Ok(None)
        };
    }
    let max = match field.kind {
        Kind::ClientId(_) => ID_MAX,
        _ => SECRET_MAX,
    };
    if value.len() > max {
        return Err(Fault::TooLong);
    }
    // moved, not copied; what cannot be text is wiped with the error
    let text = String::from_utf8(std::mem::take(&mut *value)).map_err(|error| {
        error.into_bytes().zeroize();
        Fault::Character { what }
    })?;
    let secret = Secret::new(text);
    judge_text(form, &field.kind, secret.expose())?;
    Ok(Some(secret))
}

fn judge_text(form: &LoginForm, kind: &Kind, text: &str) -> Result<(), Fault> {
    let what = kind.what();
    if *kind == Kind::KeyFile {
        // nobody types a file, and its ends and lines are whatever was copied; reading it to its end
        // keeps none of it
        let is_object = text.trim_start().starts_with('{');
        if !is_object || serde_json::from_str::<IgnoredAny>(text).is_err() {
            return Err(Fault::NotJson);
        }
    } else {
        if text.trim() != text {
            return Err(Fault::Padded { what });
        }
        if matches!(kind, Kind::Cookie(_)) {
            if !text.bytes().all(is_cookie_octet) {
                return Err(Fault::Cookie);
            }
        } else if !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(Fault::Character { what });
        }
    }
    match (&form.pattern, kind) {
        (Some(pattern), Kind::Key | Kind::KeyFile) if !pattern(text) => Err(Fault::Pattern {
            what,
            name: form.display_name.clone(),
        }),
        _ => Ok(()),
    }
}

/// What the value of a cookie is made of (RFC 6265 section 4.1.1).
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

impl Kind {
    /// What it is called in a sentence.
    fn what(&self) -> &'static str {
        match self {
            Self::Key => "the key",
            Self::ClientId(_) => "the client ID",
            Self::ClientSecret => "the client secret",
            Self::KeyFile => "the key file",
            Self::Cookie(_) => "the value",
        }
    }
}

/// Undoes the encoding of a form's value; what is no valid escape stands for itself.
fn decode(value: &[u8]) -> Zeroizing<Vec<u8>> {
    let digit = |byte: Option<&u8>| match byte {
        Some(byte @ b'0'..=b'9') => Some(byte - b'0'),
        Some(byte @ b'a'..=b'f') => Some(byte - b'a' + 10),
        Some(byte @ b'A'..=b'F') => Some(byte - b'A' + 10),
        _ => None,
    };
    // never longer than the input, so it never moves and leaves no copy behind
    let mut decoded = Zeroizing::new(Vec::with_capacity(value.len()));
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        let pair = digit(after.first()).zip(digit(after.get(1)));
        match (byte, pair) {
            (b'%', Some((high, low))) => {
                decoded.push(high << 4 | low);
                rest = after.get(2..).unwrap_or_default();
                continue;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
        rest = after;
    }
    decoded
}

#[cfg(test)]
mod tests;
