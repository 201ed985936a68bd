//! Addresses that servers and people name: which of them are believed, and where the well-known
//! documents of an address stand.
//!
//! What is handed out is what the parser understood, not what was written: whoever reads it next
//! (our HTTP client, a browser) sees the same host.
//!
//! Not here: whether a host leads to a private address (`proxy/address.rs`).

use url::Url;

/// Longest address that is believed. Browsers take not much more; nobody in the field needs it.
pub(super) const ADDRESS_MAX: usize = 2048;

/// A page for a person: `https`, no user part (it makes a host look like another).
pub(super) fn page(text: &str) -> Option<Url> {
    // the parser drops tabs and line ends and takes `\` for `/`; other parsers do not
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains('\\');
    if !plain || text.len() > ADDRESS_MAX {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let believed = url.scheme() == "https"
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.username().is_empty()
        && url.password().is_none()
        && url.as_str().len() <= ADDRESS_MAX;
    believed.then_some(url)
}

/// An endpoint: a page's address without a fragment (RFC 6749 section 3.1).
pub(super) fn endpoint(text: &str) -> Option<Url> {
    page(text).filter(|url| url.fragment().is_none())
}

/// An issuer: an endpoint's address without a query (RFC 8414 section 2).
pub(super) fn issuer(text: &str) -> Option<Url> {
    endpoint(text).filter(|url| url.query().is_none())
}

/// `url` with `/.well-known/name` between its host and `path`; its query stays.
pub(super) fn well_known(url: &Url, name: &str, path: &str) -> String {
    let mut url = url.clone();
    url.set_path(&format!("/.well-known/{name}{path}"));
    url.into()
}

/// `text` without one `/` at its end.
pub(super) fn without_slash(text: &str) -> &str {
    text.strip_suffix('/').unwrap_or(text)
}

#[cfg(test)]
mod tests;
