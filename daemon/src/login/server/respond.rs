//! One request: judged, handed on, answered.
//!
//! A form's answer waits for its outcome in the connection: if the browser hangs up, the form is
//! still there. A callback's outcome is waited for in a task of its own: the answer was taken, and
//! nobody can send it again.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::super::callback::{self, Answer};
use super::super::fields::{self, Amiss, BodyFault};
use super::super::form::{self, BODY_MAX, Entry, Head, PATH_PREFIX, Reception, Reply};
use super::super::results::{EXCHANGE_MAX, Ending};
use super::super::waiting::{Shared, Stage};
use super::super::{LoginForm, Shown, Submission, Submitted, page};
use super::{Pieces, READ_MAX, Server, to_response};

/// Time for storing what came in. The keyring may ask the person for a password first.
const STORE_MAX: Duration = Duration::from_secs(120);

/// What is left to do for an answer.
enum Next {
    Nothing(Reply),
    Read(Entry),
    HandOver(Answer),
}

pub(super) async fn respond(
    server: &Server,
    request: Request<Incoming>,
    pieces: &Pieces,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let is_head = head.method == Method::HEAD;
    let next = judge(
        server,
        Head {
            method: &head.method,
            uri: &head.uri,
            headers: &head.headers,
        },
    );
    // the code in its address is not kept while it is exchanged
    drop(head);
    let reply = match next {
        Next::Nothing(reply) => reply,
        Next::HandOver(answer) => hand_over(server, answer).await,
        Next::Read(entry) => match timeout(READ_MAX, collect(body, pieces)).await {
            Ok(Some(body)) => match fields::read(&entry.form, &entry.field, &body) {
                Ok(submission) => store(server, &entry, submission).await,
                Err(BodyFault::Foreign) => Reply::new(StatusCode::FORBIDDEN, page::refused()),
                Err(BodyFault::Amiss(amiss)) => {
                    again(StatusCode::UNPROCESSABLE_ENTITY, &entry, &amiss)
                }
            },
            _ => Reply::new(StatusCode::BAD_REQUEST, page::refused()),
        },
    };
    to_response(reply, is_head)
}

fn judge(server: &Server, head: Head<'_>) -> Next {
    let now = Instant::now();
    let mut state = server.shared.lock();
    Next::Nothing(match form::receive(head, &server.own, &state, now) {
        Reception::Reply(reply) => reply,
        Reception::Submission(entry) => return Next::Read(entry),
        Reception::Callback { path, query } => match callback::take(&mut state, path, query, now) {
            Ok(Some(answer)) => return Next::HandOver(answer),
            Ok(None) => {
                tracing::debug!("an answer of an authorization server is for no waiting login");
                Reply::new(StatusCode::BAD_REQUEST, page::foreign())
            }
            Err(error) => {
                tracing::error!(%error, "cannot take an authorization server's answer");
                Reply::new(StatusCode::SERVICE_UNAVAILABLE, page::refused_callback())
            }
        },
        Reception::Result(path) => {
            let taken = state.results.take(path, now);
            state.rest(now);
            match taken {
                Some((form, ending)) => ended(&form, ending),
                None => Reply::new(StatusCode::NOT_FOUND, page::gone()),
            }
        }
    })
}

/// Reads a body into one buffer that is wiped; `None` when the browser hung up.
async fn collect(mut body: Incoming, pieces: &Pieces) -> Option<Zeroizing<Vec<u8>>> {
    // never grows, so it never leaves a copy behind
    let mut whole = Zeroizing::new(Vec::with_capacity(BODY_MAX));
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.ok()?.into_data() else {
            continue;
        };
        let fits = whole.len() + piece.len() <= BODY_MAX;
        if fits {
            whole.extend_from_slice(&piece);
        }
        pieces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(piece);
        if !fits {
            return None;
        }
    }
    Some(whole)
}

