use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use rcgen::{CertificateParams, KeyPair};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::proxy::{OwnPorts, TrustedRoots};

const HOST: &str = "auth.example.test";
const CANARY: &str = "refresh-canary-77";

/// A server that answers every connection with `answer`, byte for byte, and then hangs up or stays.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    servers: Servers,
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    HangUp,
    Stay,
}

impl Server {
    async fn start(name: &str, answer: impl Into<Vec<u8>>, then: Then) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let der = certificate.der().clone();
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    vec![der.clone()],
                    PrivateKeyDer::Pkcs8(key.serialize_der().into()),
                )
                .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let (record, answer) = (Arc::clone(&seen), answer.into());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let request = read_request(&mut stream).await;
                record.lock().unwrap().push(request);
                drop(stream.write_all(&answer).await);
                drop(stream.flush().await);
                if then == Then::Stay {
                    std::future::pending::<()>().await;
                }
            }
        });
        let mut store = RootCertStore::empty();
        store.add(der).unwrap();
        let roots = TrustedRoots {
            store: Arc::new(store),
            ignored: 0,
            built_in: false,
        };
        let resolve = HashMap::from([(format!("{HOST}:443"), address)]);
        let settings = UpstreamSettings::new(&roots, resolve, None, OwnPorts::default()).unwrap();
        Self {
            address,
            seen,
            servers: Servers::new(Arc::new(settings)),
        }
    }

    async fn post(&self) -> Result<Incoming, HttpError> {
        self.servers
            .send(
                &format!("https://{HOST}/token?tenant=a"),
                Reach::Public,
                post(),
            )
            .await
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    loop {
        let whole = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = whole.split_once("\r\n\r\n") {
            let len = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= len.map_or(0, |len| len.parse().unwrap()) {
                return whole;
            }
        }
        match stream.read_u8().await {
            Ok(byte) => text.push(byte),
            Err(_) => return whole,
        }
    }
}

fn post() -> Outgoing {
    Outgoing {
        headers: ::http::HeaderMap::new(),
        body: Some((
            "application/x-www-form-urlencoded",
            format!("refresh_token={CANARY}").into_bytes().into(),
        )),
    }
}

fn with_length(body: &str) -> String {
    let len = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{body}")
}

#[tokio::test]
async fn a_request_names_the_host_and_us_and_its_answer_comes_back() {
    let server = Server::start(HOST, with_length("{\"a\":1}"), Then::Stay).await;
    let answer = server.post().await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.as_slice(), b"{\"a\":1}");
    let seen = server.seen().join("\n").to_ascii_lowercase();
    assert!(
        seen.starts_with("post /token?tenant=a http/1.1\r\n"),
        "{seen}"
    );
    for header in [
        "host: auth.example.test\r\n",
        concat!("user-agent: authsome/", env!("CARGO_PKG_VERSION"), "\r\n"),
        "content-type: application/x-www-form-urlencoded\r\n",
        "accept: application/json\r\n",
    ] {
        assert!(seen.contains(header), "{header} in {seen}");
    }
    assert!(seen.ends_with(&format!("refresh_token={CANARY}")), "{seen}");
}

