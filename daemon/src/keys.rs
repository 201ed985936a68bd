//! What is derived from the install secret instead of being stored (HKDF-SHA256, RFC 5869).
//!
//! Each use has its own `info` text, so no derived value says anything about another. The run's
//! CA key is derived in `proxy/ca.rs` and the audit chain's in `audit/chain.rs`, the same way.

use hkdf::Hkdf;
use sha2::Sha256;

use authsome_proto::RunId;

use crate::sys::locked::LockedBytes;

/// A run's proxy token: 256 bits in lower-case hex, letters and digits only, since it is the
/// password part of a URL.
pub fn run_token(install_secret: &LockedBytes, run: &RunId) -> LockedBytes {
    let mut text = zeroize::Zeroizing::new([0; 64]);
    let key = derive(install_secret, b"authsome run token", run.as_str());
    for (pair, byte) in text.chunks_exact_mut(2).zip(key.iter()) {
        let digit = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
        if let [high, low] = pair {
            *high = digit(byte >> 4);
            *low = digit(byte & 15);
        }
    }
    LockedBytes::new(&*text)
}

fn derive(secret: &LockedBytes, what: &[u8], which: &str) -> zeroize::Zeroizing<[u8; 32]> {
    let mut out = zeroize::Zeroizing::new([0; 32]);
    let hkdf = Hkdf::<Sha256>::new(None, secret.as_ref());
    #[expect(
        clippy::expect_used,
        reason = "32 bytes are far below the limit of 255 hashes"
    )]
    hkdf.expand_multi_info(&[what, b"\0", which.as_bytes()], &mut *out)
        .expect("HKDF gives 32 bytes");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_by_run_and_by_install_and_are_the_same_again() {
        let (a, b) = ("runa".parse().unwrap(), "runb".parse().unwrap());
        let (one, two) = (LockedBytes::new(&[1; 32]), LockedBytes::new(&[2; 32]));
        let token = |secret, run| run_token(secret, run).as_ref().to_vec();
        assert_eq!(token(&one, &a), token(&one, &a));
        assert_ne!(token(&one, &a), token(&one, &b));
        assert_ne!(token(&one, &a), token(&two, &a));
        assert_eq!(token(&one, &a).len(), 64);
        assert!(token(&one, &a).iter().all(u8::is_ascii_alphanumeric));
    }
}
