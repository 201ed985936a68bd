//! Pooled connections to upstreams: one pool per stored credential, verified TLS only.
//!
//! [`UpstreamSettings`] is what the configuration says, [`Upstream`] a pool made from it. A pool
//! is keyed by scheme and authority inside and used for one credential only, so no connection
//! ever carries two identities (threat H10). Settings never change under a pool: a changed
//! configuration makes new settings and new pools.
//!
//! An upstream is spoken to as the child would have: HTTP/2 if the child speaks it and the upstream
//! offers it, else HTTP/1.1. So header case survives, an upstream sees what it saw without us, and
//! no message is translated needlessly. Only an upstream that insists on HTTP/2 gets it from a
//! child that speaks HTTP/1.1.
//!
//! Invariants (threat D2): certificates are verified for the very name that was decided on; there
//! is no switch to turn that off. Redirects are not followed (D11).

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use rustls::{AlertDescription, ClientConfig};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

use super::address::{AddressError, OwnPorts, Reach};
use super::body::RequestBody;
use super::dial::{self, DialError, Purpose};
use super::roots::TrustedRoots;
use super::tls;
use super::watch::WatchError;
use super::wire::Wire;
use crate::routing::{Host, RefuseCode};

/// How long an idle connection is kept. Longer than the pauses of a program that thinks between
/// calls; shorter than most servers' and middleboxes' own limits.
const IDLE: Duration = Duration::from_secs(90);
/// Most idle connections kept per host; the streams that one child connection may open.
const IDLE_MAX: usize = 64;
/// An upstream that has accepted the connection answers the handshake within this.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// Largest header list taken from an upstream over HTTP/2 (threat H5).
const HEADER_LIST_MAX: u32 = 64 * 1024;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The upstream proxy's address is not one.
    #[error(
        "`upstream_proxy` must look like `http://host:3128` or `http://user:password@host:3128`"
    )]
    Proxy,
    /// The TLS library refuses its configuration.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// A proxy that every outgoing connection goes through.
#[derive(Clone)]
pub struct UpstreamProxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// `Basic …`, marked sensitive.
    pub(super) authorization: Option<HeaderValue>,
}

impl UpstreamProxy {
    /// Reads `http://[user[:password]@]host[:port]`; port 80 if none is given.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let url = url::Url::parse(text).map_err(|_| SettingsError::Proxy)?;
        let bare = matches!(url.path(), "" | "/") && url.query().is_none();
        if url.scheme() != "http" || !bare || url.fragment().is_some() {
            return Err(SettingsError::Proxy);
        }
        let host = Host::parse(url.host_str().unwrap_or_default())
            .map_err(|_| SettingsError::Proxy)?
            .as_str()
            .to_owned();
        let authorization = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(basic(user, password.unwrap_or_default())?),
        };
        Ok(Self {
            host,
            port: url.port_or_known_default().unwrap_or(80),
            authorization,
        })
    }
}

impl fmt::Debug for UpstreamProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamProxy")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, SettingsError> {
    let mut pair: Zeroizing<Vec<u8>> = percent_decode_str(user).collect::<Vec<u8>>().into();
    pair.push(b':');
    pair.extend(percent_decode_str(password));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_slice())));
    let mut value = HeaderValue::from_str(&text).map_err(|_| SettingsError::Proxy)?;
    value.set_sensitive(true);
    Ok(value)
}

/// How upstreams are reached. Immutable; share it in an `Arc`.
pub struct UpstreamSettings {
    resolve: HashMap<String, SocketAddr>,
    pub(super) proxy: Option<UpstreamProxy>,
    pub(super) own: OwnPorts,
    tls: Arc<ClientConfig>,
    tls_http1: Arc<ClientConfig>,
}

impl UpstreamSettings {
    /// `resolve` maps `host:port` to an address, as curl's `--resolve` does.
    pub fn new(
        roots: &TrustedRoots,
        resolve: HashMap<String, SocketAddr>,
        proxy: Option<UpstreamProxy>,
        own: OwnPorts,
    ) -> Result<Self, SettingsError> {
        let mut config = ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(tls::VERSIONS)
            .map_err(SettingsError::Tls)?
            .with_root_certificates(Arc::clone(&roots.store))
            .with_no_client_auth();
        config.alpn_protocols = tls::both_protocols();
        let mut http1 = config.clone();
        http1.alpn_protocols = tls::http1_only();
        let resolve = resolve
            .into_iter()
            .map(|(name, address)| (name.to_ascii_lowercase(), address));
        Ok(Self {
            resolve: resolve.collect(),
            proxy,
            own,
            tls: Arc::new(config),
            tls_http1: Arc::new(http1),
        })
    }

    /// The address that `[upstream.resolve]` names for `host` and `port`.
    pub(super) fn resolved(&self, host: &str, port: u16) -> Option<SocketAddr> {
        if self.resolve.is_empty() {
            return None;
        }
        self.resolve.get(&format!("{host}:{port}")).copied()
    }
}

impl fmt::Debug for UpstreamSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamSettings")
            .field("resolve", &self.resolve)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

