//! Judges what arrives at the login page. Pure: no sockets, no clock, no logging.
//!
//! [`receive`] looks at the head of a request and either answers it or says that its body is to be
//! read; [`read_key`] then takes the key out of the body. The checks of `receive`, in this order:
//! `Host` (O1), method, address, and for a form that comes in: where it was sent from, what kind of
//! body it has and how long that is (O2). The body's own token is checked with it.
//!
//! Invariants:
//! - F1 A wrong `Host` learns nothing: the answer is the same whatever the address is.
//! - F2 An address is compared in constant time with every one that waits.
//! - F3 No answer allows anything to another origin; there are no CORS headers, ever.

use std::sync::Arc;
use std::time::Instant;

use authsome_proto::secret::SECRET_MAX;
use authsome_proto::{LoginId, Secret};
use http::header::{self, HeaderName};
use http::{HeaderMap, Method, StatusCode, Uri};
use subtle::ConstantTimeEq as _;
use tokio::sync::mpsc;
use zeroize::{Zeroize as _, Zeroizing};

use super::{LoginForm, Submitted, page};

/// What comes before the token in an address.
pub(super) const PATH_PREFIX: &str = "/login/";

/// Longest body: the longest secret with every byte percent-encoded, and room for the other field.
pub(super) const BODY_MAX: usize = 3 * SECRET_MAX + 1024;

/// The form's field for the key.
pub(super) const KEY_FIELD: &str = "key";
/// The form's hidden field.
pub(super) const TOKEN_FIELD: &str = "token";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// A login that waits for its key.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: LoginId,
    pub(super) form: Arc<LoginForm>,
    /// The last segment of its address.
    pub(super) path: Box<str>,
    /// The value of its hidden field.
    pub(super) field: Box<str>,
    pub(super) sink: mpsc::Sender<Submitted>,
    pub(super) deadline: Instant,
    /// A key came in and is being stored; another one must wait for the outcome.
    pub(super) is_storing: bool,
}

impl Waiting {
    /// Whether nobody waits any more.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.deadline || self.sink.is_closed()
    }
}

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
}

impl Reply {
    pub(super) fn new(status: StatusCode, html: String) -> Self {
        Self { status, html }
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Reception<'a> {
    /// This is the answer.
    Reply(Reply),
    /// A form for this login: read the body.
    Submission(&'a Waiting),
}

/// Judges the head of a request.
pub(super) fn receive<'a>(
    head: Head<'_>,
    own: &Own,
    waiting: &'a [Waiting],
    now: Instant,
) -> Reception<'a> {
    if !is_for_us(head, own) {
        return reply(StatusCode::FORBIDDEN, page::wrong_host());
    }
    if ![Method::GET, Method::HEAD, Method::POST].contains(head.method) {
        return reply(StatusCode::METHOD_NOT_ALLOWED, page::refused());
    }
    let found = find(head.uri, waiting).filter(|found| !found.is_over(now));
    let Some(found) = found else {
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
    if *head.method != Method::POST {
        // a page that loads this one in the background, or in a frame, has no business with it
        if !is_absent_or(head.headers, &SEC_FETCH_MODE, &["navigate"]) {
            return reply(StatusCode::FORBIDDEN, page::refused());
        }
        return reply(StatusCode::OK, page::form(&found.form, &found.field, None));
    }
    if !is_from_our_page(head.headers, own) || !is_form(head.headers) {
        return reply(StatusCode::FORBIDDEN, page::refused());
    }
    if found.is_storing {
        return reply(StatusCode::CONFLICT, page::storing());
    }
    let len = single(head.headers, &header::CONTENT_LENGTH);
    let Some(len) = len.and_then(|len| len.parse::<usize>().ok()) else {
        return reply(StatusCode::LENGTH_REQUIRED, page::refused());
    };
    if len > BODY_MAX {
        let html = page::form(
            &found.form,
            &found.field,
            Some(&KeyFault::TooLong.to_string()),
        );
        return reply(StatusCode::PAYLOAD_TOO_LARGE, html);
    }
    Reception::Submission(found)
}

/// Why a form's body is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyFault {
    /// It does not come from our page.
    #[error("the form does not carry its token")]
    Foreign,
    /// The person should look at the key again.
    #[error(transparent)]
    Key(#[from] KeyFault),
}

/// What is wrong with a key; shown on the page, so written as sentences, and never with the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyFault {
    #[error("The field is empty. Paste the key and try again.")]
    Empty,
    #[error("There is a space before or after the key. Paste it again without.")]
    Padded,
    #[error("The key contains a character that cannot be sent. Copy it again from its source.")]
    Character,
    #[error("This does not look like a key for {name}. Check that all of it was copied.")]
    Pattern { name: String },
    #[error("This is too long to be a key.")]
    TooLong,
}

