//! Opens the TCP connection to an upstream: names, addresses, the upstream proxy.
//!
//! 1. `[upstream.resolve]` names the address, or the host is one, or the system's resolver is
//!    asked, once.
//! 2. Every address is checked ([`super::address`]); one that is refused refuses them all, because
//!    a resolver that mixes private and public answers is not to be trusted. Then exactly the checked ones are dialled:
//!    the second is tried 250 ms after the first (RFC 8305, in short).
//! 3. With an upstream proxy its address is dialled instead and the way asked for by `CONNECT`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::address::{self, AddressError, Reach};
use super::upstream::{UpstreamProxy, UpstreamSettings};

/// Time for resolving and connecting. Shorter breaks bad networks; longer than most clients' own
/// patience helps nobody.
const DIAL_TIMEOUT: Duration = Duration::from_secs(20);
/// How long one address has before the next is tried beside it (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// Longest answer of an upstream proxy to `CONNECT`.
const PROXY_ANSWER_MAX: usize = 16 * 1024;

/// Why an upstream cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// The address is one that is never dialled.
    #[error("the address {address} is refused")]
    Address {
        /// What the name led to.
        address: SocketAddr,
        /// Why it is refused.
        #[source]
        source: AddressError,
    },
    /// No connection could be made.
    #[error("no connection to {host}:{port}")]
    Connect {
        /// The host or the upstream proxy.
        host: String,
        /// Its port.
        port: u16,
        /// What the kernel said of the last address tried.
        #[source]
        source: io::Error,
    },
    /// The upstream proxy did not open the way.
    #[error("the upstream proxy answered {status:?} to CONNECT {target}")]
    Proxy {
        /// What was asked for.
        target: String,
        /// Its status line.
        status: String,
    },
    /// The name has no address.
    #[error("no address for `{host}`")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("no connection to {host}:{port} within {DIAL_TIMEOUT:?}")]
    TimedOut {
        /// The host.
        host: String,
        /// Its port.
        port: u16,
    },
}

/// What the connection is for, which decides how an upstream proxy is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Plain HTTP: an upstream proxy gets the request itself, in absolute form.
    Cleartext,
    /// Anything else: an upstream proxy is asked for a tunnel.
    Stream,
}

/// A connection to `host` and `port`, or to the upstream proxy that leads there.
pub(super) async fn dial(
    settings: &UpstreamSettings,
    host: &str,
    port: u16,
    purpose: Purpose,
    reach: Reach,
) -> Result<TcpStream, DialError> {
    let way = async {
        let Some(proxy) = &settings.proxy else {
            return connect(settings, host, port, reach).await;
        };
        // a name is the upstream proxy's to resolve, an address is known here
        if let Some(ip) = literal(host) {
            let address = SocketAddr::new(ip, port);
            address::check(address, reach, &settings.own)
                .map_err(|source| DialError::Address { address, source })?;
        }
        // the user has named it
        let mut stream = connect(settings, &proxy.host, proxy.port, Reach::Anywhere).await?;
        if purpose == Purpose::Stream {
            open_tunnel(&mut stream, settings, proxy, host, port).await?;
        }
        Ok(stream)
    };
    tokio::time::timeout(DIAL_TIMEOUT, way)
        .await
        .map_err(|_| DialError::TimedOut {
            host: host.to_owned(),
            port,
        })?
}

async fn connect(
    settings: &UpstreamSettings,
    host: &str,
    port: u16,
    reach: Reach,
) -> Result<TcpStream, DialError> {
    let (addresses, reach) = match settings.resolved(host, port) {
        // the user has named it
        Some(address) => (vec![address], Reach::Anywhere),
        None => (resolve(host, port).await?, reach),
    };
    for &address in &addresses {
        address::check(address, reach, &settings.own)
            .map_err(|source| DialError::Address { address, source })?;
    }
    let stream = connect_any(addresses)
        .await
        .map_err(|source| DialError::Connect {
            host: host.to_owned(),
            port,
            source,
        })?;
    // a small request must not wait for the acknowledgement of the one before
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY on an upstream connection");
    }
    Ok(stream)
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    if let Some(ip) = literal(host) {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found = tokio::net::lookup_host((host, port))
        .await
        .map_err(|source| DialError::Resolve {
            host: host.to_owned(),
            source,
        })?;
    Ok(alternate(found))
}

fn literal(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

/// Alternates the families, beginning with the one the resolver put first.
fn alternate(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let found: Vec<_> = found.collect();
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<SocketAddr>, Vec<SocketAddr>) = found
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut ordered = Vec::new();
    for address in first {
        ordered.push(address);
        ordered.extend(second.next());
    }
    ordered.extend(second);
    ordered
}

async fn connect_any(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        match waiting.next() {
            Some(address) => attempts.push(TcpStream::connect(address)),
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        match tokio::time::timeout(STAGGER, attempts.next()).await {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(error))) => last = error,
            Ok(None) | Err(_) => {}
        }
    }
}

async fn open_tunnel(
    stream: &mut TcpStream,
    settings: &UpstreamSettings,
    proxy: &UpstreamProxy,
    host: &str,
    port: u16,
) -> Result<(), DialError> {
    // a name is left to the upstream proxy to resolve, unless the configuration names its address
    let target = match settings.resolved(host, port) {
        Some(address) => address.to_string(),
        None if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
        None => format!("{host}:{port}"),
    };
    let lost = |source| DialError::Connect {
        host: proxy.host.clone(),
        port: proxy.port,
        source,
    };
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await.map_err(lost)?;
    let answer = read_head(stream).await.map_err(lost)?;
    let status = String::from_utf8_lossy(answer.split(|b| *b == b'\r').next().unwrap_or_default());
    let accepted = status
        .split(' ')
        .nth(1)
        .is_some_and(|code| code.starts_with('2'));
    if status.starts_with("HTTP/1.") && accepted {
        return Ok(());
    }
    Err(DialError::Proxy {
        target,
        status: status.into_owned(),
    })
}

/// Reads up to the end of an HTTP head and not a byte more: what follows belongs to the tunnel.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    const END: &[u8] = b"\r\n\r\n";
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(END) {
        if head.len() >= PROXY_ANSWER_MAX {
            return Err(io::Error::other("the answer's head is too long"));
        }
        // one byte at a time: a tunnel is opened once, its head is short, and a server that
        // speaks first may already have sent more
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate_and_none_is_lost() {
        let parse = |list: &[&str]| list.iter().map(|a| a.parse().unwrap()).collect::<Vec<_>>();
        let found = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "10.0.0.1:1", "10.0.0.2:1"]);
        let expected = parse(&["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "[::3]:1"]);
        assert_eq!(alternate(found.into_iter()), expected);
    }
}
