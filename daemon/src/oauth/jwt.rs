//! A service account's key file, and the assertion that is signed with it (RFC 7523, Google's
//! `service_account` JSON).
//!
//! The file is kept as it came. Its key is taken out of it when something is to be signed, in buffers
//! of our own that are wiped; the JSON parser never copies it. What the signing library makes of the
//! key is freed, but not wiped: it offers no way.

use authsome_proto::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};
use rustls::sign::Signer;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::address;

/// How long an assertion is good, in seconds; Google takes no more.
const LIFETIME: u64 = 3600;

/// Longest `client_email` and `private_key_id`. Google's have less than half.
const NAME_MAX: usize = 320;

/// A service account. The key is checked when it is read: RSA, 2048 bits or more.
#[derive(Debug, Clone)]
pub struct ServiceAccount {
    /// Who it is: `client_email`.
    pub email: String,
    /// Where its assertions are taken: `token_uri`, `https`.
    pub token_uri: String,
    /// The whole file, as it is stored.
    file: Secret,
}

/// Why a key file cannot be used. Never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadKeyFile(pub &'static str);

impl ServiceAccount {
    /// Reads a key file.
    pub fn read(file: Secret) -> Result<Self, BadKeyFile> {
        let content = KeyFile::parse(&file)?;
        content.signer()?;
        let email = content
            .client_email
            .as_deref()
            .filter(|email| is_name(email))
            .ok_or(BadKeyFile("it has no `client_email`"))?
            .to_owned();
        let token_uri = content
            .token_uri
            .as_deref()
            .and_then(address::endpoint)
            .ok_or(BadKeyFile("its `token_uri` is no `https` address"))?
            .into();
        Ok(Self {
            email,
            token_uri,
            file,
        })
    }

    /// The file, to be stored.
    pub fn file(&self) -> &Secret {
        &self.file
    }

    /// An RS256 assertion for `scopes`, good from `now` (seconds since 1970) for an hour.
    pub fn assertion(&self, scopes: &[String], now: u64) -> Result<Secret, BadKeyFile> {
        let content = KeyFile::parse(&self.file)?;
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = content.private_key_id.as_deref().filter(|id| is_name(id))
            && let Some(header) = header.as_object_mut()
        {
            header.insert("kid".into(), id.into());
        }
        let claims = json!({
            "iss": self.email,
            "scope": scopes.join(" "),
            "aud": self.token_uri,
            "iat": now,
            "exp": now.saturating_add(LIFETIME),
        });
        sign(
            &*content.signer()?,
            &header.to_string(),
            &claims.to_string(),
        )
    }
}

/// Of what a console of Google's hands out as a file, the parts that tell which kind it is, and those
/// of a service account.
#[derive(Deserialize)]
struct KeyFile<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    client_email: Option<String>,
    token_uri: Option<String>,
    private_key_id: Option<String>,
    /// As it is written, quotes and escapes included.
    #[serde(borrow)]
    private_key: Option<&'a RawValue>,
    /// A client of a program on a desktop.
    installed: Option<IgnoredAny>,
    /// A client of a site.
    web: Option<IgnoredAny>,
}

impl<'a> KeyFile<'a> {
    fn parse(file: &'a Secret) -> Result<Self, BadKeyFile> {
        let content: Self = serde_json::from_str(file.expose())
            .map_err(|_| BadKeyFile("it is no JSON file of a service account"))?;
        let other = match content.kind.as_deref() {
            Some("service_account") => return Ok(content),
            Some("authorized_user") => {
                "it is a person's login (`authorized_user`), not a service account's key"
            }
            Some("external_account" | "impersonated_service_account") => {
                "it points to credentials elsewhere and has no key of a service account in it"
            }
            _ if content.installed.is_some() || content.web.is_some() => {
                "it is an OAuth client's file, not a service account's key; \
                 its client id and secret are for a login with the browser"
            }
            _ => "its `type` is not `service_account`",
        };
        Err(BadKeyFile(other))
    }

    fn signer(&self) -> Result<Box<dyn Signer>, BadKeyFile> {
        let raw = self
            .private_key
            .ok_or(BadKeyFile("it has no `private_key`"))?;
        let pem = unescaped(raw.get()).ok_or(BadKeyFile("its `private_key` is no text"))?;
        signer(&pem)
    }
}

/// The one algorithm that is signed with.
const RS256: &[SignatureScheme] = &[SignatureScheme::RSA_PKCS1_SHA256];

/// A signer with the RSA key in `pem`.
fn signer(pem: &str) -> Result<Box<dyn Signer>, BadKeyFile> {
    const BAD: BadKeyFile = BadKeyFile("its `private_key` is no RSA key of 2048 to 4096 bits");
    if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return Err(BadKeyFile("its `private_key` is encrypted"));
    }
    let (der, pkcs1) = match block(pem, "PRIVATE KEY") {
        Some(der) => (der, false),
        None => (block(pem, "RSA PRIVATE KEY").ok_or(BAD)?, true),
    };
    let der = if pkcs1 {
        PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(&**der))
    } else {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(&**der))
    };
    any_supported_type(&der)
        .ok()
        .and_then(|key| key.choose_scheme(RS256))
        .ok_or(BAD)
}

/// The compact form of RFC 7515 section 3.1.
fn sign(signer: &dyn Signer, header: &str, claims: &str) -> Result<Secret, BadKeyFile> {
    let mut text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = signer
        .sign(text.as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| BadKeyFile("its `private_key` cannot sign"))?;
    // worth something only with the signature, which never moves from here on
    text.reserve_exact(1 + signature.len().div_ceil(3) * 4);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(&*signature, &mut text);
    Ok(Secret::new(text))
}

/// The content of the PEM block of this `label` (RFC 7468). The library's reader leaves copies.
fn block(pem: &str, label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, after) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
    let (content, _) = after.split_once(&format!("-----END {label}-----"))?;
    let mut letters = Zeroizing::new(Vec::with_capacity(content.len()));
    letters.extend(content.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut der = Zeroizing::new(Vec::with_capacity(content.len()));
    STANDARD.decode_vec(&*letters, &mut der).ok()?;
    Some(der)
}

/// What a JSON string says. The parser would leave the key in a buffer of its own.
fn unescaped(raw: &str) -> Option<Zeroizing<String>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    // no escape is shorter than what it stands for
    let mut text = Zeroizing::new(String::with_capacity(inner.len()));
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        text.push(match chars.next()? {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            // Java and Go write `=` as `\u003d`; what lies beyond the first 65,536 characters is in no key
            'u' => {
                let (digits, rest) = chars.as_str().split_at_checked(4)?;
                chars = rest.chars();
                char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
            }
            c @ ('"' | '\\' | '/') => c,
            _ => return None,
        });
    }
    Some(text)
}

/// Whether a text is fit for a claim: what stands in the file is shown to people, too.
fn is_name(text: &str) -> bool {
    (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
