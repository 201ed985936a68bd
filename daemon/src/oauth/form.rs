//! `application/x-www-form-urlencoded`: bodies and queries that hold secrets, so that no piece of one
//! is left in memory behind them.

use percent_encoding::percent_decode;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

/// The type of such a body.
pub(super) const TYPE: &str = "application/x-www-form-urlencoded";

/// `pairs` as one form, in a buffer of just its length: one that grew would leave pieces unwiped.
pub(super) fn encode(pairs: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    let len = pairs
        .iter()
        .map(|(name, value)| encoded_len(name) + encoded_len(value) + 2)
        .sum();
    let mut form = Zeroizing::new(Vec::with_capacity(len));
    for (name, value) in pairs {
        if !form.is_empty() {
            form.push(b'&');
        }
        append(&mut form, name);
        form.push(b'=');
        append(&mut form, value);
    }
    form
}

/// How long [`append`] makes `text`.
pub(super) fn encoded_len(text: &str) -> usize {
    byte_serialize(text.as_bytes()).map(str::len).sum()
}

/// Adds `text` as a name or a value.
pub(super) fn append(to: &mut Vec<u8>, text: &str) {
    for piece in byte_serialize(text.as_bytes()) {
        to.extend_from_slice(piece.as_bytes());
    }
}

/// A name and a value as they were meant.
pub(super) type Pair = (Zeroizing<String>, Zeroizing<String>);

/// The pairs of a form, in their order. As every browser does, takes what is no escape as it is, and
/// what is no UTF-8 as U+FFFD.
pub(super) fn decode(form: &[u8]) -> impl Iterator<Item = Pair> {
    form.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let mut half = || unescape(halves.next().unwrap_or_default());
            (half(), half())
        })
}

fn unescape(text: &[u8]) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    for (number, part) in text.split(|byte| *byte == b'+').enumerate() {
        if number > 0 {
            bytes.push(b' ');
        }
        bytes.extend(percent_decode(part));
    }
    Zeroizing::new(match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(&Zeroizing::new(error.into_bytes())).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_form_is_encoded_as_browsers_do() {
        let form = encode(&[("a b", "1+1=2&c"), ("é", ""), ("x", "~*-._")]);
        assert_eq!(
            str::from_utf8(&form).unwrap(),
            "a+b=1%2B1%3D2%26c&%C3%A9=&x=%7E*-._"
        );
        assert!(encode(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn the_buffer_of_a_form_never_grows(pairs in proptest::collection::vec((any::<String>(), any::<String>()), 0..6)) {
            let borrowed: Vec<_> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let form = encode(&borrowed);
            let room: usize = pairs.iter().map(|(n, v)| encoded_len(n) + encoded_len(v) + 2).sum();
            // one separator too many is counted, and nothing else
            prop_assert_eq!(form.len() + usize::from(!pairs.is_empty()), room);
            prop_assert_eq!(form.capacity(), room);
        }

        /// The `url` crate's reading, which is the browsers', is the same.
        #[test]
        fn a_form_is_read_as_browsers_do(form in "([a-c%+=&0-9é]|%[0-9a-fA-F]{2}){0,24}") {
            let ours: Vec<(String, String)> = decode(form.as_bytes()).map(|(n, v)| (n.to_string(), v.to_string())).collect();
            let theirs: Vec<(String, String)> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
            prop_assert_eq!(ours, theirs);
        }
    }
}
