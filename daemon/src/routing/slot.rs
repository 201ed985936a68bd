//! The place on the wire that a route fills, and the bytes that go there (threat D10).
//!
//! A session of a website has several places that are filled together ([`session`]).
//! A [`Slot`] is part of a definition; [`Slot::fill`] joins it with a secret once, when the
//! credential is loaded, so that a request costs no formatting. The result lives in locked memory
//! and header values are marked sensitive: `Debug` hides them and HTTP/2 never indexes them.
//!
//! Invariants: a secret is used as it is or refused; it is never trimmed or repaired. No error
//! here holds the secret or part of it. Buffers that held it are wiped.

use std::fmt;
use std::sync::Arc;

use authsome_proto::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use zeroize::Zeroizing;

use crate::sys::locked::LockedBytes;

pub mod session;

pub use session::Session;

/// What stays as it is in the name or value of a query parameter: the unreserved characters of RFC 3986 §2.3.
pub(crate) const QUERY_PIECE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Where the credential of a route goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Slot {
    /// `Authorization: Basic …` (RFC 7617).
    Basic(BasicPair),
    /// A cookie of this name (RFC 6265).
    Cookie {
        /// Its name, case-sensitive.
        name: Box<str>,
    },
    /// A header.
    Header {
        /// Its name.
        name: HeaderName,
        /// What stands before the secret, joined by one space, as in `Bearer`; empty for none.
        prefix: Box<str>,
    },
    /// A query parameter.
    Query {
        /// Its decoded name, case-sensitive.
        name: Box<str>,
    },
    /// The cookies of a website's session, and the headers that go with them.
    Session(Arc<Session>),
}

/// For people: where on the wire it is, without a value.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic(BasicPair::Password { user }) if user.is_empty() => {
                f.write_str("Authorization: Basic, as the password")
            }
            Self::Basic(BasicPair::Password { user }) => {
                write!(f, "Authorization: Basic, as the password of `{user}`")
            }
            Self::Basic(BasicPair::Username) => f.write_str("Authorization: Basic, as the user"),
            Self::Basic(BasicPair::Whole) => f.write_str("Authorization: Basic"),
            Self::Cookie { name } => write!(f, "cookie `{name}`"),
            Self::Header { name, prefix } => {
                // the usual spelling; on the wire it does not matter
                let authorization = http::header::AUTHORIZATION;
                let name = if *name == authorization {
                    "Authorization"
                } else {
                    name.as_str()
                };
                if prefix.is_empty() {
                    f.write_str(name)
                } else {
                    write!(f, "{name}: {prefix}")
                }
            }
            Self::Query { name } => write!(f, "query parameter `{name}`"),
            Self::Session(session) => session.fmt(f),
        }
    }
}

/// Which half of a Basic pair the secret is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BasicPair {
    /// The password, of this user.
    Password {
        /// The user in front of the colon.
        user: Box<str>,
    },
    /// The user; the password is empty (`secret:`).
    Username,
    /// Both: the secret is `user:password`.
    Whole,
}

/// A slot with its secret, ready to be put into requests.
///
/// All of it belongs together: what a client sent in any of these places is removed, then each is
/// filled once.
#[derive(Debug, Clone)]
pub struct Filled {
    main: Piece,
    also: Box<[Piece]>,
    emptied: Box<[HeaderName]>,
}

/// One place with what goes there.
#[derive(Clone)]
pub enum Piece {
    /// A cookie.
    Cookie {
        /// Its name.
        name: Box<str>,
        /// Its value, as it goes on the wire.
        value: LockedBytes,
    },
    /// A header.
    Header {
        /// Its name.
        name: HeaderName,
        /// Its value, sensitive and shared with locked memory.
        value: HeaderValue,
    },
    /// A query parameter.
    Query {
        /// Its decoded name.
        name: Box<str>,
        /// Its value, percent-encoded.
        value: LockedBytes,
    },
}

