//! The one place that turns a refusal into an answer.
//!
//! The body is JSON with a stable `code`, one sentence and the command that fixes it; the header
//! `Authsome-Error` repeats the code, so that a person or a program can act on it (design 3.4).

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
};
use http::{Response, StatusCode};
use serde::Serialize;

use super::body::AnswerBody;
use crate::routing::RefuseCode;

const ERROR_HEADER: HeaderName = HeaderName::from_static("authsome-error");

/// A refusal in the words for the child.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: RefuseCode,
    message: String,
    fix: String,
}

/// What a refusal is about; the words name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) host: &'a str,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    /// Provider and connection of the route that would have applied.
    pub(super) route: Option<(&'a str, &'a str)>,
}

/// The sentence and the fix of a refusal, for who asks what would become of a request.
pub fn refusal_words(
    code: RefuseCode,
    host: &str,
    method: &str,
    path: &str,
    route: Option<(&str, &str)>,
) -> (String, String) {
    let refusal = Refusal::new(
        code,
        About {
            host,
            method,
            path,
            route,
        },
    );
    (refusal.message, refusal.fix)
}

impl Refusal {
    /// The words for `code` about a request.
    pub(super) fn new(code: RefuseCode, about: About<'_>) -> Self {
        let About {
            host,
            method,
            path,
            route,
        } = about;
        let (provider, connection) = route.unwrap_or(("the provider", "default"));
        let explain = || {
            // what the child sent is shown as one word of a shell
            let plain = path
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
            let path = if plain { path } else { "/…" };
            format!("authsome explain {method} https://{host}{path}")
        };
        let login = || match connection {
            "default" => format!("authsome login {provider}"),
            _ => format!("authsome login {provider} --connection {connection}"),
        };
        let (message, fix) = match code {
            RefuseCode::AddressRefused => (
                format!("`{host}` leads to an address that nothing is sent to"),
                "authsome doctor".to_owned(),
            ),
            RefuseCode::Ambiguous => (
                format!("two routes match `{method} {path}` on `{host}` equally well"),
                explain(),
            ),
            RefuseCode::AuditFailing => (
                "the audit log cannot be written, so no credential is injected".to_owned(),
                "authsome doctor".to_owned(),
            ),
            RefuseCode::BadPath => (
                "the path can be read in two ways (dot segments, empty segments, encoded slashes \
                 or control characters)"
                    .to_owned(),
                "send the path in its plain form".to_owned(),
            ),
            RefuseCode::CleartextRefused => (
                format!("`{host}` has a credential, which never travels over http"),
                format!("use https://{host}{path}"),
            ),
            RefuseCode::DeniedByRule => (
                format!("a rule does not allow `{method} {path}` on `{host}`"),
                explain(),
            ),
            RefuseCode::HostUnconfirmed => (
                format!("`{host}` was added to `{provider}` after its login and is not confirmed"),
                format!("{} --force", login()),
            ),
            RefuseCode::LoginNeeded => (
                format!("`{provider}` has no usable connection `{connection}`"),
                login(),
            ),
            RefuseCode::LoopRefused => (
                format!("`{host}` leads back to authsome itself"),
                "authsome doctor".to_owned(),
            ),
            RefuseCode::Malformed => (
                "the request is not one that a proxy takes".to_owned(),
                "use the proxy variables that `authsome run` sets".to_owned(),
            ),
            RefuseCode::MethodNotAllowed => (
                format!(
                    "`{method}`, or a header that overrides it, is not used with a credential on `{host}{path}`"
                ),
                explain(),
            ),
            RefuseCode::NamesDiffer => (
                format!(
                    "the request names another host than `{host}`, which the connection was \
                     opened for"
                ),
                "use one name for the connection, TLS and the Host header".to_owned(),
            ),
            RefuseCode::NoToken => (
                "the proxy wants the token of a living run".to_owned(),
                "authsome run -- COMMAND".to_owned(),
            ),
            RefuseCode::NotAllowed => (
                format!("this run may reach only hosts with a connection, and `{host}` has none"),
                "authsome run --unmatched tunnel -- COMMAND".to_owned(),
            ),
            RefuseCode::OauthEndpoint => (
                format!(
                    "`{path}` on `{host}` is where tokens are given out or taken back, which \
                     programs cannot do with a credential of authsome"
                ),
                "leave logging in to `authsome login`, and renewing tokens to authsome".to_owned(),
            ),
            RefuseCode::OtherRegion => (
                format!("`{provider}` is limited to another region than that of `{host}`"),
                format!("{} --force --region REGION", login()),
            ),
            RefuseCode::PathNotAllowed => (
                format!("no credential is used for `{path}` on `{host}`"),
                explain(),
            ),
            RefuseCode::PlaceholderMisplaced => (
                format!(
                    "the request to `{host}` carries a placeholder of authsome where it does not belong, \
                     more than once, or for another connection"
                ),
                explain(),
            ),
            RefuseCode::PlaceholderUnknown => (
                "the request carries a placeholder that this run has not given out".to_owned(),
                "read it from the variable again; it is another one in every run".to_owned(),
            ),
            RefuseCode::RateLimited => (
                format!("the rate limit for `{provider}` is reached"),
                "try again later, or change the `rate` of the rule".to_owned(),
            ),
            RefuseCode::RenewalFailed => (
                format!("the access token of `{provider}` is over and cannot be renewed now"),
                "try again later; `authsome log` shows what its server said".to_owned(),
            ),
            RefuseCode::RunEnded => (
                "the run is over, or its certificate authority has expired".to_owned(),
                "authsome run -- COMMAND".to_owned(),
            ),
            RefuseCode::UpgradeRefused => (
                "only WebSocket upgrades go through".to_owned(),
                "send the request without an upgrade".to_owned(),
            ),
            RefuseCode::UpstreamCertificate => (
                format!("`{host}` could not be verified"),
                "authsome doctor".to_owned(),
            ),
            RefuseCode::UpstreamUnreachable => (
                format!("`{host}` cannot be reached"),
                "authsome doctor".to_owned(),
            ),
            RefuseCode::VaultBusy => (
                "the vault did not answer in time".to_owned(),
                "authsome status".to_owned(),
            ),
            RefuseCode::VaultLocked => (
                "the vault is locked".to_owned(),
                "authsome status".to_owned(),
            ),
        };
        Self { code, message, fix }
    }