/// A pool of connections that carry one credential, or none. Cheap to clone.
#[derive(Clone)]
pub struct Upstream(Arc<Pool>);

struct Pool {
    settings: Arc<UpstreamSettings>,
    /// For children that speak HTTP/1.1.
    http1: Lane,
    /// For children that speak HTTP/2.
    http2: Lane,
    /// Never pooled: for upgrades.
    upgrades: Lane,
}

/// The connections of one protocol preference.
struct Lane {
    client: Client<Connector, RequestBody>,
    /// Whether the last handshake agreed on HTTP/2, where `host` beside `:authority` is needless.
    h2: Arc<AtomicBool>,
}

/// How the upstream is to be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// As a child that speaks HTTP/1.1.
    Http1,
    /// As a child that speaks HTTP/2.
    Http2,
    /// HTTP/1.1 on a connection of its own that may be upgraded.
    Upgrade,
}

impl Upstream {
    /// An empty pool for hosts that may lead as far as `reach` says.
    pub fn new(settings: Arc<UpstreamSettings>, reach: Reach) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_MAX)
            .http1_preserve_header_case(true)
            .http1_title_case_headers(true)
            .http2_max_header_list_size(HEADER_LIST_MAX);
        let lane = |builder: &hyper_util::client::legacy::Builder, manner| {
            let h2 = Arc::new(AtomicBool::new(false));
            let connector = Connector {
                settings: Arc::clone(&settings),
                reach,
                manner,
                h2: Arc::clone(&h2),
            };
            Lane {
                client: builder.build(connector),
                h2,
            }
        };
        let http1 = lane(&builder, Manner::Http1);
        let http2 = lane(&builder, Manner::Http2);
        let upgrades = lane(builder.pool_max_idle_per_host(0), Manner::Upgrade);
        Self(Arc::new(Pool {
            settings,
            http1,
            http2,
            upgrades,
        }))
    }

    /// How this pool reaches its upstreams.
    pub(super) fn settings(&self) -> &Arc<UpstreamSettings> {
        &self.0.settings
    }

    /// Whether the upstream probably speaks HTTP/2 when addressed in that `manner`.
    pub(super) fn speaks_h2(&self, manner: Manner) -> bool {
        self.lane(manner).h2.load(Ordering::Relaxed)
    }

    /// Sends `request`, whose URI is absolute.
    pub(super) async fn send(
        &self,
        manner: Manner,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, SendError> {
        self.lane(manner)
            .client
            .request(request)
            .await
            .map_err(|error| SendError::of(&error))
    }

    fn lane(&self, manner: Manner) -> &Lane {
        match manner {
            Manner::Http1 => &self.0.http1,
            Manner::Http2 => &self.0.http2,
            Manner::Upgrade => &self.0.upgrades,
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstream(..)")
    }
}

/// Why a child's body ended early.
type ChildError = WatchError<hyper::Error>;

/// Why a request got no answer, in the words for the child.
#[derive(Debug)]
pub(super) struct SendError {
    pub(super) code: RefuseCode,
    pub(super) reason: String,
}

impl SendError {
    fn of(error: &hyper_util::client::legacy::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        let mut reason = String::new();
        while let Some(this) = cause {
            if let Some(connect) = this.downcast_ref::<ConnectError>() {
                return Self::connecting(connect);
            }
            // the child's own body, not the upstream, is what broke
            if let Some(WatchError::Transfer(error)) = this.downcast_ref::<ChildError>() {
                return Self {
                    code: RefuseCode::Malformed,
                    reason: format!("its body broke off: {}", chain(error)),
                };
            }
            // the outermost says only "client error (SendRequest)"
            if cause.is_some() && this.source().is_none() {
                reason = this.to_string();
            }
            cause = this.source();
        }
        Self {
            code: RefuseCode::UpstreamUnreachable,
            reason,
        }
    }

    fn connecting(error: &ConnectError) -> Self {
        match error {
            ConnectError::Certificate(reason) => Self {
                code: RefuseCode::UpstreamCertificate,
                reason: reason.clone(),
            },
            ConnectError::Dial(dial) => Self::dialling(dial),
            ConnectError::Handshake(_)
            | ConnectError::HandshakeTimedOut
            | ConnectError::Name
            | ConnectError::OtherProtocol => Self {
                code: RefuseCode::UpstreamUnreachable,
                reason: chain(error),
            },
        }
    }

    /// The same for a connection that was dialled without a pool.
    pub(super) fn dialling(error: &DialError) -> Self {
        let code = match error {
            DialError::Address {
                source: AddressError::Loop,
                ..
            } => RefuseCode::LoopRefused,
            DialError::Address {
                source: AddressError::Metadata | AddressError::Private,
                ..
            } => RefuseCode::AddressRefused,
            DialError::Connect { .. }
            | DialError::Proxy { .. }
            | DialError::Resolve { .. }
            | DialError::TimedOut { .. } => RefuseCode::UpstreamUnreachable,
        };
        Self {
            code,
            reason: chain(error),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(this) = cause {
        text.push_str(": ");
        text.push_str(&this.to_string());
        cause = this.source();
    }
    text
}

/// Why there is no connection to an upstream.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("{0}")]
    Certificate(String),
    #[error("cannot connect")]
    Dial(#[source] DialError),
    #[error("the TLS handshake failed")]
    Handshake(#[source] std::io::Error),
    #[error("no TLS handshake within {HANDSHAKE_TIMEOUT:?}")]
    HandshakeTimedOut,
    #[error("the host is no name for a certificate")]
    Name,
    #[error("the upstream speaks no protocol that was offered")]
    OtherProtocol,
}

#[derive(Clone)]
struct Connector {
    settings: Arc<UpstreamSettings>,
    reach: Reach,
    manner: Manner,
    h2: Arc<AtomicBool>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Wire>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Wire>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { this.connect(&uri).await.map(TokioIo::new) })
    }
}

impl Connector {
    async fn connect(&self, uri: &Uri) -> Result<Wire, ConnectError> {
        let host = uri.host().ok_or(ConnectError::Name)?;
        if uri.scheme() == Some(&http::uri::Scheme::HTTP) {
            let port = uri.port_u16().unwrap_or(80);
            let stream = dial::dial(&self.settings, host, port, Purpose::Cleartext, self.reach)
                .await
                .map_err(ConnectError::Dial)?;
            return Ok(Wire::Plain {
                stream,
                proxied: self.settings.proxy.is_some(),
            });
        }
        let first = match self.manner {
            Manner::Http2 => &self.settings.tls,
            Manner::Http1 | Manner::Upgrade => &self.settings.tls_http1,
        };
        let stream = match shake_hands(&self.settings, uri, self.reach, first).await {
            Err(ConnectError::OtherProtocol) if self.manner == Manner::Http1 => {
                shake_hands(&self.settings, uri, self.reach, &self.settings.tls).await?
            }
            result => result?,
        };
        let h2 = tls::is_h2(stream.get_ref().1.alpn_protocol());
        self.h2.store(h2, Ordering::Relaxed);
        Ok(Wire::Tls { stream, h2 })
    }
}

/// A connection for HTTP/1.1 to the `https` server of `uri`, verified for its name, without a pool
/// behind it; else the reason in words. For what the daemon itself asks of servers.
pub(crate) async fn connect_http1(
    settings: &UpstreamSettings,
    uri: &Uri,
    reach: Reach,
) -> Result<TlsStream<TcpStream>, String> {
    shake_hands(settings, uri, reach, &settings.tls_http1)
        .await
        .map_err(|error| SendError::connecting(&error).reason)
}

async fn shake_hands(
    settings: &UpstreamSettings,
    uri: &Uri,
    reach: Reach,
    config: &Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let host = uri.host().ok_or(ConnectError::Name)?;
    let port = uri.port_u16().unwrap_or(443);
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let name = ServerName::try_from(bare.to_owned()).map_err(|_| ConnectError::Name)?;
    let stream = dial::dial(settings, host, port, Purpose::Stream, reach)
        .await
        .map_err(ConnectError::Dial)?;
    let handshake = TlsConnector::from(Arc::clone(config)).connect(name, stream);
    tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake)
        .await
        .map_err(|_| ConnectError::HandshakeTimedOut)?
        .map_err(handshake_error)
}

fn handshake_error(error: std::io::Error) -> ConnectError {
    use rustls::CertificateError as E;

    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let reason = match inner {
        Some(rustls::Error::InvalidCertificate(reason)) => reason,
        Some(rustls::Error::NoCertificatesPresented) => {
            return ConnectError::Certificate("it shows no certificate".to_owned());
        }
        Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            return ConnectError::OtherProtocol;
        }
        _ => return ConnectError::Handshake(error),
    };
    ConnectError::Certificate(match reason {
        E::Expired | E::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        E::NotValidYet | E::NotValidYetContext { .. } => {
            "its certificate is not valid yet".to_owned()
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            "its certificate is for another name".to_owned()
        }
        E::UnknownIssuer => "its certificate is not signed by a trusted authority".to_owned(),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "its certificate is not for servers".to_owned()
        }
        E::BadSignature => "the signature of its certificate is wrong".to_owned(),
        E::Revoked => "its certificate is revoked".to_owned(),
        other => format!("its certificate is not valid: {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_proxy_takes_userinfo_and_hides_it() {
        let proxy = UpstreamProxy::parse("http://us%40er:p%3Aw@corp.example:3128").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("corp.example", 3128));
        let value = proxy.authorization.clone().unwrap();
        assert_eq!(
            value.to_str().unwrap(),
            format!("Basic {}", STANDARD.encode("us@er:p:w"))
        );
        assert!(value.is_sensitive());
        assert!(!format!("{proxy:?}").contains("p:w"));
        for bad in [
            "https://corp:3128",
            "corp:3128",
            "http://corp/path",
            "http://",
            "socks5://x",
        ] {
            assert!(UpstreamProxy::parse(bad).is_err(), "{bad}");
        }
    }
}
