//! The address that the browser is sent to (RFC 6749 section 4.1.1).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::form;
use super::pkce::{Pkce, State};

/// Names that only we say. The last three would take the answer elsewhere, or put other values in the
/// place of ours (RFC 9101 section 5).
const OURS: [&str; 11] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "resource",
    "response_mode",
    "request",
    "request_uri",
];

/// What is escaped in a value: all but RFC 3986's unreserved characters. A space is `%20`, which every
/// server reads; some do not know `+`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// An authorization request.
#[derive(Debug)]
pub struct Authorization<'a> {
    /// The server's authorization endpoint; its own query is kept.
    pub endpoint: &'a str,
    /// Who asks.
    pub client_id: &'a str,
    /// Where the answer goes.
    pub redirect_uri: &'a str,
    /// What is asked for; nothing is said if empty.
    pub scopes: &'a [String],
    /// Ties the answer to this login.
    pub state: &'a State,
    /// Ties the code to this login.
    pub pkce: &'a Pkce,
    /// The resource that the token is for (RFC 8707).
    pub resource: Option<&'a str>,
    /// What the provider wants beside that, such as `access_type=offline`.
    pub params: &'a [(String, String)],
}

impl Authorization<'_> {
    /// The whole address; `None` if the endpoint is no `https` address. A parameter of ours is
    /// never overridden by the provider's.
    ///
    /// No name is said twice: first come what the endpoint's own query says, then ours, then
    /// `params`. What is ours is left out of the first and the last, however its letters are
    /// written, since not every server tells `State` from `state`.
    pub fn url(&self) -> Option<String> {
        let mut url = endpoint(self.endpoint)?;
        let mut query = Query::default();
        // as they are written: a server may want its own spelling
        for pair in url.query().unwrap_or_default().split('&') {
            let name = form::decode(pair.as_bytes()).next().map(|(name, _)| name);
            if let Some(name) = name.filter(|name| !is_ours(name)) {
                query.add(&name, pair);
            }
        }
        for (name, value) in self.ours() {
            query.add(name, &escaped(name, &value));
        }
        for (name, value) in self.params {
            if !is_ours(name) {
                query.add(name, &escaped(name, value));
            }
        }
        url.set_query(Some(&query.text));
        Some(url.into())
    }

    fn ours(&self) -> Vec<(&'static str, String)> {
        let mut ours = vec![
            ("response_type", "code".to_owned()),
            ("client_id", self.client_id.to_owned()),
            ("redirect_uri", self.redirect_uri.to_owned()),
            ("state", self.state.as_str().to_owned()),
            ("code_challenge", self.pkce.challenge()),
            ("code_challenge_method", "S256".to_owned()),
        ];
        if !self.scopes.is_empty() {
            ours.push(("scope", self.scopes.join(" ")));
        }
        if let Some(resource) = self.resource {
            ours.push(("resource", resource.to_owned()));
        }
        ours
    }
}

/// A query in which each name stands once, the first to say it wins.
#[derive(Default)]
struct Query {
    names: Vec<String>,
    text: String,
}

impl Query {
    fn add(&mut self, name: &str, pair: &str) {
        if self.names.iter().any(|said| said == name) {
            return;
        }
        self.names.push(name.to_owned());
        if !self.text.is_empty() {
            self.text.push('&');
        }
        self.text.push_str(pair);
    }
}

fn is_ours(name: &str) -> bool {
    OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name))
}

fn escaped(name: &str, value: &str) -> String {
    let escape = |text| utf8_percent_encode(text, ESCAPED);
    format!("{}={}", escape(name), escape(value))
}

/// An address that a browser may be sent to: `https`, with nothing in it that hides where it leads.
fn endpoint(text: &str) -> Option<Url> {
    // the parser would drop or turn these around without a word
    if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let is_plain = url.scheme() == "https"
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    is_plain.then_some(url)
}

#[cfg(test)]
mod tests;
