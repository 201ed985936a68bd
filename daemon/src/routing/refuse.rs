//! Why a request is refused: stable codes, HTTP statuses and the sentence that a person reads.
//!
//! Invariants: codes are API. Programs branch on them, so a released one never changes its
//! spelling or meaning. Everything about a code stands in the one table below.

use std::fmt;

use http::StatusCode;

macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:ident, $message:literal;)*) => {
        /// Why the proxy refuses a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum RefuseCode {
            $($(#[$doc])* $variant,)*
        }

        impl RefuseCode {
            /// Every code, for documentation and tests.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name in bodies, headers, audit records and tests.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// The status of the answer.
            pub fn status(self) -> StatusCode {
                match self {
                    $(Self::$variant => StatusCode::$status,)*
                }
            }

            /// One sentence for a person: lower case, no final period.
            pub fn message(self) -> &'static str {
                match self {
                    $(Self::$variant => $message,)*
                }
            }
        }
    };
}

refusals! {
    /// The host resolves to an address that credentials are never sent to.
    AddressRefused = "address_refused", FORBIDDEN,
        "the host resolves to an address that the proxy does not connect to";
    /// Two routes match equally well and differ in connection or slot (D13).
    Ambiguous = "ambiguous", FORBIDDEN,
        "two routes match this request equally well, so neither credential is used";
    /// The audit log cannot be written.
    AuditFailing = "audit_failing", SERVICE_UNAVAILABLE,
        "the audit log cannot be written, so no credentials are injected";
    /// The path can be read in more than one way (D5).
    BadPath = "bad_path", BAD_REQUEST,
        "the path can be read in more than one way, so no credential is sent with it";
    /// `http://` to a host that has a route (D3).
    CleartextRefused = "cleartext_refused", FORBIDDEN,
        "this host has a credential, and credentials are sent over https only";
    /// A rule of the configuration or of the project denies it, or none allows it.
    DeniedByRule = "denied_by_rule", FORBIDDEN,
        "a rule does not allow this request";
    /// The definition gained this host after the login (L12).
    HostUnconfirmed = "host_unconfirmed", FORBIDDEN,
        "this host was added to the provider after the login and is not confirmed yet";
    /// The provider had a connection in this run and has none now.
    LoginNeeded = "login_needed", FORBIDDEN,
        "this host's provider needs a login before a credential can be sent";
    /// The request would come back to the proxy itself.
    LoopRefused = "loop_refused", FORBIDDEN,
        "the request would lead back to the proxy itself";
    /// The request is not valid HTTP, or names no host or an impossible one.
    Malformed = "malformed", BAD_REQUEST,
        "the request is malformed";
    /// No route for this host and path allows the method (D6).
    MethodNotAllowed = "method_not_allowed", FORBIDDEN,
        "no credential of this host may be used with this method";
    /// Dialled authority, SNI and `Host` do not agree (D1).
    NamesDiffer = "names_differ", MISDIRECTED_REQUEST,
        "the host that was dialled and the host that the request names are not the same";
    /// No token of a run came with the request.
    NoToken = "no_token", PROXY_AUTHENTICATION_REQUIRED,
        "the proxy serves only programs started by `authsome run`";
    /// The run allows only hosts with a route, and this one has none.
    NotAllowed = "not_allowed", FORBIDDEN,
        "this run may reach only the hosts of its connections";
    /// A place where tokens are given out, renewed or taken back (D14).
    OauthEndpoint = "oauth_endpoint", FORBIDDEN,
        "no credential goes to a place where tokens are given out or taken back";
    /// The connection is limited to another region's hosts.
    OtherRegion = "other_region", FORBIDDEN,
        "this connection is for another region of the provider";
    /// The host has routes, but none for this path (D5).
    PathNotAllowed = "path_not_allowed", FORBIDDEN,
        "no credential of this host may be used for this path";
    /// A placeholder outside of the slot of its own connection, or more than one (D7).
    PlaceholderMisplaced = "placeholder_misplaced", FORBIDDEN,
        "the request carries a placeholder where it does not belong";
    /// A placeholder that this run has not given out (D7).
    PlaceholderUnknown = "placeholder_unknown", FORBIDDEN,
        "the request carries a placeholder that this run has not given out";
    /// A rate limit's bound on waiting is reached.
    RateLimited = "rate_limited", TOO_MANY_REQUESTS,
        "the rate limit of this connection is reached";
    /// The access token is over and cannot be renewed now.
    RenewalFailed = "renewal_failed", SERVICE_UNAVAILABLE,
        "the access token of this connection is over and cannot be renewed now";
    /// The run of the token is over.
    RunEnded = "run_ended", PROXY_AUTHENTICATION_REQUIRED,
        "the run that this program was started in is over";
    /// An `Upgrade` that the upstream took otherwise than as a WebSocket, or a malformed one.
    UpgradeRefused = "upgrade_refused", FORBIDDEN,
        "the connection can be upgraded to a websocket only";
    /// The upstream's certificate does not hold (D2).
    UpstreamCertificate = "upstream_certificate", BAD_GATEWAY,
        "the server's certificate could not be verified, so nothing was sent to it";
    /// No connection to the upstream.
    UpstreamUnreachable = "upstream_unreachable", BAD_GATEWAY,
        "the server could not be reached";
    /// The vault did not answer in time.
    VaultBusy = "vault_busy", SERVICE_UNAVAILABLE,
        "the vault did not answer in time";
    /// The vault is locked.
    VaultLocked = "vault_locked", SERVICE_UNAVAILABLE,
        "the vault is locked";
}

impl fmt::Display for RefuseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_pinned_with_its_status() {
        let table: Vec<_> = RefuseCode::ALL
            .iter()
            .map(|refusal| (refusal.code(), refusal.status().as_u16()))
            .collect();
        assert_eq!(
            table,
            [
                ("address_refused", 403),
                ("ambiguous", 403),
                ("audit_failing", 503),
                ("bad_path", 400),
                ("cleartext_refused", 403),
                ("denied_by_rule", 403),
                ("host_unconfirmed", 403),
                ("login_needed", 403),
                ("loop_refused", 403),
                ("malformed", 400),
                ("method_not_allowed", 403),
                ("names_differ", 421),
                ("no_token", 407),
                ("not_allowed", 403),
                ("oauth_endpoint", 403),
                ("other_region", 403),
                ("path_not_allowed", 403),
                ("placeholder_misplaced", 403),
                ("placeholder_unknown", 403),
                ("rate_limited", 429),
                ("renewal_failed", 503),
                ("run_ended", 407),
                ("upgrade_refused", 403),
                ("upstream_certificate", 502),
                ("upstream_unreachable", 502),
                ("vault_busy", 503),
                ("vault_locked", 503),
            ]
        );
    }

    #[test]
    fn codes_are_unique_snake_case_and_messages_follow_the_house_style() {
        let unique: HashSet<_> = RefuseCode::ALL
            .iter()
            .map(|refusal| refusal.code())
            .collect();
        assert_eq!(unique.len(), RefuseCode::ALL.len());
        for refusal in RefuseCode::ALL {
            let code = refusal.code();
            assert!(
                code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{code}"
            );
            let message = refusal.message();
            assert!(message.starts_with(|c: char| c.is_lowercase()), "{message}");
            assert!(!message.ends_with('.'), "{message}");
        }
    }
}
