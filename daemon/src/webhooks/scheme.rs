//! How a sender signs: a description in a small JSON file, the same for the bundled schemes and for
//! those that somebody writes. Pure.
//!
//! ```json
//! { "v": 1, "name": "acme", "algorithm": "sha256", "encoding": "hex", "secret": "text",
//!   "signature": { "header": "X-Acme-Signature", "prefix": "sha256=" },
//!   "signed": "{timestamp}.{body}",
//!   "timestamp": { "header": "X-Acme-Timestamp" }, "tolerance": 300 }
//! ```
//!
//! `docs/webhooks.md` describes every field. A signature's header holds one value, or with
//! `separator` a list, in which only elements that begin with `prefix` count.

use std::time::Duration;

use authsome_proto::{Secret, WebhookName};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::HeaderName;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::mac::{Algorithm, Digest, SigningKey};
use super::template::{ParseTemplateError, Template};

/// The bundled schemes.
const BUNDLED: [&str; 6] = [
    include_str!("../../webhooks/github.json"),
    include_str!("../../webhooks/intercom-fin.json"),
    include_str!("../../webhooks/intercom.json"),
    include_str!("../../webhooks/slack.json"),
    include_str!("../../webhooks/standard-webhooks.json"),
    include_str!("../../webhooks/stripe.json"),
];

/// Longest description, in bytes.
pub const FILE_LEN_MAX: u64 = 64 * 1024;

/// Longest time that two clocks may differ. A sender whose messages are older than that when they
/// come has no use for a timestamp.
const TOLERANCE_MAX: u64 = 24 * 60 * 60;

/// The tolerance of a scheme that does not say: what Stripe, Slack and Standard Webhooks use.
const TOLERANCE: u64 = 300;

/// How a sender signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheme {
    /// Its name.
    pub name: WebhookName,
    /// Its name for people.
    pub title: String,
    /// Where its secret is found.
    pub hint: Option<String>,
    /// The hash below the HMAC.
    pub algorithm: Algorithm,
    /// How a signature is written.
    pub encoding: Encoding,
    /// How a secret becomes a key.
    pub secret: SecretForm,
    /// The headers, and others that mean the same; never empty. The first is signed with.
    pub families: Vec<Family>,
    /// What the signature's header holds.
    pub value: ValueForm,
    /// The signed bytes.
    pub signed: Template,
    /// How far the timestamp may be from our clock, both ways.
    pub tolerance: Duration,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// With padding.
    Base64,
    /// In either case.
    Hex,
}

/// How a secret becomes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretForm {
    /// It is base64 of the key.
    Base64,
    /// It is hex of the key.
    Hex,
    /// Its text is the key.
    Text,
    /// It is `whsec_` and base64 of the key, as in Standard Webhooks. Stripe's secrets look the same
    /// and are [`SecretForm::Text`].
    Whsec,
}

/// Headers that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Holds the signature.
    pub signature: Field,
    /// Holds the timestamp, if one is signed and has a header.
    pub timestamp: Option<Field>,
    /// Holds the id, if one is signed.
    pub id: Option<Field>,
}

/// A header's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// As it is compared.
    pub name: HeaderName,
    /// As its sender writes it.
    pub shown: String,
}

/// What the signature's header holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueForm {
    /// One signature behind a prefix.
    One {
        /// The prefix.
        prefix: String,
    },
    /// A list.
    List {
        /// Stands between the elements.
        separator: char,
        /// What the elements with a signature begin with.
        prefix: String,
        /// What the element with the timestamp begins with, if it is here.
        timestamp: Option<String>,
    },
}

/// Why a description cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseSchemeError {
    /// It is not JSON of the right shape.
    #[error("{0}")]
    Shape(String),
    /// It is of a later version.
    #[error("its version is {0}; this program reads 1")]
    Version(u64),
    /// `signed` is no template.
    #[error("`signed` cannot be used: {0}")]
    Signed(ParseTemplateError),
    /// Something else.
    #[error("{0}")]
    Field(&'static str),
    /// A header's name is none.
    #[error("`{0}` is no name of a header")]
    Header(String),
}

