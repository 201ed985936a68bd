//! Signs a body as a scheme's sender would: for tests of the program behind an endpoint. Pure.

use super::mac::{Mac, SigningKey};
use super::scheme::{Scheme, ValueForm};
use super::template::Values;

/// Why a body cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The id would move the border between itself and the rest.
    #[error("the id holds a character that ends it in the signed bytes, a blank, or nothing")]
    Id,
    /// The algorithm refused the key.
    #[error("the secret cannot be used as a key")]
    Key,
}

/// The headers of a request with this body: names as the sender writes them, and values.
///
/// `timestamp` is in Unix seconds; it and `id` are left out where the scheme does not sign them.
pub fn sign(
    scheme: &Scheme,
    key: &SigningKey,
    timestamp: i64,
    id: &str,
    body: &[u8],
) -> Result<Vec<(String, String)>, SignError> {
    let is_plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    if scheme.signed.has_id() && !(is_plain && scheme.signed.allows_id(id)) {
        return Err(SignError::Id);
    }
    let time = timestamp.to_string();
    let values = Values {
        timestamp: &time,
        id,
    };
    let mut mac = Mac::new(scheme.algorithm, key).ok_or(SignError::Key)?;
    mac.update(&scheme.signed.before(values));
    mac.update(body);
    mac.update(&scheme.signed.after(values));
    let signature = scheme.encode(&mac.finish().ok_or(SignError::Key)?);
    let value = match &scheme.value {
        ValueForm::One { prefix }
        | ValueForm::List {
            prefix,
            timestamp: None,
            ..
        } => format!("{prefix}{signature}"),
        ValueForm::List {
            separator,
            prefix,
            timestamp: Some(before),
        } => format!("{before}{time}{separator}{prefix}{signature}"),
    };
    let mut headers = Vec::new();
    if let Some(family) = scheme.families.first() {
        let mut push = |field: &super::scheme::Field, value: String| {
            headers.push((field.shown.clone(), value));
        };
        if let Some(field) = &family.id {
            push(field, id.to_owned());
        }
        if let Some(field) = &family.timestamp {
            push(field, time);
        }
        push(&family.signature, value);
    }
    Ok(headers)
}
