//! What all answers of servers have in common: refusals, texts for people, lists of scopes.

use serde_json::Value;

use super::{Incoming, TokenError, said, token};

/// Most scopes that are taken from a list. Google's own list of all its scopes has fewer that
/// anybody would ask for at once.
pub(super) const SCOPES_MAX: usize = 256;

/// Longest scope that is taken; those that are addresses have about 100.
const SCOPE_MAX: usize = 256;

/// A server's text for people: one line of at most `max` characters.
pub(super) fn short(text: &str, max: usize) -> String {
    said::line(text, max).unwrap_or_default()
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
    token::refusal(answer, token::parse(answer).ok().as_ref())
}

#[cfg(test)]
mod tests;
