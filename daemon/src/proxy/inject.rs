//! Puts a credential into a request, and takes out of messages what is not for the other side.
//!
//! For each request, in this order: [`strip`] (D9) takes out what belongs to this hop, then
//! [`inject`] (D8) removes whatever the client sent in the place of the credential and sets it
//! once. For each response [`clean_response`], for trailers [`clean_trailers`].
//!
//! Invariants: what is not removed keeps its order and its bytes. `HeaderMap::remove` moves the
//! last entry into the gap, so headers are dropped by rebuilding the map in order, and only if
//! there is something to drop; replacing a value in place keeps the order by itself. Framing and
//! `Host` cannot be removed by naming them in `Connection`.
//! Not here: which credential (`routing::decide`). After [`inject`] the URI and the cookies may
//! hold a secret: log what the client sent, not this.

use bytes::Bytes;
use http::header::{
    ALT_SVC, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, request, response,
};
use percent_encoding::percent_decode;
use zeroize::Zeroizing;

use crate::routing::decide::is_same_for_cgi;
use crate::routing::{Filled, Piece, RefuseCode};

/// Takes out of a request what belongs to the client's connection: `Connection` and what it
/// nominates, the hop-by-hop fields of RFC 9110 §7.6.1, everything that begins with `Proxy-`.
///
/// What stays of them: `TE: trailers` on HTTP/2 (gRPC insists on it); `Connection: Upgrade` with
/// `Upgrade: websocket` if the request is a WebSocket opening and nothing else;
/// `Transfer-Encoding: chunked` alone on HTTP/1.1, because hyper's client would send a `GET`
/// without its body if it were gone (the HTTP/2 client drops it by itself); `Trailer` if it names
/// only fields that may come as trailers. `Expect` is end-to-end and stays.
pub fn strip(parts: &mut request::Parts) {
    if !parts.headers.keys().any(is_about_the_hop) {
        return;
    }
    let websocket = is_websocket_opening(parts);
    let te_trailers = parts.version == Version::HTTP_2 && lists(&parts.headers, &TE, "trailers");
    let chunked = parts.version == Version::HTTP_11
        && !parts.headers.contains_key(CONTENT_LENGTH)
        && sole_value_is(&parts.headers, &TRANSFER_ENCODING, "chunked");
    let nominated = Nominated::of(&parts.headers);
    let trailer = parts
        .headers
        .get_all(TRAILER)
        .iter()
        .all(is_allowed_trailer_list);

    rebuild(&mut parts.headers, |name, value| match name {
        name if *name == CONNECTION => websocket.then(|| HeaderValue::from_static("Upgrade")),
        name if *name == UPGRADE => websocket.then(|| HeaderValue::from_static("websocket")),
        name if *name == TE => te_trailers.then(|| HeaderValue::from_static("trailers")),
        name if *name == TRANSFER_ENCODING => chunked.then_some(value),
        name if *name == TRAILER => (trailer && !nominated.names(name)).then_some(value),
        name if is_about_the_hop(name) || nominated.names(name) => None,
        _ => Some(value),
    });
    // each of them once: the values that were kept are constants
    for name in [CONNECTION, UPGRADE, TE] {
        keep_first(&mut parts.headers, name);
    }
}

/// Puts the credential in its place: every instance of the slot that the client sent is removed,
/// then the slot is set once.
///
/// A header keeps the position of the client's first one; names that differ only in `_` and `-`
/// are the same place, because CGI and its heirs join them. Fails if the request becomes too large
/// for any server, or if servers would disagree about where the client's own parameter ends.
///
/// A credential with several places (a website's session) has all of them emptied first.
pub fn inject(parts: &mut request::Parts, filled: &Filled) -> Result<(), RefuseCode> {
    for name in filled.emptied() {
        remove_header(&mut parts.headers, name);
    }
    for piece in filled.pieces() {
        match piece {
            Piece::Header { name, value } => inject_header(&mut parts.headers, name, value)?,
            Piece::Cookie { name, value } => {
                inject_cookie(&mut parts.headers, name, value.as_ref())?;
            }
            Piece::Query { name, value } => inject_query(&mut parts.uri, name, value.as_ref())?,
        }
    }
    Ok(())
}

/// Takes out of a response what belongs to the upstream's connection, and `Alt-Svc`, which would
/// send the client past the proxy (D11). A `101` to `websocket` keeps its two fields.
pub fn clean_response(parts: &mut response::Parts) {
    let to_strip = |name: &HeaderName| is_about_the_hop(name) && *name != TRAILER;
    if !parts
        .headers
        .keys()
        .any(|name| to_strip(name) || *name == ALT_SVC)
    {
        return;
    }
    let websocket = parts.status == StatusCode::SWITCHING_PROTOCOLS
        && sole_value_is(&parts.headers, &UPGRADE, "websocket");
    let nominated = Nominated::of(&parts.headers);
    rebuild(&mut parts.headers, |name, value| match name {
        name if *name == CONNECTION => websocket.then(|| HeaderValue::from_static("Upgrade")),
        name if *name == UPGRADE => websocket.then_some(value),
        name if *name == ALT_SVC || to_strip(name) || nominated.names(name) => None,
        _ => Some(value),
    });
    keep_first(&mut parts.headers, CONNECTION);
}

