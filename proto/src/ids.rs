//! Names and identifiers: parsed once, valid ever after.
//!
//! Every name that comes from a person, a file or the wire becomes one of these types at the
//! edge. They hold only characters that are safe in a path segment, a log line, a URL and a
//! keyring attribute, so nothing behind the edge has to escape or check them again. Copies share
//! one text: every audit record carries some.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest name of a provider or a connection, in bytes. Longer ones would not fit a file name
/// together with the suffixes that stores add.
pub const NAME_MAX: usize = 64;

/// Longest name of an environment variable, in bytes.
pub const VARIABLE_MAX: usize = 128;

/// Why a string is not a name or an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseNameError {
    /// The string is empty.
    #[error("a {what} name cannot be empty")]
    Empty {
        /// What kind of name was parsed.
        what: &'static str,
    },
    /// The string is longer than [`NAME_MAX`].
    #[error("a {what} name has at most {NAME_MAX} characters, this one has {len}")]
    TooLong {
        /// What kind of name was parsed.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// A character that is not allowed, or not allowed first.
    #[error(
        "a {what} name cannot contain {found:?} here; use letters, digits, `-`, `_` and `.`, beginning with a letter or digit"
    )]
    Character {
        /// What kind of name was parsed.
        what: &'static str,
        /// The offending character.
        found: char,
    },
}

macro_rules! name {
    ($(#[doc = $doc:literal])* $name:ident, $what:literal, $lower:literal) => {
        $(#[doc = $doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                crate::schema::name(concat!($($doc),*), name_pattern($lower), NAME_MAX)
            }
        }

        impl FromStr for $name {
            type Err = ParseNameError;

            fn from_str(s: &str) -> Result<Self, Self::Err> {
                parse_name(s, $what, $lower)?;
                Ok(Self(s.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseNameError;

            fn try_from(s: String) -> Result<Self, Self::Error> {
                s.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// Name of a provider: lower-case letters, digits, `-`, `_` and `.`, as in `intercom`.
    ProviderName, "provider", true
}
name! {
    /// Name of a connection of a provider, as in `default` or `team`.
    ConnectionName, "connection", false
}
name! {
    /// Identifier of a run: letters and digits only in practice (it is the user part of a proxy
    /// URL), random, never reused.
    RunId, "run", true
}
name! {
    /// Name of a webhook's endpoint, or of the scheme that its sender signs by, as in `fin`.
    WebhookName, "webhook", true
}
name! {
    /// Identifier of a waiting login: random, never reused.
    LoginId, "login session", true
}

/// What [`parse_name`] lets pass, as a regular expression.
#[cfg(feature = "schema")]
const fn name_pattern(lower: bool) -> &'static str {
    if lower {
        "^[a-z0-9][a-z0-9._-]*$"
    } else {
        "^[A-Za-z0-9][A-Za-z0-9._-]*$"
    }
}

/// Name of an environment variable: letters, digits and `_`, not beginning with a digit (POSIX.1,
/// 8.1, and the lower-case letters that people use all the same).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VariableName(Arc<str>);

/// Why a text is no name of a variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a variable's name has letters, digits and `_`, does not begin with a digit and is at most {VARIABLE_MAX} characters long"
)]
pub struct ParseVariableError;

impl VariableName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for VariableName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "VariableName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        crate::schema::name(
            "Name of an environment variable.",
            "^[A-Za-z_][A-Za-z0-9_]*$",
            VARIABLE_MAX,
        )
    }
}

impl FromStr for VariableName {
    type Err = ParseVariableError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let mut bytes = s.bytes();
        let first = bytes.next().ok_or(ParseVariableError)?;
        let begins = first.is_ascii_alphabetic() || first == b'_';
        if s.len() > VARIABLE_MAX
            || !begins
            || !bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            return Err(ParseVariableError);
        }
        Ok(Self(s.into()))
    }
}

impl TryFrom<String> for VariableName {
    type Error = ParseVariableError;

    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

impl From<VariableName> for String {
    fn from(name: VariableName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for VariableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl ConnectionName {
    /// The connection that a login without `--connection` makes.
    pub fn default_name() -> Self {
        Self("default".into())
    }
}

fn parse_name(s: &str, what: &'static str, lower: bool) -> Result<(), ParseNameError> {
    if s.is_empty() {
        return Err(ParseNameError::Empty { what });
    }
    if s.len() > NAME_MAX {
        return Err(ParseNameError::TooLong { what, len: s.len() });
    }
    for (at, found) in s.char_indices() {
        let ok = match found {
            'a'..='z' | '0'..='9' => true,
            'A'..='Z' => !lower,
            '-' | '_' | '.' => at > 0,
            _ => false,
        };
        if !ok {
            return Err(ParseNameError::Character { what, found });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_accept_what_people_write_and_nothing_that_needs_escaping() {
        for good in ["intercom", "brave-search-mcp", "a", "x.y_z-1", "1password"] {
            assert!(good.parse::<ProviderName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "-x",
            "a/b",
            "a b",
            "A",
            "é",
            "a\0",
            "a\n",
            &"a".repeat(65),
        ] {
            assert!(bad.parse::<ProviderName>().is_err(), "{bad:?}");
        }
        assert!("Team".parse::<ConnectionName>().is_ok());
    }
}
