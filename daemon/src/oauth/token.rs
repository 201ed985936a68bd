//! Requests to the token endpoint and their answers (RFC 6749 sections 4 to 6).

use std::time::Duration;

use authsome_proto::Secret;
use authsome_proto::secret::SECRET_MAX;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

use super::client::post;
use super::said::{CODE_MAX, DESCRIPTION_MAX, words};
use super::{Client, Incoming, Outgoing};

pub(super) mod answer;

pub(super) use answer::parse;
use answer::{Answer, Granted, Loose, Said};

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

/// Longest wait that a server gets. A program waits at the other end, and a token may run out.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Most scopes that are remembered, and the longest. Google's and Microsoft's, of which there are most,
/// stay far below.
const SCOPES_MAX: usize = 256;
const SCOPE_LEN_MAX: usize = 256;

/// Codes that mean that this grant, or this client, will never be taken again.
const FINAL: [&str; 25] = [
    // RFC 6749 section 5.2
    "invalid_grant",
    "invalid_client",
    "unauthorized_client",
    // RFC 6749 section 4.1.2.1, RFC 8628 section 3.5
    "access_denied",
    "expired_token",
    // RFC 6750 section 3.1
    "invalid_token",
    // OpenID Connect Core section 3.1.2.6; Microsoft sends them for a refresh token
    "account_selection_required",
    "consent_required",
    "interaction_required",
    "login_required",
    // GitHub
    "bad_refresh_token",
    "bad_verification_code",
    "incorrect_client_credentials",
    "incorrect_device_code",
    "unverified_user_email",
    // Slack
    "account_inactive",
    "bad_client_secret",
    "code_already_used",
    "invalid_client_id",
    "invalid_code",
    "invalid_refresh_token",
    "token_expired",
    "token_revoked",
    // HubSpot, which writes them in capitals
    "bad_auth_code",
    "bad_client_id",
];

/// Codes that mean the same as 503, whatever the status is: RFC 6749's two, and Slack's, which come
/// with 200.
const FOR_NOW: [&str; 7] = [
    "temporarily_unavailable",
    "server_error",
    "fatal_error",
    "internal_error",
    "ratelimited",
    "request_timeout",
    "service_unavailable",
];

fn described(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!(" ({text})"))
}

impl TokenError {
    /// Whether the grant itself is no good any more, so that only a person can help.
    ///
    /// Only codes that say so are final: the grant is dead, or the client is. Every other refusal is
    /// not, neither one that nobody knows nor one that may be a server's slip (`invalid_request`,
    /// `invalid_scope`, a bare 403). To call a living grant dead costs a person a login, to ask
    /// again costs a request: whoever asks waits longer each time, so that a code that is final
    /// after all (X says `invalid_request` of a dead refresh token) is no loop.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused { code, .. } => {
                FINAL.iter().any(|known| known.eq_ignore_ascii_case(code))
            }
            Self::Unavailable { .. } | Self::Malformed(_) => false,
        }
    }
}

/// The request that gives `grant`. Without a client nothing identifies us (an assertion does it
/// itself).
///
/// Always a form, which RFC 6749 asks for; other clients send it to servers whose own examples are
/// JSON (Notion, Atlassian), too.
pub fn request(grant: &Grant<'_>, client: Option<&Client>, resource: Option<&str>) -> Outgoing {
    let mut scope = String::new();
    let mut fields = match *grant {
        Grant::Code {
            code,
            redirect_uri,
            verifier,
        } => vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.expose()),
        ],
        Grant::Refresh { token } => vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", token.expose()),
        ],
        Grant::ClientCredentials { scopes } => {
            scope.push_str(&scopes.join(" "));
            vec![("grant_type", "client_credentials")]
        }
        Grant::Device { code } => vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", code.expose()),
        ],
        Grant::Assertion { assertion } => vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion.expose()),
        ],
    };
    if !scope.is_empty() {
        fields.push(("scope", &scope));
    }
    fields.extend(resource.map(|resource| ("resource", resource)));
    post(&fields, client)
}

/// What an answer of the token endpoint holds. Takes JSON and, as GitHub and others send it, a form;
/// an error with status 200; `expires_in` as text; Slack's `ok` and `authed_user`.
///
/// What may be missing or silly without harm is left out (`expires_in`, `scope`). A token that could
/// not stand in a header, a member that stands there twice, and a `token_type` that is no bearer's
/// are `Malformed`.
pub fn read(answer: &Incoming) -> Result<Tokens, TokenError> {
    let content = parse(answer);
    if let Some(error) = refusal(answer, content.as_ref().ok()) {
        return Err(error);
    }
    let content = content.map_err(TokenError::Malformed)?;
    // all of one or all of the other: Slack's two users have tokens of their own
    let granted = match content {
        Answer { granted, .. } if granted.access_token.is_some() => granted,
        Answer {
            said: Said {
                authed_user: Some(user),
                ..
            },
            ..
        } => user,
        Answer { granted, .. } => granted,
    };
    tokens(granted).map_err(TokenError::Malformed)
}

