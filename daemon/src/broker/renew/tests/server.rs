//! A token endpoint that says what a test tells it to, over TLS.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What becomes of one request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Status, further header lines, body.
    Say(u16, &'static str, String),
    /// Nothing; the connection ends.
    HangUp,
}

impl Reply {
    pub(super) fn tokens(access: &str, refresh: Option<&str>, lifetime: Option<u64>) -> Self {
        let mut body = format!("{{\"access_token\":\"{access}\",\"token_type\":\"Bearer\"");
        if let Some(refresh) = refresh {
            write!(body, ",\"refresh_token\":\"{refresh}\"").unwrap();
        }
        if let Some(lifetime) = lifetime {
            write!(body, ",\"expires_in\":{lifetime}").unwrap();
        }
        body.push('}');
        Self::Say(200, "", body)
    }

    pub(super) fn error(code: &str) -> Self {
        Self::Say(400, "", format!("{{\"error\":\"{code}\"}}"))
    }
}

type Script = dyn FnMut(usize, &str) -> Reply + Send;

/// The server.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// What was asked: path and body.
    seen: Arc<Mutex<Vec<String>>>,
    script: Arc<Mutex<Box<Script>>>,
    /// Answers are given as long as there are permits.
    gate: Arc<Semaphore>,
}

impl Server {
    /// One whose certificate, for `names`, is written to `pem`.
    pub(super) async fn start(names: &[&str], pem: &Path) -> Self {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let certificate = CertificateParams::new(names)
            .unwrap()
            .self_signed(&key)
            .unwrap();
        #[expect(clippy::disallowed_methods, reason = "a file of the test's own folder")]
        std::fs::write(pem, certificate.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script: Box<Script> = Box::new(|_, _| Reply::HangUp);
        let server = Self {
            address,
            seen: Arc::default(),
            script: Arc::new(Mutex::new(script)),
            gate: Arc::new(Semaphore::new(1_000_000)),
        };
        let (seen, script, gate) = (
            Arc::clone(&server.seen),
            Arc::clone(&server.script),
            Arc::clone(&server.gate),
        );
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                let (seen, script, gate) =
                    (Arc::clone(&seen), Arc::clone(&script), Arc::clone(&gate));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let Some(request) = read(&mut stream).await else {
                        return;
                    };
                    let reply = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(request.clone());
                        script.lock().unwrap()(seen.len(), &request)
                    };
                    gate.acquire().await.unwrap().forget();
                    if let Reply::Say(status, headers, body) = reply {
                        let len = body.len();
                        let answer = format!(
                            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n\
                             Content-Length: {len}\r\n{headers}\r\n{body}"
                        );
                        drop(stream.write_all(answer.as_bytes()).await);
                        drop(stream.shutdown().await);
                    }
                });
            }
        });
        server
    }

    /// What it answers from now on, by the number of the request (1 is the first) and its text.
    pub(super) fn says(&self, script: impl FnMut(usize, &str) -> Reply + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// Requests so far, each as path, a space, and body.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Holds answers back.
    pub(super) fn hold(&self) {
        self.gate.forget_permits(usize::MAX >> 4);
    }

    /// Lets answers go.
    pub(super) fn release(&self) {
        self.gate.add_permits(1_000_000);
    }
}

async fn read(stream: &mut TlsStream<TcpStream>) -> Option<String> {
    let mut text = Vec::new();
    loop {
        let whole = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = whole.split_once("\r\n\r\n") {
            let len = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |len| len.parse().unwrap());
            if body.len() >= len {
                let path = head.split(' ').nth(1).unwrap_or_default();
                return Some(format!("{path} {body}"));
            }
        }
        text.push(stream.read_u8().await.ok()?);
    }
}
