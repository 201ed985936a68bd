//! The slot of a website's session: its cookies, and the headers that its own pages send with them.
//!
//! The secret of such a connection is the text of a `Cookie` header, `auth_token=…; ct0=…`. From it
//! come the header itself and copies of single cookies, as a page makes them to show that it could
//! read them. All of these places are the definition's: whatever a program sent there goes, also
//! where nothing is filled.
//!
//! A program's own cookies for such a host go too, whatever their names: a site looks at several to
//! tell whose session it is, servers differ about which of two counts, and none of those a program
//! could have belongs to the session that it is granted.

use std::fmt;

use authsome_proto::Secret;
use http::header::COOKIE;
use http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::{FillError, Filled, Piece, is_printable, sensitive};
use crate::routing::decide::is_same_for_cgi;

/// What a session fills. Made by [`Session::new`], so no two of its headers are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Session {
    cookies: Box<[SessionCookie]>,
    cookie_header: bool,
    copies: Box<[CookieCopy]>,
    fixed: Box<[(HeaderName, HeaderValue)]>,
}

/// A cookie of a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionCookie {
    /// Its name, case-sensitive.
    pub name: Box<str>,
    /// Whether there is no session without it.
    pub needed: bool,
}

/// A cookie whose value goes into a header, too.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CookieCopy {
    /// Name of the cookie; one of the session's.
    pub cookie: Box<str>,
    /// The header.
    pub header: HeaderName,
    /// What stands before the value, joined by one space; empty for none.
    pub prefix: Box<str>,
}

/// Why a session cannot be sent as it is described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// No cookie has this name (RFC 6265 section 4.1.1).
    #[error("`{0}` is no name of a cookie")]
    CookieName(Box<str>),
    /// Two of its headers are one for some servers.
    #[error("the header `{0}` is filled twice")]
    HeaderTwice(HeaderName),
    /// None of its cookies proves a login.
    #[error("a session has at least one cookie that it needs")]
    NothingNeeded,
    /// A prefix that cannot be sent.
    #[error("what stands before the value in `{0}` cannot be sent")]
    Prefix(HeaderName),
}

impl Session {
    /// A session of these `cookies`, each name once; of which all are sent as `Cookie` if
    /// `cookie_header` is set.
    pub fn new(
        cookies: Vec<SessionCookie>,
        cookie_header: bool,
        copies: Vec<CookieCopy>,
        fixed: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Self, SessionError> {
        if let Some(bad) = cookies.iter().find(|it| !is_cookie_name(&it.name)) {
            return Err(SessionError::CookieName(bad.name.clone()));
        }
        if !cookies.iter().any(|cookie| cookie.needed) {
            return Err(SessionError::NothingNeeded);
        }
        if let Some(bad) = copies.iter().find(|copy| {
            let prefix = &copy.prefix;
            !is_printable(prefix) || prefix.starts_with(' ') || prefix.ends_with(' ')
        }) {
            return Err(SessionError::Prefix(bad.header.clone()));
        }
        let mut headers: Vec<&HeaderName> = vec![&COOKIE];
        let filled = copies.iter().map(|copy| &copy.header);
        for header in filled.chain(fixed.iter().map(|(name, _)| name)) {
            let same = |known: &&HeaderName| is_same_for_cgi(known.as_str(), header.as_str());
            if headers.iter().any(same) {
                return Err(SessionError::HeaderTwice(header.clone()));
            }
            headers.push(header);
        }
        Ok(Self {
            cookies: cookies.into(),
            cookie_header,
            copies: copies.into(),
            fixed: fixed.into(),
        })
    }

    /// Its cookies, those that it needs and others, in the order in which people are asked.
    pub fn cookies(&self) -> &[SessionCookie] {
        &self.cookies
    }

    /// Whether one of its cookies has this name.
    pub fn has_cookie(&self, name: &str) -> bool {
        self.cookies.iter().any(|cookie| *cookie.name == *name)
    }

    /// Whether a cookie is copied into this header.
    pub fn copies_into(&self, header: &HeaderName) -> bool {
        self.copies.iter().any(|copy| copy.header == *header)
    }

    /// What goes on the wire. Of the cookies in `secret` those that the definition does not ask for
    /// any more are left out.
    pub(super) fn fill(&self, secret: &Secret) -> Result<Filled, FillError> {
        let pairs = pairs(secret.expose()).ok_or(FillError::Session)?;
        let sent: Vec<(&str, &str)> = pairs
            .into_iter()
            .filter(|(name, _)| self.has_cookie(name))
            .collect();
        let value_of = |name: &str| sent.iter().find(|(known, _)| *known == name);
        let has = |name: &str| value_of(name).is_some_and(|(_, value)| !unquoted(value).is_empty());
        if self.cookies.iter().any(|it| it.needed && !has(&it.name)) {
            return Err(FillError::Session);
        }
        let mut pieces = Vec::with_capacity(1 + self.copies.len() + self.fixed.len());
        let mut emptied = Vec::new();
        if self.cookie_header {
            pieces.push(Piece::Header {
                name: COOKIE,
                value: cookie_header(&sent)?,
            });
        } else {
            emptied.push(COOKIE);
        }
        for copy in &self.copies {
            match value_of(&copy.cookie) {
                Some((_, value)) => pieces.push(Piece::Header {
                    name: copy.header.clone(),
                    value: copied(&copy.prefix, unquoted(value))?,
                }),
                None => emptied.push(copy.header.clone()),
            }
        }
        let fixed = self.fixed.iter().map(|(name, value)| Piece::Header {
            name: name.clone(),
            value: value.clone(),
        });
        pieces.extend(fixed);
        Filled::of(pieces, emptied)
    }
}

/// For people: the names of its cookies and headers.
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.cookie_header {
            let names = self.cookies.iter().map(|cookie| quoted(&cookie.name));
            parts.push(counted("cookie", &names.collect::<Vec<_>>()));
        }
        let copies = self.copies.iter().map(|copy| quoted(copy.header.as_str()));
        let fixed = self.fixed.iter().map(|(name, _)| quoted(name.as_str()));
        parts.push(counted("header", &copies.chain(fixed).collect::<Vec<_>>()));
        parts.retain(|part| !part.is_empty());
        f.write_str(&parts.join("; "))
    }
}

