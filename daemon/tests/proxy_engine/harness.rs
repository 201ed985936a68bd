//! A proxy with one run, stand-in upstreams that record what they saw, and raw clients.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use authsome_proto::{RunId, Secret};
use authsomed::audit::{Audit, AuditKey};
use authsomed::proxy::{
    Credential, OwnPorts, ProxyState, Reach, RouteCredential, RunCa, RunView, TrustedRoots,
    Unmatched, Upstream, UpstreamProxy, UpstreamSettings, serve,
};
use authsomed::routing::{
    Authority, Choice, HostPattern, Methods, PathScope, Route, RouteTable, Slot,
};
use authsomed::sys::locked::LockedBytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

/// The secret of the route, searched for where it must not be.
pub(crate) const CANARY: &str = "canary-5d1f8c7a";
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// The host with a route.
pub(crate) const GOOD: &str = "api.good.test";
/// A host without one.
pub(crate) const EVIL: &str = "evil.test";

pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A certificate authority of a test.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        // two authorities of one name would fail by signature, and not by issuer
        let name = format!("test authority {:?}", key.public_key_raw());
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        let pem = certificate.pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// A server certificate for `name`, changed by `change` before it is signed.
    pub(crate) fn issue(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![match name.parse() {
            Ok(ip) => SanType::IpAddress(ip),
            Err(_) => SanType::DnsName(name.try_into().unwrap()),
        }];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        (certificate.der().clone(), key)
    }
}

/// What an upstream saw of one request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body_len: usize,
    /// Whether the body came to its end.
    pub(crate) whole: bool,
    pub(crate) trailers: Option<HeaderMap>,
}

type Answer = dyn Fn(&Seen) -> Response<Body> + Send + Sync;

/// A stand-in upstream.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

impl Origin {
    pub(crate) async fn start(ca: &Ca, name: &str, alpn: &[&str]) -> Self {
        Self::answering(ca.issue(name, |_| {}), alpn, |_| {
            Response::new(text("hello"))
        })
        .await
    }

    /// Answers with `answer` after the whole request was read.
    pub(crate) async fn answering(
        certificate: (CertificateDer<'static>, PrivateKeyDer<'static>),
        alpn: &[&str],
        answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        let acceptor = acceptor(certificate, alpn);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, record): (Arc<Answer>, _) = (Arc::new(answer), Arc::clone(&seen));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let acceptor = acceptor.clone();
                let (answer, record) = (Arc::clone(&answer), Arc::clone(&record));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    let service = service_fn(move |request: Request<Incoming>| {
                        let (answer, record) = (Arc::clone(&answer), Arc::clone(&record));
                        async move {
                            let seen = read(request).await;
                            record.lock().unwrap().push(seen.clone());
                            Ok::<_, std::io::Error>(answer(&seen))
                        }
                    });
                    let io = TokioIo::new(stream);
                    if h2 {
                        let builder =
                            hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        drop(builder.serve_connection(io, service).await);
                    } else {
                        let builder = hyper::server::conn::http1::Builder::new();
                        drop(builder.serve_connection(io, service).await);
                    }
                });
            }
        });
        Self { address, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn saw_canary(&self) -> bool {
        format!("{:?}", self.seen()).contains(CANARY)
            || self.seen().iter().any(|seen| {
                seen.headers
                    .values()
                    .any(|v| String::from_utf8_lossy(v.as_bytes()).contains(CANARY))
            })
    }
}

pub(crate) fn acceptor(
    (certificate, key): (CertificateDer<'static>, PrivateKeyDer<'static>),
    alpn: &[&str],
) -> TlsAcceptor {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

async fn read(request: Request<Incoming>) -> Seen {
    let (parts, mut body) = request.into_parts();
    let (mut body_len, mut whole, mut trailers) = (0, true, None);
    while let Some(frame) = body.frame().await {
        match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => body_len += data.len(),
            Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
            Err(_) => {
                whole = false;
                break;
            }
        }
    }
    Seen {
        method: parts.method,
        uri: parts.uri,
        version: parts.version,
        headers: parts.headers,
        body_len,
        whole,
        trailers,
    }
}

pub(crate) fn text(text: &str) -> Body {
    http_body_util::Full::from(text.to_owned())
        .map_err(|never| match never {})
        .boxed()
}

/// How a proxy of a test is set up.
pub(crate) struct Setup {
    pub(crate) roots: Vec<String>,
    pub(crate) resolve: Vec<(String, SocketAddr)>,
    pub(crate) unmatched: Unmatched,
    pub(crate) upstream_proxy: Option<String>,
    pub(crate) own: OwnPorts,
    /// When the run is over by the clock.
    pub(crate) deadline: Option<SystemTime>,
    pub(crate) ready: bool,
    /// The host with a route, and how far it may lead.
    pub(crate) host: (Authority, Reach),
}

impl Setup {
    /// The host with a route leads to `origin`, whose certificate is of `ca`.
    pub(crate) fn to(ca: &Ca, origin: SocketAddr) -> Self {
        Self {
            roots: vec![ca.pem.clone()],
            resolve: vec![(format!("{GOOD}:443"), origin)],
            unmatched: Unmatched::Tunnel,
            upstream_proxy: None,
            own: OwnPorts::default(),
            deadline: None,
            ready: true,
            host: (Authority::parse(GOOD, Some(443)).unwrap(), Reach::Public),
        }
    }

    pub(crate) fn and(mut self, name: &str, address: SocketAddr) -> Self {
        self.resolve.push((name.to_owned(), address));
        self
    }
}

/// A running proxy with one run.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) run: Arc<RunView>,
    pub(crate) state: Arc<ProxyState>,
    pub(crate) own: OwnPorts,
    pub(crate) shutdown: CancellationToken,
}