/// What keeps `answer` from being a success, whatever it holds beside that.
pub(super) fn refusal(answer: &Incoming, content: Option<&Answer>) -> Option<TokenError> {
    let said = content.map(|content| &content.said);
    let status = answer.status;
    let unavailable = || TokenError::Unavailable {
        status: status.as_u16(),
        retry_after: retry_after(&answer.headers),
    };
    if is_unavailable(status) {
        return Some(unavailable());
    }
    if !status.is_success() && !status.is_client_error() {
        // a redirect is not followed, or a secret would go where nobody decided that it goes
        let why = "it is neither a success nor a refusal";
        return Some(TokenError::Malformed(why));
    }
    let is_error = status.is_client_error();
    let code = said
        .and_then(|said| said.code(is_error))
        .or_else(|| is_error.then(|| format!("status {}", status.as_u16())));
    let Some(code) = code else {
        let is_denied = said.is_some_and(|said| said.ok == Loose::Flag(false));
        let why = "it says that it is no success, and not why";
        return is_denied.then_some(TokenError::Malformed(why));
    };
    if FOR_NOW
        .iter()
        .any(|known| known.eq_ignore_ascii_case(&code))
    {
        return Some(unavailable());
    }
    Some(TokenError::Refused {
        code: words(&code, CODE_MAX).unwrap_or_else(|| "unknown".to_owned()),
        description: said
            .and_then(Said::description)
            .and_then(|text| words(text, DESCRIPTION_MAX)),
    })
}

fn is_unavailable(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
}

/// In seconds; a date is left out, which would need a clock that both agree on.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // digits that no number holds are a long time
    let seconds = text.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

fn tokens(granted: Granted) -> Result<Tokens, &'static str> {
    let access = granted
        .access_token
        .filter(|token| !token.is_empty())
        .ok_or("it has no access token")?;
    if !is_bearer(&granted.token_type) {
        return Err("its `token_type` is not `bearer`");
    }
    let refresh = granted.refresh_token.filter(|token| !token.is_empty());
    for token in std::iter::once(&access).chain(&refresh) {
        if token.len() > SECRET_MAX {
            return Err("a token is too long");
        }
        // it goes into a header as it is, so a line break would begin another one
        if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a token has characters that no token has");
        }
    }
    Ok(Tokens {
        access,
        refresh,
        expires_in: lifetime(&granted.expires_in),
        scopes: scopes(&granted.scope),
    })
}

/// A token of another type is used in another way, which we do not know. Slack says whose it is
/// instead.
fn is_bearer(token_type: &Loose) -> bool {
    match token_type {
        Loose::Nothing => true,
        Loose::Text(text) => ["", "bearer", "user", "bot"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(text.trim())),
        _ => false,
    }
}

fn lifetime(said: &Loose) -> Option<Duration> {
    let seconds = match said {
        Loose::Number(seconds) => *seconds,
        Loose::Text(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // else the largest of all would be a lifetime, and so would NaN
    if !seconds.is_finite() {
        return None;
    }
    let capped = seconds.min(LIFETIME_MAX.as_secs_f64());
    // `try_from` takes nothing below zero
    Duration::try_from_secs_f64(capped)
        .ok()
        .filter(|lifetime| !lifetime.is_zero())
}

/// An empty text says nothing: GitHub sends it for tokens whose rights are not scopes.
fn scopes(said: &Loose) -> Option<Vec<String>> {
    let texts = match said {
        Loose::Text(text) => std::slice::from_ref(text),
        Loose::List(texts) => texts,
        _ => return None,
    };
    let scopes: Vec<String> = texts
        .iter()
        .flat_map(|text| text.split([' ', ',']))
        .filter(|scope| (1..=SCOPE_LEN_MAX).contains(&scope.len()))
        .filter(|scope| scope.bytes().all(|byte| byte.is_ascii_graphic()))
        .take(SCOPES_MAX)
        .map(str::to_owned)
        .collect();
    (!scopes.is_empty()).then_some(scopes)
}

#[cfg(test)]
mod tests;
