//! The floor: what tokio, hyper, rustls and rcgen cost with nothing else in the way.
//!
//! ```text
//! authsome-bench-floor UPSTREAM-ADDRESS UPSTREAM-CA TOKEN CA-OUT
//! ```
//!
//! It terminates CONNECT with a leaf minted for the host, sets one header, and sends the request on
//! through one pooled client. No policy, no vault, no audit, no names compared. It prints the
//! address it listens on.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Every name is at one address.
#[derive(Clone)]
struct Fixed(SocketAddr);

impl tower_service::Service<Name> for Fixed {
    type Response = std::option::IntoIter<SocketAddr>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        std::future::ready(Ok(Some(self.0).into_iter()))
    }
}

struct Floor {
    issuer: Issuer<'static, KeyPair>,
    leaf: KeyPair,
    leaves: Mutex<HashMap<String, Arc<ServerConfig>>>,
    client: Client<HttpsConnector<HttpConnector<Fixed>>, Incoming>,
    value: HeaderValue,
}

type Body = BoxBody<Bytes, hyper::Error>;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let [_, upstream, upstream_ca, token, ca_out] = words.as_slice() else {
        eprintln!("usage: authsome-bench-floor UPSTREAM-ADDRESS UPSTREAM-CA TOKEN CA-OUT");
        std::process::exit(2);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads");
    runtime.block_on(async {
        let floor = Arc::new(Floor::new(
            upstream.parse().expect("an address"),
            upstream_ca,
            token,
            ca_out,
        ));
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        println!("listening {}", listener.local_addr().expect("it listens"));
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(Arc::clone(&floor), stream));
        }
    });
}

impl Floor {
    fn new(upstream: SocketAddr, upstream_ca: &str, token: &str, ca_out: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().expect("a key");
        let ca = params.self_signed(&key).expect("a certificate");
        std::fs::write(ca_out, ca.pem()).expect("the CA can be written");
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_file_iter(upstream_ca).expect("the upstream's CA") {
            roots.add(root.expect("a certificate")).expect("a root");
        }
        let tls =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("ring has them")
                .with_root_certificates(roots)
                .with_no_client_auth();
        let mut tcp = HttpConnector::new_with_resolver(Fixed(upstream));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        Self {
            issuer: Issuer::new(params, key),
            leaf: KeyPair::generate().expect("a key"),
            leaves: Mutex::default(),
            client: Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(64)
                .build(https),
            value: HeaderValue::try_from(format!("Bearer {token}")).expect("a token"),
        }
    }

    fn leaf(&self, host: &str) -> Arc<ServerConfig> {
        if let Some(config) = self.leaves.lock().expect("not poisoned").get(host) {
            return Arc::clone(config);
        }
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&self.leaf, &self.issuer).expect("a leaf");
        let key = PrivateKeyDer::Pkcs8(self.leaf.serialize_der().into());
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("ring has them")
                .with_no_client_auth()
                .with_single_cert(vec![leaf.into()], key)
                .expect("they belong together");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.send_tls13_tickets = 0;
        let config = Arc::new(config);
        self.leaves
            .lock()
            .expect("not poisoned")
            .insert(host.to_owned(), Arc::clone(&config));
        config
    }

    async fn forward(
        &self,
        mut request: Request<Incoming>,
        host: &str,
    ) -> Result<Response<Body>, legacy::Error> {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        // without a port: the resolver's counts, and 443 would replace it
        *request.uri_mut() = format!("https://{host}{path}")
            .parse::<Uri>()
            .expect("parts of a URI");
        request
            .headers_mut()
            .insert(AUTHORIZATION, self.value.clone());
        request.headers_mut().remove(CONNECTION);
        Ok(self.client.request(request).await?.map(BodyExt::boxed))
    }
}

async fn serve(floor: Arc<Floor>, stream: TcpStream) {
    let _faster = stream.set_nodelay(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let floor = Arc::clone(&floor);
        async move {
            let authority = request
                .uri()
                .authority()
                .map(ToString::to_string)
                .unwrap_or_default();
            tokio::spawn(async move {
                let Ok(upgraded) = hyper::upgrade::on(&mut request).await else {
                    return;
                };
                // the socket itself: no layer of hyper on the way of every byte
                let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
                    return;
                };
                let host = authority.split(':').next().unwrap_or_default().to_owned();
                let acceptor = TlsAcceptor::from(floor.leaf(&host));
                let Ok(tls) = acceptor.accept(parts.io.into_inner()).await else {
                    return;
                };
                let service = service_fn(move |request| {
                    let (floor, host) = (Arc::clone(&floor), host.clone());
                    async move { floor.forward(request, &host).await }
                });
                let _ended = http1::Builder::new()
                    .serve_connection(TokioIo::new(tls), service)
                    .await;
            });
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let _ended = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}
