use http::HeaderValue;
use http::header::CONTENT_TYPE;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::providers::ClientAuth;

const JSON: &str = "application/json; charset=utf-8";

fn incoming(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Incoming {
    let mut headers = HeaderMap::new();
    if !kind.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
    }
    Incoming {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body: Zeroizing::new(body.into()),
    }
}

fn json(body: &str) -> Result<Tokens, TokenError> {
    read(&incoming(200, JSON, body))
}

fn refused(code: &str, description: Option<&str>) -> TokenError {
    TokenError::Refused {
        code: code.to_owned(),
        description: description.map(str::to_owned),
    }
}

fn unavailable(status: u16) -> TokenError {
    TokenError::Unavailable {
        status,
        retry_after: None,
    }
}

/// Tokens that can be compared.
type Plain<'a> = (&'a str, Option<&'a str>, Option<u64>, Option<Vec<&'a str>>);

fn plain(tokens: &Tokens) -> Plain<'_> {
    let scopes = tokens.scopes.as_ref();
    (
        tokens.access.expose(),
        tokens.refresh.as_ref().map(Secret::expose),
        tokens.expires_in.map(|lifetime| lifetime.as_secs()),
        scopes.map(|scopes| scopes.iter().map(String::as_str).collect()),
    )
}

/// Examples from RFC 6749 section 5.1 and from the providers' own pages.
#[test]
fn the_tokens_of_many_servers() {
    let cases: [(&str, &str, Plain<'_>); 12] = [
        (
            JSON,
            r#"{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"example","expires_in":3600,
               "refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA","example_parameter":"example_value"}"#,
            ("", None, None, None),
        ),
        (
            JSON,
            r#"{"access_token":"ya29.a-b_c/d","expires_in":3599,"refresh_token":"1//0g-x",
               "scope":"openid https://www.googleapis.com/auth/calendar","token_type":"Bearer","id_token":"a.b.c"}"#,
            (
                "ya29.a-b_c/d",
                Some("1//0g-x"),
                Some(3599),
                Some(vec!["openid", "https://www.googleapis.com/auth/calendar"]),
            ),
        ),
        (
            JSON,
            r#"{"access_token":"gho_x","token_type":"bearer","scope":"repo,gist"}"#,
            ("gho_x", None, None, Some(vec!["repo", "gist"])),
        ),
        // GitHub without `Accept`, and what a Python server makes of a form
        (
            "application/x-www-form-urlencoded; charset=utf-8",
            "access_token=gho_x&scope=repo%2Cgist&token_type=bearer",
            ("gho_x", None, None, Some(vec!["repo", "gist"])),
        ),
        (
            "text/plain",
            "access_token=a%2Bb&refresh_token=r&expires_in=5183944",
            ("a+b", Some("r"), Some(5_183_944), None),
        ),
        // a GitHub App
        (
            "",
            r#"{"access_token":"ghu_x","expires_in":28800,"refresh_token":"ghr_x","refresh_token_expires_in":15897600,"scope":"","token_type":"bearer"}"#,
            ("ghu_x", Some("ghr_x"), Some(28_800), None),
        ),
        // Slack: a bot, a person, both
        (
            JSON,
            r#"{"ok":true,"access_token":"xoxb-b","token_type":"bot","scope":"chat:write,commands","authed_user":{"id":"U1"}}"#,
            ("xoxb-b", None, None, Some(vec!["chat:write", "commands"])),
        ),
        (
            JSON,
            r#"{"ok":true,"app_id":"A","authed_user":{"id":"U1","scope":"chat:write","access_token":"xoxe.xoxp-p","token_type":"user","refresh_token":"xoxe-1","expires_in":43200}}"#,
            (
                "xoxe.xoxp-p",
                Some("xoxe-1"),
                Some(43_200),
                Some(vec!["chat:write"]),
            ),
        ),
        (
            JSON,
            r#"{"ok":true,"access_token":"xoxb-b","token_type":"bot","authed_user":{"access_token":"xoxp-p","refresh_token":"of the other","expires_in":1}}"#,
            ("xoxb-b", None, None, None),
        ),
        // texts, nothings and lists where they do not belong
        (
            "text/html",
            " \n{\"access_token\":\"a\",\"refresh_token\":\"\",\"expires_in\":\" 7200.9 \",\"scope\":[\"a\",\"b c\",1],\"error\":\"\",\"error_description\":null}",
            ("a", None, Some(7200), Some(vec!["a", "b", "c"])),
        ),
        (
            JSON,
            r#"{"access_token":"a","refresh_token":false,"token_type":null,"expires_in":{},"scope":7,"error":null,"ok":"no","authed_user":null,"status":"ok","code":"x","message":"hi"}"#,
            ("a", None, None, None),
        ),
        (
            JSON,
            r#"{"access_token":"a\/b\u0063","token_type":"BEARER"}"#,
            ("a/bc", None, None, None),
        ),
    ];
    for (kind, body, tokens) in cases {
        let read = read(&incoming(200, kind, body));
        if tokens.0.is_empty() {
            // the RFC's own example has a type that is an example
            assert!(matches!(read, Err(TokenError::Malformed(_))), "{body}");
        } else {
            assert_eq!(plain(&read.unwrap()), tokens, "{body}");
        }
    }
    // 201 and the like are successes, too
    let created = incoming(201, JSON, r#"{"access_token":"a"}"#);
    assert!(read(&created).is_ok());
}