/// Why a secret does not fit a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// Outside of printable ASCII, or a separator of cookies in a cookie.
    #[error(
        "the secret contains a character that cannot be sent in this place; copy it again without line breaks, quotes or special characters"
    )]
    Character,
    /// The user of a Basic pair contains a colon, which would end it (RFC 7617 §2).
    #[error("the user name of a Basic pair cannot contain `:`")]
    Colon,
    /// There is nothing to send.
    #[error("the secret is empty")]
    Empty,
    /// A Basic pair without its colon.
    #[error("the secret must have the form `user:password`")]
    NotAPair,
    /// Not the cookies that the definition asks for.
    #[error("the secret is not the session that the definition asks for")]
    Session,
    /// The header's prefix once more, as examples show it: `Bearer Bearer …` would be sent.
    #[error(
        "the secret begins with the word that is put in front of it anyway; copy it again without"
    )]
    Prefix,
    /// A fixed part of the slot (prefix, user, name) cannot be sent.
    #[error("the definition's prefix, user or name contains a character that cannot be sent")]
    Slot,
    /// A space at the beginning or end: receivers drop it, so another value would arrive.
    #[error("the secret begins or ends with a space; copy it again without")]
    Space,
}

impl Slot {
    /// Joins the slot with `secret`.
    pub fn fill(&self, secret: &Secret) -> Result<Filled, FillError> {
        check_secret(secret.expose())?;
        match self {
            Self::Basic(pair) => fill_basic(pair, secret),
            Self::Cookie { name } => fill_cookie(name, secret),
            Self::Header { name, prefix } => fill_header(name, prefix, secret),
            Self::Query { name } => Ok(fill_query(name, secret)),
            Self::Session(session) => session.fill(secret),
        }
    }
}

impl Filled {
    /// All that is filled: `pieces`, and headers that are only `emptied`. No two of them are the
    /// same place.
    fn of(pieces: Vec<Piece>, emptied: Vec<HeaderName>) -> Result<Self, FillError> {
        let mut pieces = pieces.into_iter();
        Ok(Self {
            main: pieces.next().ok_or(FillError::Session)?,
            also: pieces.collect(),
            emptied: emptied.into(),
        })
    }

    /// What is filled, each place once.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        std::iter::once(&self.main).chain(&self.also)
    }

    /// Headers that a client must not send beside it, and that stay empty.
    pub fn emptied(&self) -> &[HeaderName] {
        &self.emptied
    }

    /// The headers that are filled or emptied: trailers of these names are dropped too.
    pub fn header_names(&self) -> impl Iterator<Item = &HeaderName> {
        let filled = self.pieces().filter_map(|piece| match piece {
            Piece::Header { name, value: _ } => Some(name),
            Piece::Cookie { .. } | Piece::Query { .. } => None,
        });
        filled.chain(&self.emptied)
    }
}

impl From<Piece> for Filled {
    fn from(main: Piece) -> Self {
        Self {
            main,
            also: Box::default(),
            emptied: Box::default(),
        }
    }
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie { name, value: _ } => write!(f, "Cookie({name:?})"),
            Self::Header { name, value: _ } => write!(f, "Header({name:?})"),
            Self::Query { name, value: _ } => write!(f, "Query({name:?})"),
        }
    }
}

fn check_secret(secret: &str) -> Result<(), FillError> {
    if secret.is_empty() {
        return Err(FillError::Empty);
    }
    if !is_printable(secret) {
        return Err(FillError::Character);
    }
    if secret.starts_with(' ') || secret.ends_with(' ') {
        return Err(FillError::Space);
    }
    Ok(())
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
}

fn fill_header(name: &HeaderName, prefix: &str, secret: &Secret) -> Result<Filled, FillError> {
    if !is_printable(prefix) || prefix.starts_with(' ') || prefix.ends_with(' ') {
        return Err(FillError::Slot);
    }
    if repeats(prefix, secret.expose()) {
        return Err(FillError::Prefix);
    }
    // exact capacity: a buffer that grows leaves its old bytes behind unwiped
    let mut value = Zeroizing::new(Vec::with_capacity(prefix.len() + 1 + secret.len()));
    if !prefix.is_empty() {
        value.extend_from_slice(prefix.as_bytes());
        value.push(b' ');
    }
    value.extend_from_slice(secret.expose().as_bytes());
    Ok(Piece::Header {
        name: name.clone(),
        value: sensitive(&value)?,
    }
    .into())
}

