use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const ISSUER: &str = "https://server.example.com";

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Incoming {
    Incoming {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.into().into(),
    }
}

/// RFC 8414 section 3.2, with the endpoints that we use.
fn example() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://server.example.com/authorize",
        "token_endpoint": "https://server.example.com/token",
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "ES256"],
        "userinfo_endpoint": "https://server.example.com/userinfo",
        "jwks_uri": "https://server.example.com/jwks.json",
        "registration_endpoint": "https://server.example.com/register",
        "scopes_supported": ["openid", "profile", "email", "address", "phone", "offline_access"],
        "response_types_supported": ["code", "code token"],
        "service_documentation": "http://server.example.com/service_documentation.html",
        "ui_locales_supported": ["en-US", "en-GB", "en-CA", "fr-FR", "fr-CA"]
    })
}

fn read_value(value: &Value) -> Result<Metadata, MetadataError> {
    read(&answer(200, value.to_string()), ISSUER)
}

fn read_with(name: &str, value: Value) -> Result<Metadata, MetadataError> {
    let mut document = example();
    document[name] = value;
    read_value(&document)
}

fn unusable(result: Result<Metadata, MetadataError>) -> String {
    match result {
        Err(MetadataError::Unusable(words)) => words,
        other => panic!("{other:?}"),
    }
}

/// RFC 8414 sections 3.1 and 5; OIDC Discovery section 4.1.
#[test]
fn well_known_addresses_are_inserted_then_appended() {
    let table: &[(&str, &[&str])] = &[
        (
            "https://example.com",
            &[
                "https://example.com/.well-known/oauth-authorization-server",
                "https://example.com/.well-known/openid-configuration",
            ],
        ),
        (
            "https://example.com:8443/",
            &[
                "https://example.com:8443/.well-known/oauth-authorization-server",
                "https://example.com:8443/.well-known/openid-configuration",
            ],
        ),
        (
            "https://example.com/issuer1",
            &[
                "https://example.com/.well-known/oauth-authorization-server/issuer1",
                "https://example.com/.well-known/openid-configuration/issuer1",
                "https://example.com/issuer1/.well-known/openid-configuration",
            ],
        ),
        (
            "https://example.com/a%2Fb/c/",
            &[
                "https://example.com/.well-known/oauth-authorization-server/a%2Fb/c",
                "https://example.com/.well-known/openid-configuration/a%2Fb/c",
                "https://example.com/a%2Fb/c/.well-known/openid-configuration",
            ],
        ),
        ("http://example.com", &[]),
        ("https://user@example.com", &[]),
        ("https://example.com?a=b", &[]),
        ("https://example.com#a", &[]),
        ("javascript:alert(1)", &[]),
        ("example.com", &[]),
        ("", &[]),
    ];
    for (issuer, expected) in table {
        assert_eq!(addresses(issuer), *expected, "{issuer}");
    }
}

#[test]
fn rfc_8414_section_3_2() {
    assert_eq!(
        read_value(&example()).unwrap(),
        Metadata {
            issuer: ISSUER.into(),
            authorization_endpoint: Some("https://server.example.com/authorize".into()),
            token_endpoint: "https://server.example.com/token".into(),
            registration_endpoint: Some("https://server.example.com/register".into()),
            revocation_endpoint: None,
            device_authorization_endpoint: None,
            scopes_supported: [
                "openid",
                "profile",
                "email",
                "address",
                "phone",
                "offline_access"
            ]
            .map(Into::into)
            .into(),
            names_itself: false,
            takes_public_clients: false,
            takes_secret_in_body: false,
        }
    );
}

/// O4
#[test]
fn a_server_that_calls_itself_something_else_is_refused() {
    for named in [
        "https://evil.example",
        "https://server.example.com/x",
        "https://server.example.com//",
        "https://server.example.com.evil.example",
        "https://SERVER.example.com",
        "http://server.example.com",
        "https://server.example.com?x",
        "https://server.example.com ",
        "",
    ] {
        let words = unusable(read_with("issuer", json!(named)));
        assert!(words.contains("calls itself"), "{named}: {words}");
    }
    for bad in [Value::Null, json!(7), json!([ISSUER])] {
        assert!(unusable(read_with("issuer", bad)).contains("`issuer`"));
    }
    let named = "https://server.example.com/";
    assert_eq!(read_with("issuer", json!(named)).unwrap().issuer, named);
    let read_as = |issuer| read(&answer(200, example().to_string()), issuer);
    assert!(read_as("https://server.example.com/").is_ok());
    assert!(read_as("https://server.example.com//").is_err());
    assert!(read_as("https://other.example").is_err());
}

/// O5
#[test]
fn one_bad_endpoint_spoils_all() {
    let long = format!("https://server.example.com/{}", "a".repeat(2048));
    for name in [
        "authorization_endpoint",
        "token_endpoint",
        "registration_endpoint",
        "revocation_endpoint",
        "device_authorization_endpoint",
    ] {
        for bad in [
            json!("http://server.example.com/x"),
            json!("javascript:alert(document.cookie)"),
            json!("https://server.example.com@evil.example/"),
            json!("https://server.example.com/x#y"),
            json!("https:\\\\evil.example"),
            json!("/relative"),
            json!(""),
            json!(long),
            json!(7),
            json!(["https://server.example.com/x"]),
            json!({}),
            json!(false),
        ] {
            let words = unusable(read_with(name, bad.clone()));
            assert!(words.contains(name), "{name} {bad}: {words}");
            assert!(words.chars().count() < 300);
        }
        let elsewhere = "https://elsewhere.example/x?y=z";
        assert!(read_with(name, json!(elsewhere)).is_ok(), "{name}");
        assert_eq!(
            read_with(name, Value::Null).is_ok(),
            name != "token_endpoint"
        );
    }
}

