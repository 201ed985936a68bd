//! Judges what arrives at the redirect addresses, `/callback/PROVIDER`. Pure.
//!
//! [`head`] looks at how it came: a browser going there, and nothing that loads, prefetches or frames
//! it. That it came from another site is no sign of anything; every answer does. [`take`] then
//! shows its query to the logins that wait at this address, and takes out the one it is for.
//!
//! Invariants:
//! - C1 A login is taken out before anything else happens with its answer: the same answer again is
//!   foreign (threat O3).
//! - C2 What is foreign changes nothing and leaves nothing behind, however often it comes (O3).
//! - C3 One provider's answer is never shown to another's login (O4).

use std::sync::Arc;
use std::time::Instant;

use authsome_proto::ProviderName;
use http::header::HeaderName;
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::mpsc;

use super::form::{Head, Reply, SEC_FETCH_MODE, is_absent_or};
use super::waiting::{Stage, State, Waiting};
use super::{LoginForm, OfferError, Submitted, page, random_token};
use crate::oauth::callback::{Callback, Expected, judge};

/// What comes before the provider's name in an address.
pub(super) const PATH_PREFIX: &str = "/callback/";

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Headers by which browsers say that nobody asked for the page yet: the standard's, then older ones.
const PURPOSE: [HeaderName; 3] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-moz"),
];

/// The path to which the authorization server of `provider` sends the browser back. A provider's name
/// has no character that needs escaping there.
pub(super) fn path_of(provider: &ProviderName) -> String {
    format!("{PATH_PREFIX}{provider}")
}

/// Refuses what is no browser that goes there; a refusal consumes nothing.
pub(super) fn head(head: Head<'_>) -> Result<(), Reply> {
    if *head.method != Method::GET {
        return Err(Reply::not_allowed("GET", page::refused_callback()));
    }
    let is_navigation = is_absent_or(head.headers, &SEC_FETCH_MODE, &["navigate"])
        && is_absent_or(head.headers, &SEC_FETCH_DEST, &["document"]);
    if !is_navigation || is_ahead_of_time(head.headers) {
        return Err(Reply::new(StatusCode::FORBIDDEN, page::refused_callback()));
    }
    Ok(())
}

/// Whether the browser loads the page in case somebody wants to see it.
pub(super) fn is_ahead_of_time(headers: &HeaderMap) -> bool {
    PURPOSE.iter().any(|name| headers.contains_key(name))
}

/// An answer, and the login that it is for.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) callback: Callback,
    pub(super) sink: mpsc::Sender<Submitted>,
    /// Where its result will be shown: the last segment of the address.
    pub(super) result: Box<str>,
}

/// Takes out the login whose answer this is, if there is one.
pub(super) fn take(
    state: &mut State,
    path: &str,
    query: &str,
    now: Instant,
) -> Result<Option<Answer>, OfferError> {
    let Some((at, callback)) = find(&state.waiting, path, query, now) else {
        return Ok(None);
    };
    // before the login is touched: without it, the answer can come again
    let result = random_token()?;
    let Waiting { form, sink, .. } = state.waiting.remove(at);
    let form: Arc<LoginForm> = form;
    state.results.open(result.clone(), form, now);
    Ok(Some(Answer {
        callback,
        sink,
        result,
    }))
}

fn find(waiting: &[Waiting], path: &str, query: &str, now: Instant) -> Option<(usize, Callback)> {
    waiting.iter().enumerate().find_map(|(at, waiting)| {
        let Stage::Callback(awaited) = &waiting.stage else {
            return None;
        };
        if path != path_of(&awaited.provider) || waiting.is_over(now) {
            return None;
        }
        let expected = Expected {
            state: &awaited.state,
            issuer: awaited.issuer.as_deref(),
            issuer_is_named: awaited.issuer_is_named,
        };
        match judge(query, expected) {
            Callback::Foreign => None,
            callback => Some((at, callback)),
        }
    })
}

#[cfg(test)]
mod tests;
