//! Names of destinations: one parser, one canonical form (threat D4).
//!
//! A host is a DNS name in lower-case A-labels without the final dot, or an IP address in the
//! form that [`std::net`] prints (IPv6 without brackets, IPv4-mapped IPv6 as IPv4). Two spellings
//! mean the same host exactly when their canonical forms are equal bytes, so nothing behind this
//! file compares anything else.
//!
//! What other parsers disagree about is refused instead of repaired: userinfo, percent signs,
//! IPv4 as one number, in octal, in hexadecimal or with fewer than four parts, zone ids, empty
//! labels, ports with a sign or leading zeros. A name whose last label is numeric is never taken
//! for a name, and a name is never silently taken for an address.
//!
//! Invariants: `Host::parse(h.as_str()) == Ok(h)`; a [`HostPattern`] with a star matches whole
//! labels, at least one, and never an address.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// Longest name in text form without the final dot (RFC 1035 §2.3.4: 255 octets on the wire).
const NAME_LEN_MAX: usize = 253;

/// Longest label (RFC 1035 §2.3.4).
const LABEL_LEN_MAX: usize = 63;

/// Longest text that is looked at. A name of 253 letters takes at most four bytes each as UTF-8;
/// longer input cannot become a name and must not cost a Unicode normalisation.
const TEXT_LEN_MAX: usize = 1024;

/// Everything that STD3 refuses except `_`, which is checked per label in [`parse_idn`].
const DENIED: AsciiDenyList = AsciiDenyList::new(true, " !\"#$%&'()*+,/:;<=>?@[\\]^`{|}~");

/// Why a text is no host, authority or host pattern. None repeats the text: it may hold a
/// password in front of an `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseHostError {
    /// An IPv6 address in an authority without `[` and `]`, or a bracket in a wrong place.
    #[error(
        "an IPv6 address in front of a port needs `[` and `]` around it, and nothing else does"
    )]
    Brackets,
    /// A character that no host name contains.
    #[error("a host name cannot contain {0:?}")]
    Character(char),
    /// There is no text.
    #[error("the host name is empty")]
    Empty,
    /// Two dots in a row, or a dot first.
    #[error("the host name has an empty label")]
    EmptyLabel,
    /// A label begins or ends with a hyphen.
    #[error("a label of a host name cannot begin or end with `-`")]
    Hyphen,
    /// Not an internationalised name by UTS #46 (strict, with the STD3 rules).
    #[error("the host name is not a valid internationalised name")]
    Idn,
    /// The last label is a number, but the whole is no IPv4 address in four decimal parts.
    #[error("a numeric host must be four decimal numbers from 0 to 255 without leading zeros")]
    Ipv4,
    /// Neither an IPv6 address nor a name.
    #[error("not an IPv6 address")]
    Ipv6,
    /// A label has more than 63 characters.
    #[error("a label of the host name has more than {LABEL_LEN_MAX} characters")]
    LabelTooLong,
    /// There is no port, and nothing says which one is meant.
    #[error("the port is missing")]
    MissingPort,
    /// `%` in a host: an encoded character or an IPv6 zone, neither of which names a server.
    #[error("a host name cannot contain `%`, neither for an encoded character nor for a zone")]
    Percent,
    /// The port is not a number from 1 to 65535 in plain decimal digits.
    #[error("a port is a number from 1 to 65535 in decimal digits without sign or leading zero")]
    Port,
    /// The name has more than 253 characters.
    #[error("the host name has more than {NAME_LEN_MAX} characters")]
    TooLong,
    /// `user@` in front of the host.
    #[error("an address cannot carry a user name or password in front of the host")]
    UserInfo,
    /// `*` anywhere but as the whole first label, or in front of an address.
    #[error("a `*` stands for whole labels in front of a name, as in `*.example.com`")]
    Wildcard,
    /// `*.com`: would match everybody's names.
    #[error("at least two labels must follow `*.`, as in `*.example.com`")]
    WildcardTooWide,
}

