//! Placeholders that choose a connection (threat D7).
//!
//! A run can give each connection a placeholder of its own: random, worth nothing outside of that
//! run. A request that carries one gets exactly that connection, in the slot of its definition and
//! nowhere else. All of them contain [`MARK`] and 130 random bits behind it, so that they are found
//! anywhere in a request, also those of other runs. The literal [`LITERAL`] is none of them: it is
//! only a mark for people, and selects nothing.
//!
//! 1. [`Template`] gives a placeholder the shape that a provider's programs expect of a key.
//! 2. [`Presented::find`] looks through a request's head (`find`).
//! 3. [`Scanner`] looks through its body, piece by piece (`mark`).
//!
//! Invariant: nothing here allocates for a request that carries none.
//! Not here: which route a placeholder chooses (`decide`), where its random part comes from
//! (`keys`).

mod find;
mod mark;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use http::HeaderName;

pub use mark::{LITERAL, MARK, Scanner};

/// Random bytes that a placeholder is made of; 130 of the 136 bits are used.
pub const RANDOM_BYTES: usize = 17;

/// What stands for the random part in a template.
const RANDOM: &str = "{random}";

/// Longest template. A key's shape is told by a few characters; a long one would only make
/// variables and messages unreadable.
const TEMPLATE_MAX: usize = 64;

/// A placeholder of one connection in one run. No secret, but `Debug` hides it all the same: logs
/// have no use for it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Placeholder(Box<str>);

impl Placeholder {
    /// The text, as the child holds it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its [`MARK`] and random part, without what the template puts around them.
    pub(super) fn core(&self) -> &str {
        mark::core(&self.0)
    }
}

impl fmt::Debug for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Placeholder(..)")
    }
}

/// The shape of a provider's placeholders, as in `SG.{random}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    prefix: Box<str>,
    suffix: Box<str>,
}

/// Why a text is no template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseTemplateError {
    /// A character that would need escaping in some place where a key can stand.
    #[error("a placeholder has only letters, digits, `-`, `.`, `_` and `~` around `{RANDOM}`")]
    Character,
    /// The mark beside the random part, where it would hide or double it.
    #[error("the text around `{RANDOM}` cannot contain `{MARK}`")]
    Mark,
    /// Not exactly one random part.
    #[error("a placeholder contains `{RANDOM}` exactly once")]
    Random,
    /// Longer than [`TEMPLATE_MAX`].
    #[error("a placeholder has at most {TEMPLATE_MAX} characters")]
    TooLong,
}

impl Template {
    /// Nothing around the random part.
    pub fn plain() -> Self {
        Self {
            prefix: "".into(),
            suffix: "".into(),
        }
    }

    /// The placeholder of this shape with these random bits. The same bits give the same text.
    pub fn fill(&self, random: &[u8; RANDOM_BYTES]) -> Placeholder {
        let mut text = String::with_capacity(self.prefix.len() + mark::LEN + self.suffix.len());
        text.push_str(&self.prefix);
        text.push_str(MARK);
        text.extend(mark::letters(random));
        text.push_str(&self.suffix);
        Placeholder(text.into())
    }
}

impl FromStr for Template {
    type Err = ParseTemplateError;

    fn from_str(text: &str) -> Result<Self, ParseTemplateError> {
        if text.len() > TEMPLATE_MAX {
            return Err(ParseTemplateError::TooLong);
        }
        let (prefix, suffix) = text.split_once(RANDOM).ok_or(ParseTemplateError::Random)?;
        if suffix.contains(RANDOM) {
            return Err(ParseTemplateError::Random);
        }
        let around = || prefix.bytes().chain(suffix.bytes());
        if !around().all(is_token_byte) {
            return Err(ParseTemplateError::Character);
        }
        if prefix.contains(MARK) || suffix.contains(MARK) {
            return Err(ParseTemplateError::Mark);
        }
        Ok(Self {
            prefix: prefix.into(),
            suffix: suffix.into(),
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{RANDOM}{}", self.prefix, self.suffix)
    }
}

/// What a request carries of placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented<'r> {
    /// The literal one alone, in a header or in the query. It selects nothing.
    Literal,
    /// None.
    Nothing,
    /// One, as the whole token of a place where a credential can stand.
    One {
        /// Its text.
        text: Cow<'r, str>,
        /// Where it stands.
        place: Place<'r>,
    },
    /// More than one, or one inside of something else.
    Misplaced,
}

/// A place where a credential can stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place<'r> {
    /// A cookie of this name.
    Cookie(&'r str),
    /// A header: alone, behind one scheme word, or as one half of a Basic pair.
    Header(&'r HeaderName),
    /// A query parameter of this decoded name.
    Query(Cow<'r, str>),
}

/// Whether a byte can be part of a token with a placeholder in it: one of the characters that no
/// place escapes (RFC 3986, section 2.3). Everything else ends the token.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests;