    /// Appends what the other side said, cut to one line.
    pub(super) fn because(mut self, reason: &str) -> Self {
        if !reason.is_empty() {
            self.message.push_str(": ");
            let line = reason.chars().map(|c| if c.is_control() { ' ' } else { c });
            self.message.extend(line.take(300));
        }
        self
    }

    /// Replaces the sentence.
    pub(super) fn saying(mut self, message: &str) -> Self {
        message.clone_into(&mut self.message);
        self
    }

    /// The answer. A request whose names disagree also costs its connection (threat D1).
    pub(super) fn into_response(self) -> Response<AnswerBody> {
        #[derive(Serialize)]
        struct Envelope<'a> {
            error: Inner<'a>,
        }
        #[derive(Serialize)]
        struct Inner<'a> {
            code: &'a str,
            message: &'a str,
            fix: &'a str,
        }

        let code = self.code.code();
        let inner = Inner {
            code,
            message: &self.message,
            fix: &self.fix,
        };
        // strings always serialize; an empty body would still carry the header
        let text = serde_json::to_vec(&Envelope { error: inner }).unwrap_or_default();
        let mut response = Response::new(AnswerBody::Text(Bytes::from(text)));
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(ERROR_HEADER, HeaderValue::from_static(code));
        if matches!(self.code, RefuseCode::NamesDiffer | RefuseCode::Malformed) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if self.code.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            let challenge = HeaderValue::from_static("Basic realm=\"authsome\"");
            headers.insert(PROXY_AUTHENTICATE, challenge);
        }
        response
    }
}