#[test]
fn a_lifetime_is_believed_if_it_can_be() {
    let max = Some(LIFETIME_MAX.as_secs());
    for (said, seconds) in [
        ("3600", Some(3600)),
        ("3600.0", Some(3600)),
        ("1e3", Some(1000)),
        ("\"3600\"", Some(3600)),
        ("\" 3600 \"", Some(3600)),
        ("1", Some(1)),
        ("0.5", Some(0)),
        ("31622400", max),
        ("31622401", max),
        ("315360000", max),
        ("4294967295", max),
        ("4294967296", max),
        ("18446744073709551615", max),
        ("99999999999999999999999999", max),
        ("1e300", max),
        ("\"1e300\"", max),
        ("0", None),
        ("-0.0", None),
        ("-1", None),
        ("-9223372036854775808", None),
        ("1e-30", None),
        ("\"0\"", None),
        ("\"-5\"", None),
        ("\"inf\"", None),
        ("\"NaN\"", None),
        ("\"\"", None),
        ("\"soon\"", None),
        ("\"2030-01-01T00:00:00Z\"", None),
        ("null", None),
        ("true", None),
        ("[3600]", None),
        ("{\"seconds\":3600}", None),
    ] {
        let tokens = json(&format!(r#"{{"access_token":"a","expires_in":{said}}}"#)).unwrap();
        assert_eq!(tokens.expires_in.map(|t| t.as_secs()), seconds, "{said}");
        assert_ne!(tokens.expires_in, Some(Duration::ZERO), "{said}");
    }
}

#[test]
fn an_answer_that_is_none_is_malformed() {
    let deep = format!(
        r#"{{"access_token":"a","scope":{}1{}}}"#,
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    let long = "x".repeat(SECRET_MAX + 1);
    for body in [
        "",
        " ",
        "null",
        "true",
        "\"a\"",
        "[]",
        r#"["token"]"#,
        "{",
        "{}",
        "{}}",
        "<html>not found</html>",
        r#"{"access_token":""}"#,
        r#"{"access_token":null}"#,
        r#"{"access_token":7}"#,
        r#"{"access_token":["a"]}"#,
        r#"{"Access_Token":"a"}"#,
        r#"{"refresh_token":"r"}"#,
        r#"{"access_token":"a","access_token":"a"}"#,
        r#"{"access_token":"a","access\u005ftoken":"b"}"#,
        r#"{"access_token":"a","refresh_token":"r","refresh_token":"s"}"#,
        r#"{"access_token":"a","error":null,"error":null}"#,
        r#"{"access_token":"a b"}"#,
        r#"{"access_token":" a"}"#,
        r#"{"access_token":"a\r\nHost: evil.example"}"#,
        r#"{"access_token":"a\u0000"}"#,
        r#"{"access_token":"é"}"#,
        r#"{"access_token":"a","refresh_token":"r s"}"#,
        r#"{"access_token":"a","refresh_token":"r\n"}"#,
        r#"{"access_token":"a","token_type":"mac"}"#,
        r#"{"access_token":"a","token_type":"DPoP"}"#,
        r#"{"access_token":"a","token_type":"N_A"}"#,
        r#"{"access_token":"a","token_type":["bearer"]}"#,
        r#"{"ok":false}"#,
        r#"{"ok":false,"access_token":"a"}"#,
        r#"{"ok":true,"authed_user":{"id":"U1"}}"#,
        r#"{"ok":true,"authed_user":["a","b"]}"#,
        &format!(r#"{{"access_token":"{long}"}}"#),
        &format!(r#"{{"access_token":"a","refresh_token":"{long}"}}"#),
        &deep,
        r#"{"access_token":"a"} "#.repeat(2).as_str(),
    ] {
        let read = json(body);
        assert!(
            matches!(read, Err(TokenError::Malformed(_))),
            "{body:.200} {read:?}"
        );
    }
    assert!(!TokenError::Malformed("").is_final());
    for body in [
        "access_token=a&access_token=b",
        "access_token=a&token_type=mac",
        "access_token=a+b",
        "access_token=",
        "refresh_token=r",
        "hello",
        "scope=a&scope=b&access_token=c",
    ] {
        let error = read(&incoming(200, "text/plain", body)).unwrap_err();
        assert!(matches!(error, TokenError::Malformed(_)), "{body}");
    }
    for answer in [
        incoming(200, JSON, b"{\"access_token\":\"\xff\"}"),
        incoming(200, JSON, b"\xff\xfe{\0}\0"),
        // a form under another name, and what is not followed
        incoming(200, "text/html", "access_token=a"),
        incoming(204, "", ""),
        incoming(302, JSON, r#"{"access_token":"a"}"#),
        incoming(304, JSON, r#"{"error":"invalid_grant"}"#),
    ] {
        let error = read(&answer).unwrap_err();
        assert!(matches!(error, TokenError::Malformed(_)), "{answer:?}");
    }
}

/// What nobody reads may be as deep as it likes; the stack is not.
#[test]
fn members_that_are_not_read_do_no_harm() {
    let (open, close) = ("{\"a\":[".repeat(20_000), "]}".repeat(20_000));
    for name in ["x", "error_description", "authed_user"] {
        drop(json(&format!(
            r#"{{"access_token":"a","{name}":{open}1{close}}}"#
        )));
    }
    let tokens = json(&format!(
        r#"{{"access_token":"a","x":{open}1{close},"x":2}}"#
    ))
    .unwrap();
    assert_eq!(plain(&tokens), ("a", None, None, None));
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    for (status, kind, body, error) in [
        (
            400,
            JSON,
            r#"{"error":"invalid_grant"}"#,
            refused("invalid_grant", None),
        ),
        (
            400,
            JSON,
            r#"{"error":"invalid_grant","error_description":"Token has been expired\nor revoked."}"#,
            refused("invalid_grant", Some("Token has been expired or revoked.")),
        ),
        (
            401,
            JSON,
            r#"{"error":"invalid_client"}"#,
            refused("invalid_client", None),
        ),
        // 200, as GitHub and Slack do, with tokens beside it even
        (
            200,
            JSON,
            r#"{"error":"bad_refresh_token","error_description":"The refresh token passed is incorrect or expired.","access_token":"a"}"#,
            refused(
                "bad_refresh_token",
                Some("The refresh token passed is incorrect or expired."),
            ),
        ),
        (
            200,
            "application/x-www-form-urlencoded",
            "error=bad_verification_code&error_description=The+code+is+incorrect.",
            refused("bad_verification_code", Some("The code is incorrect.")),
        ),
        (
            200,
            JSON,
            r#"{"ok":false,"error":"invalid_refresh_token"}"#,
            refused("invalid_refresh_token", None),
        ),
        (
            400,
            JSON,
            r#"{"error":"authorization_pending"}"#,
            refused("authorization_pending", None),
        ),
        (
            200,
            JSON,
            r#"{"error":"slow_down","interval":10}"#,
            refused("slow_down", None),
        ),
        // APIs' own errors: HubSpot, Zoom, Reddit, Notion, objects
        (
            400,
            JSON,
            r#"{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token"}"#,
            refused(
                "BAD_REFRESH_TOKEN",
                Some("missing or invalid refresh token"),
            ),
        ),
        (
            400,
            JSON,
            r#"{"reason":"Invalid Token!","error":"invalid_request"}"#,
            refused("invalid_request", Some("Invalid Token!")),
        ),
        (
            400,
            JSON,
            r#"{"message":"Bad Request","error":400}"#,
            refused("error 400", Some("Bad Request")),
        ),
        (
            400,
            JSON,
            r#"{"object":"error","status":400,"code":"validation_error","message":"no"}"#,
            refused("validation_error", Some("no")),
        ),
        (
            403,
            JSON,
            r#"{"error":{"type":"forbidden","message":"no","x":[{}]}}"#,
            refused("forbidden", Some("no")),
        ),
        (
            200,
            JSON,
            r#"{"error":{},"access_token":"a"}"#,
            refused("error", None),
        ),
        (
            200,
            JSON,
            r#"{"error":true,"access_token":"a"}"#,
            refused("error", None),
        ),
        // no words at all
        (404, "text/html", "<html>", refused("status 404", None)),
        (400, "", "", refused("status 400", None)),
        (
            400,
            JSON,
            r#"{"access_token":"a"}"#,
            refused("status 400", None),
        ),
        (
            400,
            JSON,
            r#"{"error":"a","error":"b"}"#,
            refused("status 400", None),
        ),
    ] {
        assert_eq!(
            read(&incoming(status, kind, body)).unwrap_err(),
            error,
            "{body}"
        );
    }
    let shown = refused("invalid_grant", Some("no")).to_string();
    assert_eq!(shown, "the server refused: invalid_grant (no)");
}

#[test]
fn a_server_that_cannot_answer_now_is_asked_again() {
    let dead = r#"{"error":"invalid_grant"}"#;
    for (status, body) in [
        (408, dead),
        (429, dead),
        (500, dead),
        (502, "<html>"),
        (503, ""),
        (599, r#"{"access_token":"a"}"#),
        (400, r#"{"error":"temporarily_unavailable"}"#),
        (200, r#"{"error":"server_error"}"#),
        (200, r#"{"ok":false,"error":"ratelimited"}"#),
        (200, r#"{"ok":false,"error":"internal_error"}"#),
    ] {
        let error = read(&incoming(status, JSON, body)).unwrap_err();
        assert_eq!(error, unavailable(status), "{body}");
        assert!(!error.is_final());
    }
    for (said, seconds) in [
        ("0", Some(0)),
        (" 120 ", Some(120)),
        ("3600", Some(3600)),
        ("3601", Some(3600)),
        ("99999999999999999999999", Some(3600)),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("\u{e9}", None),
    ] {
        let mut answer = incoming(503, "", "");
        let value = HeaderValue::from_bytes(said.as_bytes()).unwrap();
        answer.headers.insert(RETRY_AFTER, value);
        let error = TokenError::Unavailable {
            status: 503,
            retry_after: seconds.map(Duration::from_secs),
        };
        assert_eq!(read(&answer).unwrap_err(), error, "{said}");
    }
}

#[test]
fn only_what_is_certainly_dead_is_final() {
    for code in [
        "invalid_grant",
        "INVALID_GRANT",
        "invalid_client",
        "unauthorized_client",
        "invalid_token",
        "access_denied",
        "expired_token",
        "bad_refresh_token",
        "BAD_REFRESH_TOKEN",
        "incorrect_client_credentials",
        "invalid_refresh_token",
        "token_revoked",
        "interaction_required",
    ] {
        assert!(refused(code, None).is_final(), "{code}");
    }
    for code in [
        "",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "unsupported_grant_type",
        "authorization_pending",
        "slow_down",
        "invalid_grant_",
        "error",
        "error 400",
        "status 400",
        "status 401",
        "status 404",
        "made_up",
    ] {
        assert!(!refused(code, None).is_final(), "{code}");
    }
}

fn sent(outgoing: &Outgoing) -> &str {
    let (kind, body) = outgoing.body.as_ref().unwrap();
    assert_eq!(*kind, "application/x-www-form-urlencoded");
    str::from_utf8(body).unwrap()
}

#[test]
fn each_grant_is_asked_for_as_its_rfc_says() {
    let secret = |text: &str| Secret::new(text.to_owned());
    let public = Client {
        id: "id".to_owned(),
        secret: None,
        auth: ClientAuth::Body,
    };
    let (code, verifier) = (secret("4/0A b"), secret("ver~ifier"));
    let scopes = ["a".to_owned(), "b:c".to_owned()];
    for (grant, resource, body) in [
        (
            Grant::Code {
                code: &code,
                redirect_uri: "http://127.0.0.1:7998/cb",
                verifier: &verifier,
            },
            None,
            "grant_type=authorization_code&code=4%2F0A+b&redirect_uri=http%3A%2F%2F127.0.0.1%3A7998%2Fcb\
             &code_verifier=ver%7Eifier&client_id=id",
        ),
        (
            Grant::Refresh { token: &code },
            Some("https://mcp.example.com/mcp"),
            "grant_type=refresh_token&refresh_token=4%2F0A+b&resource=https%3A%2F%2Fmcp.example.com%2Fmcp&client_id=id",
        ),
        (
            Grant::ClientCredentials { scopes: &scopes },
            None,
            "grant_type=client_credentials&scope=a+b%3Ac&client_id=id",
        ),
        (
            Grant::ClientCredentials { scopes: &[] },
            None,
            "grant_type=client_credentials&client_id=id",
        ),
        (
            Grant::Device { code: &code },
            None,
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=4%2F0A+b&client_id=id",
        ),
    ] {
        assert_eq!(sent(&request(&grant, Some(&public), resource)), body);
    }
    let assertion = Grant::Assertion { assertion: &code };
    assert_eq!(
        sent(&request(&assertion, None, None)),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=4%2F0A+b"
    );
}

/// O3, O10: whatever prints a request, an answer or what came of it, prints no secret.
#[test]
fn nothing_shows_a_secret() {
    const MARK: &str = "hunter2hunter2hunter2";
    let secret = Secret::new(MARK.to_owned());
    let mut shown = Vec::new();
    for grant in [
        Grant::Code {
            code: &secret,
            redirect_uri: "http://127.0.0.1:7998/cb",
            verifier: &secret,
        },
        Grant::Refresh { token: &secret },
        Grant::Device { code: &secret },
        Grant::Assertion { assertion: &secret },
    ] {
        shown.push(format!("{grant:?} {:?}", request(&grant, None, None)));
    }
    for (status, body) in [
        (
            200,
            format!(r#"{{"access_token":"{MARK}","refresh_token":"{MARK}"}}"#),
        ),
        (
            200,
            format!(r#"{{"access_token":"{MARK}","token_type":"mac"}}"#),
        ),
        (
            200,
            format!(r#"{{"access_token":"{MARK}","expires_in":x}}"#),
        ),
        (200, format!(r#"{{"access_token":"{MARK} "}}"#)),
        (200, format!(r#"{{"access_token":{{"{MARK}":1}}}}"#)),
        (
            200,
            format!(r#"{{"authed_user":{{"access_token":"{MARK}"}}}}"#),
        ),
        (200, format!("access_token={MARK}")),
        (503, format!(r#"{{"access_token":"{MARK}"}}"#)),
        // a server that repeats what it was sent
        (
            400,
            format!(r#"{{"error":"invalid_grant","error_description":"unknown token '{MARK}'"}}"#),
        ),
        (
            400,
            format!(r#"{{"error":"{MARK}","message":"refresh_token={MARK}"}}"#),
        ),
        (400, format!(r#"{{"status":"{MARK}"}}"#)),
    ] {
        let answer = incoming(status, "text/plain", body);
        let read = read(&answer);
        if let Err(error) = &read {
            shown.push(error.to_string());
        }
        shown.push(format!("{answer:?} {read:?}"));
    }
    for text in shown {
        assert!(!text.contains("hunter"), "{text}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in any::<Vec<u8>>(), status in 200_u16..600, kind in "(application/json|text/plain|)") {
        let answer = incoming(status, &kind, body);
        drop(read(&answer));
    }

    /// Whatever is in it: tokens that can stand in a header, or an error that can stand on a terminal.
    #[test]
    fn what_is_read_can_be_used_or_shown(
        members in proptest::collection::vec((
            "(access_token|refresh_token|token_type|expires_in|scope|error|error_description|ok|authed_user|status|message|x)",
            prop_oneof![
                any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
                any::<f64>().prop_filter_map("a number", |n| n.is_finite().then(|| format!("{n}"))),
                any::<i64>().prop_map(|n| n.to_string()),
                Just("null".to_owned()), Just("\"bearer\"".to_owned()), Just("\"a.b-c\"".to_owned()), Just("true".to_owned()),
                Just("{\"access_token\":\"x\",\"code\":\"\\u001b\"}".to_owned()), Just("[\"a\",[\"b\"]]".to_owned()),
            ],
        ), 0..6),
        status in prop_oneof![Just(200_u16), Just(400)],
    ) {
        let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        match read(&incoming(status, JSON, format!("{{{}}}", members.join(",")))) {
            Ok(tokens) => {
                prop_assert_eq!(status, 200);
                for token in std::iter::once(&tokens.access).chain(&tokens.refresh) {
                    prop_assert!(!token.is_empty() && token.len() <= SECRET_MAX);
                    prop_assert!(HeaderValue::from_str(token.expose()).is_ok());
                }
                prop_assert!(tokens.expires_in.is_none_or(|t| !t.is_zero() && t <= LIFETIME_MAX));
                prop_assert!(tokens.scopes.is_none_or(|scopes| !scopes.is_empty()));
            }
            Err(error) => {
                let shown = error.to_string();
                prop_assert!(shown.chars().count() < 400 && !shown.contains(char::is_control), "{}", shown);
            }
        }
    }
}
