//! Who waits, and the servers that run for them.
//!
//! Invariant:
//! - W1 Servers run if and only if somebody waits or a result is to be shown (P4).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use authsome_proto::LoginId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::results::Results;
use super::server::Running;
use super::{Awaited, LoginForm, Submitted, WAIT_MAX};

/// What the servers and their users share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The configured port.
    pub(super) port: u16,
    /// Never held across an await.
    pub(super) state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// One entry a login.
    pub(super) waiting: Vec<Waiting>,
    pub(super) results: Results,
    /// One on the configured port, one on a free port, or both.
    pub(super) servers: Vec<Running>,
    /// Of servers that ended: cancelled once their port is free.
    closing: Vec<CancellationToken>,
}

/// A login that waits for a person.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: LoginId,
    pub(super) form: Arc<LoginForm>,
    pub(super) stage: Stage,
    pub(super) sink: mpsc::Sender<Submitted>,
    pub(super) deadline: Instant,
}

/// What it waits for.
#[derive(Debug)]
pub(super) enum Stage {
    /// A form that is filled in.
    Form {
        /// The last segment of its address.
        path: Box<str>,
        /// The value of its hidden field.
        field: Box<str>,
        /// One came in and is being stored; another one must wait for the outcome.
        is_storing: bool,
    },
    /// An authorization server's answer.
    Callback(Awaited),
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // a panic while it was held leaves whole entries, never half of one
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Lets a login wait, instead of what it may have waited for so far.
    pub(super) fn put(&mut self, waiting: Waiting) {
        self.waiting.retain(|other| other.id != waiting.id);
        self.waiting.push(waiting);
    }

    /// Ends the logins that `is_over` says, and the servers with the last of them.
    pub(super) fn end(&mut self, now: Instant, is_over: impl Fn(&Waiting) -> bool) {
        self.waiting.retain(|waiting| !is_over(waiting));
        self.rest(now);
    }

    /// Ends the servers if there is nothing left for them to do.
    pub(super) fn rest(&mut self, now: Instant) {
        if self.waiting.is_empty() && !self.results.are_awaited(now) {
            for running in self.servers.drain(..) {
                running.stop.cancel();
                self.closing.push(running.closed);
            }
        }
    }

    /// Of a server that ended and still has its port: cancelled once it has not.
    pub(super) fn closing(&mut self) -> Option<CancellationToken> {
        self.closing.retain(|closed| !closed.is_cancelled());
        self.closing.first().cloned()
    }
}

impl Waiting {
    pub(super) fn new(
        id: LoginId,
        form: LoginForm,
        stage: Stage,
        sink: mpsc::Sender<Submitted>,
    ) -> Self {
        Self {
            id,
            form: Arc::new(form),
            stage,
            sink,
            deadline: Instant::now() + WAIT_MAX,
        }
    }

    /// Whether nobody waits any more.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.deadline || self.sink.is_closed()
    }

    /// Whether it shows a form at `path`.
    pub(super) fn has_form(&self, path: &str) -> bool {
        matches!(&self.stage, Stage::Form { path: own, .. } if **own == *path)
    }
}
