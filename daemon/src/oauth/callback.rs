//! What the browser brings back (RFC 6749 section 4.1.2, RFC 9207).

use authsome_proto::Secret;
use authsome_proto::secret::SECRET_MAX;
use percent_encoding::percent_decode_str;
use url::Url;
use zeroize::Zeroizing;

use super::form;
use super::pkce::State;
use super::said::{CODE_MAX, DESCRIPTION_MAX, words};

/// Names of what an answer may begin with; a text that begins with one of them is no code.
const ANSWER_NAMES: [&str; 7] = [
    "code",
    "state",
    "error",
    "error_description",
    "error_uri",
    "iss",
    "scope",
];

/// What was expected of the answer.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The state that was sent.
    pub state: &'a State,
    /// The server that was asked, where it is known by a name.
    pub issuer: Option<&'a str>,
    /// Whether that server said that it names itself in every answer (RFC 9207 section 3).
    pub issuer_is_named: bool,
}

/// What an answer is.
#[derive(Debug)]
pub enum Callback {
    /// A code for this login.
    Code(Secret),
    /// The server refused, or the person did.
    Refused(Refusal),
    /// Not for this login: no state, a wrong one, or one twice. The login waits on.
    Foreign,
    /// For this login, from another server than was asked (mix-up, threat O4), or without what it
    /// must have. The login is over.
    Wrong(&'static str),
}

/// An error answer, in printable characters and not long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its code, such as `access_denied`.
    pub code: String,
    /// What the server says about it.
    pub description: Option<String>,
}

/// Judges the query of a callback, without its `?`. The state comes first: an answer without the
/// right one says nothing, whatever else it holds (threat O3).
///
/// Then, in this order: no parameter twice (RFC 6749 section 3.1), the server's own name (threat O4;
/// also of an error, RFC 9207 section 2.4), the error, the code. A parameter without a value is none.
pub fn judge(query: &str, expected: Expected<'_>) -> Callback {
    let answer = Answer::read(query);
    if answer.state.times != 1 || !expected.state.is(&answer.state.first) {
        return Callback::Foreign;
    }
    answer.judge(expected)
}

/// The same of what a person pasted: the whole address that the browser was sent to, its query, or
/// (only there is no state to look at) the bare code. Spaces around it are dropped. An address that
/// does not begin with `redirect_uri` is `Foreign`.
///
/// What ties a bare code to this login is PKCE alone; escapes in it are undone, since most are copied
/// out of an address. A text that is none of the three is `Foreign`: the person may try again.
pub fn judge_pasted(text: &str, redirect_uri: &str, expected: Expected<'_>) -> Callback {
    let text = text.trim();
    let (query, _fragment) = text.split_once('#').unwrap_or((text, ""));
    let (head, _) = query.split_once(['?', '&', '=']).unwrap_or((query, ""));
    if head.contains("://") {
        // apart from its query, so that no parser keeps a copy of the code
        let (address, query) = query.split_once('?').unwrap_or((query, ""));
        return if is_same_address(address, redirect_uri) {
            judge(query, expected)
        } else {
            Callback::Foreign
        };
    }
    if let Some(query) = query.strip_prefix('?') {
        return judge(query, expected);
    }
    if is_query(query) {
        return judge(query, expected);
    }
    // half an address, half a query, or prose
    if text.contains(|c: char| c.is_whitespace() || "?&#".contains(c)) {
        return Callback::Foreign;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    bytes.extend(percent_decode_str(text));
    match str::from_utf8(&bytes).map(code) {
        Ok(Ok(code)) => Callback::Code(code),
        _ => Callback::Foreign,
    }
}

/// What an answer says, each parameter with how often.
#[derive(Default)]
struct Answer {
    state: Param,
    code: Param,
    iss: Param,
    error: Param,
    description: Param,
}

#[derive(Default)]
struct Param {
    first: Zeroizing<String>,
    times: usize,
}

impl Answer {
    fn read(query: &str) -> Self {
        let mut answer = Self::default();
        for (name, value) in form::decode(query.as_bytes()) {
            match name.as_str() {
                "state" => answer.state.add(value),
                "code" => answer.code.add(value),
                "iss" => answer.iss.add(value),
                "error" => answer.error.add(value),
                "error_description" => answer.description.add(value),
                _ => {}
            }
        }
        answer
    }

    /// Of an answer with the right state.
    fn judge(&self, expected: Expected<'_>) -> Callback {
        if [&self.code, &self.iss, &self.error]
            .iter()
            .any(|param| param.times > 1)
        {
            return Callback::Wrong("a parameter of the answer came twice");
        }
        match (self.iss.value(), expected.issuer) {
            // simple string comparison (RFC 9207 section 2.4): no slash and no case is forgiven
            (Some(iss), Some(issuer)) if iss != issuer => {
                return Callback::Wrong("another server answered than the one that was asked");
            }
            (None, _) if expected.issuer_is_named => {
                return Callback::Wrong("the server did not name itself, as it had said it would");
            }
            _ => {}
        }
        match (self.error.value(), self.code.value()) {
            (Some(_), Some(_)) => Callback::Wrong("the answer is a code and an error at once"),
            (None, None) => Callback::Wrong("the answer has neither a code nor an error"),
            (Some(error), None) => Callback::Refused(Refusal {
                code: words(error, CODE_MAX).unwrap_or_else(|| "unknown".to_owned()),
                description: self
                    .description
                    .value()
                    .and_then(|text| words(text, DESCRIPTION_MAX)),
            }),
            (None, Some(text)) => match code(text) {
                Ok(code) => Callback::Code(code),
                Err(why) => Callback::Wrong(why),
            },
        }
    }
}

impl Param {
    fn add(&mut self, value: Zeroizing<String>) {
        self.times += 1;
        if self.times == 1 {
            self.first = value;
        }
    }

    fn value(&self) -> Option<&str> {
        (self.times > 0 && !self.first.is_empty()).then_some(&*self.first)
    }
}

/// A code as RFC 6749 appendix A.11 has it: spaces and visible ASCII.
fn code(text: &str) -> Result<Secret, &'static str> {
    if text.len() > SECRET_MAX {
        return Err("the code is too long");
    }
    if text.is_empty() || !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err("the code has characters that no code has");
    }
    Ok(Secret::new(text.to_owned()))
}

/// Whether `text` names the same place as `redirect_uri`, both without a query. `localhost` is
/// another place than `127.0.0.1`: whoever listens there need not be us.
fn is_same_address(text: &str, redirect_uri: &str) -> bool {
    let (Ok(text), Ok(ours)) = (Url::parse(text), Url::parse(redirect_uri)) else {
        return false;
    };
    let place = |url: &Url| {
        (
            url.port_or_known_default(),
            url.host_str().map(str::to_owned),
        )
    };
    text.scheme() == ours.scheme()
        && place(&text) == place(&ours)
        && text.path() == ours.path()
        && text.username().is_empty()
        && text.password().is_none()
}

/// Whether `text` is the query of an answer and no code: codes may hold `=`, too, such as base64 does
/// at its end.
fn is_query(text: &str) -> bool {
    let Some((name, _)) = text.split_once('=') else {
        return false;
    };
    let is_plain = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    ANSWER_NAMES.contains(&name) || (is_plain && text.contains('&'))
}

#[cfg(test)]
mod tests;