impl Proxy {
    pub(crate) async fn start(setup: Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for (at, pem) in setup.roots.iter().enumerate() {
            let path = folder.path().join(format!("{at}.pem"));
            #[expect(clippy::disallowed_methods, reason = "a file of the test's own folder")]
            std::fs::write(&path, pem).unwrap();
            files.push(path);
        }
        let roots = TrustedRoots::load(&files).unwrap();
        let resolve = setup.resolve.into_iter().collect::<HashMap<_, _>>();
        let upstream_proxy = setup
            .upstream_proxy
            .map(|url| UpstreamProxy::parse(&url).unwrap());
        let settings =
            UpstreamSettings::new(&roots, resolve, upstream_proxy, setup.own.clone()).unwrap();
        let settings = Arc::new(settings);
        let slot = || Slot::Header {
            name: http::header::AUTHORIZATION,
            prefix: "Bearer".into(),
        };
        let credential = if setup.ready {
            RouteCredential::Ready(
                Arc::new(Credential {
                    renewal: None,
                    filled: slot().fill(&Secret::new(CANARY.into())).unwrap(),
                    upstream: Upstream::new(Arc::clone(&settings), setup.host.1),
                    provider: "good".parse().unwrap(),
                    connection: "default".parse().unwrap(),
                    used: 0.into(),
                }),
                Arc::default(),
            )
        } else {
            RouteCredential::LoginNeeded
        };
        let host = setup.host.0;
        let names = vec![HostPattern::Exact(host.host)];
        let route = Route {
            provider: "good".parse().unwrap(),
            connection: "default".parse().unwrap(),
            hosts: names.clone(),
            port: host.port,
            path: PathScope::parse("/").unwrap(),
            except: Vec::new(),
            methods: Methods::Any,
            slot: slot(),
            credential,
            choice: Choice {
                by_default: true,
                placeholder: None,
            },
            rules: Arc::default(),
        };
        let id: RunId = "run1".parse().unwrap();
        let run = Arc::new(RunView {
            ca: RunCa::derive(&[7; 32], &id, &names, SystemTime::now()).unwrap(),
            id: id.clone(),
            token: LockedBytes::new(TOKEN.as_bytes()),
            table: ArcSwap::from_pointee(RouteTable::build(vec![route])),
            unmatched: setup.unmatched,
            pid: 1,
            program: "test".into(),
            ended: CancellationToken::new(),
            deadline: setup.deadline,
            plain: Upstream::new(settings, Reach::Anywhere),
            clock: SystemTime::now,
            injected: 0.into(),
            refused: 0.into(),
        });
        let state = Arc::new(ProxyState::default());
        state
            .runs
            .store(Arc::new(HashMap::from([(id, Arc::clone(&run))])));
        open_audit(&state, folder);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        setup.own.insert(address.port());
        let shutdown = CancellationToken::new();
        tokio::spawn(serve(listener, Arc::clone(&state), shutdown.clone()));
        Self {
            address,
            run,
            state,
            own: setup.own,
            shutdown,
        }
    }

    /// A raw connection to the proxy.
    pub(crate) async fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A tunnel to `target`, open.
    pub(crate) async fn tunnel(&self, target: &str) -> TcpStream {
        let mut stream = self.raw().await;
        let auth = authorization();
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{auth}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = read_head(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        stream
    }

    /// TLS to the host with a route, through a tunnel to `target`, saying `sni`.
    pub(crate) async fn tls(&self, target: &str, sni: &str, alpn: &str) -> TlsStream<TcpStream> {
        let stream = self.tunnel(target).await;
        let name = ServerName::try_from(sni.to_owned()).unwrap();
        TlsConnector::from(blind(alpn))
            .connect(name, stream)
            .await
            .unwrap()
    }

    /// The answer to one raw HTTP/1.1 request inside TLS.
    pub(crate) async fn ask(&self, request: &str) -> String {
        let mut tls = self.tls(&format!("{GOOD}:443"), GOOD, "http/1.1").await;
        tls.write_all(request.as_bytes()).await.unwrap();
        read_answer(&mut tls).await
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn open_audit(state: &ProxyState, folder: tempfile::TempDir) {
    let key = AuditKey::derive(b"install secret");
    let audit = Audit::open(&folder.path().join("audit"), &key).unwrap();
    assert!(state.audit.set(audit).is_ok());
    // the writer outlives the proxy; the folder stays until the system cleans up
    std::mem::forget(folder);
}

/// The header that proves the run, with its line end.
pub(crate) fn authorization() -> String {
    format!(
        "Proxy-Authorization: Basic {}\r\n",
        STANDARD.encode(format!("run1:{TOKEN}"))
    )
}

/// Verifies nothing, as an attacker's client would.
pub(crate) fn blind(alpn: &str) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Blind))
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    Arc::new(config)
}

/// Trusts `pem` alone.
pub(crate) fn trusting(pem: &str) -> Arc<ClientConfig> {
    use rustls_pki_types::pem::PemObject as _;
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// Reads up to the end of a head. What was written goes out first: a TLS stream takes all that it
/// is given and keeps what the socket did not take, and reading does not send it.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    // a peer that has closed already may still have answered
    stream.flush().await.ok();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match tokio::time::timeout(Duration::from_secs(10), stream.read_u8())
            .await
            .unwrap()
        {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Reads a whole answer with a `Content-Length`.
pub(crate) async fn read_answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    let head = read_head(stream).await;
    let len = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        })
        .unwrap_or(0);
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await.unwrap();
    head + std::str::from_utf8(&body).unwrap()
}

#[derive(Debug)]
struct Blind;

impl rustls::client::danger::ServerCertVerifier for Blind {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls_pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
