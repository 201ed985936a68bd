//! Request paths and the scopes that rules put on them (threat D5).
//!
//! Servers disagree about what a path means: some decode percent signs before they split it, some
//! merge slashes, drop `;parameters`, fold case or trailing dots, and resolve dot segments after
//! any of these. A scope is only worth something if no server reads a path into or out of it.
//! Two lines of defence:
//!
//! 1. [`RawPath::parse`] refuses what no honest client sends: dot segments, backslashes, NUL and
//!    other controls in any nesting of percent encoding, broken escapes, overlong UTF-8, and dot
//!    segments in characters that only look like dots. They are refused on every covered host, also
//!    where the scope is everything: it costs nobody anything, and a rule that is added later finds
//!    no such request in use.
//! 2. What honest clients do send somewhere (`%2f` in one segment of a GitLab project, `//` in an
//!    object's key, `;`, other encoded characters) stays possible, but a scope must not depend on
//!    how it is read. [`PathScope::matches`] compares raw, case-sensitive segments;
//!    [`PathScope::may_match`] answers "could any reading of this path lie in the scope?". Where
//!    the two differ and it would change the route, `decide` refuses. A host whose routes all
//!    cover everything has only one possible answer, so nothing more is refused there.
//!
//! Invariants: `matches` implies `may_match`. A raw match holds under every reading, because a
//! scope has only characters that no reading changes, and no dot segment can lead out of it.
//! The bytes that were matched are the bytes that are forwarded; nothing here rewrites a path.

use std::borrow::Cow;
use std::fmt;

use self::plain::plain;

mod plain;

/// Why a path is refused outright.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathTrick {
    /// `\`, raw or encoded: a slash for some servers.
    #[error("the path contains a backslash")]
    Backslash,
    /// A control character, raw or encoded: ends strings and lines elsewhere.
    #[error("the path contains a control character")]
    Control,
    /// `.` or `..` as a segment in some encoding or look-alike, also with parameters, dots or spaces
    /// behind.
    #[error("the path contains a dot segment")]
    DotSegment,
    /// `?` or `#` inside what was handed over as the path.
    #[error("the path contains a query or fragment")]
    NotAPath,
    /// The path does not begin with `/`.
    #[error("the path does not begin with `/`")]
    NotAbsolute,
    /// Bytes that lenient decoders take for another spelling of an ASCII character.
    #[error("the path contains an overlong character")]
    Overlong,
    /// `%` without two hexadecimal digits behind it, or `%uXXXX` behind other encodings.
    #[error("the path contains an incomplete percent escape")]
    Percent,
}

/// The path of a request without its query, free of the tricks of [`PathTrick`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawPath<'a> {
    raw: &'a str,
    /// The path with every layer of percent encoding removed; borrowed where there is none.
    decoded: Cow<'a, [u8]>,
    /// `decoded` as readers see it who take look-alikes for ASCII, where that differs.
    plain: Option<Vec<u8>>,
}

impl<'a> RawPath<'a> {
    /// Checks `path`, which must be what is forwarded, byte for byte.
    ///
    /// Allocates only for a path with a percent sign, or with characters beyond ASCII.
    pub fn parse(path: &'a str) -> Result<Self, PathTrick> {
        let bytes = path.as_bytes();
        if bytes.first() != Some(&b'/') {
            return Err(PathTrick::NotAbsolute);
        }
        let mut encoded = false;
        for byte in bytes {
            match byte {
                b'%' => encoded = true,
                b'?' | b'#' => return Err(PathTrick::NotAPath),
                _ => {}
            }
        }
        let decoded = if encoded {
            check_escapes(bytes)?;
            Cow::Owned(decode_all(bytes))
        } else {
            Cow::Borrowed(bytes)
        };
        check_decoded(&decoded)?;
        let plain = (!decoded.is_ascii()).then(|| decode_all(&plain(&decoded)));
        if let Some(plain) = &plain {
            check_decoded(plain)?;
        }
        Ok(Self {
            raw: path,
            decoded,
            plain,
        })
    }

