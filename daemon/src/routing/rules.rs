//! Rules that narrow what a connection may be used for: allow and deny by method, host and path.
//!
//! A [`RuleSet`] comes from one table of one file. Every set of a route must agree: a request that
//! one of them denies, or that none of the `allow` lines of one of them fits, is refused. So sets
//! can be added in any order and never widen anything.
//!
//! A line is `METHODS [HOST][/PATH]`: methods joined by commas or `*`, a host as in definitions
//! (`*.example.com` for whole labels), a path scope (`/fin` and `/fin/**` are both that path and
//! all below it). What is left out is everything.
//!
//! The two directions are matched differently, each so that doubt refuses:
//!
//! - `allow` fits a request only as it is written: the very method, and a path whose raw segments
//!   lie in the scope ([`PathScope::matches`]).
//! - `deny` fits what some server might make of a request: methods in any case, and a path that
//!   any reading leads into the scope, also with a format behind it (`/admins.json`, which some
//!   servers take for `/admins`; [`PathScope::may_match_with_format`]). A path with an empty segment has
//!   readings without number (merged, kept, a host behind it), so every `deny` with a path fits it.
//!
//! Methods stand for themselves: `GET` neither allows nor denies `HEAD`.
//!
//! Invariants: the order of lines and of sets changes no outcome; a set more turns no refusal into
//! anything else.
//! Not here: reading files and naming their lines (`policy/file.rs`), limits of rate (`policy`).

use std::fmt;
use std::sync::Arc;

use http::Method;

use super::host::{Authority, HostPattern, ParseHostError};
use super::path::{ParsePathScopeError, PathScope, RawPath};

/// The rules for a connection from one table of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSet {
    /// The file, for people.
    pub source: Arc<str>,
    /// If present, a request must fit one of them; with none in it nothing is allowed.
    pub allow: Option<Arc<[RuleLine]>>,
    /// A request must fit none of them.
    pub deny: Arc<[RuleLine]>,
}

/// What a set says about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// This line allows it, as written in the file.
    Allowed(Arc<str>),
    /// This line denies it.
    Denied(Arc<str>),
    /// The set has `allow` lines, and none fits.
    NoneAllows,
    /// The set has nothing to say.
    Silent,
}

impl Ruling {
    /// Whether the request is refused for it.
    pub fn refuses(&self) -> bool {
        match self {
            Self::Denied(_) | Self::NoneAllows => true,
            Self::Allowed(_) | Self::Silent => false,
        }
    }
}

impl RuleSet {
    /// What the set says about a request that was judged fit for the route.
    pub fn rule(&self, authority: &Authority, method: &Method, path: &RawPath<'_>) -> Ruling {
        let denies = |line: &&RuleLine| line.may_fit(authority, method, path);
        if let Some(line) = self.deny.iter().find(denies) {
            return Ruling::Denied(Arc::clone(&line.text));
        }
        let Some(allow) = &self.allow else {
            return Ruling::Silent;
        };
        let allows = |line: &&RuleLine| line.fits(authority, method, path);
        match allow.iter().find(allows) {
            Some(line) => Ruling::Allowed(Arc::clone(&line.text)),
            None => Ruling::NoneAllows,
        }
    }
}

/// One line: these methods, on this host, in this scope. Displays as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleLine {
    text: Arc<str>,
    /// None stands for every method.
    methods: Option<Box<[Method]>>,
    /// None stands for every host.
    host: Option<HostPattern>,
    path: PathScope,
}

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseRuleError {
    /// The host cannot be one.
    #[error(transparent)]
    Host(#[from] ParseHostError),
    /// One label, as in `contacts`: a path without its slash, far more often than a host.
    #[error("`{0}` is no full host name; a path begins with `/`, as in `GET /{0}/**`")]
    HostWithoutDot(String),
    /// The methods are missing: the line begins with what must be the second word.
    #[error("a rule begins with methods, as in `GET,HEAD /contacts/**`, or with `*` for all")]
    Methods,
    /// A method in small letters, which is another method than the one that is meant.
    #[error("methods are case-sensitive; write `{0}`")]
    MethodCase(String),
    /// The path cannot be a scope.
    #[error(transparent)]
    Path(#[from] ParsePathScopeError),
    /// Not one or two words.
    #[error(
        "a rule is `METHODS [HOST][/PATH]`: methods joined by commas, then at most one more word"
    )]
    Words,
}

impl RuleLine {
    /// Reads `METHODS [HOST][/PATH]`.
    pub fn parse(text: &str) -> Result<Self, ParseRuleError> {
        let mut words = text.split_ascii_whitespace();
        let (Some(methods), place, None) = (words.next(), words.next(), words.next()) else {
            return Err(ParseRuleError::Words);
        };
        let methods = match methods {
            "*" => None,
            methods => Some(
                methods
                    .split(',')
                    .map(parse_method)
                    .collect::<Result<_, _>>()?,
            ),
        };
        let place = place.unwrap_or_default();
        let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        let host = match host {
            "" | "*" => None,
            host => Some(parse_host(host)?),
        };
        Ok(Self {
            text: text.trim().into(),
            methods,
            host,
            path: PathScope::parse(path)?,
        })
    }

    /// The host that the line is for, if it names one.
    pub fn host(&self) -> Option<&HostPattern> {
        self.host.as_ref()
    }

    /// Whether the request as it is written is what the line names.
    fn fits(&self, authority: &Authority, method: &Method, path: &RawPath<'_>) -> bool {
        self.methods.as_ref().is_none_or(|it| it.contains(method))
            && self.is_for(authority)
            && self.path.matches(path)
    }

    /// Whether some server might take the request for what the line names.
    fn may_fit(&self, authority: &Authority, method: &Method, path: &RawPath<'_>) -> bool {
        // methods are case-sensitive by the standard, not by every server
        let same = |it: &Method| it.as_str().eq_ignore_ascii_case(method.as_str());
        self.methods.as_ref().is_none_or(|it| it.iter().any(same))
            && self.is_for(authority)
            && (self.path.is_everything()
                || path.has_empty_segment()
                || self.path.may_match_with_format(path))
    }

    fn is_for(&self, authority: &Authority) -> bool {
        self.host
            .as_ref()
            .is_none_or(|host| host.matches(&authority.host))
    }
}

impl fmt::Display for RuleLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse_method(text: &str) -> Result<Method, ParseRuleError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let method = Method::from_bytes(text.as_bytes()).map_err(|_| ParseRuleError::Methods)?;
    if !text.bytes().all(plain) {
        return Err(ParseRuleError::Methods);
    }
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        // a word with dots was meant as a host, and has been refused above
        return Err(ParseRuleError::MethodCase(text.to_ascii_uppercase()));
    }
    Ok(method)
}

fn parse_host(text: &str) -> Result<HostPattern, ParseRuleError> {
    let host = HostPattern::parse(text)?;
    let name = host.host();
    if name.ip().is_none() && !name.as_str().contains('.') && name.as_str() != "localhost" {
        return Err(ParseRuleError::HostWithoutDot(name.as_str().to_owned()));
    }
    Ok(host)
}

#[cfg(test)]
mod tests;
