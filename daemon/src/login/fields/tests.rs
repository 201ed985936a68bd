//! Tables of what comes in forms and what is taken of it.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn form(asked: Asked) -> LoginForm {
    LoginForm {
        asked,
        display_name: "Intercom".into(),
        connection: "default".parse().unwrap(),
        variable: None,
        hosts: vec![],
        key_urls: vec![],
        hint: Some("starts with sk-".into()),
        pattern: None,
        rotate: false,
    }
}

fn key_form() -> LoginForm {
    LoginForm {
        pattern: Some(Arc::new(|key| key.starts_with("sk-"))),
        ..form(Asked::ApiKey)
    }
}

fn client_form(id: Option<&str>, secret_needed: bool) -> LoginForm {
    form(Asked::Client {
        redirect_uri: None,
        id: id.map(str::to_owned),
        secret_needed,
    })
}

fn cookie_form() -> LoginForm {
    form(Asked::Cookies {
        entry_url: "https://x.test/login".into(),
        names: vec!["auth".into(), "ct0".into()],
        needed: 1,
    })
}

const WHAT: &str = "the key";

fn key_of(body: &str) -> Result<String, BodyFault> {
    match read(&key_form(), "FIELD", body.as_bytes())? {
        Submission::Secret(key) => Ok(key.expose().to_owned()),
        other => panic!("{other:?}"),
    }
}

/// The faults by field.
fn faults(form: &LoginForm, body: &str) -> Vec<(usize, Fault)> {
    match read(form, "FIELD", body.as_bytes()) {
        Err(BodyFault::Amiss(amiss)) => amiss.faults,
        other => panic!("{other:?}"),
    }
}

#[test]
fn key_is_taken_as_it_was_typed() {
    assert_eq!(
        key_of("token=FIELD&key=sk-1%2B2%3d+%25%zz").unwrap(),
        "sk-1+2= %%zz"
    );
    assert_eq!(key_of("key=sk-1&token=FIELD").unwrap(), "sk-1");
}

#[test]
fn body_without_the_pages_own_token_is_foreign() {
    for body in [
        "",
        "key=sk-1",
        "key=sk-1&token=",
        "key=sk-1&token=FIELDS",
        "key=sk-1&token=field",
        "key=sk-1&token=FIELD&token=FIELD",
        "key=sk-1&key=sk-2&token=FIELD",
        "token=FIELD",
        "key=sk-1&token=FIELD&more=1",
        "key=sk-1;token=FIELD",
        "KEY=sk-1&token=FIELD",
    ] {
        assert_eq!(key_of(body), Err(BodyFault::Foreign), "{body}");
    }
}

/// Threat D10: a key is refused with the reason, never mended; the reason does not hold the key.
#[test]
fn keys_that_cannot_be_right_are_refused_with_the_reason() {
    let long = format!("sk-{}", "x".repeat(SECRET_MAX));
    for (key, fault) in [
        ("", Fault::Empty { what: WHAT }),
        ("+sk-1", Fault::Padded { what: WHAT }),
        ("sk-1%0A", Fault::Padded { what: WHAT }),
        ("sk-%0D%0Ax:+y", Fault::Character { what: WHAT }),
        ("sk-%00x", Fault::Character { what: WHAT }),
        ("sk-%C3%A9", Fault::Character { what: WHAT }),
        ("sk-%FF", Fault::Character { what: WHAT }),
        (
            "pk-canary",
            Fault::Pattern {
                what: WHAT,
                name: "Intercom".into(),
            },
        ),
        (&long, Fault::TooLong),
    ] {
        let found = faults(&key_form(), &format!("token=FIELD&key={key}"));
        assert!(!found[0].1.to_string().contains("canary"));
        assert_eq!(found, [(0, fault)], "{}", key.get(..10).unwrap_or(key));
    }
}

#[test]
fn a_client_is_taken_with_a_secret_or_without() {
    let client = |form: &LoginForm, body: &str| match read(form, "FIELD", body.as_bytes()) {
        Ok(Submission::Client { id, secret }) => (id, secret.map(|it| it.expose().to_owned())),
        other => panic!("{other:?}"),
    };
    let body = "token=FIELD&client_id=a+b&client_secret=s%2B1";
    let expected = ("a b".to_owned(), Some("s+1".to_owned()));
    assert_eq!(client(&client_form(None, false), body), expected);
    assert_eq!(client(&client_form(None, true), body), expected);
    assert_eq!(client(&client_form(Some("a b"), true), body), expected);
    let body = "client_secret=&client_id=a&token=FIELD";
    assert_eq!(client(&client_form(None, false), body), ("a".into(), None));
}

