//! Sessions of websites: which cookies a person is asked for, what of them is stored, and where it
//! goes on the wire.
//!
//! What is stored as the secret of such a connection is the text of a `Cookie` header. Everything
//! here is pure; the slot itself is [`Session`].

use std::time::Duration;

use authsome_proto::secret::SECRET_MAX;
use authsome_proto::{ErrorCode, ProviderName, Secret, WireError};
use http::HeaderValue;

use super::definition::{Auth, Browser, Definition, EnvValue, EnvVariable};
use super::fields;
use super::problem::quoted;
use crate::routing::Session;
use crate::routing::placeholder::LITERAL;
use crate::routing::slot::session::{CookieCopy, SessionCookie, cookie_text, is_cookie_value};

/// Longest cookie, name and value together: what every browser keeps (RFC 6265 section 6.1), and
/// few keep more.
const COOKIE_MAX: usize = 4096;

/// Why cookies are no session of a provider. None holds a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CookieError {
    /// A value has a character that no cookie has.
    #[error(
        "the value of the cookie `{0}` has a character that no cookie has; copy the value alone, without its name and without spaces around it"
    )]
    Character(String),
    /// A cookie without which there is no session is not there, or empty.
    #[error("the cookie `{0}` is missing")]
    Missing(String),
    /// A cookie that the definition does not ask for.
    #[error("{} is no cookie that is asked for", quoted(.0))]
    NotAsked(String),
    /// What stands in variables instead of a value.
    #[error("that is the placeholder that programs see, not the value of the cookie `{0}`")]
    Placeholder(String),
    /// Longer than any cookie is.
    #[error("the value of the cookie `{0}` is longer than a cookie can be")]
    TooLong(String),
    /// All together are longer than a secret can be.
    #[error("the cookies are longer than {SECRET_MAX} bytes together")]
    TooLongTogether,
    /// One cookie with two values.
    #[error("the cookie `{0}` is given twice")]
    Twice(String),
}

impl CookieError {
    /// The same for a person who logs in to `provider`.
    pub fn explain(&self, provider: &ProviderName) -> WireError {
        WireError::new(
            ErrorCode::InvalidSecret,
            format!("these cookies are no session of `{provider}`"),
        )
        .because(self)
        .hint("copy each value once more from the browser where you are logged in")
    }
}

/// The cookies that a person is asked for, and how many of them, from the first, are needed. None
/// of a definition that is no browser's.
///
/// Needed are those that prove the login and those that are copied into headers: sites take no
/// writing request, and some no request at all, without the copy. Those that only a variable stands
/// for are optional.
pub fn asked_cookies(definition: &Definition) -> (Vec<String>, usize) {
    let Auth::Browser(browser) = &definition.auth else {
        return (Vec::new(), 0);
    };
    let asked: Vec<(&str, bool)> = asked(browser).collect();
    let needed = asked.iter().filter(|(_, needed)| *needed).count();
    let names = asked.into_iter().map(|(name, _)| name.to_owned());
    (names.collect(), needed)
}

/// What is stored for these cookies: the text of a `Cookie` header with all of them, in the order in
/// which they are asked for. Empty ones count as not given.
pub fn cookie_secret(
    browser: &Browser,
    cookies: &[(String, Secret)],
) -> Result<Secret, CookieError> {
    let given = || cookies.iter().filter(|(_, value)| !value.is_empty());
    for (name, value) in given() {
        let name = || name.clone();
        if !asked(browser).any(|(asked, _)| asked == name()) {
            return Err(CookieError::NotAsked(name()));
        }
        if given().filter(|(other, _)| *other == name()).count() > 1 {
            return Err(CookieError::Twice(name()));
        }
        if value.expose() == LITERAL {
            return Err(CookieError::Placeholder(name()));
        }
        if name().len() + value.len() > COOKIE_MAX {
            return Err(CookieError::TooLong(name()));
        }
        // two quotes and nothing in between is an empty value, too
        if !is_cookie_value(value.expose()) || value.expose() == "\"\"" {
            return Err(CookieError::Character(name()));
        }
    }
    let mut pairs = Vec::new();
    for (name, needed) in asked(browser) {
        match given().find(|(given, _)| given == name) {
            Some((_, value)) => pairs.push((name, value.expose())),
            None if needed => return Err(CookieError::Missing(name.to_owned())),
            None => {}
        }
    }
    let mut text = cookie_text(&pairs);
    if text.len() > SECRET_MAX {
        return Err(CookieError::TooLongTogether);
    }
    Ok(Secret::new(std::mem::take(&mut *text)))
}