#[tokio::test]
async fn without_a_body_it_is_a_get() {
    let server = Server::start(HOST, with_length("x"), Then::Stay).await;
    let bare = Outgoing {
        headers: ::http::HeaderMap::new(),
        body: None,
    };
    let url = format!("https://{HOST}/.well-known/x");
    server
        .servers
        .send(&url, Reach::Public, bare)
        .await
        .unwrap();
    assert!(server.seen()[0].starts_with("GET /.well-known/x HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere =
        format!("HTTP/1.1 302 Found\r\nLocation: https://{HOST}/b\r\nContent-Length: 0\r\n\r\n");
    let server = Server::start(HOST, elsewhere, Then::HangUp).await;
    assert_eq!(server.post().await.unwrap().status, 302);
    assert_eq!(server.seen().len(), 1);
}

/// Threat O5.
#[tokio::test]
async fn an_answer_over_the_limit_is_lost_whether_it_says_its_length_or_not() {
    let body = "x".repeat(ANSWER_MAX + 1);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    for answer in [with_length(&body), chunked] {
        let server = Server::start(HOST, answer, Then::HangUp).await;
        let error = server.post().await.unwrap_err();
        assert!(matches!(error, HttpError::Lost { .. }), "{error}");
    }
    let body = "x".repeat(ANSWER_MAX);
    let server = Server::start(HOST, with_length(&body), Then::HangUp).await;
    assert_eq!(server.post().await.unwrap().body.len(), ANSWER_MAX);
}

/// Threat O7: nobody knows what the server did.
#[tokio::test]
async fn an_answer_that_breaks_off_is_lost_and_no_error_holds_the_request() {
    for answer in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        "hello\r\n\r\n",
    ] {
        let server = Server::start(HOST, answer, Then::HangUp).await;
        let error = server.post().await.unwrap_err();
        assert!(
            matches!(error, HttpError::Lost { .. }),
            "{answer:?}: {error}"
        );
        assert!(!format!("{error} {error:?}").contains(CANARY), "{error:?}");
        assert_eq!(server.seen().len(), 1, "{answer:?}: sent once");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let server = Server::start(HOST, "", Then::Stay).await;
    let url = format!("https://{HOST}/token");
    let connected = server.servers.connect(&url, Reach::Public).await.unwrap();
    tokio::time::pause();
    let error = connected.send(post()).await.unwrap_err();
    assert!(matches!(error, HttpError::Lost { .. }), "{error}");
    assert!(error.to_string().contains("30s"), "{error}");
}

/// Threat O7: a connection that ended before anything was sent loses nothing.
#[tokio::test]
async fn a_request_that_was_not_sent_is_not_lost() {
    let server = Server::start(HOST, "", Then::HangUp).await;
    let url = format!("https://{HOST}/token");
    let connected = server.servers.connect(&url, Reach::Public).await.unwrap();
    connected.driver.abort();
    while !connected.sender.is_closed() {
        tokio::task::yield_now().await;
    }
    let error = connected.send(post()).await.unwrap_err();
    assert!(matches!(error, HttpError::Connect { .. }), "{error}");
}

/// Threat D2.
#[tokio::test]
async fn a_server_without_a_certificate_for_its_name_gets_nothing() {
    let server = Server::start("other.example.test", with_length("x"), Then::HangUp).await;
    let error = server.post().await.unwrap_err();
    assert!(matches!(error, HttpError::Connect { .. }), "{error}");
    assert!(error.to_string().contains("another name"), "{error}");
    assert_eq!(server.seen().len(), 0);
}

/// Threat D12.
#[tokio::test]
async fn a_name_of_the_internet_that_leads_to_a_private_address_gets_nothing() {
    let server = Server::start("localhost", with_length("x"), Then::HangUp).await;
    let url = format!("https://localhost:{}/token", server.address.port());
    let error = server
        .servers
        .send(&url, Reach::Public, post())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("private network"), "{error}");
    assert!(server.seen().is_empty());
    server
        .servers
        .send(&url, Reach::Anywhere, post())
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_no_plain_https_address_is_refused_and_no_password_is_shown() {
    let server = Server::start(HOST, with_length("x"), Then::HangUp).await;
    for url in [
        "http://auth.example.test/token",
        "https://user@auth.example.test/token",
        "https://user:hunter2@auth.example.test/token",
        "https://:hunter2@auth.example.test/token",
        "auth.example.test/token",
        "ftp://auth.example.test/?x=hunter2",
        "https://",
        "",
    ] {
        let error = server
            .servers
            .send(url, Reach::Anywhere, post())
            .await
            .unwrap_err();
        assert!(matches!(error, HttpError::Url(_)), "{url}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    assert!(server.seen().is_empty());
}
