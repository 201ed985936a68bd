use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Incoming {
    Incoming {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.into().into(),
    }
}

#[test]
fn a_native_client_with_the_code_flow_is_asked_for() {
    let uri = "http://127.0.0.1:8765/callback";
    let sent = request(uri, &[], true);
    let (kind, body) = sent.body.as_ref().unwrap();
    assert_eq!(*kind, "application/json");
    assert_eq!(sent.headers["accept"], "application/json");
    let body: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({
            "client_name": "authsome",
            "redirect_uris": [uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        })
    );
    let sent = request(uri, &["a".into(), "b".into()], false);
    let body: Value = serde_json::from_slice(&sent.body.unwrap().1).unwrap();
    assert_eq!(body["scope"], "a b");
    assert_eq!(body["token_endpoint_auth_method"], "client_secret_basic");
}

/// The client of RFC 7591 section 3.2.1.
#[test]
fn rfc_7591_section_3_2_1() {
    let body = r#"{
      "client_id": "s6BhdRkqt3",
      "client_secret": "cf136dc3c1fc93f31185e5885805d",
      "client_id_issued_at": 2893256800,
      "client_secret_expires_at": 2893276800,
      "redirect_uris": ["https://client.example.org/callback"],
      "grant_types": ["authorization_code", "refresh_token"],
      "client_name": "My Example Client",
      "token_endpoint_auth_method": "client_secret_basic"
    }"#;
    for status in [200, 201] {
        let client = read(&answer(status, body)).unwrap();
        assert_eq!(client.id, "s6BhdRkqt3");
        assert_eq!(
            client.secret.as_ref().map(Secret::expose),
            Some("cf136dc3c1fc93f31185e5885805d")
        );
        assert_eq!(client.auth, ClientAuth::Basic);
        assert!(!format!("{client:?}").contains("cf136dc"));
    }
}

#[test]
fn the_servers_method_decides_how_the_secret_is_sent() {
    use ClientAuth::{Basic, Body};
    let table = [
        (r#"{"client_id":"c"}"#, None, Basic),
        (r#"{"client_id":"c","client_secret":""}"#, None, Basic),
        (r#"{"client_id":"c","client_secret":null}"#, None, Basic),
        (r#"{"client_id":"c","client_secret":"s"}"#, Some("s"), Basic),
        (
            r#"{"client_id":"c","client_secret":"s","token_endpoint_auth_method":"client_secret_post"}"#,
            Some("s"),
            Body,
        ),
        (
            r#"{"client_id":"c","client_secret":"s","token_endpoint_auth_method":"none"}"#,
            None,
            Body,
        ),
    ];
    for (body, secret, auth) in table {
        let client = read(&answer(201, body)).unwrap();
        assert_eq!(client.secret.as_ref().map(Secret::expose), secret, "{body}");
        assert_eq!(client.auth, auth, "{body}");
    }
}

/// RFC 7591 section 3.2.2.
#[test]
fn refusals_are_told() {
    let body = r#"{"error":"invalid_redirect_uri","error_description":"not allowed"}"#;
    assert_eq!(
        read(&answer(400, body)).unwrap_err(),
        TokenError::Refused {
            code: "invalid_redirect_uri".into(),
            description: Some("not allowed".into()),
        }
    );
    assert!(matches!(
        read(&answer(403, r#"{"client_id":"c"}"#)),
        Err(TokenError::Refused { .. })
    ));
}

/// O5
#[test]
fn a_client_that_cannot_be_used_is_refused() {
    let long = format!(r#"{{"client_id":"{}"}}"#, "a".repeat(ID_MAX + 1));
    for body in [
        "[]",
        "{}",
        "<html>",
        r#"{"client_id":""}"#,
        r#"{"client_id":7}"#,
        r#"{"client_id":"a b"}"#,
        r#"{"client_id":"a\r\nb"}"#,
        r#"{"client_id":"\u00e9"}"#,
        r#"{"client_id":"c","client_secret":"a\nb"}"#,
        r#"{"client_id":"c","token_endpoint_auth_method":"private_key_jwt"}"#,
        &long,
    ] {
        assert!(
            matches!(read(&answer(201, body)), Err(TokenError::Malformed(_))),
            "{body}"
        );
    }
}

proptest! {
    /// O5
    #[test]
    fn every_client_that_is_taken_can_be_sent(
        id in "\\PC{0,9}|[\\x00-\\x7f]{0,9}",
        secret in "\\PC{0,9}|[\\x00-\\x7f]{0,9}",
    ) {
        let body = serde_json::json!({ "client_id": id, "client_secret": secret });
        if let Ok(client) = read(&answer(201, body.to_string())) {
            prop_assert!(!client.id.is_empty() && client.id.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert!(client.secret.is_none_or(|s| s.expose().bytes().all(|b| (32..127).contains(&b))));
        }
    }

    #[test]
    fn bytes_that_are_no_answer_are_refused(
        status in 100_u16..600,
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert!(read(&answer(status, body)).is_err());
    }
}