#[test]
fn every_endpoint_ends_in_its_own_field() {
    let at = |name| format!("https://server.example.com/{name}");
    let document = json!({
        "issuer": ISSUER,
        "authorization_endpoint": at("authorize"),
        "token_endpoint": at("token"),
        "registration_endpoint": at("register"),
        "revocation_endpoint": at("revoke"),
        "device_authorization_endpoint": at("device"),
    });
    let read = read_value(&document).unwrap();
    assert_eq!(read.authorization_endpoint, Some(at("authorize")));
    assert_eq!(read.token_endpoint, at("token"));
    assert_eq!(read.registration_endpoint, Some(at("register")));
    assert_eq!(read.revocation_endpoint, Some(at("revoke")));
    assert_eq!(read.device_authorization_endpoint, Some(at("device")));
}

/// O4
#[test]
fn a_list_without_s256_rules_the_server_out() {
    let name = "code_challenge_methods_supported";
    for good in [Value::Null, json!(["S256"]), json!(["plain", 7, "S256"])] {
        assert!(read_with(name, good.clone()).is_ok(), "{good}");
    }
    for bad in [
        json!([]),
        json!(["plain"]),
        json!(["s256"]),
        json!("S256"),
        json!({}),
        json!(7),
    ] {
        assert!(
            unusable(read_with(name, bad.clone())).contains("S256"),
            "{bad}"
        );
    }
}

#[test]
fn ways_to_authenticate_are_taken_from_the_list_alone() {
    let name = "token_endpoint_auth_methods_supported";
    for (value, public, in_body) in [
        (Value::Null, false, false),
        (json!([]), false, false),
        (json!("none"), false, false),
        (json!(["none"]), true, false),
        (json!(["client_secret_post"]), false, true),
        (
            json!(["client_secret_basic", "client_secret_post", "none"]),
            true,
            true,
        ),
    ] {
        let read = read_with(name, value.clone()).unwrap();
        assert_eq!(read.takes_public_clients, public, "{value}");
        assert_eq!(read.takes_secret_in_body, in_body, "{value}");
    }
}

#[test]
fn a_server_names_itself_if_it_says_so() {
    let name = "authorization_response_iss_parameter_supported";
    for (value, expected) in [
        (json!(true), true),
        (json!(false), false),
        (json!("true"), false),
        (json!(1), false),
        (Value::Null, false),
    ] {
        assert_eq!(read_with(name, value).unwrap().names_itself, expected);
    }
}

#[test]
fn what_is_no_document_is_absent() {
    for (status, body) in [
        (404, example().to_string()),
        (401, String::new()),
        (302, String::new()),
        (204, String::new()),
        (500, String::new()),
        (200, "<!doctype html>".into()),
        (200, "[]".into()),
        (200, String::new()),
        (200, "{".into()),
        // deeper than anything that is meant: the parser stops before the stack does
        (200, format!("{{\"a\":{}", "[".repeat(100_000))),
    ] {
        assert_eq!(
            read(&answer(status, body), ISSUER),
            Err(MetadataError::Absent(status))
        );
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "(https|http|javascript)://[a-z.@:\\\\]{0,12}[/#?]?[ -~]{0,9}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::hash_map("[a-z]{0,3}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// O4, O5
    #[test]
    fn whatever_is_taken_is_https_and_the_issuers(
        name in proptest::sample::select(vec![
            "issuer", "authorization_endpoint", "token_endpoint", "registration_endpoint",
            "revocation_endpoint", "device_authorization_endpoint", "scopes_supported",
            "code_challenge_methods_supported", "token_endpoint_auth_methods_supported",
        ]),
        value in any_json(),
    ) {
        match read_with(name, value) {
            Ok(read) => {
                prop_assert_eq!(address::without_slash(&read.issuer), ISSUER);
                let all = [
                    read.authorization_endpoint,
                    Some(read.token_endpoint),
                    read.registration_endpoint,
                    read.revocation_endpoint,
                    read.device_authorization_endpoint,
                ];
                for one in all.into_iter().flatten() {
                    prop_assert!(one.starts_with("https://") && !one.contains('#'));
                    prop_assert!(one.len() <= address::ADDRESS_MAX);
                    prop_assert!(one.bytes().all(|byte| byte.is_ascii_graphic()));
                }
                prop_assert!(read.scopes_supported.len() <= answer::SCOPES_MAX);
            }
            Err(error) => {
                let words = error.to_string();
                prop_assert!(words.chars().count() <= 500);
                prop_assert!(!words.chars().any(char::is_control));
            }
        }
    }

    #[test]
    fn bytes_and_issuers_of_any_kind_are_refused(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        issuer in "\\PC{0,40}",
    ) {
        prop_assert!(read(&answer(200, body), &issuer).is_err());
        prop_assert!(addresses(&issuer).iter().all(|one| one.starts_with("https://")));
    }
}