/// Hands on what came in, and waits for the outcome.
async fn store(server: &Server, entry: &Entry, submission: Submission) -> Reply {
    let id = match &submission {
        Submission::Client { id, .. } => Some(id.clone()),
        _ => None,
    };
    let amiss = |problem: &str| Amiss {
        id: id.clone(),
        ..Amiss::problem(problem)
    };
    let sink = {
        let mut state = server.shared.lock();
        let waiting = state
            .waiting
            .iter_mut()
            .find(|waiting| waiting.has_form(&entry.path));
        let Some(waiting) = waiting else {
            return Reply::new(StatusCode::GONE, page::gone());
        };
        match &mut waiting.stage {
            Stage::Form { is_storing, .. } if !*is_storing => *is_storing = true,
            _ => return Reply::new(StatusCode::CONFLICT, page::storing()),
        }
        waiting.sink.clone()
    };
    // also when this browser hangs up while it is being stored
    let storing = Storing { server, entry };
    match timeout(STORE_MAX, submit(sink, submission)).await {
        Ok(Some(Ok(shown))) => {
            // a login that waits for a callback by now is not over
            end(server, entry);
            taken(&entry.form, &shown)
        }
        Ok(Some(Err(problem))) => {
            drop(storing);
            again(StatusCode::SERVICE_UNAVAILABLE, entry, &amiss(&problem))
        }
        Ok(None) => {
            end(server, entry);
            Reply::new(StatusCode::GONE, page::gone())
        }
        Err(_) => {
            drop(storing);
            let problem = "There was no answer in time. See your terminal, then try again.";
            again(StatusCode::GATEWAY_TIMEOUT, entry, &amiss(problem))
        }
    }
}

fn end(server: &Server, entry: &Entry) {
    let mut state = server.shared.lock();
    state.end(Instant::now(), |waiting| waiting.has_form(&entry.path));
}

/// Hands on an authorization server's answer, and leads the browser to the result.
async fn hand_over(server: &Server, answer: Answer) -> Reply {
    let Answer {
        callback,
        sink,
        result,
    } = answer;
    let see = Reply::see_other(format!("{PATH_PREFIX}{result}"));
    let shared = Arc::clone(&server.shared);
    let done = server.tasks.spawn(exchange(
        shared,
        result,
        sink,
        Submission::Callback(callback),
    ));
    // a panic has been logged, and the result will be unknown
    drop(done.await);
    see
}

async fn exchange(
    shared: Arc<Shared>,
    result: Box<str>,
    sink: mpsc::Sender<Submitted>,
    submission: Submission,
) {
    let ending = match timeout(EXCHANGE_MAX, submit(sink, submission)).await {
        Ok(Some(Ok(shown))) => Ending::Taken(shown),
        Ok(Some(Err(reason))) => Ending::Failed(reason),
        Ok(None) => Ending::GivenUp,
        Err(_) => Ending::Late,
    };
    shared.lock().results.close(&result, ending, Instant::now());
}

/// Whoever offered the form gets it; what they say, or nothing if they do not wait any more.
async fn submit(
    sink: mpsc::Sender<Submitted>,
    submission: Submission,
) -> Option<Result<Shown, String>> {
    let (answer, outcome) = oneshot::channel();
    let submitted = Submitted { submission, answer };
    sink.send(submitted).await.ok()?;
    outcome.await.ok()
}

/// The form once more.
fn again(status: StatusCode, entry: &Entry, amiss: &Amiss) -> Reply {
    Reply::new(status, page::form(&entry.form, &entry.field, amiss))
}

/// What the browser shows after what was taken from a form.
fn taken(form: &LoginForm, shown: &Shown) -> Reply {
    match shown {
        Shown::Done => Reply::new(StatusCode::OK, page::done(form)),
        Shown::GoOn { url } => lead_on(form, url),
    }
}

fn lead_on(form: &LoginForm, url: &str) -> Reply {
    match page::go_on(form, url) {
        Some(html) => Reply::leading_on(StatusCode::OK, html),
        None => {
            tracing::error!("an authorization server's address is not a plain https one");
            Reply::new(StatusCode::INTERNAL_SERVER_ERROR, page::no_way_on(form))
        }
    }
}

/// What the browser shows after a callback.
fn ended(form: &LoginForm, ending: Ending) -> Reply {
    let html = match ending {
        Ending::Taken(Shown::Done) => page::connected(form),
        Ending::Taken(Shown::GoOn { url }) => return lead_on(form, &url),
        Ending::Failed(reason) => page::failed(form, &reason),
        Ending::GivenUp => page::gone(),
        Ending::Late => page::late(),
    };
    Reply::leading_on(StatusCode::OK, html)
}

/// A login whose form is being stored; lets the next one in when it goes.
struct Storing<'a> {
    server: &'a Server,
    entry: &'a Entry,
}

impl Drop for Storing<'_> {
    fn drop(&mut self) {
        let mut state = self.server.shared.lock();
        for waiting in &mut state.waiting {
            if let Stage::Form {
                path, is_storing, ..
            } = &mut waiting.stage
                && *path == self.entry.path
            {
                *is_storing = false;
            }
        }
    }
}
