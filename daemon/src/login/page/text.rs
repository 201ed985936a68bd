//! Other people's words and addresses, made fit for a page.

use std::fmt::{self, Write as _};

use url::Url;

/// An address that may stand on the page.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) address: String,
    /// Its host, and its port if that is none of the scheme's. Names in other scripts are in the form
    /// that is sent (`xn--`), so that none looks like another one.
    pub(super) host: String,
    /// As a person reads it.
    pub(super) shown: String,
}

impl Link {
    /// Only `https`, and nothing before the host that could make it look like another one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let is_plain =
            url.scheme() == "https" && url.username().is_empty() && url.password().is_none();
        let name = url.host_str()?;
        let host = match url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        let shown = format!("{host}{}", url.path().trim_end_matches('/'));
        is_plain.then(|| Self {
            address: url.into(),
            host,
            shown,
        })
    }
}

/// A text as it may stand between tags and in quoted attributes.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A sentence in which literals stand between backticks, as in all our messages.
pub(super) struct Marked<'a>(pub(super) &'a str);

impl fmt::Display for Marked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((before, (literal, after))) = rest
            .split_once('`')
            .and_then(|(before, tail)| Some((before, tail.split_once('`')?)))
        {
            write!(f, "{}<code>{}</code>", Escaped(before), Escaped(literal))?;
            rest = after;
        }
        Escaped(rest).fmt(f)
    }
}

pub(super) fn push(body: &mut String, piece: fmt::Arguments<'_>) {
    let written = body.write_fmt(piece);
    debug_assert!(written.is_ok(), "a string refused text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_in_sentences_are_marked_and_still_escaped() {
        let marked = |text| Marked(text).to_string();
        assert_eq!(marked("a `<b>` c `d"), "a <code>&lt;b&gt;</code> c `d");
        assert_eq!(marked("``"), "<code></code>");
    }

    /// Threat O5.
    #[test]
    fn only_plain_https_addresses_become_links() {
        for bad in [
            "http://x.test/",
            "javascript:alert(1)",
            "https://intercom.com@evil.test/",
            "data:text/html,x",
            "//x.test",
            "x",
            "https:",
        ] {
            assert!(Link::parse(bad).is_none(), "{bad}");
        }
        let link = Link::parse("https://x.test/keys/").unwrap();
        assert_eq!((&*link.shown, &*link.host), ("x.test/keys", "x.test"));
        let link = Link::parse("https://X.test:8443/?a=b").unwrap();
        assert_eq!((&*link.shown, &*link.host), ("x.test:8443", "x.test:8443"));
        assert_eq!(
            Link::parse("https://gıthub.test").unwrap().host,
            "xn--gthub-n4a.test"
        );
    }
}
