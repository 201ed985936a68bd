//! Whatever the browser brings back or a person pastes: only the right state makes it ours, and then
//! it is judged as another reader of forms would read it (threats O3, O4).
//!
//! An input is the query of an answer, with `STATE` where the state of the login stands.

use std::sync::LazyLock;

use authsomed::oauth::callback::{Callback, Expected, judge, judge_pasted};
use authsomed::oauth::pkce::State;

const REDIRECT: &str = "http://127.0.0.1:7998/oauth/callback";
const ISSUER: &str = "https://as.example";

static STATE: LazyLock<State> = LazyLock::new(State::random);

/// See the module.
pub fn check(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    let text = text.replace("STATE", STATE.as_str());
    for (issuer, issuer_is_named) in [(None, false), (Some(ISSUER), false), (Some(ISSUER), true)] {
        let expected = Expected {
            state: &STATE,
            issuer,
            issuer_is_named,
        };
        let callback = judge(&text, expected);
        judged(&text, expected, &callback);
        pasted(&text, expected, &callback);
    }
}

/// What `judge` must have said.
fn judged(query: &str, expected: Expected<'_>, callback: &Callback) {
    let said: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let all = |name| said.iter().filter(move |(said, _)| said == name);
    let of = |name| all(name).map(|(_, value)| &**value).find(|v| !v.is_empty());
    let is_ours = all("state").count() == 1 && of("state") == Some(STATE.as_str());
    if !is_ours {
        assert!(matches!(callback, Callback::Foreign), "{query:?}");
        return;
    }
    let is_once = ["code", "error", "iss"]
        .iter()
        .all(|name| all(name).count() < 2);
    let is_from_it = match (of("iss"), expected.issuer) {
        (Some(iss), Some(issuer)) => iss == issuer,
        (Some(_), None) => true,
        (None, _) => !expected.issuer_is_named,
    };
    match callback {
        Callback::Foreign => panic!("not heard: {query:?}"),
        Callback::Code(code) => {
            assert!(is_once && is_from_it && of("error").is_none(), "{query:?}");
            assert_eq!(of("code"), Some(code.expose()), "{query:?}");
            let visible = |byte: u8| (0x20..0x7f).contains(&byte);
            assert!(code.expose().bytes().all(visible), "{query:?}");
        }
        Callback::Refused(refusal) => {
            assert!(is_once && is_from_it && of("code").is_none(), "{query:?}");
            assert!(of("error").is_some(), "{query:?}");
            for text in [Some(&refusal.code), refusal.description.as_ref()] {
                let text = text.map_or("x", |text| text);
                assert!(!text.is_empty() && text.chars().count() < 250, "{text:?}");
                assert!(!text.contains(char::is_control), "{text:?}");
            }
        }
        Callback::Wrong(_) => assert!(
            !is_once
                || !is_from_it
                || of("code").is_some() == of("error").is_some()
                || of("code").is_some_and(|code| code.bytes().any(|b| !(0x20..0x7f).contains(&b))),
            "{query:?}"
        ),
    }
}

/// The same by way of a person.
fn pasted(text: &str, expected: Expected<'_>, judged: &Callback) {
    let paste = |text: &str| judge_pasted(text, REDIRECT, expected);
    // a fragment is none of the query's, and spaces at the end are none of the person's
    if !text.contains('#') && text.trim_end() == text {
        for address in [format!("{REDIRECT}?{text}"), format!("\n ?{text}")] {
            assert_eq!(shown(&paste(&address)), shown(judged), "{address:?}");
        }
    }
    for elsewhere in [
        format!("http://localhost:7998/oauth/callback?{text}"),
        format!("https://127.0.0.1:7998/oauth/callback?{text}"),
        format!("http://127.0.0.1:7998/oauth/callbacks?{text}"),
        format!("http://127.0.0.1:7998/?{text}"),
    ] {
        let callback = paste(&elsewhere);
        assert!(matches!(callback, Callback::Foreign), "{elsewhere:?}");
    }
    if let Callback::Code(code) = paste(text) {
        let plain = |byte: u8| (0x20..0x7f).contains(&byte);
        assert!(code.expose().bytes().all(plain), "{text:?}");
        // either it has the state, or it is nothing but a code
        let is_bare = !text.contains(['&', '?', '#']) && !text.trim().contains(char::is_whitespace);
        assert!(
            is_bare || text.contains(STATE.as_str()) || text.contains('%'),
            "{text:?}"
        );
    }
}

/// Everything of a verdict.
fn shown(callback: &Callback) -> String {
    match callback {
        Callback::Code(code) => format!("code {}", code.expose()),
        other => format!("{other:?}"),
    }
}