/// A host in its one canonical form.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(Box<str>);

impl Host {
    /// Reads a host without a port. IPv6 is accepted with and without brackets.
    pub fn parse(text: &str) -> Result<Self, ParseHostError> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(ParseHostError::Brackets)?;
            return parse_ipv6(inner);
        }
        if text.bytes().filter(|byte| *byte == b':').nth(1).is_some() {
            return parse_ipv6(text);
        }
        parse_name(text)
    }

    /// The canonical text; IPv6 without brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address, if this is one and not a name.
    pub fn ip(&self) -> Option<IpAddr> {
        // no name can parse as an address: `parse_name` refuses every numeric last label
        let last = self.0.as_bytes().last()?;
        if !last.is_ascii_hexdigit() && *last != b':' {
            return None;
        }
        self.0.parse().ok()
    }
}

impl Borrow<str> for Host {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A host and a port: what is dialled, and what a certificate is checked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Authority {
    /// The host.
    pub host: Host,
    /// The TCP port, never 0.
    pub port: u16,
}

impl Authority {
    /// Reads `host:port`, or `host` where `default_port` says what its absence means.
    pub fn parse(text: &str, default_port: Option<u16>) -> Result<Self, ParseHostError> {
        // before anything else: what stands in front of an `@` may hold colons and brackets
        if text.contains('@') {
            return Err(ParseHostError::UserInfo);
        }
        let (host, port) = if text.starts_with('[') {
            let end = text.find(']').ok_or(ParseHostError::Brackets)?;
            let (host, rest) = text.split_at(end + 1);
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err(ParseHostError::Brackets),
            }
        } else {
            match text.split_once(':') {
                Some((_, rest)) if rest.contains(':') => return Err(ParseHostError::Brackets),
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let host = Host::parse(host)?;
        let port = match port {
            Some(digits) => parse_port(digits)?,
            None => default_port.ok_or(ParseHostError::MissingPort)?,
        };
        Ok(Self { host, port })
    }

    /// Whether `text` (a `Host` header or `:authority`) names this very authority, where
    /// `default_port` is the scheme's. `Err` if it is no authority at all.
    ///
    /// The spelling that nearly every client sends is recognised without allocating.
    pub fn is_named_by(&self, text: &str, default_port: u16) -> Result<bool, ParseHostError> {
        let host = self.host.as_str();
        if self.port == default_port && text.eq_ignore_ascii_case(host) && !host.contains(':') {
            return Ok(true);
        }
        Self::parse(text, Some(default_port)).map(|named| named == *self)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.0.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The hosts that a rule covers. Displays as it parses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `api.example.com`: this host.
    Exact(Host),
    /// `*.example.com`: one or more whole labels in front of this name; never the name itself.
    Subdomains(Host),
}

impl HostPattern {
    /// Reads an exact host or `*.` and a name of at least two labels.
    pub fn parse(text: &str) -> Result<Self, ParseHostError> {
        let Some(rest) = text.strip_prefix("*.") else {
            if text.contains('*') {
                return Err(ParseHostError::Wildcard);
            }
            return Host::parse(text).map(Self::Exact);
        };
        if rest.contains('*') {
            return Err(ParseHostError::Wildcard);
        }
        let host = Host::parse(rest)?;
        if host.ip().is_some() {
            return Err(ParseHostError::Wildcard);
        }
        if !host.as_str().contains('.') {
            return Err(ParseHostError::WildcardTooWide);
        }
        Ok(Self::Subdomains(host))
    }

    /// Whether `host` is covered.
    pub fn matches(&self, host: &Host) -> bool {
        match self {
            Self::Exact(exact) => exact == host,
            Self::Subdomains(parent) => {
                // an address cannot end in a parent: `parse` admits names only, and no name has a
                // numeric last label
                host.as_str()
                    .strip_suffix(parent.as_str())
                    .and_then(|front| front.strip_suffix('.'))
                    .is_some_and(|labels| !labels.is_empty())
            }
        }
    }

    /// The host in the pattern, without the star.
    pub fn host(&self) -> &Host {
        match self {
            Self::Exact(host) | Self::Subdomains(host) => host,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(f, "{host}"),
            Self::Subdomains(host) => write!(f, "*.{host}"),
        }
    }
}

fn parse_port(digits: &str) -> Result<u16, ParseHostError> {
    // `u16::from_str` would take `+443` and `0443`
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    if !plain {
        return Err(ParseHostError::Port);
    }
    digits.parse().map_err(|_| ParseHostError::Port)
}

fn parse_ipv6(text: &str) -> Result<Host, ParseHostError> {
    if text.contains('%') {
        return Err(ParseHostError::Percent);
    }
    if text.contains('@') {
        return Err(ParseHostError::UserInfo);
    }
    let address: Ipv6Addr = text.parse().map_err(|_| ParseHostError::Ipv6)?;
    // `::ffff:192.0.2.1` is dialled as 192.0.2.1, so it must be judged as it
    Ok(Host(address.to_canonical().to_string().into()))
}

fn parse_name(text: &str) -> Result<Host, ParseHostError> {
    if text.is_empty() {
        return Err(ParseHostError::Empty);
    }
    if text.len() > TEXT_LEN_MAX {
        return Err(ParseHostError::TooLong);
    }
    for found in text.chars() {
        match found {
            '@' => return Err(ParseHostError::UserInfo),
            '%' => return Err(ParseHostError::Percent),
            '*' => return Err(ParseHostError::Wildcard),
            '[' | ']' => return Err(ParseHostError::Brackets),
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => {}
            _ if found.is_ascii() => return Err(ParseHostError::Character(found)),
            _ => {}
        }
    }
    let name = if text.is_ascii() && !text.split('.').any(is_a_label) {
        lower(text)
    } else {
        Cow::Owned(parse_idn(text)?)
    };
    let name = name.strip_suffix('.').unwrap_or(&name);
    check_labels(name)?;
    if ends_in_a_number(name) {
        let address: Ipv4Addr = name.parse().map_err(|_| ParseHostError::Ipv4)?;
        // `127.0.0.1.` and full-width digits: other parsers see an address, a name or nothing
        if address.to_string() != text {
            return Err(ParseHostError::Ipv4);
        }
    }
    Ok(Host(name.into()))
}

/// UTS #46 with the STD3 rules, strict. It runs only for names that are not plain ASCII or that
/// carry an A-label: plain names may have `_` (object stores, DKIM, Kubernetes) and `--` in third
/// place (video CDNs), which are real, resolve, and have only one spelling.
fn parse_idn(text: &str) -> Result<String, ParseHostError> {
    let name = Uts46::new()
        .to_ascii(
            text.as_bytes(),
            DENIED,
            Hyphens::CheckFirstLast,
            DnsLength::Ignore,
        )
        .map_err(|_| ParseHostError::Idn)?
        .into_owned();
    // an underscore inside a U-label survives into the A-label, where STD3 forbids it
    if name
        .split('.')
        .any(|label| is_a_label(label) && label.contains('_'))
    {
        return Err(ParseHostError::Idn);
    }
    Ok(name)
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

fn is_a_label(label: &str) -> bool {
    label
        .get(..4)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"))
}

fn check_labels(name: &str) -> Result<(), ParseHostError> {
    if name.is_empty() {
        return Err(ParseHostError::EmptyLabel);
    }
    if name.len() > NAME_LEN_MAX {
        return Err(ParseHostError::TooLong);
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(ParseHostError::EmptyLabel);
        }
        if label.len() > LABEL_LEN_MAX {
            return Err(ParseHostError::LabelTooLong);
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(ParseHostError::Hyphen);
        }
    }
    Ok(())
}

/// What the URL standard calls "ends in a number": the last label is decimal, or hexadecimal with
/// `0x`. `inet_aton` reads such names as addresses.
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    match last.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests;
