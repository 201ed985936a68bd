//! Proof of possession for a code (RFC 7636), and the state that ties an answer to its login.

use authsome_proto::Secret;

/// A code verifier. Its challenge is S256; there is no `plain`.
#[derive(Debug)]
pub struct Pkce(Secret);

impl Pkce {
    /// 256 random bits in 43 characters (RFC 7636 section 4.1).
    pub fn random() -> Self {
        todo!()
    }

    /// The verifier, for the token request.
    pub fn verifier(&self) -> &Secret {
        &self.0
    }

    /// `BASE64URL(SHA256(verifier))` (section 4.2).
    pub fn challenge(&self) -> String {
        todo!()
    }
}

/// 256 random bits that come back with the answer to one authorization request.
#[derive(Debug, Clone)]
pub struct State(Secret);

impl State {
    /// A new one.
    pub fn random() -> Self {
        todo!()
    }

    /// As it is sent.
    pub fn as_str(&self) -> &str {
        self.0.expose()
    }

    /// Whether `text` is it, in constant time.
    pub fn is(&self, text: &str) -> bool {
        drop(text);
        todo!()
    }
}