/// How long a session lasts from its login, where the definition says it.
pub fn lifetime(browser: &Browser) -> Option<Duration> {
    let hours = browser.ttl_hours.map(u64::from)?;
    Some(Duration::from_secs(hours * 60 * 60))
}

/// The cookies that only variables in `env` stand for, in their order.
pub(super) fn also_asked(browser: &Browser, env: &[EnvVariable]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for variable in env {
        if let EnvValue::Cookie(name) = &variable.value
            && !asked(browser).any(|(asked, _)| asked == name)
            && !names.contains(name)
        {
            names.push(name.clone());
        }
    }
    names
}

/// Where a session goes on the wire.
pub(super) fn session_of(browser: &Browser) -> Result<Session, String> {
    let cookies = asked(browser).map(|(name, needed)| SessionCookie {
        name: name.into(),
        needed,
    });
    let mut copies = Vec::new();
    for copy in &browser.extract {
        copies.push(CookieCopy {
            cookie: copy.cookie.as_str().into(),
            header: fields::header_name(&copy.header)?,
            prefix: copy.prefix.as_str().into(),
        });
    }
    let mut fixed = Vec::new();
    for (name, value) in &browser.extra_headers {
        let name = fields::header_name(name)?;
        let value = HeaderValue::from_str(value)
            .map_err(|_| format!("the value of the header `{name}` cannot be sent"))?;
        fixed.push((name, value));
    }
    Session::new(cookies.collect(), browser.cookie_header, copies, fixed)
        .map_err(|error| error.to_string())
}