#[test]
fn each_fault_of_a_client_is_told_of_its_own_field_and_a_good_id_is_kept() {
    let needed = client_form(None, true);
    let amiss = |form: &LoginForm, body: &str| match read(form, "FIELD", body.as_bytes()) {
        Err(BodyFault::Amiss(amiss)) => amiss,
        other => panic!("{other:?}"),
    };
    let (id, secret) = ("the client ID", "the client secret");
    let found = amiss(&needed, "token=FIELD&client_id=app&client_secret=");
    assert_eq!(found.faults, [(1, Fault::Empty { what: secret })]);
    assert_eq!(found.id.as_deref(), Some("app"));
    let found = amiss(
        &needed,
        "token=FIELD&client_id=app+&client_secret=%0Acanary",
    );
    let both = [
        (0, Fault::Padded { what: id }),
        (1, Fault::Padded { what: secret }),
    ];
    assert_eq!((found.faults.as_slice(), found.id), (both.as_slice(), None));
    let long = format!(
        "token=FIELD&client_id={}&client_secret=s",
        "x".repeat(ID_MAX + 1)
    );
    assert_eq!(amiss(&needed, &long).faults, [(0, Fault::TooLong)]);
    assert_eq!(
        faults(
            &client_form(None, false),
            "token=FIELD&client_id=&client_secret=%C3%A9"
        ),
        [
            (0, Fault::Empty { what: id }),
            (1, Fault::Character { what: secret })
        ]
    );
}

/// Threat O2: our page does not let a given id be changed.
#[test]
fn another_id_than_the_given_one_is_foreign() {
    let form = client_form(Some("app"), true);
    let foreign = |body: &str| {
        let found = read(&form, "FIELD", body.as_bytes()).unwrap_err();
        assert_eq!(found, BodyFault::Foreign, "{body}");
    };
    foreign("token=FIELD&client_id=other&client_secret=s");
    foreign("token=FIELD&client_id=other&client_secret=");
    assert_eq!(
        faults(&form, "token=FIELD&client_id=app&client_secret=").len(),
        1
    );
}

#[test]
fn a_key_file_keeps_its_lines() {
    let form = form(Asked::ServiceAccount);
    let file = "\r\n{\r\n\t\"key\": \"-----\\nA+B\",\r\n \"name\": \"é\"}\r\n";
    let body = |file: &str| {
        let file =
            percent_encoding::percent_encode(file.as_bytes(), percent_encoding::NON_ALPHANUMERIC);
        format!("token=FIELD&key={file}")
    };
    match read(&form, "FIELD", body(file).as_bytes()) {
        Ok(Submission::Secret(found)) => assert_eq!(found.expose(), file),
        other => panic!("{other:?}"),
    }
    for bad in [
        "{",
        "x",
        "{\"key\": canary}",
        "[1]",
        "{} {}",
        "\"{}\"",
        "{\"a\":\"\n\"}",
        " ",
    ] {
        assert_eq!(faults(&form, &body(bad)), [(0, Fault::NotJson)], "{bad}");
    }
    assert_eq!(
        faults(&form, "token=FIELD&key="),
        [(
            0,
            Fault::Empty {
                what: "the key file"
            }
        )]
    );
    assert_eq!(
        faults(&form, "token=FIELD&key=%FF"),
        [(
            0,
            Fault::Character {
                what: "the key file"
            }
        )]
    );
    let picky = LoginForm {
        pattern: Some(Arc::new(|file| file.contains("client_email"))),
        ..form
    };
    assert!(matches!(
        &faults(&picky, &body("{}"))[..],
        [(0, Fault::Pattern { .. })]
    ));
}

/// RFC 6265 section 4.1.1.
#[test]
fn cookies_are_taken_by_name_and_empty_ones_are_left_out() {
    let form = cookie_form();
    let cookies = |body: &str| match read(&form, "FIELD", body.as_bytes()) {
        Ok(Submission::Cookies(cookies)) => cookies
            .into_iter()
            .map(|(name, value)| format!("{name}={}", value.expose()))
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        cookies("token=FIELD&cookie-0=a%3D%3D&cookie-1=b"),
        ["auth=a==", "ct0=b"]
    );
    assert_eq!(cookies("token=FIELD&cookie-1=&cookie-0=a"), ["auth=a"]);
    let empty = [(0, Fault::Empty { what: "the value" })];
    assert_eq!(faults(&form, "token=FIELD&cookie-0=&cookie-1=b"), empty);
    for byte in 0..=0xff_u8 {
        let value = format!("token=FIELD&cookie-0=a%{byte:02X}z&cookie-1=");
        let is_octet = matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
        assert_eq!(
            read(&form, "FIELD", value.as_bytes()).is_ok(),
            is_octet,
            "{byte:#x}"
        );
    }
    assert_eq!(
        faults(&form, "token=FIELD&cookie-0=a&cookie-1=%22b%22"),
        [(1, Fault::Cookie)]
    );
}

