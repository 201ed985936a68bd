use http::{HeaderValue, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::challenges::parse;
use super::*;

const ASKED: &str = "https://mcp.example.com/mcp";

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Incoming {
    Incoming {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.into().into(),
    }
}

fn headers(values: &[&str]) -> HeaderMap {
    values
        .iter()
        .map(|value| {
            (
                WWW_AUTHENTICATE,
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        })
        .collect()
}

fn challenged(values: &[&str]) -> Option<(Option<String>, Vec<String>)> {
    challenge(&headers(values)).map(|one| (one.resource_metadata, one.scopes))
}

fn example() -> Value {
    json!({
        "resource": ASKED,
        "authorization_servers": ["https://as.example.com"],
        "scopes_supported": ["read", "write"],
        "resource_name": "Example"
    })
}

fn read_with(name: &str, value: Value) -> Result<Resource, MetadataError> {
    let mut document = example();
    document[name] = value;
    read(&answer(200, document.to_string()), ASKED)
}

/// A scheme and its parameters.
type Expected = (&'static str, &'static [(&'static str, &'static str)]);

/// RFC 9110 section 11.6.1, and what servers make of it.
#[test]
fn challenges_are_taken_apart() {
    let table: &[(&str, &[Expected])] = &[
        ("", &[]),
        (" ,, , ", &[]),
        (
            r#"Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\"""#,
            &[
                ("basic", &[("realm", "simple")]),
                (
                    "newauth",
                    &[
                        ("realm", "apps"),
                        ("type", "1"),
                        ("title", "Login to \"apps\""),
                    ],
                ),
            ],
        ),
        ("Negotiate", &[("negotiate", &[])]),
        ("Negotiate, Bearer", &[("negotiate", &[]), ("bearer", &[])]),
        (
            "Negotiate YII=,Bearer a=b",
            &[("negotiate", &[]), ("bearer", &[("a", "b")])],
        ),
        (
            "Negotiate a.b-_~+/==  , X",
            &[("negotiate", &[]), ("x", &[])],
        ),
        (
            "BEARER Scope = \"a\" ,\tERROR=b",
            &[("bearer", &[("scope", "a"), ("error", "b")])],
        ),
        (
            "Bearer a=\"b, Basic c=d\"",
            &[("bearer", &[("a", "b, Basic c=d")])],
        ),
        ("Bearer a=\"\\\\\\\"\\x\"", &[("bearer", &[("a", "\\\"x")])]),
        // forgotten commas, quotes and values
        (
            "Bearer a=\"b\" c=\"d\"",
            &[("bearer", &[("a", "b"), ("c", "d")])],
        ),
        (
            "Bearer a=https://x/y, c=",
            &[("bearer", &[("a", "https://x/y"), ("c", "")])],
        ),
        ("Bearer a=\"b", &[("bearer", &[("a", "b")])]),
        ("Bearer a=\"b\\", &[("bearer", &[("a", "b")])]),
        ("a=b, Bearer", &[("bearer", &[])]),
        ("\"Basic, x\" Bearer ;c=d", &[("bearer", &[("c", "d")])]),
        ("= , Bearer", &[("bearer", &[])]),
    ];
    for (header, expected) in table {
        let parsed: Vec<_> = parse(header)
            .into_iter()
            .map(|one| (one.scheme, one.parameters))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(scheme, parameters)| {
                let parameters: Vec<_> = parameters
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect();
                ((*scheme).to_owned(), parameters)
            })
            .collect();
        assert_eq!(parsed, expected, "{header}");
    }
}

/// RFC 9728 section 5.1, RFC 6750 section 3.
#[test]
fn bearer_challenges_are_found_among_others() {
    let metadata = "https://resource.example.com/.well-known/oauth-protected-resource";
    let found = Some(metadata.to_owned());
    assert_eq!(
        challenged(&[&format!("Bearer resource_metadata=\"{metadata}\"")]),
        Some((found.clone(), vec![]))
    );
    assert_eq!(
        challenged(&[
            "Basic realm=\"x\", scope=\"not-this\"",
            &format!("DPoP algs=\"ES256\", bearer scope=\"a b\", Resource_Metadata={metadata}"),
        ]),
        Some((found.clone(), vec!["a".into(), "b".into()]))
    );
    // in two challenges, and the first address is of no use
    assert_eq!(
        challenged(&[
            "Bearer resource_metadata=\"http://resource.example.com/x\", scope=\"\"",
            &format!("Bearer scope=\"a\", resource_metadata=\"{metadata}\""),
            "Bearer scope=\"b\", resource_metadata=\"https://later.example/\"",
        ]),
        Some((found, vec!["a".into()]))
    );
    assert_eq!(
        challenged(&[
            "Bearer realm=\"example\", error=\"invalid_token\", error_description=\"\u{e9}\""
        ]),
        Some((None, vec![]))
    );
    assert_eq!(challenged(&["Basic realm=\"Bearer scope=a\""]), None);
    assert_eq!(challenged(&["XBearer scope=a", "Basic Bearer"]), None);
    assert_eq!(challenged(&[]), None);
}

/// O5
#[test]
fn no_address_but_https_is_taken_from_a_challenge() {
    for bad in [
        "javascript:alert(1)",
        "http://x.example/",
        "https://a@b.example/",
        "//x",
        "file:///x",
    ] {
        assert_eq!(
            challenged(&[&format!("Bearer resource_metadata=\"{bad}\"")]),
            Some((None, vec![])),
            "{bad}"
        );
    }
}

/// RFC 9728 section 3.1.
#[test]
fn well_known_addresses_are_inserted() {
    let table: &[(&str, &[&str])] = &[
        (
            "https://resource.example.com",
            &["https://resource.example.com/.well-known/oauth-protected-resource"],
        ),
        (
            "https://resource.example.com/",
            &["https://resource.example.com/.well-known/oauth-protected-resource"],
        ),
        (
            "https://resource.example.com/resource1",
            &[
                "https://resource.example.com/.well-known/oauth-protected-resource/resource1",
                "https://resource.example.com/.well-known/oauth-protected-resource",
            ],
        ),
        (
            "https://resource.example.com:444/a/b/?k=v",
            &[
                "https://resource.example.com:444/.well-known/oauth-protected-resource/a/b/?k=v",
                "https://resource.example.com:444/.well-known/oauth-protected-resource/a/b?k=v",
                "https://resource.example.com:444/.well-known/oauth-protected-resource",
            ],
        ),
        (
            "https://resource.example.com/?k=v",
            &[
                "https://resource.example.com/.well-known/oauth-protected-resource?k=v",
                "https://resource.example.com/.well-known/oauth-protected-resource",
            ],
        ),
        ("http://resource.example.com/", &[]),
        ("https://resource.example.com/#x", &[]),
        ("https://a@resource.example.com/", &[]),
        ("mcp", &[]),
    ];
    for (resource, expected) in table {
        assert_eq!(addresses(resource), *expected, "{resource}");
    }
}

#[test]
fn a_document_is_read() {
    assert_eq!(
        read(&answer(200, example().to_string()), ASKED).unwrap(),
        Resource {
            resource: ASKED.into(),
            authorization_servers: vec!["https://as.example.com".into()],
            scopes_supported: vec!["read".into(), "write".into()],
            name: Some("Example".into()),
        }
    );
    assert_eq!(
        read(&answer(404, example().to_string()), ASKED),
        Err(MetadataError::Absent(404))
    );
    assert_eq!(
        read(&answer(200, "<html>"), ASKED),
        Err(MetadataError::Absent(200))
    );
}

/// O5, RFC 9728 section 7.3: nobody stands in for another.
#[test]
fn a_document_is_about_what_was_asked_for_or_about_what_lies_above_it() {
    let table = [
        ("https://h.example", "https://h.example", true),
        ("https://h.example/", "https://h.example", true),
        ("https://h.example", "https://h.example/mcp", true),
        ("https://h.example/", "https://h.example/a/mcp", true),
        ("https://h.example/a", "https://h.example/a/mcp", true),
        ("https://h.example/a/", "https://h.example/a/mcp", true),
        ("https://h.example/mcp/", "https://h.example/mcp", true),
        ("https://h.example/mcp", "https://h.example/mcp/", true),
        ("https://h.example/mcp", "https://h.example/mcp?x=y", true),
        (
            "https://h.example/mcp?x=y",
            "https://h.example/mcp?x=y",
            true,
        ),
        ("https://h.example:443/mcp", "https://H.example/mcp", true),
        ("https://h.example/mc", "https://h.example/mcp", false),
        ("https://h.example/mcp", "https://h.example/mcp2", false),
        ("https://h.example/mcp", "https://h.example/", false),
        ("https://h.example/mcp/x", "https://h.example/mcp", false),
        ("https://h.example/b", "https://h.example/a/mcp", false),
        ("https://h.example/a/../b", "https://h.example/a/b", false),
        ("https://h.example/a/%2e%2e", "https://h.example/a/b", true),
        (
            "https://h.example/mcp?x=z",
            "https://h.example/mcp?x=y",
            false,
        ),
        ("https://h.example/mcp?x=y", "https://h.example/mcp", false),
        ("https://h.example:8443/mcp", "https://h.example/mcp", false),
        ("http://h.example/mcp", "https://h.example/mcp", false),
        (
            "https://h.example.evil.example/",
            "https://h.example/mcp",
            false,
        ),
        ("https://evil.example/mcp", "https://h.example/mcp", false),
        (
            "https://h.example@evil.example/",
            "https://h.example/mcp",
            false,
        ),
        ("", "https://h.example/mcp", false),
        ("https://h.example/#", "https://h.example/mcp", false),
        ("", "", false),
    ];
    for (named, asked, fits) in table {
        let mut document = example();
        document["resource"] = json!(named);
        let read = read(&answer(200, document.to_string()), asked);
        match read {
            Ok(read) => assert!(fits && read.resource == named, "{named} {asked}"),
            Err(MetadataError::Unusable(words)) => {
                assert!(
                    !fits && words.contains("it is about"),
                    "{named} {asked}: {words}"
                );
            }
            Err(other) => panic!("{other}"),
        }
    }
    for bad in [Value::Null, json!(7), json!([ASKED])] {
        assert!(read_with("resource", bad).is_err());
    }
}

/// O5
#[test]
fn authorization_servers_are_https_and_few() {
    let many: Vec<_> = (0..50).map(|i| format!("https://as{i}.example")).collect();
    let read = read_with("authorization_servers", json!(many)).unwrap();
    assert_eq!(read.authorization_servers, many[..SERVERS_MAX]);
    let mixed = json!([
        "http://a.example",
        7,
        "javascript:x",
        "https://b.example/t/",
        null
    ]);
    let read = read_with("authorization_servers", mixed).unwrap();
    assert_eq!(read.authorization_servers, ["https://b.example/t/"]);
    for bad in [
        Value::Null,
        json!([]),
        json!("https://as.example"),
        json!(["http://as.example"]),
        json!(["https://as.example?x"]),
        json!({}),
    ] {
        assert_eq!(
            read_with("authorization_servers", bad),
            Err(MetadataError::Unusable(
                "it names no `https` authorization server".into()
            ))
        );
    }
}

/// O5
#[test]
fn a_name_is_short_and_printable_or_none() {
    for (value, expected) in [
        (json!("<b>Name</b>"), Some("<b>Name</b>".to_owned())),
        (
            json!(" a\u{1b}[2J\nb\u{202e} "),
            Some("a\u{fffd}[2J b\u{fffd}".into()),
        ),
        (
            json!("x".repeat(500)),
            Some(format!("{}…", "x".repeat(NAME_MAX))),
        ),
        (json!("  "), None),
        (json!(7), None),
        (Value::Null, None),
    ] {
        assert_eq!(read_with("resource_name", value).unwrap().name, expected);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "(https|http)://(mcp.example.com|[a-z.@:]{0,12})[/#?]?[ -~]{0,9}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 12, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..12).prop_map(Value::from),
            proptest::collection::hash_map("[a-z]{0,3}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// O5
    #[test]
    fn whatever_is_taken_keeps_the_limits(
        name in proptest::sample::select(vec![
            "resource", "authorization_servers", "scopes_supported", "resource_name",
        ]),
        value in any_json(),
    ) {
        if let Ok(read) = read_with(name, value) {
            prop_assert!(read.resource.starts_with("https://mcp.example.com"));
            prop_assert!((1..=SERVERS_MAX).contains(&read.authorization_servers.len()));
            for server in &read.authorization_servers {
                prop_assert!(!metadata::addresses(server).is_empty());
            }
            let name = read.name.unwrap_or_default();
            prop_assert!(name.chars().count() <= NAME_MAX && !name.chars().any(char::is_control));
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        asked in "\\PC{0,40}",
    ) {
        prop_assert!(read(&answer(200, body), &asked).is_err());
        prop_assert!(addresses(&asked).len() <= 3);
    }

    #[test]
    fn any_header_is_taken_apart(text in "[ -~\u{e9}\t]{0,80}|([Bb]earer|Basic|a|=|\"|,|\\\\| |\t){0,40}") {
        let parsed = parse(&text);
        let length: usize = parsed
            .iter()
            .map(|one| one.scheme.len() + one.parameters.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>())
            .sum();
        prop_assert!(length <= text.len());
        prop_assert!(parsed.iter().all(|one| !one.scheme.is_empty()));
    }

    /// What is written by the rules is read back, whatever is in the quotes.
    #[test]
    fn challenges_are_read_back(
        challenges in proptest::collection::vec(
            ("[A-Za-z!#$%&'*+.^_`|~-]{1,8}", proptest::collection::vec(("[a-z_]{1,8}", "[ -~]{0,12}"), 0..3)),
            0..4,
        ),
    ) {
        let written: Vec<_> = challenges.iter().map(|(scheme, parameters)| {
            let parameters: Vec<_> = parameters.iter().map(|(name, value)| {
                format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
            }).collect();
            format!("{scheme} {}", parameters.join(", ")).trim_end().to_owned()
        }).collect();
        let parsed: Vec<_> = parse(&written.join(", "))
            .into_iter()
            .map(|one| (one.scheme, one.parameters))
            .collect();
        let expected: Vec<_> = challenges
            .into_iter()
            .map(|(scheme, parameters)| (scheme.to_ascii_lowercase(), parameters))
            .collect();
        prop_assert_eq!(parsed, expected);
    }
}
