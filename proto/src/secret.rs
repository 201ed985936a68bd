//! Secrets that cross the socket: no `Display`, a `Debug` that shows nothing, wiped on drop.
//!
//! On the wire a secret is a plain string inside a frame; the frame's buffers are wiped by
//! [`crate::frame`]. In memory it is a boxed [`SecretString`], so moving it leaves no copies.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize;

/// Longest secret that is accepted anywhere, in bytes. Keyrings grow slow far above it and no
/// credential in the field comes near.
pub const SECRET_MAX: usize = 64 * 1024;

/// A secret in transit between client and daemon.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps `text`; the caller's string is moved, not copied.
    pub fn new(text: String) -> Self {
        // `into_boxed_str` may reallocate and would leave the old buffer behind unwiped
        let mut text = text;
        let boxed: Box<str> = text.as_str().into();
        text.zeroize();
        Self(SecretString::from(boxed))
    }

    /// The secret itself. Call it one line from where the value is used.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.expose().len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        crate::schema::secret(SECRET_MAX)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_secret_hides_it() {
        let secret = Secret::new("hunter2".into());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret.expose(), "hunter2");
    }
}