/// Takes out of a request's trailers what must not come as one: framing, routing, credentials and
/// the slot's own names. `filled` is the credential of the request, if it carries one.
pub fn clean_trailers(trailers: &mut HeaderMap, filled: Option<&Filled>) {
    let is_filled = |name: &HeaderName| {
        filled.is_some_and(|filled| {
            let mut slots = filled.header_names();
            slots.any(|slot| is_same_for_cgi(slot.as_str(), name.as_str()))
        })
    };
    let refused = |name: &HeaderName| !is_allowed_trailer(name.as_str()) || is_filled(name);
    if trailers.keys().any(refused) {
        rebuild(trailers, |name, value| (!refused(name)).then_some(value));
    }
}

/// Whether a field concerns only one connection, or may do so. This runs for each header of each
/// request, so it looks at the first letter first.
fn is_about_the_hop(name: &HeaderName) -> bool {
    let name = name.as_str();
    match name.as_bytes().first() {
        Some(b'c') => name == "connection",
        Some(b'h') => name == "http2-settings",
        Some(b'k') => name == "keep-alive",
        Some(b'p') => name.starts_with("proxy-") || name.starts_with("proxy_"),
        Some(b't') => matches!(name, "te" | "trailer" | "transfer-encoding"),
        Some(b'u') => name == "upgrade",
        _ => false,
    }
}

/// A WebSocket opening (RFC 6455 §4.1): `GET`, HTTP/1.1, and an upgrade to that alone.
fn is_websocket_opening(parts: &request::Parts) -> bool {
    parts.method == Method::GET
        && parts.version == Version::HTTP_11
        && lists(&parts.headers, &CONNECTION, "upgrade")
        && sole_value_is(&parts.headers, &UPGRADE, "websocket")
}

/// Whether a comma-separated field lists `member` somewhere, without regard to case.
fn lists(headers: &HeaderMap, name: &HeaderName, member: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(members)
        .any(|found| found.eq_ignore_ascii_case(member))
}

/// Whether a field is there once, with exactly this value without regard to case.
fn sole_value_is(headers: &HeaderMap, name: &HeaderName, expected: &str) -> bool {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(HeaderValue::as_bytes);
    values.next().is_none()
        && first.is_some_and(|v| v.trim_ascii().eq_ignore_ascii_case(expected.as_bytes()))
}

/// The members of a comma-separated value. What is no ASCII is no member of anything we know.
fn members(value: &HeaderValue) -> impl Iterator<Item = &str> {
    let text = value.to_str().unwrap_or_default();
    text.split(',')
        .map(str::trim)
        .filter(|member| !member.is_empty())
}

/// The fields that `Connection` nominates.
struct Nominated(Vec<HeaderName>);

impl Nominated {
    fn of(headers: &HeaderMap) -> Self {
        let names = headers.get_all(CONNECTION).iter().flat_map(|value| {
            // byte-wise: one odd byte must not hide the names beside it
            value
                .as_bytes()
                .split(|byte| *byte == b',')
                .filter_map(|member| {
                    let member = member.trim_ascii();
                    // the two members that nearly every client sends nominate nothing that stays
                    let usual = member.eq_ignore_ascii_case(b"keep-alive")
                        || member.eq_ignore_ascii_case(b"close");
                    if usual {
                        None
                    } else {
                        HeaderName::from_bytes(member).ok()
                    }
                })
        });
        Self(names.collect())
    }

    /// Whether `name` is to be dropped for being nominated. What frames or routes the message is
    /// not the client's to drop: without it the next server would read another message.
    fn names(&self, name: &HeaderName) -> bool {
        !self.0.is_empty()
            && ![CONTENT_LENGTH, HOST, TRANSFER_ENCODING].contains(name)
            && self.0.contains(name)
    }
}

/// Whether a field may come as a trailer (RFC 9110 §6.5.1): not if it frames, routes, conditions
/// or authenticates the message.
fn is_allowed_trailer(name: &str) -> bool {
    const REFUSED: [&str; 24] = [
        "age",
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expect",
        "expires",
        "forwarded",
        "host",
        "keep-alive",
        "location",
        "max-forwards",
        "range",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "www-authenticate",
    ];
    // keys come under many names: `x-api-key`, `api-key`, `x-goog-api-key`, `private-token`
    let credential = ["auth", "token", "key", "secret", "cookie"];
    let name = name.to_ascii_lowercase();
    !REFUSED.contains(&name.as_str())
        && !name.starts_with("proxy-")
        && !name.starts_with("if-")
        && !credential.iter().any(|word| name.contains(word))
}

fn is_allowed_trailer_list(value: &HeaderValue) -> bool {
    value.to_str().is_ok() && members(value).all(is_allowed_trailer)
}

