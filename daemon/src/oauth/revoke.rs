//! Giving a token back (RFC 7009).

use authsome_proto::Secret;

use super::{Client, Incoming, Outgoing};

/// Which token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// An access token.
    Access,
    /// A refresh token; servers end the access tokens with it.
    Refresh,
}

/// The request that revokes `token`.
pub fn request(token: &Secret, hint: Hint, client: Option<&Client>) -> Outgoing {
    drop((token, hint, client));
    todo!()
}

/// What became of it: `Ok` if the token is no good any more, which an unknown token is, too (section
/// 2.2); else what the server said, in a few printable words.
pub fn read(answer: &Incoming) -> Result<(), String> {
    drop(answer);
    todo!()
}
