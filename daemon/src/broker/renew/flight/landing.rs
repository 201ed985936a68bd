//! How a flight can end, and how its failures are told.

use crate::oauth::TokenError;
use crate::oauth::http::HttpError;
use crate::vault::VaultError;

/// How a flight ended.
#[derive(Debug)]
pub(in crate::broker::renew) enum Landing {
    /// The next token is there.
    Renewed,
    /// The connection is another one by now, or gone.
    Look,
    /// Only a person can help; why, unless that was said before.
    GaveUp(Option<Failure>),
    /// Not now.
    Failed(Failure),
}

/// What went wrong.
#[derive(Debug)]
pub(in crate::broker::renew) struct Failure {
    /// For the audit log.
    pub(in crate::broker::renew) code: &'static str,
    /// For people; no secrets.
    pub(in crate::broker::renew) reason: String,
    /// What the server asked for.
    pub(in crate::broker::renew) retry_after: Option<std::time::Duration>,
    /// Nobody knows whether the server replaced the refresh token.
    pub(in crate::broker::renew) is_unknown: bool,
}

impl Landing {
    pub(in crate::broker::renew) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Renewed | Self::Look => None,
            Self::GaveUp(failure) => failure.as_ref(),
            Self::Failed(failure) => Some(failure),
        }
    }

    pub(super) fn failed(code: &'static str, reason: impl Into<String>) -> Self {
        Self::Failed(Failure::new(code, reason))
    }

    pub(super) fn vault(doing: &str, error: &VaultError) -> Self {
        Self::failed("vault", format!("cannot {doing}: {error}"))
    }
}

impl Failure {
    pub(super) fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            retry_after: None,
            is_unknown: false,
        }
    }
}

/// Whether somebody in front of the server answered, who does not know what it did (RFC 9110 sections
/// 15.6.3 and 15.6.5).
pub(super) fn is_of_a_gateway(error: &TokenError) -> bool {
    matches!(
        error,
        TokenError::Unavailable {
            status: 502 | 504,
            ..
        }
    )
}

pub(super) fn failure_of(error: &HttpError) -> Failure {
    Failure {
        is_unknown: matches!(error, HttpError::Lost { .. }),
        ..Failure::new(
            match error {
                HttpError::Url(_) => "bad_url",
                HttpError::Connect { .. } => "unreachable",
                HttpError::Lost { .. } => "no_answer",
            },
            error.to_string(),
        )
    }
}

/// The codes of RFC 6749, section 5.2, and our own for the rest: the log's are a closed list.
pub(super) fn code_of(error: &TokenError) -> &'static str {
    const KNOWN: [&str; 7] = [
        "access_denied",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
    ];
    match error {
        TokenError::Refused { code, .. } => KNOWN
            .into_iter()
            .find(|known| known == code)
            .unwrap_or("refused"),
        TokenError::Unavailable { .. } => "unavailable",
        TokenError::Malformed(_) => "malformed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_is_of_a_closed_list() {
        let refused = |code: &str| TokenError::Refused {
            code: code.to_owned(),
            description: None,
        };
        assert_eq!(code_of(&refused("invalid_grant")), "invalid_grant");
        assert_eq!(code_of(&refused("bad_refresh_token")), "refused");
    }
}
