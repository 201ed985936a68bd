//! One canonical form of a destination, and nobody who reads its spelling as another (threat D4).
//!
//! An input is two spellings, one a line; the second may be missing.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use authsomed::routing::{Authority, Host, HostPattern, RefuseCode, RouteTable};
use url::{Host as UrlHost, Url};

use super::routes::{judge, route};

static COVERED: LazyLock<Authority> =
    LazyLock::new(|| Authority::parse("api.intercom.io:443", None).expect("an authority"));

static TABLE: LazyLock<RouteTable<()>> = LazyLock::new(|| {
    RouteTable::build(vec![
        route("exact", "api.intercom.io", "/**", &[]),
        route("below", "*.example.com", "/**", &[]),
        route("address", "127.0.0.1", "/**", &[]),
        route("idn", "*.xn--bcher-kva.example", "/**", &[]),
    ])
});

/// See the module.
pub fn check(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    let (one, other) = text.split_once('\n').unwrap_or((text, text));
    let parsed = Authority::parse(one, Some(443));
    // what a request names, beside the host that was dialled
    let named = judge(&TABLE, &COVERED, &[one.as_bytes()], "/");
    match &parsed {
        Ok(authority) => {
            one_form(one, authority);
            readers_agree(one, authority);
            decided_by_form(one, authority);
            pairs_agree(authority, other);
            if *authority == *COVERED {
                assert_eq!(named, Ok(Some("exact")), "{one:?}");
            } else {
                assert_eq!(named, Err(RefuseCode::NamesDiffer), "{one:?}");
            }
        }
        Err(error) => {
            assert_eq!(named, Err(RefuseCode::Malformed), "{one:?}");
            // the text may be a password; an error shows one character of it at most
            assert!(error.to_string().len() < 120, "{error}");
        }
    }
    patterns(one);
}

/// Parsing gives a form that parses to itself, and knows nothing of how it was written.
fn one_form(text: &str, authority: &Authority) {
    assert!(
        !text.contains(['@', '%', '/', '\\', '?', '#', ' ', '\t']),
        "{text:?}"
    );
    let host = &authority.host;
    let form = host.as_str();
    assert_eq!(Host::parse(form).as_ref(), Ok(host), "{text:?}");
    let shown = authority.to_string();
    assert_eq!(
        Authority::parse(&shown, None).as_ref(),
        Ok(authority),
        "{text:?}"
    );
    assert_ne!(authority.port, 0);
    let usual = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':');
    assert!(form.bytes().all(usual), "{text:?} {form}");
    assert!(
        (1..=253).contains(&form.len()) && !form.ends_with('.'),
        "{form}"
    );
    assert!(!form.contains("..") && !form.starts_with('.'), "{form}");

    let swapped: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect();
    assert_eq!(
        Authority::parse(&swapped, Some(443)).as_ref(),
        Ok(authority),
        "{text:?}"
    );
    if authority.port == 443 {
        // a default port that is said, and one that is not
        let bare = shown.strip_suffix(":443").expect("the port is shown");
        assert_eq!(Authority::parse(bare, Some(443)).as_ref(), Ok(authority));
    }
    if host.ip().is_none() {
        let rooted = format!("{form}.:{}", authority.port);
        assert_eq!(
            Authority::parse(&rooted, None).as_ref(),
            Ok(authority),
            "{rooted}"
        );
    }
    assert_eq!(authority.is_named_by(text, 443), Ok(true), "{text:?}");
    assert_eq!(authority.is_named_by(&shown, 443), Ok(true), "{text:?}");
}

/// Others who read the same text, or dial the canonical one, see the same host.
fn readers_agree(text: &str, authority: &Authority) {
    let host = &authority.host;
    if let Ok(url) = Url::parse(&format!("https://{text}/")) {
        let there = match url.host().expect("an https URL has a host") {
            UrlHost::Domain(name) => name.strip_suffix('.').unwrap_or(name).to_owned(),
            UrlHost::Ipv4(ip) => ip.to_string(),
            UrlHost::Ipv6(ip) => ip.to_canonical().to_string(),
        };
        assert_eq!(there, host.as_str(), "{text:?} as a URL");
        assert_eq!(
            url.port_or_known_default(),
            Some(authority.port),
            "{text:?}"
        );
        assert!(
            url.username().is_empty() && url.password().is_none(),
            "{text:?}"
        );
    }
    let parsed: Option<IpAddr> = host.as_str().parse().ok();
    assert_eq!(host.ip(), parsed, "{text:?}");
    assert_eq!(
        inet_aton(host.as_str()).map(IpAddr::V4),
        parsed.filter(IpAddr::is_ipv4),
        "{text:?}"
    );
    if text.is_ascii()
        && let Ok(uri) = text.parse::<http::uri::Authority>()
        && !text.starts_with('[')
    {
        let name = uri.host().to_ascii_lowercase();
        assert_eq!(
            name.strip_suffix('.').unwrap_or(&name),
            host.as_str(),
            "{text:?}"
        );
        assert_eq!(uri.port_u16().unwrap_or(443), authority.port, "{text:?}");
    }
}

