//! A resource server that asks the authority about each token.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Response};
use serde_json::json;

use super::program::Program;
use super::record::Token;
use super::serve::{Answers, Asked, Served};
use super::{Authority, Site, read};

/// A request as it arrived at an [`Api`].
#[derive(Debug, Clone)]
pub struct ApiRequest {
    /// The method.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The token, if there was exactly one `Authorization` and that was a bearer token.
    pub bearer: Option<String>,
    /// The body.
    pub body: Bytes,
    /// Status of the answer.
    pub status: u16,
}

/// The server: 200 and a JSON object with a good access token, else 401 with
/// `WWW-Authenticate: Bearer error="invalid_token"`. Dropping it ends it.
#[derive(Debug)]
pub struct Api {
    served: Served,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    authority: Arc<Program>,
    requests: Mutex<Vec<ApiRequest>>,
    rejecting: AtomicUsize,
}

impl Site for Api {
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

impl Api {
    /// `https://api.example.com`, for tokens of `authority`.
    pub fn start(authority: &Authority) -> Self {
        Self::named(authority, &["api.example.com"])
    }

    /// The same under other names.
    pub fn named(authority: &Authority, names: &[&str]) -> Self {
        let state = Arc::new(State {
            authority: Arc::clone(&authority.program),
            requests: Mutex::new(Vec::new()),
            rejecting: AtomicUsize::new(0),
        });
        let answers: Arc<dyn Answers> = Arc::<State>::clone(&state);
        Self {
            served: Served::start(names, answers),
            state,
        }
    }

    /// Everything that has arrived, in order of the answers.
    pub fn requests(&self) -> Vec<ApiRequest> {
        self.state
            .requests
            .lock()
            .expect("no request panics")
            .clone()
    }

    /// The tokens that came, in order of the answers; `None` for requests without one.
    pub fn bearers(&self) -> Vec<Option<String>> {
        let requests = self.requests();
        requests.into_iter().map(|request| request.bearer).collect()
    }

    /// How many requests were answered with `status`.
    pub fn answered(&self, status: u16) -> usize {
        let requests = self.requests();
        requests.iter().filter(|each| each.status == status).count()
    }

    /// Forgets what has arrived.
    pub fn forget(&self) {
        self.state
            .requests
            .lock()
            .expect("no request panics")
            .clear();
    }

    /// The next `count` requests get 401, however good their tokens are.
    pub fn reject_next(&self, count: usize) {
        self.state.rejecting.store(count, Ordering::SeqCst);
    }
}

impl Answers for State {
    fn answer(&self, asked: &Asked) -> Response<Vec<u8>> {
        let bearer = asked.bearer();
        let rejected = self
            .rejecting
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok();
        let good = !rejected
            && bearer
                .as_ref()
                .is_some_and(|token| access(&self.authority, token).active);
        let answer = if good {
            let told = json!({ "ok": true, "method": asked.method, "path": asked.path });
            Response::builder().body(told.to_string())
        } else {
            let challenge = match bearer {
                Some(_) => "Bearer error=\"invalid_token\"",
                None => "Bearer",
            };
            Response::builder()
                .status(401)
                .header("www-authenticate", challenge)
                .body(json!({ "error": "invalid_token" }).to_string())
        };
        let mut answer = answer
            .expect("the headers are constants")
            .map(String::into_bytes);
        let json = http::HeaderValue::from_static("application/json");
        answer.headers_mut().insert("content-type", json);
        let mut requests = self.requests.lock().expect("no request panics");
        requests.push(ApiRequest {
            method: asked.method.clone(),
            path: asked.path.clone(),
            headers: asked.headers.clone(),
            bearer,
            body: asked.body.clone(),
            status: answer.status().as_u16(),
        });
        answer
    }
}

/// What an access token is worth; a refresh token is none.
pub(super) fn access(authority: &Program, token: &str) -> Token {
    let mut found: Token = read(authority.ask("token", json!({ "token": token })));
    found.active &= found.kind != "RefreshToken";
    found
}