/// Takes the key out of a form's body.
pub(super) fn read_key(form: &LoginForm, token: &str, body: &[u8]) -> Result<Secret, BodyFault> {
    let (mut key, mut found_token) = (None, None);
    for field in body.split(|byte| *byte == b'&') {
        let mut halves = field.splitn(2, |byte| *byte == b'=');
        let (name, value) = (
            halves.next().unwrap_or_default(),
            halves.next().unwrap_or_default(),
        );
        let slot = match name {
            name if name == KEY_FIELD.as_bytes() => &mut key,
            name if name == TOKEN_FIELD.as_bytes() => &mut found_token,
            _ => return Err(BodyFault::Foreign),
        };
        if slot.replace(decode(value)).is_some() {
            return Err(BodyFault::Foreign);
        }
    }
    let found_token = found_token.ok_or(BodyFault::Foreign)?;
    if !bool::from(found_token.as_slice().ct_eq(token.as_bytes())) {
        return Err(BodyFault::Foreign);
    }
    let mut key = key.ok_or(BodyFault::Foreign)?;
    // moved, not copied; what cannot be text is wiped with the error
    let key = String::from_utf8(std::mem::take(&mut *key)).map_err(|error| {
        error.into_bytes().zeroize();
        KeyFault::Character
    })?;
    let key = Secret::new(key);
    judge(form, key.expose())?;
    Ok(key)
}

/// Whether a key can be stored and sent, and looks like one of the provider (D10: never mended).
fn judge(form: &LoginForm, key: &str) -> Result<(), KeyFault> {
    if key.is_empty() {
        return Err(KeyFault::Empty);
    }
    if key.len() > SECRET_MAX {
        return Err(KeyFault::TooLong);
    }
    if key.trim() != key {
        return Err(KeyFault::Padded);
    }
    if !key.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Err(KeyFault::Character);
    }
    match &form.pattern {
        Some(pattern) if !pattern(key) => Err(KeyFault::Pattern {
            name: form.display_name.clone(),
        }),
        _ => Ok(()),
    }
}

/// Undoes the encoding of a form's value; what is no valid escape stands for itself.
fn decode(value: &[u8]) -> Zeroizing<Vec<u8>> {
    let digit = |byte: Option<&u8>| match byte {
        Some(byte @ b'0'..=b'9') => Some(byte - b'0'),
        Some(byte @ b'a'..=b'f') => Some(byte - b'a' + 10),
        Some(byte @ b'A'..=b'F') => Some(byte - b'A' + 10),
        _ => None,
    };
    // never longer than the input, so it never moves and leaves no copy behind
    let mut decoded = Zeroizing::new(Vec::with_capacity(value.len()));
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        let pair = digit(after.first()).zip(digit(after.get(1)));
        match (byte, pair) {
            (b'%', Some((high, low))) => {
                decoded.push(high << 4 | low);
                rest = after.get(2..).unwrap_or_default();
                continue;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
        rest = after;
    }
    decoded
}

/// Whether the request names the literal address that we listen on, once and nothing else (O1).
fn is_for_us(head: Head<'_>, own: &Own) -> bool {
    let in_target = head
        .uri
        .authority()
        .is_none_or(|target| target.as_str() == own.authority);
    in_target && single(head.headers, &header::HOST) == Some(own.authority.as_str())
}

/// The login of this address.
fn find<'a>(uri: &Uri, waiting: &'a [Waiting]) -> Option<&'a Waiting> {
    if uri.query().is_some() {
        return None;
    }
    let token = uri.path().strip_prefix(PATH_PREFIX)?.as_bytes();
    let mut found = None;
    for candidate in waiting {
        if bool::from(candidate.path.as_bytes().ct_eq(token)) {
            found = Some(candidate);
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

fn is_absent_or(headers: &HeaderMap, name: &HeaderName, allowed: &[&str]) -> bool {
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
