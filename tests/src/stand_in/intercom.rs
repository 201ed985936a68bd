//! Intercom in miniature: two APIs with a key each on one host, and the host of its event streams.
//!
//! | request | answer |
//! | --- | --- |
//! | `POST /fin/start`, `/fin/reply`, `/fin/csat` | 200, for the Fin key alone |
//! | `POST` anything else below `/fin/` | 404, for the Fin key alone |
//! | `/echo?as=header`, `body`, `base64`, `pieces` | the `Authorization` header, for the REST key alone |
//! | `/contacts`, `/fin_voice/register`, anything else | 200, for the REST key alone |
//! | `/event-stream?accessToken=…` at [`EVENTS_HOST`] | what the test has [`Intercom::emit`] say |
//!
//! A wrong key is a 401, a body without `conversation_id` a 400. Some ids do something else:
//!
//! | `conversation_id` | answer |
//! | --- | --- |
//! | `partial` | 200 with `errors` |
//! | `limited` | 429 |
//! | `slow` | the answer, once the test has called [`Intercom::release`] |
//! | `moved` | 302 to [`ELSEWHERE`] |
//! | `cut-before`, `cut-within` | none, or the first half of one |

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::answers::{error_list, json_with, limited, parameter, unauthorized, with_type};
use super::body::Answer;
use super::{Options, StandIn};
use crate::canary::Canary;
use crate::wait::wait_until;

/// The regional hosts of both APIs.
pub const API_HOSTS: [&str; 3] = [
    "api.intercom.io",
    "api.eu.intercom.io",
    "api.au.intercom.io",
];

/// The host of the event streams. It takes an access token in the query, and no key.
pub const EVENTS_HOST: &str = "primary-realtime.intercom-messenger.com";

/// Where `moved` leads to.
pub const ELSEWHERE: &str = "https://app.intercom.com/fin/start";

/// Limit, remaining requests, and the time when they are counted anew, as Intercom names them.
pub const RATE_HEADERS: [(&str, &str); 3] = [
    ("x-ratelimit-limit", "1667"),
    ("x-ratelimit-remaining", "1641"),
    ("x-ratelimit-reset", "1893456010"),
];

/// What the stand-in knows, shared with the test.
#[derive(Debug)]
pub struct Intercom {
    keys: Mutex<Keys>,
    access_token: Canary,
    bodies: Mutex<Vec<Bytes>>,
    subscribers: Mutex<Vec<UnboundedSender<Bytes>>>,
    released: Semaphore,
}

#[derive(Debug, Clone)]
struct Keys {
    fin: Canary,
    rest: Canary,
}

impl Intercom {
    /// Starts it under [`API_HOSTS`] and [`EVENTS_HOST`], offering these protocols by ALPN.
    pub fn start(fin: &Canary, rest: &Canary, protocols: &[&'static str]) -> (StandIn, Arc<Self>) {
        let intercom = Arc::new(Self {
            keys: Mutex::new(Keys {
                fin: fin.clone(),
                rest: rest.clone(),
            }),
            // the shape of a JSON Web Token, which survives in a query as it is
            access_token: Canary::alphanumeric("eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJmaW4ifQ."),
            bodies: Mutex::new(Vec::new()),
            subscribers: Mutex::new(Vec::new()),
            released: Semaphore::new(0),
        });
        let server = StandIn::with(Options {
            names: API_HOSTS
                .iter()
                .chain([&EVENTS_HOST])
                .map(|name| (*name).to_owned())
                .collect(),
            protocols: protocols.to_vec(),
            intercom: Some(Arc::clone(&intercom)),
            ..Options::default()
        });
        (server, intercom)
    }

    /// The token in every `sse_subscription_url`.
    pub fn access_token(&self) -> Canary {
        self.access_token.clone()
    }

    /// From now on the Fin key is this one, and the old one answers 401.
    pub fn regenerate(&self, fin: &Canary) {
        self.lock_keys().fin = fin.clone();
    }

    /// The bodies of all requests to the APIs, in order of their ends.
    pub fn bodies(&self) -> Vec<Bytes> {
        self.bodies.lock().expect("no connection panics").clone()
    }

    /// Says one event to everybody who is subscribed.
    pub fn emit(&self, event: &Value) {
        let name = event["event_name"].as_str().unwrap_or("message");
        let text = Bytes::from(format!("event: {name}\ndata: {event}\n\n"));
        // who has hung up is told nothing
        self.lock_subscribers()
            .retain(|subscriber| subscriber.send(text.clone()).is_ok());
    }

    /// Waits until so many event streams are open.
    #[track_caller]
    pub fn wait_for_subscribers(&self, count: usize) {
        wait_until(
            "an event stream to be open",
            Duration::from_secs(20),
            || self.lock_subscribers().len() == count,
        );
    }

    /// Ends every event stream.
    pub fn close(&self) {
        self.lock_subscribers().clear();
    }

    /// Lets one request of the conversation `slow` be answered.
    pub fn release(&self) {
        self.released.add_permits(1);
    }

    fn lock_keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().expect("no connection panics")
    }

