//! What the browser brings back (RFC 6749 section 4.1.2, RFC 9207).

use authsome_proto::Secret;

use super::pkce::State;

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
pub fn judge(query: &str, expected: Expected<'_>) -> Callback {
    drop((query, expected));
    todo!()
}

/// The same of what a person pasted: the whole address that the browser was sent to, its query, or
/// (only there is no state to look at) the bare code. Spaces around it are dropped. An address that
/// does not begin with `redirect_uri` is `Foreign`.
pub fn judge_pasted(text: &str, redirect_uri: &str, expected: Expected<'_>) -> Callback {
    drop((text, redirect_uri, expected));
    todo!()
}
