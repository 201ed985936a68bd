//! Judges what arrives at the login page. Pure: no sockets, no clock, no logging.
//!
//! [`receive`] looks at the head of a request and either answers it or says what is to be done with
//! it. Its checks, in this order: `Host` (O1), method, address, and for a form that comes in: where
//! it was sent from, what kind of body it has and how long that is (O2). The body's own token is
//! checked with it ([`super::fields`]); a callback has checks of its own ([`super::callback`]).
//!
//! Invariants:
//! - F1 A wrong `Host` learns nothing: the answer is the same whatever the address is.
//! - F2 An address is compared in constant time with every one that waits.
//! - F3 No answer allows anything to another origin; there are no CORS headers, ever.

use std::sync::Arc;
use std::time::Instant;

use authsome_proto::secret::SECRET_MAX;
use http::header::{self, HeaderName};
use http::{HeaderMap, Method, StatusCode, Uri};
use subtle::ConstantTimeEq as _;

use super::fields::{Amiss, Fault};
use super::results::Results;
use super::waiting::{Stage, State, Waiting};
use super::{LoginForm, callback, page};

/// What comes before the token in an address.
pub(super) const PATH_PREFIX: &str = "/login/";

/// Longest body: the longest secret with every byte percent-encoded, and room for the other fields.
pub(super) const BODY_MAX: usize = 3 * SECRET_MAX + 4096;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
pub(super) const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The address that we listen on, as browsers write it.
#[derive(Debug)]
pub(super) struct Own {
    /// `127.0.0.1:7998`
    pub(super) authority: String,
    /// `http://127.0.0.1:7998`
    pub(super) origin: String,
}

impl Own {
    pub(super) fn new(port: u16) -> Self {
        // browsers leave the scheme's own port out
        let authority = if port == 80 {
            "127.0.0.1".to_owned()
        } else {
            format!("127.0.0.1:{port}")
        };
        Self {
            origin: format!("http://{authority}"),
            authority,
        }
    }
}

/// The head of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) html: String,
    pub(super) extra: Extra,
}

/// What an answer has besides a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Extra {
    Nothing,
    /// The methods that are answered there.
    Allow(&'static str),
    /// What it leads to is not told where it was led from.
    NoReferrer,
    /// The address to go on to.
    SeeOther(String),
}

impl Reply {
    pub(super) fn new(status: StatusCode, html: String) -> Self {
        Self {
            status,
            html,
            extra: Extra::Nothing,
        }
    }

    pub(super) fn not_allowed(methods: &'static str, html: String) -> Self {
        Self {
            extra: Extra::Allow(methods),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, html)
        }
    }

    /// A page from which the browser goes on elsewhere.
    pub(super) fn leading_on(status: StatusCode, html: String) -> Self {
        Self {
            extra: Extra::NoReferrer,
            ..Self::new(status, html)
        }
    }

    /// A request that was good: look there for what became of it.
    pub(super) fn see_other(path: String) -> Self {
        Self {
            extra: Extra::SeeOther(path),
            ..Self::new(StatusCode::SEE_OTHER, String::new())
        }
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Reception<'a> {
    /// This is the answer.
    Reply(Reply),
    /// A form that comes in: read the body.
    Submission(Entry),
    /// An answer of an authorization server, for whichever login it is.
    Callback {
        /// The address that it came to.
        path: &'a str,
        /// It.
        query: &'a str,
    },
    /// The result at this address: show it.
    Result(&'a str),
}

/// A form that waits.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) form: Arc<LoginForm>,
    pub(super) path: Box<str>,
    pub(super) field: Box<str>,
}

