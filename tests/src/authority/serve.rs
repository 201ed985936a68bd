//! HTTPS for the servers around an authority, HTTP/1.1 and HTTP/2.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::Site;
use crate::stand_in::{self, Options, certificates};

/// A request, read whole.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Path and query, as sent.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Asked {
    /// The bearer token, if there is exactly one `Authorization` and it is one.
    pub(super) fn bearer(&self) -> Option<String> {
        let mut values = self.headers.get_all("authorization").iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        let token = value.to_str().ok()?.strip_prefix("Bearer ")?;
        Some(token.to_owned())
    }
}

/// Answers requests; may block.
pub(super) trait Answers: Send + Sync + 'static {
    fn answer(&self, asked: &Asked) -> Response<Vec<u8>>;
}

/// A server, running in threads of its own until dropped.
#[derive(Debug)]
pub(super) struct Served {
    address: SocketAddr,
    names: Vec<String>,
    ca_path: PathBuf,
    _folder: TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Site for Served {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn ca_path(&self) -> &Path {
        &self.ca_path
    }
}

impl Served {
    /// A server under `names` that answers with `answers`.
    pub(super) fn start(names: &[&str], answers: Arc<dyn Answers>) -> Self {
        Self::listen(
            names,
            &["h2", "http/1.1"],
            |listener, acceptor| async move {
                loop {
                    // out of descriptors, or a peer that hung up early: the next one may do better
                    let Ok((stream, _peer)) = listener.accept().await else {
                        tokio::task::yield_now().await;
                        continue;
                    };
                    let _faster = stream.set_nodelay(true);
                    let (acceptor, answers) = (acceptor.clone(), Arc::clone(&answers));
                    tokio::spawn(async move {
                        let Ok(stream) = acceptor.accept(stream).await else {
                            return;
                        };
                        let service = hyper::service::service_fn(move |request| {
                            answer(request, Arc::clone(&answers))
                        });
                        let server =
                            hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                        let _ended = server.serve_connection(TokioIo::new(stream), service).await;
                    });
                }
            },
        )
    }

    /// A server under `names` that does with its connections as `accept` says.
    pub(super) fn listen<F>(
        names: &[&str],
        protocols: &[&'static str],
        accept: impl FnOnce(TcpListener, TlsAcceptor) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let folder = tempfile::Builder::new()
            .prefix("as-site-")
            .tempdir()
            .expect("the folder for temporary files can be written");
        stand_in::open_for_all(folder.path());
        let ca_path = folder.path().join("ca.pem");
        let options = Options {
            names: super::owned(names),
            protocols: protocols.to_vec(),
            ..Options::default()
        };
        let tls = TlsAcceptor::from(certificates::server_config(&options, &ca_path));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads can be started");
        let listener = runtime
            .block_on(TcpListener::bind(options.listen))
            .expect("a loopback port can be had");
        let address = listener.local_addr().expect("it listens");
        runtime.spawn(accept(listener, tls));
        Self {
            address,
            names: options.names,
            ca_path,
            _folder: folder,
            _runtime: runtime,
        }
    }
}

async fn answer(
    request: http::Request<Incoming>,
    answers: Arc<dyn Answers>,
) -> std::io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?;
    let asked = Asked {
        method: head.method.to_string(),
        path: head
            .uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        headers: head.headers,
        body: body.to_bytes(),
    };
    // it asks the authority what a token is worth, which takes a moment
    let answer = tokio::task::spawn_blocking(move || answers.answer(&asked)).await;
    Ok(answer.map_err(std::io::Error::other)?.map(Full::from))
}
