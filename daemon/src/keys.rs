//! What is derived from the install secret instead of being stored (HKDF-SHA256, RFC 5869).
//!
//! Each use has its own `info` text, so no derived value says anything about another. The run's
//! CA key is derived in `proxy/ca.rs` and the audit chain's in `audit/chain.rs`, the same way.

use hkdf::Hkdf;
use sha2::Sha256;

use authsome_proto::{ConnectionName, ProviderName, RunId};

use crate::routing::placeholder::RANDOM_BYTES;
use crate::sys::locked::LockedBytes;

/// A run's proxy token: 256 bits in lower-case hex, letters and digits only, since it is the
/// password part of a URL.
pub fn run_token(install_secret: &LockedBytes, run: &RunId) -> LockedBytes {
    let mut text = zeroize::Zeroizing::new([0; 64]);
    let key: zeroize::Zeroizing<[u8; 32]> = derive(
        install_secret,
        &[b"authsome run token", run.as_str().as_bytes()],
    );
    for (pair, byte) in text.chunks_exact_mut(2).zip(key.iter()) {
        let digit = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
        if let [high, low] = pair {
            *high = digit(byte >> 4);
            *low = digit(byte & 15);
        }
    }
    LockedBytes::new(&*text)
}

/// The random part of a placeholder in `run`: of one connection, or of whichever connection the
/// run uses of `provider` by default. No name of a connection is empty, so these never meet.
pub fn placeholder(
    install_secret: &LockedBytes,
    run: &RunId,
    provider: &ProviderName,
    connection: Option<&ConnectionName>,
) -> [u8; RANDOM_BYTES] {
    let connection = connection.map_or("", ConnectionName::as_str);
    *derive(
        install_secret,
        &[
            b"authsome placeholder",
            run.as_str().as_bytes(),
            provider.as_str().as_bytes(),
            connection.as_bytes(),
        ],
    )
}

/// Derives from `secret` for the use that `info` names; its parts are joined by zero bytes, which
/// none of them contains.
fn derive<const N: usize>(secret: &LockedBytes, info: &[&[u8]]) -> zeroize::Zeroizing<[u8; N]> {
    let mut out = zeroize::Zeroizing::new([0; N]);
    let hkdf = Hkdf::<Sha256>::new(None, secret.as_ref());
    let info = info.join(&0);
    #[expect(
        clippy::expect_used,
        reason = "what is derived here is far below the limit of 255 hashes"
    )]
    hkdf.expand(&info, &mut *out)
        .expect("HKDF gives these few bytes");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D7: a placeholder says nothing in another run, nor for another connection.
    #[test]
    fn placeholders_differ_by_install_run_provider_and_connection() {
        let secret = |byte| LockedBytes::new(&[byte; 32]);
        let of = |byte, run: &str, provider: &str, connection: Option<&str>| {
            placeholder(
                &secret(byte),
                &run.parse().unwrap(),
                &provider.parse().unwrap(),
                connection.map(|name| name.parse().unwrap()).as_ref(),
            )
        };
        let all = [
            of(1, "runa", "x", Some("c")),
            of(2, "runa", "x", Some("c")),
            of(1, "runb", "x", Some("c")),
            of(1, "runa", "y", Some("c")),
            of(1, "runa", "x", Some("d")),
            of(1, "runa", "x", None),
            of(1, "runa", "xc", None),
            of(1, "run", "ax", Some("c")),
        ];
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(of(1, "runa", "x", None), of(1, "runa", "x", None));
    }

    /// A run that outlives an update of the daemon keeps its token and its placeholders.
    #[test]
    fn derivations_are_pinned() {
        let secret = LockedBytes::new(&[7; 32]);
        let run = "runa".parse().unwrap();
        // computed by another implementation
        assert_eq!(
            run_token(&secret, &run).as_ref(),
            b"c3a25c8288208fff0079c1360ef3970be595ccaaf477a6a8f92fe0de4733f809"
        );
        let provider = "intercom".parse().unwrap();
        let text = |connection: Option<&str>| {
            let connection = connection.map(|name| name.parse().unwrap());
            let random = placeholder(&secret, &run, &provider, connection.as_ref());
            let filled = crate::routing::Template::plain().fill(&random);
            filled.as_str().to_owned()
        };
        assert_eq!(text(None), "authsomesdt3rqd983chmcj6jn24qgyfhv");
        assert_eq!(text(Some("team")), "authsome2jnmf4hdifyyzckzva2si97qfi");
    }

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