fn quoted(name: &str) -> String {
    format!("`{name}`")
}

fn counted(what: &str, names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("{what} {one}"),
        many => format!("{what}s {}", many.join(", ")),
    }
}

/// Whether a cookie can have this name: a token (RFC 6265 section 4.1.1).
pub fn is_cookie_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

/// Whether a cookie can have this value: octets of RFC 6265 section 4.1.1, bare or between two
/// quotes.
pub fn is_cookie_value(value: &str) -> bool {
    // none of controls, space, quote, comma, semicolon and backslash
    let octet =
        |byte: u8| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
    unquoted(value).bytes().all(octet)
}

/// The value without the two quotes that may stand around it. They belong to the cookie's spelling:
/// pages that copy a value leave them behind.
fn unquoted(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(value)
}

/// The cookies of a `Cookie` header as [`cookie_text`] writes it, each name once.
fn pairs(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for pair in text.split("; ") {
        let (name, value) = pair.split_once('=')?;
        let is_new = pairs.iter().all(|(known, _)| *known != name);
        if !is_new || !is_cookie_name(name) || !is_cookie_value(value) {
            return None;
        }
        pairs.push((name, value));
    }
    Some(pairs)
}

/// `a=1; b=2` in a buffer that never grows, so that no copy is left behind.
pub fn cookie_text(pairs: &[(&str, &str)]) -> Zeroizing<String> {
    let len = pairs
        .iter()
        .map(|(name, value)| name.len() + value.len() + 3);
    let mut text = Zeroizing::new(String::with_capacity(len.sum()));
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
    text
}

fn cookie_header(pairs: &[(&str, &str)]) -> Result<HeaderValue, FillError> {
    sensitive(cookie_text(pairs).as_bytes())
}