/// Why a secret cannot be one of a scheme. Says nothing of the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is no byte in it.
    #[error("it is empty")]
    Empty,
    /// It is not base64.
    #[error("it is not base64")]
    NotBase64,
    /// It is not hex.
    #[error("it is not hex")]
    NotHex,
}

impl Scheme {
    /// The bundled scheme of that name.
    pub fn bundled(name: &str) -> Option<Self> {
        Self::all_bundled().find(|scheme| scheme.name.as_str() == name)
    }

    /// All bundled schemes, by name.
    pub fn all_bundled() -> impl Iterator<Item = Self> {
        // a test parses each of them
        BUNDLED.iter().filter_map(|text| Self::parse(text).ok())
    }

    /// Reads a description; comments are allowed.
    pub fn parse(text: &str) -> Result<Self, ParseSchemeError> {
        let shape = |error: &dyn std::fmt::Display| ParseSchemeError::Shape(error.to_string());
        let value: serde_json::Value =
            jsonc_parser::parse_to_serde_value(text, &jsonc_parser::ParseOptions::default())
                .map_err(|error| shape(&error))?;
        let Document {
            v,
            name,
            title,
            hint,
            algorithm,
            encoding,
            secret,
            signature,
            signed,
            timestamp,
            tolerance,
            id,
            aliases,
        } = serde_json::from_value(value).map_err(|error| shape(&error))?;
        if v != 1 {
            return Err(ParseSchemeError::Version(v));
        }
        let signed = Template::parse(&signed).map_err(ParseSchemeError::Signed)?;
        let value = signature.value()?;
        let in_list = matches!(
            value,
            ValueForm::List {
                timestamp: Some(_),
                ..
            }
        );
        let mut families = vec![Family::parse(&Names {
            signature: signature.header,
            timestamp: timestamp.map(|it| it.header),
            id: id.map(|it| it.header),
        })?];
        for alias in &aliases {
            families.push(Family::parse(alias)?);
        }
        for family in &families {
            family.check(&signed, in_list)?;
        }
        if tolerance.is_some() && !signed.has_timestamp() {
            return Err(ParseSchemeError::Field(
                "`tolerance` means nothing without a signed timestamp",
            ));
        }
        let tolerance = tolerance.unwrap_or(TOLERANCE);
        if !(1..=TOLERANCE_MAX).contains(&tolerance) {
            return Err(ParseSchemeError::Field(
                "`tolerance` must be 1 to 86400 seconds",
            ));
        }
        Ok(Self {
            title: title.unwrap_or_else(|| name.to_string()),
            name,
            hint,
            algorithm,
            encoding,
            secret,
            families,
            value,
            signed,
            tolerance: Duration::from_secs(tolerance),
        })
    }

    /// The key of a secret.
    pub fn key(&self, secret: &Secret) -> Result<SigningKey, SecretError> {
        let text = secret.expose();
        let bytes = match self.secret {
            SecretForm::Text => return SigningKey::new(text.as_bytes()).ok_or(SecretError::Empty),
            SecretForm::Hex => unhex(text).ok_or(SecretError::NotHex)?,
            SecretForm::Base64 => from_base64(text)?,
            SecretForm::Whsec => from_base64(text.strip_prefix("whsec_").unwrap_or(text))?,
        };
        SigningKey::new(&bytes).ok_or(SecretError::Empty)
    }

    /// The signature that `text` writes; strict: whatever is not exactly one is none.
    pub fn decode(&self, text: &str) -> Option<Digest> {
        let bytes = match self.encoding {
            Encoding::Hex => unhex(text)?,
            Encoding::Base64 => Zeroizing::new(STANDARD.decode(text).ok()?),
        };
        Digest::new(self.algorithm, &bytes)
    }

    /// A signature as the scheme writes it.
    pub fn encode(&self, digest: &Digest) -> String {
        match self.encoding {
            Encoding::Hex => crate::files::hex(digest.bytes()),
            Encoding::Base64 => STANDARD.encode(digest.bytes()),
        }
    }

    /// How long a request that is accepted now could be accepted again: its timestamp may lie in
    /// the future by the tolerance. `None` if nothing ends that.
    pub fn lifetime(&self) -> Option<Duration> {
        self.signed.has_timestamp().then(|| self.tolerance * 2)
    }
}