    /// The path as it came.
    pub fn as_str(&self) -> &'a str {
        self.raw
    }

    /// Whether some reading of the path has a segment without characters in front of its end, as
    /// in `//`. Servers merge it, keep it or take what follows two leading slashes for a host. A
    /// trailing slash is no such segment.
    pub fn has_empty_segment(&self) -> bool {
        self.readings()
            .any(|path| path.windows(2).any(|pair| pair == b"//"))
    }

    /// Whether a server might read the path as `/`.
    pub(super) fn may_be_root(&self) -> bool {
        self.readings()
            .any(|path| path.split(|byte| *byte == b'/').all(is_blank))
    }
}

impl RawPath<'_> {
    /// The path in the readings that are furthest from its bytes.
    fn readings(&self) -> impl Iterator<Item = &[u8]> {
        [Some(&*self.decoded), self.plain.as_deref()]
            .into_iter()
            .flatten()
    }

    /// Whether an encoded slash and a parameter meet: `/x;%2ffin/start` is `/x/start` or
    /// `/x/fin/start` by the order in which a server drops and decodes, so nothing is claimed.
    fn has_parameters_across_slashes(&self) -> bool {
        if matches!(self.decoded, Cow::Borrowed(_)) && self.plain.is_none() {
            return false;
        }
        let slashes = |bytes: &[u8]| bytes.split(|byte| *byte == b'/').count();
        self.readings().any(|path| {
            path.iter().any(|byte| is_parameter_start(*byte))
                && slashes(path) != slashes(self.raw.as_bytes())
        })
    }
}

/// The part of a host's paths that a rule covers. Displays as it parses.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PathScope {
    /// Empty for everything, else `/` and non-empty segments joined by `/`.
    prefix: Box<str>,
}

/// Why a text is no path scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParsePathScopeError {
    /// A character that servers read in several ways, or no path contains.
    #[error(
        "a path scope cannot contain {0:?}; write the path decoded, in letters, digits and `-._~!$&'()+,=:@`"
    )]
    Character(char),
    /// `.` or `..` as a segment, or a segment of dots only.
    #[error("a path scope cannot contain segments of dots")]
    DotSegment,
    /// `//`, or `/` at the end.
    #[error("a path scope cannot contain an empty segment; write `/fin` or `/fin/**`")]
    EmptySegment,
    /// It does not begin with `/`.
    #[error("a path scope begins with `/`, as in `/fin/**`")]
    NotAbsolute,
    /// A `*` that is not the final `/**`.
    #[error("a path scope can have `**` only as its last segment, as in `/fin/**`")]
    Star,
    /// A segment ends in a dot, which some servers ignore.
    #[error("a segment of a path scope cannot end with a dot")]
    TrailingDot,
}

impl PathScope {
    /// The scope that covers every path.
    pub fn everything() -> Self {
        Self { prefix: "".into() }
    }

    /// Reads ``""``, `/` or `/**` as everything, and `/fin` or `/fin/**` as that path and all
    /// below it on whole segments.
    pub fn parse(text: &str) -> Result<Self, ParsePathScopeError> {
        if text.is_empty() || text == "/" {
            return Ok(Self::everything());
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(ParsePathScopeError::NotAbsolute);
        };
        if rest == "**" {
            return Ok(Self::everything());
        }
        let segments = rest.strip_suffix("/**").unwrap_or(rest);
        for segment in segments.split('/') {
            check_scope_segment(segment)?;
        }
        Ok(Self {
            prefix: format!("/{segments}").into(),
        })
    }

    /// Whether the scope covers every path, so that it cannot be left or entered.
    pub fn is_everything(&self) -> bool {
        self.prefix.is_empty()
    }

    /// Whether every path in `inner` lies in this scope.
    pub fn covers(&self, inner: &Self) -> bool {
        self == inner || self.contains(inner)
    }