    fn lock_subscribers(&self) -> MutexGuard<'_, Vec<UnboundedSender<Bytes>>> {
        self.subscribers.lock().expect("no connection panics")
    }

    /// Answers; an error cuts the connection (HTTP/2: the stream).
    pub(super) async fn answer(
        &self,
        mut request: Request<Incoming>,
        body_len: &AtomicU64,
    ) -> io::Result<Response<Answer>> {
        if host_of(&request) == EVENTS_HOST {
            return Ok(self.subscribe(&request));
        }
        let body = read(request.body_mut(), body_len).await;
        self.bodies
            .lock()
            .expect("no connection panics")
            .push(body.clone());
        let fin = request.uri().path().starts_with("/fin/");
        let keys = self.lock_keys().clone();
        let key = if fin { keys.fin } else { keys.rest };
        if !carries(&request, key.secret()) {
            return Ok(unauthorized());
        }
        let mut answer = if fin {
            self.fin(&request, &body).await?
        } else {
            rest(&request)
        };
        if answer.status() != StatusCode::TOO_MANY_REQUESTS {
            for (name, value) in RATE_HEADERS {
                let value = HeaderValue::from_static(value);
                answer.headers_mut().insert(name, value);
            }
        }
        Ok(answer)
    }

    async fn fin(&self, request: &Request<Incoming>, body: &[u8]) -> io::Result<Response<Answer>> {
        let path = request.uri().path();
        if request.method() != http::Method::POST
            || !["/fin/start", "/fin/reply", "/fin/csat"].contains(&path)
        {
            return Ok(not_found());
        }
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let Some(conversation) = asked["conversation_id"].as_str() else {
            return Ok(json_with(
                StatusCode::BAD_REQUEST,
                &error_list("parameter_invalid", "conversation_id is required"),
            ));
        };
        if path == "/fin/csat" {
            return Ok(csat(&asked));
        }
        let mut told = json!({
            "conversation_id": conversation,
            "user_id": asked["user"]["id"],
            "status": "thinking",
            "created_at_ms": "2025-01-24T10:00:00.123Z",
            "sse_subscription_url": self.subscription(conversation, path == "/fin/start"),
        });
        match conversation {
            "partial" => {
                told["errors"] = json!({ "user": { "attributes": { "plan": "unknown" } } });
            }
            "limited" => return Ok(limited()),
            "slow" => {
                let permit = self.released.acquire().await.map_err(io::Error::other)?;
                permit.forget();
            }
            "moved" => {
                return Ok(Response::builder()
                    .status(StatusCode::FOUND)
                    .header(header::LOCATION, ELSEWHERE)
                    .body(Answer::Whole(None))
                    .expect("the headers are constants"));
            }
            "cut-before" => return Err(io::Error::other("cut on purpose")),
            "cut-within" => {
                let half = Answer::cut_after("{\"conversation_id\":");
                return Ok(with_type("application/json", half));
            }
            _ => {}
        }
        Ok(json_with(StatusCode::OK, &told))
    }

    fn subscription(&self, conversation: &str, rewind: bool) -> String {
        let token = self.access_token.secret();
        let rewind = if rewind { "&rewind=2m" } else { "" };
        format!(
            "https://{EVENTS_HOST}/event-stream?channels=fin_agent_api:abc_123:{conversation}\
             &accessToken={token}{rewind}"
        )
    }

    fn subscribe(&self, request: &Request<Incoming>) -> Response<Answer> {
        let query = request.uri().query().unwrap_or_default();
        if request.uri().path() != "/event-stream" {
            return not_found();
        }
        if parameter(query, "accessToken") != Some(self.access_token.secret()) {
            return unauthorized();
        }
        let (say, said) = unbounded_channel();
        self.lock_subscribers().push(say);
        with_type("text/event-stream", Answer::Fed(said))
    }
}

fn rest(request: &Request<Incoming>) -> Response<Answer> {
    match request.uri().path() {
        "/contacts" => json_with(
            StatusCode::OK,
            &json!({ "type": "list", "data": [], "total_count": 0 }),
        ),
        "/echo" => echo(request),
        path => json_with(StatusCode::OK, &json!({ "path": path })),
    }
}

/// What a careless server does with the key: it gives it back.
fn echo(request: &Request<Incoming>) -> Response<Answer> {
    let given = &request.headers()[header::AUTHORIZATION];
    let text = given.to_str().expect("the key is text");
    match parameter(request.uri().query().unwrap_or_default(), "as") {
        Some("header") => {
            let mut answer = with_type("text/plain", Answer::Whole(None));
            answer.headers_mut().insert("x-echo", given.clone());
            answer
        }
        Some("base64") => with_type("text/plain", Answer::whole(STANDARD.encode(text))),
        Some("pieces") => {
            let (say, said) = unbounded_channel();
            for byte in text.bytes() {
                say.send(Bytes::copy_from_slice(&[byte]))
                    .expect("the other end is held below");
            }
            with_type("text/plain", Answer::Fed(said))
        }
        _ => with_type("text/plain", Answer::whole(text.to_owned())),
    }
}

fn csat(asked: &Value) -> Response<Answer> {
    if asked["rating"].is_null() {
        let errors = json!({ "errors": { "rating": ["is required"] } });
        return json_with(StatusCode::UNPROCESSABLE_ENTITY, &errors);
    }
    json_with(
        StatusCode::OK,
        &json!({ "conversation_id": asked["conversation_id"] }),
    )
}

fn not_found() -> Response<Answer> {
    json_with(
        StatusCode::NOT_FOUND,
        &error_list("not_found", "Resource Not Found"),
    )
}

fn host_of(request: &Request<Incoming>) -> &str {
    let named = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default(),
    };
    named.split(':').next().unwrap_or_default()
}

/// Whether the request has one `Authorization`, and that is `key`.
fn carries(request: &Request<Incoming>, key: &str) -> bool {
    let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
    let given = values.next().and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer "));
    given == Some(key) && values.next().is_none()
}

/// Reads a body whole, counting as it comes.
async fn read(body: &mut Incoming, count: &AtomicU64) -> Bytes {
    let mut all = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(data) = frame.data_ref() {
            all.extend_from_slice(data);
            count.fetch_add(data.len() as u64, std::sync::atomic::Ordering::Relaxed);
        }
    }
    all.into()
}
