//! Values that both formats know: hosts, URLs, header names, variables. Pure checks; each error is
//! what stands behind `field: ` in a message.

use http::HeaderName;
use url::Url;

use crate::routing::{HostPattern, Slot};

use super::document::{Item, Report};
use super::problem::quoted;

/// Headers that carry the message itself. A credential in one of them would change where a request
/// goes or how it is framed.
const FRAMING_HEADERS: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie", // a cookie slot replaces one cookie, not all
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Variables that decide what a program is or whom it trusts. A placeholder there breaks the
/// program, or undoes what a run sets.
const VITAL_VARIABLES: &[&str] = &[
    "ALL_PROXY",
    "AUTHSOME_HOME",
    "AUTHSOME_RUN",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "JAVA_TOOL_OPTIONS",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "NODE_OPTIONS",
    "NO_PROXY",
    "PATH",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "USER",
    "XDG_RUNTIME_DIR",
];

/// A host pattern of our own: an exact name or `*.` before at least two labels.
pub(super) fn host_pattern(text: &str) -> Result<HostPattern, String> {
    let pattern = HostPattern::parse(text).map_err(|error| {
        let what = quoted(text);
        format!(
            "{what} is no host: {error}; write a name such as `api.example.com`, or `*.example.com` for everything below it"
        )
    })?;
    if let HostPattern::Subdomains(below) = &pattern
        && (below.ip().is_some() || !below.as_str().contains('.'))
    {
        return Err(format!(
            "{} would cover a whole top-level domain",
            quoted(text)
        ));
    }
    Ok(pattern)
}

/// A header that may be filled.
pub(super) fn header_name(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::try_from(text)
        .map_err(|_| format!("{} is no name of a header", quoted(text)))?;
    if FRAMING_HEADERS.contains(&name.as_str()) {
        return Err(format!("the header `{name}` cannot carry a credential"));
    }
    Ok(name)
}

/// A prefix that may stand before a credential in a header; `""` for none. It is joined with one
/// space, so trailing space is dropped.
pub(super) fn header_prefix(text: &str) -> Result<Box<str>, String> {
    let prefix = text.trim();
    if prefix
        .bytes()
        .any(|byte| !(byte == b' ' || byte.is_ascii_graphic()))
    {
        return Err("a prefix has only printable ASCII characters".into());
    }
    Ok(prefix.into())
}

/// A header slot.
pub(super) fn header_slot(name: &str, prefix: &str) -> Result<Slot, String> {
    Ok(Slot::Header {
        name: header_name(name)?,
        prefix: header_prefix(prefix)?,
    })
}

/// A name of a query parameter or a cookie: the characters that need no escaping in either place.
pub(super) fn token(text: &str) -> Result<Box<str>, String> {
    let ok = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~[]!$&'*+^|`".contains(&byte);
    if text.is_empty() || text.len() > 128 || !text.bytes().all(ok) {
        return Err(format!("{} is no name for this", quoted(text)));
    }
    Ok(text.into())
}

/// A name of an environment variable that a run may set.
pub(super) fn variable(text: &str) -> Result<String, String> {
    let first = text
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !first || !rest || text.len() > 128 {
        return Err(format!("{} is no name of a variable", quoted(text)));
    }
    if is_vital_variable(text) {
        return Err(format!("a definition cannot set {}", quoted(text)));
    }
    Ok(text.to_owned())
}

/// Whether a variable decides what programs are or whom they trust.
pub fn is_vital_variable(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    VITAL_VARIABLES.contains(&upper.as_str()) || upper.starts_with("DYLD_")
}

/// An absolute https URL without user information.
pub(super) fn https_url(text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|error| format!("{} is no URL: {error}", quoted(text)))?;
    if url.scheme() != "https" {
        return Err(format!("{} has to begin with `https://`", quoted(text)));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL in a definition names no user".into());
    }
    Ok(())
}

/// The text of `item`, if it is an https URL.
pub(super) fn url_of(report: &mut Report<'_>, item: &Item<'_, '_>) -> Option<String> {
    let text = item.text(report)?;
    checked(report, item, https_url(&text))?;
    Some(text)
}

/// The value of `result`; its error is reported at `item`.
pub(super) fn checked<T>(
    report: &mut Report<'_>,
    item: &Item<'_, '_>,
    result: Result<T, String>,
) -> Option<T> {
    result
        .map_err(|message| report.error(&item.path, item.at(), message))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_exact_names_or_whole_labels() {
        for good in ["api.x.com", "*.x.com", "127.0.0.1"] {
            assert!(host_pattern(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "*.com",
            "*",
            "x*.com",
            "*x.com",
            "a b",
            "https://x.com",
            "*.10.0.0.1",
            "*.*.x.com",
        ] {
            assert!(host_pattern(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_that_frame_a_message_cannot_be_filled() {
        for bad in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "Connection",
            "Cookie",
            "a b",
            "",
        ] {
            assert!(header_name(bad).is_err(), "{bad}");
        }
        assert!(header_name("X-Api-Key").is_ok());
        assert!(header_prefix("Bearer\r\nX: y").is_err());
        assert_eq!(&*header_prefix("Bearer ").unwrap(), "Bearer");
    }

    #[test]
    fn variables_that_programs_live_by_cannot_be_taken() {
        for bad in [
            "PATH",
            "https_proxy",
            "LD_PRELOAD",
            "DYLD_X",
            "A=B",
            "1A",
            "",
            "A-B",
        ] {
            assert!(variable(bad).is_err(), "{bad}");
        }
        assert!(variable("INTERCOM_API_KEY").is_ok());
    }

    #[test]
    fn urls_are_https() {
        assert!(https_url("https://x.com/a?b#c").is_ok());
        for bad in [
            "http://x.com",
            "javascript:alert(1)",
            "/a",
            "https://u:p@x.com",
            "",
            "https://",
        ] {
            assert!(https_url(bad).is_err(), "{bad}");
        }
    }
}