/// Threat O2: nothing is taken of a body that our page would not have sent.
#[test]
fn bodies_with_other_fields_than_the_forms_are_foreign() {
    let (client, cookies) = (client_form(None, false), cookie_form());
    for (form, body) in [
        (&client, "token=FIELD&client_id=a"),
        (&client, "token=FIELD&client_secret=a"),
        (
            &client,
            "token=FIELD&client_id=a&client_id=b&client_secret=c",
        ),
        (&client, "token=FIELD&client_id=a&client_secret=c&key=d"),
        (&client, "token=OTHER&client_id=a&client_secret=c"),
        (&client, "client_id=a&client_secret=c"),
        (&cookies, "token=FIELD&cookie-0=a"),
        (&cookies, "token=FIELD&cookie-0=a&cookie-1=b&cookie-2=c"),
        (&cookies, "token=FIELD&cookie-0=a&cookie-0=b"),
        (&cookies, "token=FIELD&auth=a&ct0=b"),
        (&cookies, "token=FIELD&key=a"),
    ] {
        let found = read(form, "FIELD", body.as_bytes()).unwrap_err();
        assert_eq!(found, BodyFault::Foreign, "{body}");
    }
}

/// One of each kind.
fn forms() -> Vec<LoginForm> {
    vec![
        key_form(),
        client_form(None, false),
        client_form(Some("app"), true),
        form(Asked::ServiceAccount),
        cookie_form(),
    ]
}

proptest! {
    #[test]
    fn any_body_is_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        for form in forms() {
            prop_assert!(read(&form, "FIELD", &body).is_err());
            for field in fields(&form.asked) {
                let body = [b"token=FIELD&", field.name.as_bytes(), b"=", &body].concat();
                drop(read(&form, "FIELD", &body));
            }
        }
    }

    #[test]
    fn every_printable_key_comes_through_as_it_was(tail in "[!-~]{0,80}") {
        let key = format!("sk-{tail}");
        let encoded = percent_encoding::percent_encode(key.as_bytes(), percent_encoding::NON_ALPHANUMERIC);
        prop_assert_eq!(key_of(&format!("token=FIELD&key={encoded}")).unwrap(), key);
    }

    /// Several fields, in any order, each to its own.
    #[test]
    fn values_reach_their_own_fields_in_any_order(
        values in proptest::collection::vec("[!#-+\\--:<-\\[\\]-~]{0,30}", 1..6),
        order in any::<prop::sample::Index>(),
    ) {
        let names: Vec<String> = (0..values.len()).map(|n| format!("c{n}")).collect();
        let form = form(Asked::Cookies { entry_url: String::new(), names: names.clone(), needed: 0 });
        let mut pairs: Vec<String> = values.iter().enumerate().map(|(n, value)| {
            let value = percent_encoding::percent_encode(value.as_bytes(), percent_encoding::NON_ALPHANUMERIC);
            format!("cookie-{n}={value}")
        }).collect();
        pairs.push("token=FIELD".into());
        let at = order.index(pairs.len());
        pairs.rotate_left(at);
        let found = match read(&form, "FIELD", pairs.join("&").as_bytes()) {
            Ok(Submission::Cookies(cookies)) => cookies,
            other => panic!("{other:?}"),
        };
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        let expected: Vec<_> = names.iter().zip(&values).filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.as_str(), value.as_str())).collect();
        prop_assert_eq!(found, expected);
    }

    /// A pair more, less or twice is never taken.
    #[test]
    fn one_pair_too_many_or_too_few_is_foreign(which in 0..3_usize, extra in "[a-z_-]{1,12}=") {
        let whole = ["token=FIELD", "client_id=a", "client_secret=b"];
        let form = client_form(None, false);
        let mut short = whole.to_vec();
        short.remove(which);
        let mut twice = whole.to_vec();
        twice.push(whole[which]);
        let mut more = whole.to_vec();
        more.push(&extra);
        for pairs in [short, twice, more] {
            let found = read(&form, "FIELD", pairs.join("&").as_bytes());
            prop_assert!(matches!(found, Err(BodyFault::Foreign)));
        }
    }
}