fn copied(prefix: &str, value: &str) -> Result<HeaderValue, FillError> {
    let mut text = Zeroizing::new(Vec::with_capacity(prefix.len() + 1 + value.len()));
    if !prefix.is_empty() {
        text.extend_from_slice(prefix.as_bytes());
        text.push(b' ');
    }
    text.extend_from_slice(value.as_bytes());
    sensitive(&text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::routing::Slot;

    fn cookie(name: &str, needed: bool) -> SessionCookie {
        SessionCookie {
            name: name.into(),
            needed,
        }
    }

    fn copy(cookie: &str, header: &'static str, prefix: &str) -> CookieCopy {
        CookieCopy {
            cookie: cookie.into(),
            header: HeaderName::from_static(header),
            prefix: prefix.into(),
        }
    }

    fn fixed(name: &'static str) -> (HeaderName, HeaderValue) {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static("yes"),
        )
    }

    fn session(cookie_header: bool) -> Session {
        Session::new(
            vec![
                cookie("sid", true),
                cookie("csrf", true),
                cookie("lang", false),
            ],
            cookie_header,
            vec![
                copy("csrf", "x-csrf-token", ""),
                copy("lang", "x-lang", "is"),
            ],
            vec![fixed("x-active")],
        )
        .unwrap()
    }

    fn filled(session: &Session, secret: &str) -> Result<Filled, FillError> {
        Slot::Session(session.clone().into()).fill(&Secret::new(secret.into()))
    }

    fn wire(filled: &Filled) -> Vec<String> {
        let shown = filled.pieces().map(|piece| match piece {
            Piece::Header { name, value } => format!("{name}: {}", value.to_str().unwrap()),
            Piece::Cookie { .. } | Piece::Query { .. } => panic!(),
        });
        shown.collect()
    }

    #[test]
    fn each_place_of_a_session_is_filled_from_its_cookies() {
        let both = filled(&session(true), "sid=a=b; csrf=\"c:1\"; lang=en").unwrap();
        assert_eq!(
            wire(&both),
            [
                "cookie: sid=a=b; csrf=\"c:1\"; lang=en",
                "x-csrf-token: c:1",
                "x-lang: is en",
                "x-active: yes"
            ]
        );
        assert!(both.emptied().is_empty());
        // what is not there is emptied all the same, and what nobody asks for any more is not sent
        let less = filled(&session(true), "old=1; csrf=c; sid=a").unwrap();
        assert_eq!(
            wire(&less),
            ["cookie: csrf=c; sid=a", "x-csrf-token: c", "x-active: yes"]
        );
        assert_eq!(less.emptied(), ["x-lang"]);
        let silent = filled(&session(false), "sid=a; csrf=c").unwrap();
        assert_eq!(wire(&silent), ["x-csrf-token: c", "x-active: yes"]);
        assert_eq!(silent.emptied(), ["cookie", "x-lang"]);
    }

    #[test]
    fn a_secret_that_is_no_session_is_refused() {
        for bad in [
            "sid=a",
            "sid=; csrf=c",
            "sid=\"\"; csrf=c",
            "sid=a;csrf=c",
            "sid=a; csrf=c; sid=b",
            "sid=a; csrf=c,d",
            "sid=a; csrf=\"c",
            "sid=a; csrf=c\\",
            "sid=a; csrf=c; x",
            "sid=a; csrf=c; a b=c",
            "plain",
        ] {
            let error = filled(&session(true), bad).unwrap_err();
            assert_eq!(error, FillError::Session, "{bad}");
        }
        assert_eq!(filled(&session(true), "").unwrap_err(), FillError::Empty);
        let error = filled(&session(true), "sid=a; csrf=c\r\nx: y").unwrap_err();
        assert_eq!(error, FillError::Character);
    }

    #[test]
    fn a_session_that_fills_a_place_twice_is_none() {
        let new = |cookies: &[&str], copies: Vec<CookieCopy>, headers: &[&'static str]| {
            let cookies = cookies.iter().map(|name| cookie(name, true)).collect();
            Session::new(
                cookies,
                true,
                copies,
                headers.iter().map(|it| fixed(it)).collect(),
            )
        };
        assert!(new(&["a"], vec![copy("a", "x-a", "")], &["x-b"]).is_ok());
        for (copies, headers) in [
            (vec![copy("a", "x-a", "")], &["x-a"][..]),
            (vec![copy("a", "x-a", "")], &["x_a"]),
            (vec![copy("a", "x-a", ""), copy("a", "x-a", "")], &[]),
            (vec![], &["cookie"]),
            (vec![copy("a", "x-a", "a ")], &[]),
        ] {
            assert!(
                new(&["a"], copies.clone(), headers).is_err(),
                "{copies:?} {headers:?}"
            );
        }
        assert_eq!(new(&[], vec![], &[]), Err(SessionError::NothingNeeded));
        assert_eq!(
            new(&["a b"], vec![], &[]),
            Err(SessionError::CookieName("a b".into()))
        );
    }

    #[test]
    fn a_session_is_shown_in_words_and_hidden_when_filled() {
        assert_eq!(
            session(true).to_string(),
            "cookies `sid`, `csrf`, `lang`; headers `x-csrf-token`, `x-lang`, `x-active`"
        );
        assert_eq!(
            session(false).to_string(),
            "headers `x-csrf-token`, `x-lang`, `x-active`"
        );
        let filled = filled(&session(true), "sid=canary-1; csrf=canary-2").unwrap();
        assert!(!format!("{filled:?}").contains("canary"), "{filled:?}");
        let Some(Piece::Header { value, .. }) = filled.pieces().nth(1) else {
            panic!()
        };
        assert!(value.is_sensitive());
    }

    proptest! {
        /// D10
        #[test]
        fn what_is_filled_is_exactly_the_stored_cookies(sid in "\\PC{0,20}", csrf in "[!-~]{0,20}") {
            let secret = format!("sid={sid}; csrf={csrf}");
            if let Ok(filled) = filled(&session(true), &secret) {
                let lines = wire(&filled);
                prop_assert_eq!(&lines[0], &format!("cookie: {secret}"));
                prop_assert_eq!(&lines[1], &format!("x-csrf-token: {}", unquoted(&csrf)));
                prop_assert!(is_cookie_value(&sid) && is_cookie_value(&csrf));
            } else {
                let good = |value: &str| is_cookie_value(value) && !unquoted(value).is_empty();
                prop_assert!(!good(&sid) || !good(&csrf));
            }
        }
    }
}
