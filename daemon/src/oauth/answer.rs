//! What all answers of servers have in common: refusals, texts for people, lists of scopes.
//!
//! Invariant: what a server says in words is printable, free of marks that turn the direction of
//! writing around, and short, before anybody sees it (threat O5).

use std::time::Duration;

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;

use super::{Incoming, TokenError};
use crate::errors::printable;

/// Longest error code that is shown; RFC 6749's are half as long.
const CODE_MAX: usize = 64;

/// Longest description that is shown: two lines of a terminal.
const DESCRIPTION_MAX: usize = 200;

/// Longest wait that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Most scopes that are taken from a list: more than anybody asks for at once, and few enough for an
/// address that still fits into a browser.
pub(super) const SCOPES_MAX: usize = 256;

/// Longest scope that is taken; those that are addresses have about 100.
const SCOPE_MAX: usize = 256;

/// A server's text for people: one line of at most `max` characters.
pub(super) fn short(text: &str, max: usize) -> String {
    let text: String = printable(text.trim())
        .chars()
        .map(|c| if turns_writing(c) { '\u{fffd}' } else { c })
        .take(max)
        .collect();
    text.trim_end().to_owned()
}

/// Whether a character is not seen, but changes what is: marks of direction and of no width.
fn turns_writing(c: char) -> bool {
    matches!(
        c,
        '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

/// The scopes among `texts`: what is none is left out (RFC 6749 section 3.3).
pub(super) fn scopes<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    texts
        .filter(|text| (1..=SCOPE_MAX).contains(&text.len()))
        .filter(|text| {
            text.bytes()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
        })
        .take(SCOPES_MAX)
        .map(str::to_owned)
        .collect()
}

/// The texts of a JSON array; other things in it are left out.
pub(super) fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// What is wrong with an answer, if its status or an `error` in it says that something is.
pub(super) fn refusal(answer: &Incoming) -> Option<TokenError> {
    let status = answer.status;
    let unavailable = || TokenError::Unavailable {
        status: status.as_u16(),
        retry_after: retry_after(&answer.headers),
    };
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        return Some(unavailable());
    }
    let body: ErrorBody = serde_json::from_slice(&answer.body).unwrap_or_default();
    let code = match body.error {
        Some(Value::String(code)) if code == "temporarily_unavailable" => {
            return Some(unavailable());
        }
        Some(Value::String(code)) => short(&code, CODE_MAX),
        // an object, as some APIs answer: what is in it is not RFC 6749's
        Some(Value::Object(_)) => "error".to_owned(),
        _ if status.is_success() => return None,
        _ => format!("status {}", status.as_u16()),
    };
    let description = match body.error_description {
        Some(Value::String(text)) => Some(short(&text, DESCRIPTION_MAX)),
        _ => None,
    };
    Some(TokenError::Refused {
        code,
        description: description.filter(|text| !text.is_empty()),
    })
}

/// RFC 6749 section 5.2, RFC 7591 section 3.2.2. Of any type: a server's mistakes must not hide
/// that it refused.
#[derive(Default, Deserialize)]
struct ErrorBody {
    error: Option<Value>,
    error_description: Option<Value>,
}

/// Seconds only: a date would need two clocks that agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests;
