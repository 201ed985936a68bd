//! Requests to the token endpoint and their answers (RFC 6749 sections 4 to 6).

use std::time::Duration;

use authsome_proto::Secret;

use super::{Client, Incoming, Outgoing};

/// What is given for a token.
#[derive(Debug)]
pub enum Grant<'a> {
    /// A code (section 4.1.3).
    Code {
        /// The code.
        code: &'a Secret,
        /// As in the authorization request.
        redirect_uri: &'a str,
        /// The PKCE verifier.
        verifier: &'a Secret,
    },
    /// A refresh token (section 6).
    Refresh {
        /// The token.
        token: &'a Secret,
    },
    /// The client itself (section 4.4).
    ClientCredentials {
        /// What is asked for.
        scopes: &'a [String],
    },
    /// A device code (RFC 8628 section 3.4).
    Device {
        /// The code.
        code: &'a Secret,
    },
    /// A signed assertion (RFC 7523 section 2.1).
    Assertion {
        /// The JWT.
        assertion: &'a Secret,
    },
}

/// The tokens of one answer.
#[derive(Debug)]
pub struct Tokens {
    /// The access token.
    pub access: Secret,
    /// The refresh token, if the answer has one.
    pub refresh: Option<Secret>,
    /// How long the access token is good, if the answer says something believable: more than
    /// nothing, and [`LIFETIME_MAX`] at most.
    pub expires_in: Option<Duration>,
    /// What was granted, if the answer says it.
    pub scopes: Option<Vec<String>>,
}

/// Longest lifetime that is believed. Some servers say ten years for "for ever".
pub const LIFETIME_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Why there are no tokens. Never holds one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The server says no, with one of RFC 6749's codes or its own.
    #[error("the server refused: {code}{}", described(.description.as_deref()))]
    Refused {
        /// `invalid_grant` and the like.
        code: String,
        /// What it says about it; printable and short.
        description: Option<String>,
    },
    /// The server cannot answer now: 429, 5xx, or `temporarily_unavailable`. Worth another try.
    #[error("the server cannot answer now (status {status})")]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// How long it asks to wait, an hour at most.
        retry_after: Option<Duration>,
    },
    /// An answer that is none.
    #[error("the server's answer makes no sense: {0}")]
    Malformed(&'static str),
}

fn described(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!(" ({text})"))
}

impl TokenError {
    /// Whether the grant itself is no good any more, so that only a person can help.
    pub fn is_final(&self) -> bool {
        todo!()
    }
}

/// The request that gives `grant`. Without a client nothing identifies us (an assertion does it
/// itself).
pub fn request(grant: &Grant<'_>, client: Option<&Client>, resource: Option<&str>) -> Outgoing {
    drop((grant, client, resource));
    todo!()
}

/// What an answer of the token endpoint holds. Takes JSON and, as GitHub and others send it, a form;
/// an error with status 200; `expires_in` as text; Slack's `ok` and `authed_user`.
pub fn read(answer: &Incoming) -> Result<Tokens, TokenError> {
    drop(answer);
    todo!()
}
