//! Giving a token back (RFC 7009).

use authsome_proto::Secret;

use super::client::post;
use super::token::{TokenError, answer, refusal};
use super::{Client, Incoming, Outgoing};

/// Codes that mean that there was nothing to revoke: RFC 7009 wants 200 for an unknown token, but not
/// every server does (Google: `invalid_token`); the others are Slack's.
const NO_GOOD_ANYWAY: [&str; 4] = [
    "invalid_token",
    "account_inactive",
    "token_expired",
    "token_revoked",
];

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
    let hint = match hint {
        Hint::Access => "access_token",
        Hint::Refresh => "refresh_token",
    };
    let fields = [("token", token.expose()), ("token_type_hint", hint)];
    post(&fields, client)
}

/// What became of it: `Ok` if the token is no good any more, which an unknown token is, too (section
/// 2.2); else what the server said, in a few printable words.
///
/// The body of a success says nothing (section 2.2), unless it names an error, as Slack's does.
pub fn read(answer: &Incoming) -> Result<(), String> {
    match refusal(answer, answer::parse(answer).ok().as_ref()) {
        None => Ok(()),
        Some(TokenError::Refused { code, .. })
            if NO_GOOD_ANYWAY
                .iter()
                .any(|known| known.eq_ignore_ascii_case(&code)) =>
        {
            Ok(())
        }
        Some(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;
    use crate::providers::ClientAuth;

    fn incoming(status: u16, body: impl Into<Vec<u8>>) -> Incoming {
        Incoming {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Zeroizing::new(body.into()),
        }
    }

    /// O9
    #[test]
    fn a_token_is_revoked_as_rfc_7009_says() {
        let token = Secret::new("45ghiukldjahdnhzdauz".to_owned());
        let client = Client {
            id: "id".to_owned(),
            secret: Some(Secret::new("secret".to_owned())),
            auth: ClientAuth::Body,
        };
        for (hint, client, body) in [
            (
                Hint::Refresh,
                None,
                "token=45ghiukldjahdnhzdauz&token_type_hint=refresh_token",
            ),
            (
                Hint::Access,
                Some(&client),
                "token=45ghiukldjahdnhzdauz&token_type_hint=access_token&client_id=id&client_secret=secret",
            ),
        ] {
            let outgoing = request(&token, hint, client);
            let (_, sent) = outgoing.body.as_ref().unwrap();
            assert_eq!(str::from_utf8(sent).unwrap(), body);
            assert!(!format!("{outgoing:?}").contains("45ghi"));
        }
    }

    /// O9
    #[test]
    fn a_token_that_is_no_good_any_more_is_revoked() {
        for (status, body) in [
            (200, ""),
            (200, "OK"),
            (200, "{}"),
            (200, "<html>"),
            (204, ""),
            (200, r#"{"ok":true,"revoked":true}"#),
            (200, r#"{"ok":false,"error":"token_revoked"}"#),
            (400, r#"{"error":"invalid_token"}"#),
            (
                400,
                r#"{"error":"invalid_token","error_description":"Token expired or revoked"}"#,
            ),
        ] {
            assert_eq!(read(&incoming(status, body)), Ok(()), "{status} {body}");
        }
    }

    /// O9
    #[test]
    fn a_token_that_may_live_on_is_told_of() {
        for (status, body, shown) in [
            (503, "", "the server cannot answer now (status 503)"),
            (
                503,
                r#"{"error":"invalid_token"}"#,
                "the server cannot answer now (status 503)",
            ),
            (
                400,
                r#"{"error":"unsupported_token_type","error_description":"only\nrefresh tokens"}"#,
                "the server refused: unsupported_token_type (only refresh tokens)",
            ),
            (
                401,
                r#"{"error":"invalid_client"}"#,
                "the server refused: invalid_client",
            ),
            (404, "<html>", "the server refused: status 404"),
            (
                200,
                r#"{"ok":false,"error":"not_authed"}"#,
                "the server refused: not_authed",
            ),
            (
                200,
                r#"{"ok":false}"#,
                "the server's answer makes no sense: it says that it is no success, and not why",
            ),
            (
                302,
                "",
                "the server's answer makes no sense: it is neither a success nor a refusal",
            ),
            (
                400,
                r#"{"error":"x","error_description":"unknown token hunter2hunter2hunter2"}"#,
                "the server refused: x (unknown token [hidden])",
            ),
        ] {
            assert_eq!(
                read(&incoming(status, body)).unwrap_err(),
                shown,
                "{status} {body}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(body in any::<Vec<u8>>(), status in 200_u16..600) {
            if let Err(shown) = read(&incoming(status, body)) {
                prop_assert!(!shown.contains(char::is_control) && shown.chars().count() < 400, "{}", shown);
            }
        }
    }
}