impl Family {
    fn parse(names: &Names) -> Result<Self, ParseSchemeError> {
        let optional = |name: &Option<String>| name.as_deref().map(Field::parse).transpose();
        Ok(Self {
            signature: Field::parse(&names.signature)?,
            timestamp: optional(&names.timestamp)?,
            id: optional(&names.id)?,
        })
    }

    /// What is signed has one place, and what has a place is signed: a timestamp that is not would
    /// be the attacker's to choose.
    fn check(&self, signed: &Template, in_list: bool) -> Result<(), ParseSchemeError> {
        let places = usize::from(self.timestamp.is_some()) + usize::from(in_list);
        if places != usize::from(signed.has_timestamp()) {
            return Err(ParseSchemeError::Field(
                "`{timestamp}` in `signed` goes with exactly one of `timestamp` and `signature.timestamp`",
            ));
        }
        if self.id.is_some() != signed.has_id() {
            return Err(ParseSchemeError::Field(
                "`{id}` in `signed` goes with `id`, and neither without the other",
            ));
        }
        let names: Vec<_> = [
            Some(&self.signature),
            self.timestamp.as_ref(),
            self.id.as_ref(),
        ]
        .into_iter()
        .flatten()
        .map(|field| &field.name)
        .collect();
        let mut unique = names.clone();
        unique.sort_by_key(|name| name.as_str());
        unique.dedup();
        if unique.len() != names.len() {
            return Err(ParseSchemeError::Field(
                "signature, timestamp and id have headers of their own",
            ));
        }
        Ok(())
    }
}

impl Field {
    fn parse(text: &str) -> Result<Self, ParseSchemeError> {
        let name =
            HeaderName::try_from(text).map_err(|_| ParseSchemeError::Header(text.to_owned()))?;
        Ok(Self {
            name,
            shown: text.to_owned(),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    v: u64,
    name: WebhookName,
    title: Option<String>,
    hint: Option<String>,
    algorithm: Algorithm,
    encoding: Encoding,
    secret: SecretForm,
    signature: SignatureField,
    signed: String,
    timestamp: Option<OneHeader>,
    tolerance: Option<u64>,
    id: Option<OneHeader>,
    #[serde(default)]
    aliases: Vec<Names>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureField {
    header: String,
    #[serde(default)]
    prefix: String,
    separator: Option<char>,
    timestamp: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneHeader {
    header: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    signature: String,
    timestamp: Option<String>,
    id: Option<String>,
}

impl SignatureField {
    fn value(&self) -> Result<ValueForm, ParseSchemeError> {
        let (prefix, timestamp) = (self.prefix.clone(), self.timestamp.clone());
        let Some(separator) = self.separator else {
            return match timestamp {
                None => Ok(ValueForm::One { prefix }),
                Some(_) => Err(ParseSchemeError::Field(
                    "`signature.timestamp` needs a `separator`",
                )),
            };
        };
        let can_be_in_an_element = separator.is_ascii_alphanumeric() || "+/=".contains(separator);
        if can_be_in_an_element || !(separator == ' ' || separator.is_ascii_graphic()) {
            return Err(ParseSchemeError::Field(
                "`separator` must be a character that no signature contains",
            ));
        }
        let overlap = |timestamp: &String| {
            timestamp.is_empty()
                || prefix.starts_with(timestamp.as_str())
                || timestamp.starts_with(&prefix)
        };
        if timestamp.as_ref().is_some_and(overlap) {
            return Err(ParseSchemeError::Field(
                "`signature.timestamp` and `signature.prefix` must differ",
            ));
        }
        Ok(ValueForm::List {
            separator,
            prefix,
            timestamp,
        })
    }
}

/// Pairs of hex digits in either case, and nothing else.
fn unhex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    for [high, low] in pairs {
        bytes.push(digit(*high)? << 4 | digit(*low)?);
    }
    rest.is_empty().then_some(bytes)
}

/// Base64 with or without its padding: people lose the last characters when they copy.
fn from_base64(text: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    STANDARD
        .decode(text)
        .or_else(|_| STANDARD_NO_PAD.decode(text))
        .map(Zeroizing::new)
        .map_err(|_| SecretError::NotBase64)
}

#[cfg(test)]
mod tests;
