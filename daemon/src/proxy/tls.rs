//! TLS with the child: reads its hello, shows the run's certificate, says what was agreed.
//!
//! Invariants (threat C6): TLS 1.2 or 1.3, no early data, HTTP/2 or HTTP/1.1. The certificate is
//! chosen by the name that was dialled, never by what the hello says; a hello that names another
//! host gets the certificate of the dialled one (which an honest client refuses) and each of its
//! requests is answered 421 by the decision (threat D1).

use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// Versions offered on both sides.
pub(super) static VERSIONS: &[&SupportedProtocolVersion] =
    &[&rustls::version::TLS13, &rustls::version::TLS12];
/// A child on this machine needs milliseconds; more only helps who wants to hold connections open.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// The one place that chooses the cryptography.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    Arc::clone(&PROVIDER)
}

/// HTTP/2 and HTTP/1.1, in the order of preference.
pub(super) fn both_protocols() -> Vec<Vec<u8>> {
    vec![H2.to_vec(), HTTP_1_1.to_vec()]
}

/// HTTP/1.1 alone, for upgrades.
pub(super) fn http1_only() -> Vec<Vec<u8>> {
    vec![HTTP_1_1.to_vec()]
}

/// Whether `alpn` says HTTP/2.
pub(super) fn is_h2(alpn: Option<&[u8]>) -> bool {
    alpn == Some(H2)
}

/// A finished handshake with the child.
#[derive(Debug)]
pub(super) struct Accepted<IO> {
    pub(super) stream: TlsStream<IO>,
    /// The name in the hello, if there was one.
    pub(super) sni: Option<Box<str>>,
    pub(super) h2: bool,
}

/// Why there is no TLS with the child.
#[derive(Debug, thiserror::Error)]
pub(super) enum AcceptError {
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    #[error("the TLS handshake took longer than {HANDSHAKE_TIMEOUT:?}")]
    TimedOut,
}

/// Shakes hands with the child on `io`, showing `config`'s certificate.
pub(super) async fn accept<IO>(
    io: IO,
    config: Arc<ServerConfig>,
) -> Result<Accepted<IO>, AcceptError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = async {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), io).await?;
        let sni = start.client_hello().server_name().map(Box::from);
        let stream = start.into_stream(config).await?;
        let h2 = is_h2(stream.get_ref().1.alpn_protocol());
        Ok(Accepted { stream, sni, h2 })
    };
    tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake)
        .await
        .map_err(|_| AcceptError::TimedOut)?
        .map_err(AcceptError::Handshake)
}
