//! A server that answers with what a test gives it, byte by byte: wrong types, lies about length,
//! answers that never end or never come. HTTP/1.1 only, because it writes its answers itself.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use url::form_urlencoded;

use super::Site;
use super::serve::Served;
use crate::wait::wait_for;

/// Longest head of a request that is read.
const HEAD_MAX: usize = 64 * 1024;

/// One piece of an answer without end.
const PIECE_LEN: usize = 64 * 1024;

/// An answer, as broken as it was made.
#[derive(Debug, Clone)]
pub struct Fault {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    wait: Duration,
    end: End,
}

#[derive(Debug, Clone, Copy)]
enum End {
    /// As HTTP has it.
    Whole,
    /// The connection is closed after so many bytes of the body; the headers promised all of it.
    CutAfter(usize),
    /// The body is said again and again, without end.
    Endless,
    /// One byte of the body at a time.
    Drip(Duration),
    /// No answer at all: the connection is closed.
    Closed,
    /// No answer at all: the connection stays open.
    Silent,
}

impl Fault {
    /// JSON, as it should be.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::raw(status, "application/json", body.to_string())
    }

    /// Any body of any type.
    pub fn raw(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.into(),
            wait: Duration::ZERO,
            end: End::Whole,
        }
    }

    /// A token answer that is good; [`Fault::json`] of a changed one makes it silly.
    pub fn token(access: &str, refresh: &str, expires_in: u64) -> Self {
        let body = json!({
            "access_token": access,
            "refresh_token": refresh,
            "expires_in": expires_in,
            "token_type": "Bearer",
        });
        Self::json(200, &body)
    }

    /// An error of RFC 6749, section 5.2.
    pub fn error(status: u16, code: &str) -> Self {
        Self::json(status, &json!({ "error": code }))
    }

    /// A redirect.
    pub fn redirect(status: u16, to: &str) -> Self {
        Self::raw(status, "text/plain", "").header("location", to)
    }

    /// The connection is closed without an answer.
    pub fn closed() -> Self {
        Self::raw(0, "", "").ending(End::Closed)
    }

    /// Nothing comes, and nothing is closed.
    pub fn silent() -> Self {
        Self::raw(0, "", "").ending(End::Silent)
    }

    /// One more header, or another value of the one that is there.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// It begins after a while.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The connection is closed after so many bytes of the body, though all of it was promised.
    #[must_use]
    pub fn cut_after(self, len: usize) -> Self {
        self.ending(End::CutAfter(len))
    }

    /// The body is said again and again, as long as somebody reads it.
    #[must_use]
    pub fn endless(self) -> Self {
        self.ending(End::Endless)
    }

    /// The body comes one byte at a time.
    #[must_use]
    pub fn dripping(self, every: Duration) -> Self {
        self.ending(End::Drip(every))
    }

    fn ending(mut self, end: End) -> Self {
        self.end = end;
        self
    }
}

/// A request as it arrived at [`Faults`].
#[derive(Debug, Clone)]
pub struct FaultRequest {
    /// The method.
    pub method: String,
    /// The `Host` header.
    pub host: String,
    /// Path and query, as sent.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl FaultRequest {
    /// A form field of the body, decoded.
    pub fn field(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.body.as_bytes())
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The server. What has no answer gets 404. Dropping it ends it.
#[derive(Debug)]
pub struct Faults {
    served: Served,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    script: Mutex<BTreeMap<String, Script>>,
    requests: Mutex<Vec<FaultRequest>>,
}

#[derive(Debug, Default)]
struct Script {
    next: VecDeque<Fault>,
    always: Option<Fault>,
}

impl Site for Faults {
    fn address(&self) -> SocketAddr {
        self.served.address()
    }

    fn names(&self) -> &[String] {
        self.served.names()
    }