/// Judges the head of a request.
pub(super) fn receive<'a>(head: Head<'a>, own: &Own, state: &State, now: Instant) -> Reception<'a> {
    if !is_for_us(head, own) {
        return reply(StatusCode::FORBIDDEN, page::wrong_host());
    }
    if head.uri.path().starts_with(callback::PATH_PREFIX) {
        return match callback::head(head) {
            Ok(()) => Reception::Callback {
                path: head.uri.path(),
                query: head.uri.query().unwrap_or_default(),
            },
            Err(refused) => Reception::Reply(refused),
        };
    }
    if ![Method::GET, Method::HEAD, Method::POST].contains(head.method) {
        return Reception::Reply(Reply::not_allowed("GET, HEAD, POST", page::refused()));
    }
    if let Some(path) = find_result(head, &state.results, now) {
        return result(head, path);
    }
    let found = find(head.uri, &state.waiting).filter(|(found, ..)| !found.is_over(now));
    let Some((found, entry, is_storing)) = found else {
        let is_login = head.uri.path().starts_with(PATH_PREFIX);
        return reply(
            StatusCode::NOT_FOUND,
            if is_login {
                page::gone()
            } else {
                page::start()
            },
        );
    };
    let form = |amiss: &Amiss| page::form(&found.form, &entry.field, amiss);
    if *head.method != Method::POST {
        // a page that loads this one in the background, or in a frame, has no business with it
        if !is_absent_or(head.headers, &SEC_FETCH_MODE, &["navigate"]) {
            return reply(StatusCode::FORBIDDEN, page::refused());
        }
        return reply(StatusCode::OK, form(&Amiss::default()));
    }
    if !is_from_our_page(head.headers, own) || !is_form(head.headers) {
        return reply(StatusCode::FORBIDDEN, page::refused());
    }
    if is_storing {
        return reply(StatusCode::CONFLICT, page::storing());
    }
    let len = single(head.headers, &header::CONTENT_LENGTH);
    let Some(len) = len.and_then(|len| len.parse::<usize>().ok()) else {
        return reply(StatusCode::LENGTH_REQUIRED, page::refused());
    };
    if len > BODY_MAX {
        let amiss = Amiss::problem(&Fault::TooLong.to_string());
        return reply(StatusCode::PAYLOAD_TOO_LARGE, form(&amiss));
    }
    Reception::Submission(entry)
}

/// The result that a request asks for.
fn find_result<'a>(head: Head<'a>, results: &Results, now: Instant) -> Option<&'a str> {
    let path = head.uri.path().strip_prefix(PATH_PREFIX)?;
    let is_one = head.uri.query().is_none() && results.is_known(path, now);
    is_one.then_some(path)
}

/// A result is shown to whoever really looks at it.
fn result<'a>(head: Head<'_>, path: &'a str) -> Reception<'a> {
    let is_seen = is_absent_or(head.headers, &SEC_FETCH_MODE, &["navigate"])
        && !callback::is_ahead_of_time(head.headers);
    match *head.method {
        Method::GET if is_seen => Reception::Result(path),
        Method::HEAD => reply(StatusCode::OK, String::new()),
        Method::GET => reply(StatusCode::FORBIDDEN, page::refused()),
        _ => Reception::Reply(Reply::not_allowed("GET, HEAD", page::refused())),
    }
}

/// Whether the request names the literal address that we listen on, once and nothing else (O1).
fn is_for_us(head: Head<'_>, own: &Own) -> bool {
    let in_target = head
        .uri
        .authority()
        .is_none_or(|target| target.as_str() == own.authority);
    in_target && single(head.headers, &header::HOST) == Some(own.authority.as_str())
}

/// The login of this address, and whether it is being stored.
fn find<'a>(uri: &Uri, waiting: &'a [Waiting]) -> Option<(&'a Waiting, Entry, bool)> {
    if uri.query().is_some() {
        return None;
    }
    let token = uri.path().strip_prefix(PATH_PREFIX)?.as_bytes();
    let mut found = None;
    for candidate in waiting {
        let Stage::Form {
            path,
            field,
            is_storing,
        } = &candidate.stage
        else {
            continue;
        };
        if bool::from(path.as_bytes().ct_eq(token)) {
            let entry = Entry {
                form: Arc::clone(&candidate.form),
                path: path.clone(),
                field: field.clone(),
            };
            found = Some((candidate, entry, *is_storing));
        }
    }
    found
}

/// Whether a form was sent by our own page (O2). All browsers in use send `Origin` with a form;
/// `Sec-Fetch-Site` is younger, so it may be absent.
fn is_from_our_page(headers: &HeaderMap, own: &Own) -> bool {
    single(headers, &header::ORIGIN) == Some(own.origin.as_str())
        && is_absent_or(headers, &SEC_FETCH_SITE, &["same-origin", "none"])
        && is_absent_or(headers, &SEC_FETCH_MODE, &["navigate"])
}

/// Whether the body is an ordinary form, sent as it is.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = single(headers, &header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.contains_key(header::TRANSFER_ENCODING)
}

pub(super) fn is_absent_or(headers: &HeaderMap, name: &HeaderName, allowed: &[&str]) -> bool {
    !headers.contains_key(name)
        || single(headers, name).is_some_and(|value| allowed.contains(&value))
}

/// The value of a header that is there exactly once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok()
}

fn reply<'a>(status: StatusCode, html: String) -> Reception<'a> {
    Reception::Reply(Reply::new(status, html))
}

#[cfg(test)]
mod tests;
