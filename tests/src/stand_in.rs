//! An HTTPS server in miniature: any names, a throw-away CA, HTTP/1.1 and HTTP/2.
//!
//! It records every request before it answers it, so that a test can say what arrived and what
//! did not. What it serves is listed in [`answers`], and for [`Intercom`] there.

mod answers;
mod body;
pub(crate) mod certificates;
pub mod intercom;
mod websocket;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub use certificates::Certificate;
pub use intercom::Intercom;

use crate::wait::wait_for;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Number of the TCP connection it came on, counted from 0.
    pub connection: usize,
    /// The name that TLS asked for.
    pub server_name: Option<String>,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
    /// The method.
    pub method: String,
    /// `:authority`, or the `Host` header.
    pub authority: String,
    /// Path and query, as sent.
    pub path: String,
    /// Names (lower case) and values, in order.
    pub headers: Vec<(String, String)>,
    body_len: Arc<AtomicU64>,
}

impl Recorded {
    /// Every value of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// Bytes of body that have arrived so far.
    pub fn body_len(&self) -> u64 {
        self.body_len.load(Ordering::Relaxed)
    }

    /// Whether any part of the request (not its body) holds `text`.
    pub fn holds(&self, text: &str) -> bool {
        self.path.contains(text) || self.headers.iter().any(|(_, value)| value.contains(text))
    }
}

/// Looks at a request and answers it, or leaves it to [`answers`].
pub type AnswerWith = fn(&Recorded) -> Option<http::Response<Vec<u8>>>;

/// How a [`StandIn`] behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names it has a certificate for.
    pub names: Vec<String>,
    /// What is wrong with the certificate, if anything.
    pub certificate: Certificate,
    /// The token that `/me` and `/` ask for, without its scheme; any token is right if `None`.
    pub token: Option<String>,
    /// Protocols offered by ALPN, best first.
    pub protocols: Vec<&'static str>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Requests are kept for [`StandIn::requests`] (a bench does not want that).
    pub record: bool,
    /// Called with each request before it is answered.
    pub on_request: Option<fn(&Recorded)>,
    /// Answers in place of what is listed in [`answers`].
    pub answer: Option<AnswerWith>,
    /// Plays Intercom instead of what is listed in [`answers`].
    pub intercom: Option<Arc<Intercom>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            names: vec!["api.intercom.io".to_owned()],
            certificate: Certificate::Good,
            token: None,
            protocols: vec!["h2", "http/1.1"],
            listen: ([127, 0, 0, 1], 0).into(),
            record: true,
            on_request: None,
            answer: None,
            intercom: None,
        }
    }
}

/// The server, running in threads of its own until dropped.
#[derive(Debug)]
pub struct StandIn {
    address: SocketAddr,
    names: Vec<String>,
    ca_path: PathBuf,
    state: Arc<State>,
    _folder: TempDir,
    _runtime: tokio::runtime::Runtime,
}

/// What all connections share.
#[derive(Debug)]
struct State {
    options: Options,
    requests: Mutex<Vec<Recorded>>,
    connections: AtomicUsize,
}

impl StandIn {
    /// A stand-in for the hosts `names`, with a good certificate.
    pub fn start(names: &[&str]) -> Self {
        Self::with(Options {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Options::default()
        })
    }

    /// A stand-in for `api.intercom.io` that takes only `token`.
    pub fn intercom(token: &str) -> Self {
        Self::with(Options {
            token: Some(token.to_owned()),
            ..Options::default()
        })
    }

