//! Bodies and headers of requests that may hold secrets: written into buffers that never grow, so
//! that no copy is left behind, and that are wiped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header::ACCEPT};
use serde::Serialize;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

/// The type of [`form`].
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// The type of [`json`].
pub(super) const JSON: &str = "application/json";

/// A form (RFC 6749 appendix B).
pub(super) fn form(pairs: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    let room = pairs
        .iter()
        .map(|(name, value)| 3 * (name.len() + value.len()) + 2)
        .sum();
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    for (name, value) in pairs {
        if !body.is_empty() {
            body.push(b'&');
        }
        append(name, &mut body);
        body.push(b'=');
        append(value, &mut body);
    }
    body
}

/// A JSON object of texts.
pub(super) fn json(pairs: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    // the longest escape is `\u0000`
    let room = pairs
        .iter()
        .map(|(name, value)| 6 * (name.len() + value.len()) + 6)
        .sum::<usize>();
    let mut body = Zeroizing::new(Vec::with_capacity(room + 2));
    body.push(b'{');
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        append_json(name, &mut body);
        body.push(b':');
        append_json(value, &mut body);
    }
    body.push(b'}');
    body
}

/// `Basic` with both parts encoded as in a form, as RFC 6749 section 2.3.1 wants it; marked as
/// sensitive.
pub(super) fn basic(id: &str, secret: &str) -> HeaderValue {
    let mut pair = Zeroizing::new(Vec::with_capacity(3 * (id.len() + secret.len()) + 1));
    append(id, &mut pair);
    pair.push(b':');
    append(secret, &mut pair);
    let mut text = Zeroizing::new(String::with_capacity(6 + pair.len().div_ceil(3) * 4));
    text.push_str("Basic ");
    STANDARD.encode_string(&*pair, &mut text);
    // base64 fits into any header
    let mut value =
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}

/// Headers that ask for JSON: GitHub answers with a form otherwise.
pub(super) fn headers() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(JSON))])
}

fn append(text: &str, to: &mut Vec<u8>) {
    for piece in byte_serialize(text.as_bytes()) {
        to.extend_from_slice(piece.as_bytes());
    }
}

fn append_json(text: &str, to: &mut Vec<u8>) {
    let written = text.serialize(&mut serde_json::Serializer::new(to));
    debug_assert!(written.is_ok(), "a text can be written to memory");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_password_of_basic_is_encoded_before_it_is_encoded() {
        let value = basic("a b", "c:d%\u{e9}");
        assert!(value.is_sensitive());
        let text = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(STANDARD.decode(text).unwrap(), b"a+b:c%3Ad%25%C3%A9");
    }

    proptest! {
        #[test]
        fn bodies_hold_what_was_put_in_and_never_grow(
            values in proptest::collection::vec(any::<String>(), 0..5),
        ) {
            let names: Vec<_> = (0..values.len()).map(|i| format!("n{i}\"&")).collect();
            let pairs: Vec<_> = names.iter().zip(&values).map(|(n, v)| (&**n, &**v)).collect();

            let body = form(&pairs);
            prop_assert_eq!(body.capacity(), pairs.iter().map(|(n, v)| 3 * (n.len() + v.len()) + 2).sum::<usize>());
            let read: Vec<_> = url::form_urlencoded::parse(&body).into_owned().collect();
            let expected: Vec<_> = names.iter().cloned().zip(values.iter().cloned()).collect();
            prop_assert_eq!(read, expected);

            let body = json(&pairs);
            prop_assert_eq!(body.capacity(), pairs.iter().map(|(n, v)| 6 * (n.len() + v.len()) + 6).sum::<usize>() + 2);
            let read: Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(read.as_object().unwrap().len(), pairs.len());
            for (name, value) in pairs {
                prop_assert_eq!(read[name].as_str(), Some(value));
            }
        }
    }
}
