//! Proof of possession for a code (RFC 7636), and the state that ties an answer to its login.

use authsome_proto::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Random bytes in a verifier and in a state. RFC 7636 asks for 32, which are 43 characters, its
/// shortest verifier; a state has to have 16 (threat O3).
const RANDOM_LEN: usize = 32;

/// A code verifier. Its challenge is S256; there is no `plain`.
#[derive(Debug)]
pub struct Pkce(Secret);

impl Pkce {
    /// 256 random bits in 43 characters (RFC 7636 section 4.1).
    ///
    /// # Panics
    /// If the kernel gives no random bytes.
    pub fn random() -> Self {
        Self(random())
    }

    #[cfg(test)]
    pub(super) fn of(verifier: &str) -> Self {
        Self(Secret::new(verifier.to_owned()))
    }

    /// The verifier, for the token request.
    pub fn verifier(&self) -> &Secret {
        &self.0
    }

    /// `BASE64URL(SHA256(verifier))` (section 4.2).
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.0.expose()))
    }
}

/// 256 random bits that come back with the answer to one authorization request.
#[derive(Debug, Clone)]
pub struct State(Secret);

impl State {
    /// A new one.
    ///
    /// # Panics
    /// If the kernel gives no random bytes.
    pub fn random() -> Self {
        Self(random())
    }

    #[cfg(test)]
    pub(super) fn of(text: &str) -> Self {
        Self(Secret::new(text.to_owned()))
    }

    /// As it is sent.
    pub fn as_str(&self) -> &str {
        self.0.expose()
    }

    /// Whether `text` is it, in constant time.
    pub fn is(&self, text: &str) -> bool {
        self.as_str().as_bytes().ct_eq(text.as_bytes()).into()
    }
}

fn random() -> Secret {
    let mut bytes = Zeroizing::new([0; RANDOM_LEN]);
    #[expect(
        clippy::expect_used,
        reason = "without random bytes nothing here is safe"
    )]
    getrandom::fill(&mut *bytes).expect("the kernel gives random bytes");
    let len = base64::encoded_len(RANDOM_LEN, false).unwrap_or_default();
    // the buffer does not grow, and `Secret` wipes it
    let mut text = String::with_capacity(len);
    URL_SAFE_NO_PAD.encode_string(*bytes, &mut text);
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// RFC 7636 appendix B.
    #[test]
    fn rfc7636_appendix_b() {
        let pkce = Pkce::of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(
            pkce.challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    /// O3: 256 bits, in the characters of RFC 7636 section 4.1, never the same ones.
    #[test]
    fn verifiers_and_states_are_long_plain_and_different() {
        let mut seen = HashSet::new();
        for _ in 0..200 {
            for text in [
                Pkce::random().verifier().expose().to_owned(),
                State::random().as_str().to_owned(),
            ] {
                assert_eq!(text.len(), 43);
                let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
                assert!(text.bytes().all(plain), "{text}");
                assert_eq!(URL_SAFE_NO_PAD.decode(&text).unwrap().len(), 32);
                assert!(seen.insert(text));
            }
        }
    }

    #[test]
    fn a_state_is_itself_and_nothing_else() {
        let state = State::random();
        let text = state.as_str().to_owned();
        assert!(state.is(&text));
        for other in [
            String::new(),
            text[1..].to_owned(),
            text[..42].to_owned(),
            format!("{text} "),
            format!("{text}{text}"),
            text.to_ascii_lowercase(),
            State::random().as_str().to_owned(),
        ] {
            assert_eq!(state.is(&other), other == text, "{other:?}");
        }
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] ^= 1;
            assert!(!state.is(&String::from_utf8(other).unwrap()), "{at}");
        }
    }

    #[test]
    fn debug_hides_verifier_and_state() {
        let shown = format!("{:?} {:?}", Pkce::of("hunter2"), State::of("hunter2"));
        assert!(!shown.contains("hunter"), "{shown}");
    }
}
