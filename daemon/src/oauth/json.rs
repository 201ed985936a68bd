//! JSON bodies that may hold secrets: written into buffers that never grow, so that no copy is left
//! behind, and that are wiped.

use http::{HeaderMap, HeaderValue, header::ACCEPT};
use serde::Serialize;
use zeroize::Zeroizing;

/// The type of such a body.
pub(super) const TYPE: &str = "application/json";

/// An object of texts.
pub(super) fn object(pairs: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
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
        append(name, &mut body);
        body.push(b':');
        append(value, &mut body);
    }
    body.push(b'}');
    body
}

/// Headers that ask for JSON in return.
pub(super) fn headers() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(TYPE))])
}

fn append(text: &str, to: &mut Vec<u8>) {
    let written = text.serialize(&mut serde_json::Serializer::new(to));
    debug_assert!(written.is_ok(), "a text can be written to memory");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    proptest! {
        #[test]
        fn an_object_holds_what_was_put_in_and_never_grows(
            values in proptest::collection::vec(any::<String>(), 0..5),
        ) {
            let names: Vec<_> = (0..values.len()).map(|i| format!("n{i}\"&")).collect();
            let pairs: Vec<_> = names.iter().zip(&values).map(|(n, v)| (&**n, &**v)).collect();
            let body = object(&pairs);
            prop_assert_eq!(body.capacity(), pairs.iter().map(|(n, v)| 6 * (n.len() + v.len()) + 6).sum::<usize>() + 2);
            let read: Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(read.as_object().unwrap().len(), pairs.len());
            for (name, value) in pairs {
                prop_assert_eq!(read[name].as_str(), Some(value));
            }
        }
    }
}
