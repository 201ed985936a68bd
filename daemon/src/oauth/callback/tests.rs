use proptest::prelude::*;

use super::*;

const STATE: &str = "c3RhdGUtc3RhdGUtc3RhdGUtc3RhdGUtc3RhdGUtc3Q";
const REDIRECT: &str = "http://127.0.0.1:7998/oauth/callback";
const ISSUER: &str = "https://as.example";

/// A verdict that can be compared.
#[derive(Debug, PartialEq, Clone, Copy)]
enum Is<'a> {
    Code(&'a str),
    Refused(&'a str, Option<&'a str>),
    Foreign,
    Wrong,
}

fn is(callback: &Callback) -> Is<'_> {
    match callback {
        Callback::Code(code) => Is::Code(code.expose()),
        Callback::Refused(Refusal { code, description }) => {
            Is::Refused(code, description.as_deref())
        }
        Callback::Foreign => Is::Foreign,
        Callback::Wrong(_) => Is::Wrong,
    }
}

fn with<T>(issuer: Option<&str>, issuer_is_named: bool, then: impl Fn(Expected<'_>) -> T) -> T {
    then(Expected {
        state: &State::of(STATE),
        issuer,
        issuer_is_named,
    })
}

#[test]
fn an_answer_with_the_right_state_is_judged() {
    let wide = format!("state={STATE}&code={}", "x".repeat(SECRET_MAX));
    let code = "x".repeat(SECRET_MAX);
    for (query, verdict) in [
        (&*format!("code=abc&state={STATE}"), Is::Code("abc")),
        (
            &format!("state={STATE}&code=4%2F0Ab-%3D&scope=a+b&authuser=0"),
            Is::Code("4/0Ab-="),
        ),
        (&format!("&state={STATE}&&code=a+b%2Bc&"), Is::Code("a b+c")),
        (&wide, Is::Code(&code)),
        (&format!("{wide}x"), Is::Wrong),
        (&format!("code=%C3%A9&state={STATE}"), Is::Wrong),
        (&format!("code=a%0d%0ab&state={STATE}"), Is::Wrong),
        (&format!("code=%00&state={STATE}"), Is::Wrong),
        (&format!("code=%FF&state={STATE}"), Is::Wrong),
        (&format!("state={STATE}"), Is::Wrong),
        (&format!("code=&state={STATE}"), Is::Wrong),
        (&format!("code&state={STATE}"), Is::Wrong),
        (&format!("CODE=abc&state={STATE}"), Is::Wrong),
        (&format!("code=a&code=a&state={STATE}"), Is::Wrong),
        (&format!("code=a&c%6fde=b&state={STATE}"), Is::Wrong),
        (&format!("code=&code=b&state={STATE}"), Is::Wrong),
        (&format!("error=a&error=b&state={STATE}"), Is::Wrong),
        (&format!("iss=a&iss=a&code=x&state={STATE}"), Is::Wrong),
        (&format!("error=a&code=b&state={STATE}"), Is::Wrong),
        (&format!("error=&code=b&state={STATE}"), Is::Code("b")),
        (
            &format!("error=access_denied&state={STATE}"),
            Is::Refused("access_denied", None),
        ),
        (
            &format!("state={STATE}&error=access_denied&error_description=The+user%0Asaid%1B+no"),
            Is::Refused("access_denied", Some("The user said\u{fffd} no")),
        ),
        (
            &format!("state={STATE}&error=%0a"),
            Is::Refused("unknown", None),
        ),
        // nobody named an issuer, so there is nothing to compare with
        (&format!("code=a&iss=x&state={STATE}"), Is::Code("a")),
    ] {
        with(None, false, |expected| {
            assert_eq!(is(&judge(query, expected)), verdict, "{query:.300}");
        });
    }
}

/// O3: nothing is heard that comes without the state, an error least of all.
#[test]
fn o3_an_answer_without_the_right_state_is_foreign() {
    let wrong = STATE.to_ascii_lowercase();
    for query in [
        "",
        "code=abc",
        "error=access_denied",
        "error=access_denied&state=",
        "error=access_denied&state",
        &format!("error=access_denied&state={wrong}"),
        &format!("code=abc&state={wrong}"),
        &format!("code=abc&State={STATE}"),
        &format!("code=abc&state={STATE}%20"),
        &format!("code=abc&state=+{STATE}"),
        &format!("code=abc&state={STATE}&state={STATE}"),
        &format!("code=abc&state={STATE}&state={wrong}"),
        &format!("code=abc&state={wrong}&state={STATE}"),
        &format!("code=abc&state={STATE}&st%61te="),
        &format!("code=abc;state={STATE}"),
        &format!("?state={STATE}&code=abc"),
        &format!("code=a&code=b&error=c&iss=d&state={wrong}"),
        &format!("code=abc&state={}", &STATE[..42]),
    ] {
        for (issuer, named) in [(None, false), (Some(ISSUER), true)] {
            with(issuer, named, |expected| {
                assert_eq!(is(&judge(query, expected)), Is::Foreign, "{query}");
            });
        }
    }
}

/// O4: RFC 9207.
#[test]
fn o4_an_answer_of_another_server_is_wrong() {
    let code = format!("code=abc&state={STATE}");
    let error = format!("error=access_denied&state={STATE}");
    let ours = "iss=https%3A%2F%2Fas.example";
    for (iss, issuer, named, right) in [
        ("", None, false, true),
        ("", Some(ISSUER), false, true),
        ("", Some(ISSUER), true, false),
        ("", None, true, false),
        ("iss=", Some(ISSUER), true, false),
        ("iss=", Some(ISSUER), false, true),
        (ours, Some(ISSUER), true, true),
        (ours, Some(ISSUER), false, true),
        (ours, None, false, true),
        (ours, None, true, true),
        (
            "iss=https%3A%2F%2Fas.example%2F",
            Some(ISSUER),
            false,
            false,
        ),
        ("iss=https%3A%2F%2FAS.example", Some(ISSUER), false, false),
        (
            "iss=https%3A%2F%2Fas.example:443",
            Some(ISSUER),
            true,
            false,
        ),
        ("iss=https%3A%2F%2Fevil.example", Some(ISSUER), true, false),
        ("iss=https%3A%2F%2Fevil.example", Some(ISSUER), false, false),
        ("iss=as.example", Some(ISSUER), false, false),
        ("iss=https://bs.example", Some(ISSUER), false, false),
    ] {
        with(issuer, named, |expected| {
            for (answer, good) in [
                (&code, Is::Code("abc")),
                (&error, Is::Refused("access_denied", None)),
            ] {
                let query = format!("{answer}&{iss}");
                let verdict = if right { good } else { Is::Wrong };
                let what = format!("{query} {issuer:?} {named}");
                assert_eq!(is(&judge(&query, expected)), verdict, "{what}");
            }
        });
    }
}

#[test]
fn what_a_person_pastes_is_an_address_a_query_or_a_code() {
    let query = format!("code=abc&state={STATE}");
    let foreign = "code=abc&state=other";
    for (text, verdict) in [
        // the whole address
        (format!("{REDIRECT}?{query}"), Is::Code("abc")),
        (format!("  {REDIRECT}?{query}\r\n"), Is::Code("abc")),
        (format!("{REDIRECT}?{query}#_=_"), Is::Code("abc")),
        (
            format!("HTTP://127.0.0.1:7998/oauth/callback?{query}"),
            Is::Code("abc"),
        ),
        (
            format!("{REDIRECT}?error=access_denied&state={STATE}"),
            Is::Refused("access_denied", None),
        ),
        (format!("{REDIRECT}?{foreign}"), Is::Foreign),
        (format!("{REDIRECT}?code=abc"), Is::Foreign),
        (format!("{REDIRECT}?error=access_denied"), Is::Foreign),
        (REDIRECT.to_owned(), Is::Foreign),
        (format!("{REDIRECT}#{query}"), Is::Foreign),
        (format!("{REDIRECT}#?{query}"), Is::Foreign),
        // another address
        (
            format!("http://localhost:7998/oauth/callback?{query}"),
            Is::Foreign,
        ),
        (
            format!("http://[::1]:7998/oauth/callback?{query}"),
            Is::Foreign,
        ),
        (
            format!("https://127.0.0.1:7998/oauth/callback?{query}"),
            Is::Foreign,
        ),
        (
            format!("http://127.0.0.1:7999/oauth/callback?{query}"),
            Is::Foreign,
        ),
        (
            format!("http://127.0.0.1/oauth/callback?{query}"),
            Is::Foreign,
        ),
        (
            format!("http://127.0.0.1:7998/oauth/callback/?{query}"),
            Is::Foreign,
        ),
        (
            format!("http://127.0.0.1:7998/oauth/Callback?{query}"),
            Is::Foreign,
        ),
        (format!("http://127.0.0.1:7998/?{query}"), Is::Foreign),
        (
            format!("http://a@127.0.0.1:7998/oauth/callback?{query}"),
            Is::Foreign,
        ),
        (
            format!("http://:b@127.0.0.1:7998/oauth/callback?{query}"),
            Is::Foreign,
        ),
        (
            format!("http://127.0.0.1:7998@evil.example/oauth/callback?{query}"),
            Is::Foreign,
        ),
        (
            format!("http://127.0.0.1.evil.example:7998/oauth/callback?{query}"),
            Is::Foreign,
        ),
        (format!("x://?{query}"), Is::Foreign),
        (
            format!("127.0.0.1:7998/oauth/callback?{query}"),
            Is::Foreign,
        ),
        // the query
        (query.clone(), Is::Code("abc")),
        (format!(" ?{query} "), Is::Code("abc")),
        (format!("{query}#_=_"), Is::Code("abc")),
        (format!("authuser=0&{query}"), Is::Code("abc")),
        (
            format!("state={STATE}&code=a%3D&error_uri=http://a.example/?b"),
            Is::Code("a="),
        ),
        (foreign.to_owned(), Is::Foreign),
        (format!("?{foreign}"), Is::Foreign),
        ("code=abc".to_owned(), Is::Foreign),
        ("?abc".to_owned(), Is::Foreign),
        ("error=access_denied".to_owned(), Is::Foreign),
        (
            format!("error=access_denied&state={STATE}"),
            Is::Refused("access_denied", None),
        ),
        (format!("code=a&code=b&state={STATE}"), Is::Wrong),
        // the code
        ("abc".to_owned(), Is::Code("abc")),
        ("\tabc \n".to_owned(), Is::Code("abc")),
        ("4/0Ab_cD-e".to_owned(), Is::Code("4/0Ab_cD-e")),
        ("4%2F0Ab_cD-e".to_owned(), Is::Code("4/0Ab_cD-e")),
        ("a+b==".to_owned(), Is::Code("a+b==")),
        ("100%".to_owned(), Is::Code("100%")),
        (
            "M.C5_BAY.2.U.x!y*z$".to_owned(),
            Is::Code("M.C5_BAY.2.U.x!y*z$"),
        ),
        (String::new(), Is::Foreign),
        ("  ".to_owned(), Is::Foreign),
        ("it says nothing".to_owned(), Is::Foreign),
        ("abc\u{e9}".to_owned(), Is::Foreign),
        ("abc%00".to_owned(), Is::Foreign),
        ("abc%ff".to_owned(), Is::Foreign),
        (format!("4/0Ab&scope=a&state={STATE}"), Is::Foreign),
        ("abc?x".to_owned(), Is::Foreign),
        ("abc#x".to_owned(), Is::Foreign),
        ("x".repeat(SECRET_MAX + 1), Is::Foreign),
    ] {
        with(Some(ISSUER), false, |expected| {
            assert_eq!(
                is(&judge_pasted(&text, REDIRECT, expected)),
                verdict,
                "{text:.300}"
            );
        });
    }
}

/// O4: what is pasted is not heard more than what the browser brings.
#[test]
fn o4_a_pasted_answer_of_another_server_is_wrong() {
    with(Some(ISSUER), true, |expected| {
        for tail in ["", "&iss=https://evil.example"] {
            let query = format!("code=abc&state={STATE}{tail}");
            for text in [format!("{REDIRECT}?{query}"), format!("?{query}"), query] {
                assert_eq!(
                    is(&judge_pasted(&text, REDIRECT, expected)),
                    Is::Wrong,
                    "{text}"
                );
            }
        }
    });
}

#[test]
fn debug_hides_the_code() {
    with(None, false, |expected| {
        let shown = format!(
            "{:?} {expected:?}",
            judge(&format!("code=hunter2&state={STATE}"), expected)
        );
        assert!(
            shown.contains("Code(") && !shown.contains("hunter"),
            "{shown}"
        );
        assert!(!shown.contains(STATE), "{shown}");
        // a server that repeats the code in its complaint
        let code = "hunter2hunter2hunter2";
        let query = format!("error={code}&error_description=bad+code+{code}&state={STATE}");
        let shown = format!("{:?}", judge(&query, expected));
        assert!(
            shown.contains("Refused") && !shown.contains("hunter"),
            "{shown}"
        );
    });
}

/// Pieces that answers are made of, and what may be between them.
fn query() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "(code|state|error|iss|st%61te|STATE)=[a-zA-Z0-9%+=]{0,12}",
        Just(format!("xstate={STATE}")),
        Just(format!("state={STATE}x")),
        Just(format!("state={}", STATE.to_ascii_uppercase())),
        Just(format!("state={STATE}&state={STATE}")),
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.join("&"))
}

proptest! {
    /// O3
    #[test]
    fn o3_no_query_without_the_right_state_says_anything(query in query()) {
        let is_right = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "state").map(|(_, value)| value == STATE).collect::<Vec<_>>() == [true];
        prop_assume!(!is_right);
        for (issuer, named) in [(None, false), (Some(ISSUER), true)] {
            with(issuer, named, |expected| {
                assert!(matches!(judge(&query, expected), Callback::Foreign), "{query}");
                let text = format!("{REDIRECT}?{query}");
                assert!(matches!(judge_pasted(&text, REDIRECT, expected), Callback::Foreign), "{text}");
            });
        }
    }

    #[test]
    fn any_text_with_the_right_state_is_judged_without_a_panic(before in query(), code in any::<String>()) {
        let query = format!("{before}&state={STATE}&code={}", percent_encoding::utf8_percent_encode(&code, percent_encoding::NON_ALPHANUMERIC));
        with(Some(ISSUER), false, |expected| {
            if let Callback::Code(found) = judge(&query, expected) {
                assert_eq!(found.expose(), code);
            }
            drop(judge_pasted(&code, REDIRECT, expected));
        });
    }
}