    fn ca_path(&self) -> &Path {
        self.served.ca_path()
    }
}

impl Faults {
    /// A server under `names`, with a good certificate.
    pub fn start(names: &[&str]) -> Self {
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let served = Served::listen(names, &["http/1.1"], |listener, acceptor| async move {
            loop {
                let Ok((stream, _peer)) = listener.accept().await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let _faster = stream.set_nodelay(true);
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    if let Ok(mut stream) = acceptor.accept(stream).await {
                        // a peer that goes away is the end of it too
                        let _ended = state.serve(&mut stream).await;
                    }
                });
            }
        });
        Self { served, state }
    }

    /// Requests for `path` (their query aside) get this answer, whenever there is no other for them.
    pub fn always(&self, path: &str, fault: Fault) {
        self.state
            .script(path, |script| script.always = Some(fault));
    }

    /// The next requests for `path` get these answers, one each.
    pub fn next(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        self.state.script(path, |script| script.next.extend(faults));
    }

    /// Serves a good metadata document for the host `name` at both well-known places, changed by
    /// `patch`: fields replace, `null` removes.
    pub fn metadata(&self, name: &str, patch: &Value) {
        let mut metadata = json!({
            "issuer": format!("https://{name}"),
            "authorization_endpoint": format!("https://{name}/auth"),
            "token_endpoint": format!("https://{name}/token"),
            "revocation_endpoint": format!("https://{name}/token/revocation"),
            "registration_endpoint": format!("https://{name}/reg"),
            "device_authorization_endpoint": format!("https://{name}/device/auth"),
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_post"],
            "authorization_response_iss_parameter_supported": true,
        });
        if let (Some(metadata), Some(patch)) = (metadata.as_object_mut(), patch.as_object()) {
            metadata.extend(patch.clone());
            metadata.retain(|_, value| !value.is_null());
        }
        for path in [
            "/.well-known/oauth-authorization-server",
            "/.well-known/openid-configuration",
        ] {
            self.always(path, Fault::json(200, &metadata));
        }
    }

    /// Everything that has arrived, in order.
    pub fn requests(&self) -> Vec<FaultRequest> {
        self.state
            .requests
            .lock()
            .expect("no connection panics")
            .clone()
    }

    /// The requests for `path`, their query aside.
    pub fn requests_for(&self, path: &str) -> Vec<FaultRequest> {
        let mut requests = self.requests();
        requests.retain(|request| without_query(&request.path) == path);
        requests
    }

    /// Waits until a request for `path` (its query aside) has arrived.
    #[track_caller]
    pub fn wait_for_request(&self, path: &str) -> FaultRequest {
        wait_for(
            &format!("a request for {path}"),
            super::ARRIVAL_TIMEOUT,
            || self.requests_for(path).pop(),
        )
    }
}

impl State {
    fn script(&self, path: &str, change: impl FnOnce(&mut Script)) {
        let mut scripts = self.script.lock().expect("no connection panics");
        change(scripts.entry(path.to_owned()).or_default());
    }

    fn fault(&self, path: &str) -> Fault {
        let mut scripts = self.script.lock().expect("no connection panics");
        scripts
            .get_mut(without_query(path))
            .and_then(|script| script.next.pop_front().or_else(|| script.always.clone()))
            .unwrap_or_else(|| Fault::error(404, "not_found"))
    }

    async fn serve(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> std::io::Result<()> {
        while let Some(request) = read(stream).await? {
            let fault = self.fault(&request.path);
            self.requests
                .lock()
                .expect("no connection panics")
                .push(request);
            tokio::time::sleep(fault.wait).await;
            if !write(stream, &fault).await? {
                break;
            }
        }
        stream.shutdown().await
    }
}

/// Reads one request; `None` when the peer has said all.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<FaultRequest>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 || head.len() > HEAD_MAX {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut text = || first.next().unwrap_or_default().to_owned();
    let (method, path) = (text(), text());
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = FaultRequest {
        method,
        host: String::new(),
        path,
        headers,
        body: String::new(),
    };
    request.host = request.header("host").unwrap_or_default().to_owned();
    let len = request
        .header("content-length")
        .and_then(|len| len.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(request))
}

/// Writes an answer; whether the connection can be used once more.
async fn write(stream: &mut (impl AsyncWrite + Unpin), fault: &Fault) -> std::io::Result<bool> {
    match fault.end {
        End::Closed => return Ok(false),
        End::Silent => std::future::pending().await,
        End::CutAfter(_) | End::Drip(_) | End::Endless | End::Whole => {}
    }
    let mut head = format!("HTTP/1.1 {} -\r\n", fault.status);
    for (name, value) in &fault.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !matches!(fault.end, End::Endless) {
        head.push_str(&format!("content-length: {}\r\n", fault.body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    match fault.end {
        End::CutAfter(len) => {
            let len = len.min(fault.body.len());
            stream.write_all(&fault.body[..len]).await?;
            stream.flush().await?;
            return Ok(false);
        }
        End::Drip(every) => {
            for byte in &fault.body {
                stream.write_all(&[*byte]).await?;
                stream.flush().await?;
                tokio::time::sleep(every).await;
            }
        }
        End::Endless => {
            assert!(!fault.body.is_empty(), "an endless answer says something");
            let piece: Vec<u8> = fault.body.iter().copied().cycle().take(PIECE_LEN).collect();
            loop {
                stream.write_all(&piece).await?;
            }
        }
        End::Closed | End::Silent | End::Whole => stream.write_all(&fault.body).await?,
    }
    stream.flush().await?;
    Ok(true)
}

fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}