/// Whether `secret` begins with `prefix` and a space. Schemes have no case (RFC 9110 §11.1).
fn repeats(prefix: &str, secret: &str) -> bool {
    !prefix.is_empty()
        && secret
            .split_at_checked(prefix.len())
            .is_some_and(|(first, rest)| {
                rest.starts_with(' ') && first.eq_ignore_ascii_case(prefix)
            })
}

fn fill_basic(pair: &BasicPair, secret: &Secret) -> Result<Filled, FillError> {
    let text = secret.expose();
    let (user, password) = match pair {
        BasicPair::Password { user } => {
            if !is_printable(user) {
                return Err(FillError::Slot);
            }
            (&**user, text)
        }
        BasicPair::Username => (text, ""),
        BasicPair::Whole => text.split_once(':').ok_or(FillError::NotAPair)?,
    };
    if user.contains(':') {
        return Err(FillError::Colon);
    }
    let mut joined = Zeroizing::new(Vec::with_capacity(user.len() + 1 + password.len()));
    joined.extend_from_slice(user.as_bytes());
    joined.push(b':');
    joined.extend_from_slice(password.as_bytes());
    let mut value = Zeroizing::new(String::with_capacity(6 + joined.len().div_ceil(3) * 4));
    value.push_str("Basic ");
    STANDARD.encode_string(&*joined, &mut value);
    Ok(Piece::Header {
        name: http::header::AUTHORIZATION,
        value: sensitive(value.as_bytes())?,
    }
    .into())
}

fn fill_cookie(name: &str, secret: &Secret) -> Result<Filled, FillError> {
    if !session::is_cookie_name(name) {
        return Err(FillError::Slot);
    }
    // cookie-octet of RFC 6265 §4.1.1
    if secret
        .expose()
        .bytes()
        .any(|byte| b" \",;\\".contains(&byte))
    {
        return Err(FillError::Character);
    }
    Ok(Piece::Cookie {
        name: name.into(),
        value: LockedBytes::new(secret.expose().as_bytes()),
    }
    .into())
}

fn fill_query(name: &str, secret: &Secret) -> Filled {
    let mut value = Zeroizing::new(Vec::with_capacity(secret.len() * 3));
    for piece in percent_encode(secret.expose().as_bytes(), QUERY_PIECE) {
        value.extend_from_slice(piece.as_bytes());
    }
    Piece::Query {
        name: name.into(),
        value: LockedBytes::new(&value),
    }
    .into()
}