/// What C libraries take for an IPv4 address: one to four parts, each decimal, octal or hexadecimal.
fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u64> = text
        .split('.')
        .map(|part| match part.as_bytes() {
            [b'0', b'x' | b'X', ..] if part.len() > 2 => u64::from_str_radix(&part[2..], 16).ok(),
            [b'0', _, ..] => u64::from_str_radix(part, 8).ok(),
            _ if part.bytes().all(|b| b.is_ascii_digit()) => part.parse().ok(),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 255) {
        return None;
    }
    let room = 8 * (4 - u32::try_from(first.len()).ok()?);
    if *last >= 1 << room {
        return None;
    }
    let high = first.iter().fold(0, |value, part| value << 8 | part);
    u32::try_from(high << room | last).ok().map(Ipv4Addr::from)
}

/// The decision depends on the canonical form alone, and on all of it.
fn decided_by_form(text: &str, authority: &Authority) {
    let decided = judge(&TABLE, authority, &[text.as_bytes()], "/");
    let shown = authority.to_string();
    assert_eq!(
        decided,
        judge(&TABLE, authority, &[shown.as_bytes()], "/"),
        "{text:?}"
    );
    let form = authority.host.as_str();
    let below = |parent: &str| form.len() > parent.len() && form.ends_with(parent);
    let expected = match form {
        _ if authority.port != 443 => None,
        "api.intercom.io" => Some("exact"),
        "127.0.0.1" => Some("address"),
        _ if below(".example.com") => Some("below"),
        _ if below(".xn--bcher-kva.example") => Some("idn"),
        _ => None,
    };
    assert_eq!(decided, Ok(expected), "{text:?}");
}

/// Two spellings name each other exactly when they have one form.
fn pairs_agree(authority: &Authority, other: &str) {
    let theirs = Authority::parse(other, Some(443));
    assert_eq!(
        authority.is_named_by(other, 443),
        theirs.clone().map(|theirs| theirs == *authority),
        "{authority} {other:?}"
    );
    if let Ok(theirs) = theirs {
        let exact = HostPattern::Exact(authority.host.clone());
        assert_eq!(exact.matches(&theirs.host), theirs.host == authority.host);
        assert_eq!(
            theirs.to_string() == authority.to_string(),
            theirs == *authority
        );
    }
}

/// A pattern covers whole labels in front of a name, never the name, a look-alike or an address.
fn patterns(text: &str) {
    for text in [text.to_owned(), format!("*.{text}")] {
        let Ok(pattern) = HostPattern::parse(&text) else {
            continue;
        };
        assert_eq!(
            HostPattern::parse(&pattern.to_string()).as_ref(),
            Ok(&pattern),
            "{text:?}"
        );
        let parent = pattern.host();
        let exact = matches!(pattern, HostPattern::Exact(_));
        assert_eq!(pattern.matches(parent), exact, "{text:?}");
        for name in [
            format!("a.{parent}"),
            format!("a.b.{parent}"),
            format!("evil{parent}"),
            format!("{parent}.evil.test"),
            format!("a.{parent}.evil.test"),
        ] {
            if let Ok(host) = Host::parse(&name) {
                // label by label; none of these is the host itself
                let labels = |host: &Host| host.as_str().rsplit('.').map(str::to_owned).collect();
                let (there, here): (Vec<String>, Vec<String>) = (labels(&host), labels(parent));
                let below = there.len() > here.len() && there.starts_with(&here);
                assert_eq!(pattern.matches(&host), !exact && below, "{pattern} {name}");
            }
        }
        if !exact {
            for address in ["127.0.0.1", "::1"] {
                assert!(
                    !pattern.matches(&Host::parse(address).expect("an address")),
                    "{text:?}"
                );
            }
        }
    }
}
