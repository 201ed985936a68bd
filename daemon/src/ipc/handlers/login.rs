//! Waiting for a login, with progress.

use std::sync::Arc;
use std::time::{Duration, Instant};

use authsome_proto::{ErrorCode, Event, LoginId, LoginStage, Request, Response, WireError};

use crate::broker::{Broker, LoginState};
use crate::ipc::session::Replies;

/// How often the time left is told while nothing else happens.
const TICK: Duration = Duration::from_secs(1);

/// Waits until the login is over; `gives_up` ends it if the wait ends before that.
pub(super) async fn wait(
    broker: &Arc<Broker>,
    login: LoginId,
    gives_up: Option<GiveUp>,
    replies: &Replies,
) -> Result<Response, WireError> {
    let (mut states, deadline) = broker.watch_login(&login)?;
    let mut is_news = true;
    loop {
        let state = states.borrow_and_update().clone();
        if let LoginState::Ended(result) = state {
            gives_up.into_iter().for_each(GiveUp::keep);
            return *result;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let waiting = LoginStage::Waiting {
            seconds_left: left.as_secs(),
        };
        for stage in state
            .stage()
            .filter(|_| is_news)
            .into_iter()
            .chain([waiting])
        {
            let event = Event::LoginProgress {
                login: login.clone(),
                stage,
            };
            if !replies.event(event).await {
                return Err(WireError::new(ErrorCode::Cancelled, "the client has gone"));
            }
        }
        is_news = false;
        tokio::select! {
            changed = states.changed() => match changed {
                Ok(()) => is_news = true,
                Err(_) => return Err(WireError::new(ErrorCode::LoginExpired, "the login is over")),
            },
            () = tokio::time::sleep(TICK) => {}
            () = replies.cancelled.cancelled() => {
                return Err(WireError::new(ErrorCode::Cancelled, "the wait was cancelled"));
            }
        }
    }
}

/// Gives a login up when the process that began it stops waiting: whoever pressed Ctrl-C does not
/// want the page to stay open. Others only look on.
///
/// It is there from the moment that the request was read: a client that asks and ends at once may
/// be gone before anything was done for it.
#[derive(Debug)]
pub struct GiveUp {
    broker: Arc<Broker>,
    login: Option<LoginId>,
    pid: u32,
}

impl GiveUp {
    /// For a request of the process `pid`, if it is one that waits for a login.
    pub fn of(request: &Request, broker: &Arc<Broker>, pid: u32) -> Option<Self> {
        let Request::LoginWait { login } = request else {
            return None;
        };
        Some(Self {
            broker: Arc::clone(broker),
            login: Some(login.clone()),
            pid,
        })
    }

    /// The wait came to its end.
    fn keep(mut self) {
        self.login = None;
    }
}

impl Drop for GiveUp {
    fn drop(&mut self) {
        if let Some(login) = self.login.take() {
            self.broker.cancel_own_login(&login, self.pid);
        }
    }
}