fn sensitive(value: &[u8]) -> Result<HeaderValue, FillError> {
    let bytes = LockedBytes::new(value).into_bytes();
    let mut value = HeaderValue::from_maybe_shared(bytes).map_err(|_| FillError::Character)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CANARY: &str = "canary-7f3a";

    fn header(prefix: &str) -> Slot {
        Slot::Header {
            name: http::header::AUTHORIZATION,
            prefix: prefix.into(),
        }
    }

    fn value_of(filled: &Filled) -> String {
        assert_eq!(filled.pieces().count(), 1);
        match filled.pieces().next().unwrap() {
            Piece::Header { name: _, value } => value.to_str().unwrap().to_owned(),
            Piece::Cookie { name: _, value } | Piece::Query { name: _, value } => {
                String::from_utf8(value.as_ref().to_vec()).unwrap()
            }
        }
    }

    fn fill(slot: &Slot, secret: &str) -> Result<String, FillError> {
        slot.fill(&Secret::new(secret.into()))
            .map(|filled| value_of(&filled))
    }

    #[test]
    fn each_slot_is_filled_in_its_own_form() {
        let basic = |pair| Slot::Basic(pair);
        let user = BasicPair::Password { user: "git".into() };
        let query = Slot::Query { name: "key".into() };
        let cookie = Slot::Cookie { name: "sid".into() };
        for (slot, secret, wire) in [
            (header("Bearer"), "sk-1", "Bearer sk-1"),
            (header(""), "sk-1", "sk-1"),
            (header("Bot x"), "a b", "Bot x a b"),
            (header("Bot"), "Bottle a", "Bot Bottle a"),
            (header("Bearer"), "Bearer", "Bearer Bearer"),
            (basic(BasicPair::Username), "sk_1", "Basic c2tfMTo="),
            (basic(user.clone()), "p:w", "Basic Z2l0OnA6dw=="),
            (basic(BasicPair::Whole), "u:p:w", "Basic dTpwOnc="),
            (query.clone(), "a+b/c=&d e~", "a%2Bb%2Fc%3D%26d%20e~"),
            (cookie.clone(), "a=b", "a=b"),
        ] {
            assert_eq!(fill(&slot, secret).as_deref(), Ok(wire), "{slot:?}");
        }
        for (slot, secret, error) in [
            (basic(BasicPair::Username), "a:b", FillError::Colon),
            (basic(BasicPair::Whole), "ab", FillError::NotAPair),
            (
                basic(BasicPair::Password { user: "a:b".into() }),
                "x",
                FillError::Colon,
            ),
            (
                basic(BasicPair::Password { user: "a\n".into() }),
                "x",
                FillError::Slot,
            ),
            (header("Bearer "), "x", FillError::Slot),
            (header("Bearer"), "Bearer sk-1", FillError::Prefix),
            (header("Bearer"), "bearer  sk-1", FillError::Prefix),
            (header("a\r\nb"), "x", FillError::Slot),
            (cookie.clone(), "a;b", FillError::Character),
            (cookie.clone(), "a b", FillError::Character),
            (cookie, "a\"b", FillError::Character),
            (Slot::Cookie { name: "a=b".into() }, "x", FillError::Slot),
            (query, "", FillError::Empty),
        ] {
            assert_eq!(fill(&slot, secret), Err(error), "{slot:?}");
        }
    }

    /// D10
    #[test]
    fn line_breaks_controls_and_non_ascii_are_refused_and_never_trimmed() {
        let slots = [
            header("Bearer"),
            Slot::Basic(BasicPair::Username),
            Slot::Basic(BasicPair::Password { user: "u".into() }),
            Slot::Query { name: "k".into() },
            Slot::Cookie { name: "k".into() },
        ];
        for slot in &slots {
            for bad in [
                "a\r",
                "a\n",
                "\na",
                "a\r\nX: y",
                "a\0b",
                "a\tb",
                "a\x7f",
                "é",
                "a\u{a0}",
                "\u{feff}a",
            ] {
                assert_eq!(
                    fill(slot, bad),
                    Err(FillError::Character),
                    "{slot:?} {bad:?}"
                );
            }
            assert_eq!(fill(slot, " a"), Err(FillError::Space));
            assert_eq!(fill(slot, "a "), Err(FillError::Space));
            assert_eq!(fill(slot, ""), Err(FillError::Empty));
        }
    }

    #[test]
    fn debug_of_a_filled_slot_hides_the_secret() {
        for slot in [
            header("Bearer"),
            Slot::Basic(BasicPair::Username),
            Slot::Query { name: "k".into() },
            Slot::Cookie { name: "k".into() },
        ] {
            let filled = slot.fill(&Secret::new(CANARY.into())).unwrap();
            let shown = format!("{filled:?}");
            assert!(
                !shown.contains(CANARY) && !shown.contains("Y2FuYXJ5"),
                "{shown}"
            );
            if let Some(Piece::Header { name: _, value }) = filled.pieces().next() {
                assert!(value.is_sensitive());
                assert_eq!(format!("{value:?}"), "Sensitive");
            }
        }
    }

    proptest! {
        /// D10
        #[test]
        fn what_is_filled_is_exactly_the_secret_in_one_line(secret in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
            if let Ok(value) = fill(&header("Bearer"), &secret) {
                prop_assert_eq!(value.strip_prefix("Bearer "), Some(secret.as_str()));
                prop_assert!(value.bytes().all(|byte| matches!(byte, 0x20..=0x7e)));
            }
            if let Ok(value) = fill(&Slot::Query { name: "k".into() }, &secret) {
                let decoded = percent_encoding::percent_decode_str(&value).decode_utf8().unwrap();
                prop_assert_eq!(decoded, secret.as_str());
                prop_assert!(!value.contains(['&', '=', '#', '+', ' ']));
            }
            let slot = Slot::Basic(BasicPair::Password { user: "u".into() });
            if let Ok(value) = fill(&slot, &secret) {
                let decoded = STANDARD.decode(value.strip_prefix("Basic ").unwrap()).unwrap();
                prop_assert_eq!(decoded, format!("u:{secret}").into_bytes());
            }
        }
    }
}