/// Passes every field through `keep`, in order.
fn rebuild(
    headers: &mut HeaderMap,
    mut keep: impl FnMut(&HeaderName, HeaderValue) -> Option<HeaderValue>,
) {
    let old = std::mem::take(headers);
    headers.reserve(old.keys_len());
    let mut current: Option<HeaderName> = None;
    for (name, value) in old {
        // further values of a name come without it
        if name.is_some() {
            current = name;
        }
        let Some(name) = &current else { continue };
        if let Some(value) = keep(name, value) {
            headers.append(name.clone(), value);
        }
    }
}

fn keep_first(headers: &mut HeaderMap, name: HeaderName) {
    if headers.get_all(&name).iter().nth(1).is_some()
        && let Some(first) = headers.get(&name).cloned()
    {
        headers.insert(name, first);
    }
}

/// Removes every instance of a header, under each name that CGI takes for it.
fn remove_header(headers: &mut HeaderMap, name: &HeaderName) {
    let same = |other: &HeaderName| is_same_for_cgi(other.as_str(), name.as_str());
    if headers.keys().any(same) {
        rebuild(headers, |other, value| (!same(other)).then_some(value));
    }
}

fn inject_header(
    headers: &mut HeaderMap,
    name: &HeaderName,
    value: &HeaderValue,
) -> Result<(), RefuseCode> {
    let twin = |other: &HeaderName| other != name && is_same_for_cgi(other.as_str(), name.as_str());
    if headers.keys().any(twin) {
        rebuild(headers, |other, value| (!twin(other)).then_some(value));
    }
    // replaces the value of the first instance in its place and drops all further ones
    headers
        .try_insert(name.clone(), value.clone())
        .map_err(|_| RefuseCode::Malformed)?;
    Ok(())
}

fn inject_cookie(headers: &mut HeaderMap, name: &str, secret: &[u8]) -> Result<(), RefuseCode> {
    let sent = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::len)
        .sum::<usize>();
    let fields = headers.get_all(COOKIE).iter().count();
    // exact upper bound: a buffer that grows leaves its old bytes behind unwiped
    let capacity = sent + 2 * fields + name.len() + 1 + secret.len();
    let mut joined = Zeroizing::new(Vec::with_capacity(capacity));
    for value in headers.get_all(COOKIE) {
        for pair in value.as_bytes().split(|byte| *byte == b';') {
            let pair = pair.trim_ascii();
            let key = pair
                .split(|byte| *byte == b'=')
                .next()
                .unwrap_or(pair)
                .trim_ascii_end();
            if !pair.is_empty() && key != name.as_bytes() {
                joined.extend_from_slice(pair);
                joined.extend_from_slice(b"; ");
            }
        }
    }
    joined.extend_from_slice(name.as_bytes());
    joined.push(b'=');
    joined.extend_from_slice(secret);
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(joined))
        .map_err(|_| RefuseCode::Malformed)?;
    value.set_sensitive(true);
    headers
        .try_insert(COOKIE, value)
        .map_err(|_| RefuseCode::Malformed)?;
    Ok(())
}

fn inject_query(uri: &mut Uri, name: &str, secret: &[u8]) -> Result<(), RefuseCode> {
    let path = uri.path();
    let query = uri.query().unwrap_or_default();
    let encoded = encode_name(name);
    let capacity = path.len() + query.len() + encoded.len() + secret.len() + 3;
    let mut target = Zeroizing::new(Vec::with_capacity(capacity));
    target.extend_from_slice(path.as_bytes());
    target.push(b'?');
    let pairs = query
        .split('&')
        .filter(|pair| !pair.is_empty() || query.contains('&'));
    for pair in pairs {
        let mut keys = pair
            .split(';')
            .map(|piece| piece.split('=').next().unwrap_or(piece));
        if keys.next().is_some_and(|key| is_parameter(key, name)) {
            continue;
        }
        // older servers take `;` for `&` and would see a second value, newer ones see a value
        // with a `;` in it: neither removing nor keeping it is right for both
        if keys.any(|key| is_parameter(key, name)) {
            return Err(RefuseCode::Malformed);
        }
        target.extend_from_slice(pair.as_bytes());
        target.push(b'&');
    }
    target.extend_from_slice(encoded.as_bytes());
    target.push(b'=');
    target.extend_from_slice(secret);

    let target = PathAndQuery::from_maybe_shared(Bytes::from_owner(target))
        .map_err(|_| RefuseCode::Malformed)?;
    let mut new = std::mem::take(uri).into_parts();
    new.path_and_query = Some(target);
    *uri = Uri::from_parts(new).map_err(|_| RefuseCode::Malformed)?;
    Ok(())
}

/// Whether a key of a query is the parameter, in any spelling: percent-encoded, or `+` for a space.
fn is_parameter(key: &str, name: &str) -> bool {
    if key == name {
        return true;
    }
    if !key.contains(['%', '+']) {
        return false;
    }
    let spaced = key.replace('+', " ");
    percent_decode(spaced.as_bytes()).eq(name.bytes())
}

fn encode_name(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, crate::routing::slot::QUERY_PIECE).to_string()
}

#[cfg(test)]
mod tests;