    /// A stand-in as described.
    pub fn with(options: Options) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("as-up-")
            .tempdir()
            .expect("the folder for temporary files can be written");
        open_for_all(folder.path());
        let ca_path = folder.path().join("ca.pem");
        let tls = certificates::server_config(&options, &ca_path);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads can be started");
        let listener = runtime
            .block_on(TcpListener::bind(options.listen))
            .unwrap_or_else(|error| panic!("cannot listen on {}: {error}", options.listen));
        let address = listener.local_addr().expect("it listens");
        let names = options.names.clone();
        let state = Arc::new(State {
            options,
            requests: Mutex::new(Vec::new()),
            connections: AtomicUsize::new(0),
        });
        runtime.spawn(serve(listener, tls, Arc::clone(&state)));
        Self {
            address,
            names,
            ca_path,
            state,
            _folder: folder,
            _runtime: runtime,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The names it has a certificate for.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Its CA certificate, a PEM file that every user may read.
    pub fn ca_path(&self) -> &Path {
        &self.ca_path
    }

    /// Everything that has arrived.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state
            .requests
            .lock()
            .expect("no connection panics")
            .clone()
    }

    /// Forgets what has arrived.
    pub fn forget(&self) {
        self.state
            .requests
            .lock()
            .expect("no connection panics")
            .clear();
    }

    /// TCP connections accepted so far, whatever became of them.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Waits until a request for `path` (without its query) has arrived.
    #[track_caller]
    pub fn wait_for_request(&self, path: &str) -> Recorded {
        wait_for(
            &format!("a request for {path}"),
            Duration::from_secs(10),
            || {
                self.requests()
                    .into_iter()
                    .rev()
                    .find(|request| request.path.split('?').next() == Some(path))
            },
        )
    }

    /// The last request; panics when there was none.
    #[track_caller]
    pub fn last(&self) -> Recorded {
        self.requests().pop().expect("a request arrived")
    }

    /// Whether any request held `text`.
    pub fn saw(&self, text: &str) -> bool {
        self.requests().iter().any(|request| request.holds(text))
    }
}

async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, state: Arc<State>) {
    let acceptor = TlsAcceptor::from(tls);
    loop {
        // out of descriptors, or a peer that hung up early: the next one may do better
        let Ok((stream, _peer)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let connection = state.connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(serve_connection(
            stream,
            acceptor.clone(),
            connection,
            Arc::clone(&state),
        ));
    }
}

async fn serve_connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    connection: usize,
    state: Arc<State>,
) {
    let _faster = stream.set_nodelay(true);
    // a handshake that fails is often what the test wants to see; the client tells why
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let server_name = stream.get_ref().1.server_name().map(str::to_owned);
    let service =
        hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let body_len = Arc::new(AtomicU64::new(0));
            let options = &state.options;
            let record = options.record || options.on_request.is_some() || options.answer.is_some();
            let mut given = None;
            if record {
                let recorded =
                    Recorded::of(&request, connection, server_name.as_deref(), &body_len);
                if let Some(on_request) = state.options.on_request {
                    on_request(&recorded);
                }
                given = state.options.answer.and_then(|answer| answer(&recorded));
                if state.options.record {
                    state
                        .requests
                        .lock()
                        .expect("no connection panics")
                        .push(recorded);
                }
            }
            let state = Arc::clone(&state);
            async move {
                if let Some(intercom) = &state.options.intercom {
                    return intercom.answer(request, &body_len).await;
                }
                let token = state.options.token.clone();
                answers::answer(request, token, body_len, given).await
            }
        });
    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let _ended = server
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await;
}

impl Recorded {
    fn of<B>(
        request: &hyper::Request<B>,
        connection: usize,
        server_name: Option<&str>,
        body_len: &Arc<AtomicU64>,
    ) -> Self {
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let authority = match request.uri().authority() {
            Some(authority) => authority.to_string(),
            None => request.headers().get("host").map(text).unwrap_or_default(),
        };
        Self {
            connection,
            server_name: server_name.map(str::to_owned),
            protocol: format!("{:?}", request.version()),
            method: request.method().to_string(),
            authority,
            path: request
                .uri()
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
            headers: request
                .headers()
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect(),
            body_len: Arc::clone(body_len),
        }
    }
}

pub(crate) fn open_for_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
}
