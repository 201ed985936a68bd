//! `mcp`: a server of the Model Context Protocol on standard input and output, for agents.
//!
//! 1. A line comes in ([`line`]), is read as JSON-RPC ([`message`]) and judged by the protocol's
//!    rules ([`session`]): pure.
//! 2. What can be answered at once is. A tool's call gets a thread ([`work`]), so that one which
//!    waits for a person holds up no other; [`flight`] knows who waits for what.
//! 3. The end of the input ends us with exit code 0, after what is under way was answered. Logins
//!    that still wait are given up by the daemon, which sees us go.
//!
//! Standard output carries nothing but messages. No tool takes or gives a secret ([`tools`]).

mod answers;
mod flight;
mod line;
mod logins;
mod message;
mod refusals;
mod revision;
mod session;
mod standing;
mod tools;
mod work;

use std::io::{self, IsTerminal as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use flight::{Batch, Flight, Full, To};
use line::Line;
use logins::Logins;
use message::{
    INTERNAL_ERROR, INVALID_REQUEST, Id, Malformed, Message, Parsed, RpcError, response,
    response_to_nobody,
};
use revision::Revision;
use serde_json::{Map, Value, json};
use session::{Called, Reaction, Session};
use work::Work;

use crate::error::{Done, Failure};
use crate::ui::Ui;

/// How long what is under way may take when the client has closed its end. Clients kill a server that
/// does not end within a few seconds.
const CLOSING_PATIENCE: Duration = Duration::from_secs(2);

/// A server at work.
#[derive(Debug)]
struct Server {
    flight: Flight,
    logins: Logins,
    ui: Ui,
}

/// Serves until the input ends.
pub(super) fn mcp(ui: Ui) -> Done {
    let mut input = io::stdin().lock();
    if input.is_terminal() {
        ui.note(
            "this is for agents: it speaks the Model Context Protocol on standard input and output; \
             `authsome mcp --help` shows how to configure it. Ctrl-D ends it",
        );
    }
    let wire = ui.wire();
    let server = Arc::new(Server {
        flight: Flight::new(move |line| wire.send(line)),
        logins: Logins::default(),
        ui,
    });
    let mut session = Session::default();
    loop {
        match line::next(&mut input) {
            Ok(Line::Text(text)) => server.take(&mut session, message::parse(&text)),
            Ok(Line::TooLong) => {
                let error = RpcError::new(
                    INVALID_REQUEST,
                    format!("the message is longer than {} bytes", line::LINE_MAX),
                );
                server
                    .flight
                    .write(&response_to_nobody(error, session.has_null_ids()));
            }
            Ok(Line::End) => break,
            Err(error) => {
                return Err(Failure::failed("cannot read standard input").because(&error));
            }
        }
        if server.flight.is_broken() {
            break;
        }
    }
    server.flight.close(CLOSING_PATIENCE, listened);
    if server.flight.is_broken() {
        // whoever read us has gone: there is nobody to tell
        return Err(Failure::said(1));
    }
    Ok(())
}

impl Server {
    fn take(self: &Arc<Self>, session: &mut Session, parsed: Parsed) {
        match parsed {
            Parsed::One(message) => self.one(session, message, &To::Line),
            Parsed::Batch(messages) if session.has_batches() => {
                let batch = To::Batch(Batch::of(messages.len()));
                for message in messages {
                    self.one(session, message, &batch);
                }
            }
            Parsed::Batch(_) => {
                let error = RpcError::new(INVALID_REQUEST, "this revision has no batches");
                let null = session.has_null_ids();
                self.flight.write(&response_to_nobody(error, null));
            }
        }
    }

    /// Sees to a message. Whatever it is, `to` is settled once.
    fn one(self: &Arc<Self>, session: &mut Session, message: Result<Message, Malformed>, to: &To) {
        let message = match message {
            Ok(message) => message,
            Err(malformed) => {
                let (id, error) = session::complaint(malformed);
                let answer = match id {
                    Some(id) => response(&id, Err(error)),
                    None => response_to_nobody(error, session.has_null_ids()),
                };
                return self.flight.settle(to, Some(answer));
            }
        };
        let id = match &message {
            Message::Request { id, .. } => Some(id.clone()),
            Message::Notification { .. } | Message::Response { .. } => None,
        };
        let in_batch = matches!(to, To::Batch(_));
        let reaction = session.take(message, in_batch);
        match (reaction, id) {
            (Reaction::Answer(outcome), Some(id)) => {
                self.flight.settle(to, Some(response(&id, outcome)));
            }
            (Reaction::Call(called), Some(id)) => self.call(&id, *called, to),
            (Reaction::Listen, Some(id)) => self.listen(&id, to),
            (Reaction::Cancel(cancelled), _) => {
                self.flight.cancel(&cancelled);
                self.flight.settle(to, None);
            }
            (Reaction::Heard(question, answer), _) => {
                self.flight.hear(&question, answer);
                self.flight.settle(to, None);
            }
            (Reaction::Nothing | Reaction::Answer(_) | Reaction::Call(_) | Reaction::Listen, _) => {
                self.flight.settle(to, None);
            }
        }
    }

    fn call(self: &Arc<Self>, id: &Id, mut called: Called, to: &To) {
        let revision = called.revision;
        let progress = called.progress.take();
        let wanted = match self.flight.begin(id, to.clone(), progress, false) {
            Ok(wanted) => wanted,
            Err(full) => return self.refuse(id, full, to),
        };
        let server = Arc::clone(self);
        let named = id.clone();
        let begun = std::thread::Builder::new()
            .name("call".into())
            .spawn(move || {
                let work = Work {
                    flight: &server.flight,
                    logins: &server.logins,
                    id: &named,
                    wanted: &wanted,
                    ui: server.ui,
                };
                let done = catch_unwind(AssertUnwindSafe(|| work.done(&called)));
                let outcome = match done {
                    Ok(outcome) => Ok(outcome.result(revision)),
                    Err(_) => Err(RpcError::new(INTERNAL_ERROR, "a defect of authsome")),
                };
                server.flight.answer(&named, &wanted, outcome);
            });
        if let Err(error) = begun {
            let why = answers::Outcome::of(&Failure::failed("cannot begin").because(&error));
            // whoever takes the entry away answers; that is us, for no thread will
            if let Some(wanted) = self.flight.wanted(id) {
                self.flight.answer(id, &wanted, Ok(why.result(revision)));
            }
        }
    }

    /// Keeps a subscription open. Nothing that it could be told ever happens: the tools stay the same
    /// as long as we live.
    fn listen(&self, id: &Id, to: &To) {
        match self.flight.begin(id, to.clone(), None, true) {
            Ok(_) => self.flight.notify(
                "notifications/subscriptions/acknowledged",
                &json!({ "_meta": subscription(id), "notifications": {} }),
            ),
            Err(full) => self.refuse(id, full, to),
        }
    }

    fn refuse(&self, id: &Id, full: Full, to: &To) {
        let error = match full {
            Full::IdInUse => RpcError::new(INVALID_REQUEST, "a request of that id is in flight"),
            Full::TooMany => RpcError::new(INTERNAL_ERROR, "too many requests are in flight"),
        };
        self.flight.settle(to, Some(response(id, Err(error))));
    }
}

/// What a subscription is answered when we end.
fn listened(id: &Id) -> Value {
    let mut result = Map::new();
    result.insert("_meta".into(), subscription(id));
    Revision::V2026_07_28.result(result)
}

fn subscription(id: &Id) -> Value {
    json!({ "io.modelcontextprotocol/subscriptionId": id.to_json() })
}
