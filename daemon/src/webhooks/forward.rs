//! The address of the local program behind an endpoint. Pure.
//!
//! Only `http` to this computer: what arrives there was verified here, and nothing on the way may
//! change it. A program elsewhere can have a tunnel of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

/// The address of a local program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    url: Url,
    addresses: Vec<SocketAddr>,
}

/// Why an address cannot be forwarded to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseForwardError {
    /// It is no address.
    #[error("it is not a URL: {0}")]
    NotUrl(url::ParseError),
    /// It is of another computer, or might be.
    #[error("it must be on this computer: `127.0.0.1`, `[::1]` or `localhost`")]
    NotLoopback,
    /// It is not `http`.
    #[error("only `http://` is spoken to a local program")]
    NotHttp,
    /// It carries more than an address.
    #[error("it must have no user name and no fragment")]
    Extras,
}

impl Forward {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Self, ParseForwardError> {
        let url = Url::parse(text).map_err(ParseForwardError::NotUrl)?;
        if url.scheme() != "http" {
            return Err(ParseForwardError::NotHttp);
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(ParseForwardError::Extras);
        }
        let ips: Vec<IpAddr> = match url.host() {
            Some(Host::Ipv4(ip)) if ip.is_loopback() => vec![ip.into()],
            Some(Host::Ipv6(ip)) if ip.is_loopback() => vec![ip.into()],
            // not looked up: whatever a name server says, it means this computer (RFC 6761, 6.3)
            Some(Host::Domain("localhost")) => {
                vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
            }
            _ => return Err(ParseForwardError::NotLoopback),
        };
        let port = url.port_or_known_default().unwrap_or(80);
        let addresses = ips.into_iter().map(|ip| (ip, port).into()).collect();
        Ok(Self { url, addresses })
    }

    /// Where to connect, in this order.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(80)
    }

    /// What stands in `Host`.
    pub fn authority(&self) -> &str {
        self.url.authority()
    }

    /// Path and query: what is asked for.
    pub fn target(&self) -> String {
        match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        }
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::ParseForwardError as E;
    use super::*;

    #[test]
    fn only_this_computer_is_forwarded_to() {
        for (text, address, target) in [
            ("http://127.0.0.1:3000/hooks", "127.0.0.1:3000", "/hooks"),
            ("http://127.0.0.9/a?b=c", "127.0.0.9:80", "/a?b=c"),
            ("http://[::1]:8080", "[::1]:8080", "/"),
            ("http://localhost:1/x", "127.0.0.1:1", "/x"),
            ("http://LOCALHOST:1/%41", "127.0.0.1:1", "/%41"),
        ] {
            let forward = Forward::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(forward.addresses()[0].to_string(), address, "{text}");
            assert_eq!(forward.target(), target, "{text}");
        }
        for (text, expected) in [
            ("https://127.0.0.1:3000/", E::NotHttp),
            ("ftp://127.0.0.1/", E::NotHttp),
            ("http://example.com/", E::NotLoopback),
            ("http://10.0.0.1/", E::NotLoopback),
            ("http://0.0.0.0:3000/", E::NotLoopback),
            ("http://169.254.169.254/", E::NotLoopback),
            ("http://localhost.evil.test/", E::NotLoopback),
            ("http://127.0.0.1.evil.test/", E::NotLoopback),
            ("http://[::ffff:10.0.0.1]/", E::NotLoopback),
            ("http://127.0.0.1@evil.test/", E::Extras),
            ("http://user:pw@127.0.0.1/", E::Extras),
            ("http://127.0.0.1/#x", E::Extras),
        ] {
            assert_eq!(Forward::parse(text), Err(expected), "{text}");
        }
        assert!(matches!(Forward::parse("3000"), Err(E::NotUrl(_))));
    }
}