    /// Whether every path in `inner` lies in this scope, and there are paths that do not lie in
    /// `inner`.
    pub fn contains(&self, inner: &Self) -> bool {
        inner
            .prefix
            .strip_prefix(&*self.prefix)
            .is_some_and(|rest| rest.starts_with('/'))
    }

    /// Whether the raw segments of `path` lie in the scope, compared case-sensitively. A path with
    /// an empty segment lies in no scope but everything.
    pub fn matches(&self, path: &RawPath<'_>) -> bool {
        if self.is_everything() {
            return true;
        }
        path.raw
            .strip_prefix(&*self.prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            && !path.has_empty_segment()
    }

    /// Whether a server might read `path` as one in the scope: decoded any number of times, with
    /// slashes merged, case folded, parameters, trailing dots or spaces dropped, look-alikes taken for
    /// ASCII.
    pub fn may_match(&self, path: &RawPath<'_>) -> bool {
        if path.has_parameters_across_slashes() {
            return true;
        }
        path.readings().any(|path| self.may_begin(path))
    }

    /// As [`Self::may_match`], for servers that also take what follows a dot at the end for a
    /// format, and find `/admins` by `/admins.json`.
    pub fn may_match_with_format(&self, path: &RawPath<'_>) -> bool {
        let formatted = |path| without_format(path).is_some_and(|path| self.may_begin(path));
        self.may_match(path) || path.readings().any(formatted)
    }

    fn may_begin(&self, path: &[u8]) -> bool {
        // a segment that has nothing but parameters vanishes where both are dropped: `/;x/fin`
        let mut segments = path.split(|byte| *byte == b'/').filter(|s| !is_blank(s));
        let mut wanted = self.prefix.split('/').filter(|segment| !segment.is_empty());
        wanted.all(|wanted| {
            segments
                .next()
                .is_some_and(|segment| may_equal(segment, wanted.as_bytes()))
        })
    }

    /// How narrow the scope is: its number of segments. Of two scopes that match one path the
    /// narrower one has the larger number.
    pub fn specificity(&self) -> usize {
        self.prefix.bytes().filter(|byte| *byte == b'/').count()
    }
}

impl fmt::Display for PathScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/**", self.prefix)
    }
}

impl fmt::Debug for PathScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

fn check_scope_segment(segment: &str) -> Result<(), ParsePathScopeError> {
    if segment.is_empty() {
        return Err(ParsePathScopeError::EmptySegment);
    }
    if segment.bytes().all(|byte| byte == b'.') {
        return Err(ParsePathScopeError::DotSegment);
    }
    for found in segment.chars() {
        match found {
            '*' => return Err(ParsePathScopeError::Star),
            _ if found.is_ascii_alphanumeric() || "-._~!$&'()+,=:@".contains(found) => {}
            _ => return Err(ParsePathScopeError::Character(found)),
        }
    }
    if segment.ends_with('.') {
        return Err(ParsePathScopeError::TrailingDot);
    }
    Ok(())
}

/// Every `%` of the path itself has two hexadecimal digits. Deeper layers may hold a literal `%`,
/// as in `100%25`.
fn check_escapes(path: &[u8]) -> Result<(), PathTrick> {
    let mut rest = path;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'%' {
            match tail {
                [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    rest = after;
                }
                _ => return Err(PathTrick::Percent),
            }
        }
    }
    Ok(())
}

/// Removes every layer of percent encoding in one pass: a decoded byte may complete an escape
/// with those before it, so an escape is looked for each time the output grows. Linear, while
/// decoding layer by layer is quadratic for `%252525…`.
fn decode_all(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for byte in path {
        out.push(*byte);
        while let [.., b'%', high, low] = out.as_slice() {
            let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low)) else {
                break;
            };
            out.truncate(out.len() - 3);
            out.push(high << 4 | low);
        }
    }
    out
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn check_decoded(path: &[u8]) -> Result<(), PathTrick> {
    let mut before = b'/';
    for byte in path {
        match (before, *byte) {
            (_, b'\\') => return Err(PathTrick::Backslash),
            (_, 0x00..=0x1f | 0x7f) => return Err(PathTrick::Control),
            // 0xc0 and 0xc1 begin only overlong forms; after the others the second byte tells
            (_, 0xc0 | 0xc1)
            | (0xe0, 0x80..=0x9f)
            | (0xf0, 0x80..=0x8f)
            | (0xf8, 0x80..=0x87)
            | (0xfc, 0x80..=0x83) => {
                return Err(PathTrick::Overlong);
            }
            _ => {}
        }
        before = *byte;
    }
    if path.windows(6).any(is_wide_escape) {
        return Err(PathTrick::Percent);
    }
    let mut segments = path.split(|byte| *byte == b'/');
    if segments.any(|segment| {
        segment.first().is_some_and(|b| *b == b'.' || is_space(*b)) && is_dot_segment(segment)
    }) {
        return Err(PathTrick::DotSegment);
    }
    Ok(())
}

/// `%uXXXX`, which is no escape by any standard and one by some servers. It can only come out of
/// another escape: on its own it is an incomplete one.
fn is_wide_escape(text: &[u8]) -> bool {
    matches!(text, [b'%', b'u' | b'U', digits @ ..] if digits.iter().all(u8::is_ascii_hexdigit))
}

/// Dots, and nothing else that every server keeps: `..;x` (parameters), `...` and `.. ` (Windows),
/// `..+` (a form's space), `..?` and `..#` after decoding.
fn is_dot_segment(segment: &[u8]) -> bool {
    let name = without_parameters(segment);
    name.contains(&b'.') && name.iter().all(|byte| *byte == b'.' || is_space(*byte))
}

/// Whether a decoded segment may name the same thing as a segment of a scope.
fn may_equal(segment: &[u8], wanted: &[u8]) -> bool {
    let wanted = trimmed(wanted);
    let same = |text: &[u8]| trimmed(text).eq_ignore_ascii_case(wanted);
    same(segment) || same(without_parameters(segment))
}

/// The segment without spaces around it, and without dots behind it.
fn trimmed(segment: &[u8]) -> &[u8] {
    let start = segment.iter().position(|b| !is_space(*b)).unwrap_or(0);
    let end = segment
        .iter()
        .rposition(|b| *b != b'.' && !is_space(*b))
        .map_or(start, |at| at + 1);
    segment.get(start..end).unwrap_or_default()
}

/// The segment up to `;` (parameters), or `?` and `#` that were encoded.
fn without_parameters(segment: &[u8]) -> &[u8] {
    segment
        .split(|byte| is_parameter_start(*byte))
        .next()
        .unwrap_or(segment)
}

/// The path up to the last dot inside of its last segment; parameters and slashes behind it aside.
fn without_format(path: &[u8]) -> Option<&[u8]> {
    let end = path.iter().rposition(|byte| *byte != b'/')? + 1;
    let path = path.get(..end)?;
    let start = path.iter().rposition(|byte| *byte == b'/')? + 1;
    let name = trimmed(without_parameters(path.get(start..)?));
    let dot = name.iter().rposition(|byte| *byte == b'.')?;
    // `trimmed` takes spaces from the front
    let blanks = path
        .get(start..)?
        .iter()
        .position(|byte| !is_space(*byte))?;
    path.get(..start + blanks + dot)
}

fn is_parameter_start(byte: u8) -> bool {
    matches!(byte, b';' | b'?' | b'#')
}

fn is_blank(segment: &[u8]) -> bool {
    without_parameters(segment)
        .iter()
        .all(|byte| is_space(*byte))
}

/// A space, or what decoders of forms take for one.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'+')
}

#[cfg(test)]
pub(super) mod tests;