/// Each cookie that is asked for, once, and whether it is needed; the needed ones first.
fn asked(browser: &Browser) -> impl Iterator<Item = (&str, bool)> {
    let proofs = browser.auth_cookies.iter();
    let copied = browser.extract.iter().map(|copy| &copy.cookie);
    let needed = proofs.chain(copied).map(|name| (name.as_str(), true));
    let others = browser.also_asked.iter().map(|name| (name.as_str(), false));
    let mut seen: Vec<&str> = Vec::new();
    needed.chain(others).filter(move |(name, _)| {
        let is_new = !seen.contains(name);
        if is_new {
            seen.push(name);
        }
        is_new
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::{ExtractedCookie, bundled, parse_definition};

    fn bundled(name: &str) -> Definition {
        let mut all = bundled::DEFINITIONS.iter();
        let (_, text) = all.find(|(known, _)| *known == name).unwrap();
        parse_definition(text, "x.json".as_ref(), None).0.unwrap()
    }

    fn browser(definition: &Definition) -> &Browser {
        match &definition.auth {
            Auth::Browser(browser) => browser,
            _ => panic!(),
        }
    }

    fn given(cookies: &[(&str, &str)]) -> Vec<(String, Secret)> {
        let cookies = cookies.iter();
        cookies
            .map(|(name, value)| ((*name).to_owned(), Secret::new((*value).to_owned())))
            .collect()
    }

    #[test]
    fn people_are_asked_for_what_proves_a_login_first() {
        for (name, asked) in [
            ("x-browser", vec!["auth_token", "ct0"]),
            ("linkedin-browser", vec!["li_at", "JSESSIONID"]),
        ] {
            assert_eq!(
                asked_cookies(&bundled(name)),
                (asked.into_iter().map(str::to_owned).collect(), 2),
                "{name}"
            );
        }
        assert_eq!(asked_cookies(&bundled("intercom")), (vec![], 0));
        let mut definition = bundled("x-browser");
        let Auth::Browser(browser) = &mut definition.auth else {
            panic!()
        };
        browser.also_asked = vec!["ct0".into(), "lang".into()];
        let names = ["auth_token", "ct0", "lang"].map(str::to_owned).to_vec();
        assert_eq!(asked_cookies(&definition), (names, 2));
    }

    #[test]
    fn what_is_stored_is_a_cookie_header_in_the_order_of_the_definition() {
        let definition = bundled("x-browser");
        let cookies = given(&[("ct0", "c=1"), ("auth_token", "\"a\"")]);
        let secret = cookie_secret(browser(&definition), &cookies).unwrap();
        assert_eq!(secret.expose(), "auth_token=\"a\"; ct0=c=1");
        for rule in &definition.routes {
            assert!(rule.slot.fill(&secret).is_ok());
        }
        let hours = lifetime(browser(&definition));
        assert_eq!(hours, Some(Duration::from_secs(86_400)));
    }

    #[test]
    fn cookies_that_are_no_session_are_refused_without_their_values() {
        let definition = bundled("x-browser");
        let long = "x".repeat(COOKIE_MAX);
        let named = |name: &str| name.to_owned();
        for (cookies, error) in [
            (
                vec![("auth_token", "canary")],
                CookieError::Missing(named("ct0")),
            ),
            (
                vec![("auth_token", "canary"), ("ct0", "")],
                CookieError::Missing(named("ct0")),
            ),
            (
                vec![("auth_token", "canary"), ("ct0", "canary"), ("x", "canary")],
                CookieError::NotAsked(named("x")),
            ),
            (
                vec![
                    ("auth_token", "canary"),
                    ("auth_token", "canary2"),
                    ("ct0", "c"),
                ],
                CookieError::Twice(named("auth_token")),
            ),
            (
                vec![("auth_token", LITERAL), ("ct0", "c")],
                CookieError::Placeholder(named("auth_token")),
            ),
            (
                vec![("auth_token", &long), ("ct0", "c")],
                CookieError::TooLong(named("auth_token")),
            ),
        ] {
            let refused = cookie_secret(browser(&definition), &given(&cookies)).unwrap_err();
            assert!(!format!("{refused} {refused:?}").contains("canary"));
            assert_eq!(refused, error, "{cookies:?}");
        }
        for bad in [
            "a b", " a", "a ", "a;b", "a,b", "a\"", "\"a", "\"\"", "a\\b", "a\n", "é", "a\0",
        ] {
            let cookies = given(&[("auth_token", bad), ("ct0", "c")]);
            assert_eq!(
                cookie_secret(browser(&definition), &cookies).unwrap_err(),
                CookieError::Character(named("auth_token")),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn many_cookies_together_are_not_longer_than_a_secret() {
        let definition = bundled("x-browser");
        let mut browser = browser(&definition).clone();
        browser.also_asked = (0..20).map(|n| format!("c{n}")).collect();
        let value = "x".repeat(COOKIE_MAX - 10);
        let names = asked(&browser).map(|(name, _)| name.to_owned());
        let cookies: Vec<_> = names
            .map(|name| (name, Secret::new(value.clone())))
            .collect();
        assert_eq!(
            cookie_secret(&browser, &cookies).unwrap_err(),
            CookieError::TooLongTogether
        );
    }

    #[test]
    fn headers_that_frame_a_message_are_no_part_of_a_session() {
        let definition = bundled("x-browser");
        let refused = |change: fn(&mut Browser)| {
            let mut browser = browser(&definition).clone();
            change(&mut browser);
            session_of(&browser).is_err()
        };
        assert!(!refused(|_| {}));
        assert!(refused(|it| it
            .extra_headers
            .push(("Host".into(), "x".into()))));
        assert!(refused(|it| it
            .extra_headers
            .push(("x-a".into(), "a\r\nb".into()))));
        assert!(refused(|it| it
            .extra_headers
            .push(("X-CSRF-Token".into(), "a".into()))));
        assert!(refused(|it| it.auth_cookies.push("a=b".into())));
        assert!(refused(|it| it.extract.push(ExtractedCookie {
            cookie: "ct0".into(),
            header: "cookie".into(),
            prefix: String::new(),
        })));
    }
}
