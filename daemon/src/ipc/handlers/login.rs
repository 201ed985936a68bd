//! Waiting for a login, with progress.

use std::sync::Arc;
use std::time::{Duration, Instant};

use authsome_proto::{ErrorCode, Event, LoginId, LoginStage, Response, WireError};

use crate::broker::{Broker, LoginState};
use crate::ipc::session::Replies;

/// How often the time left is told while nothing else happens.
const TICK: Duration = Duration::from_secs(1);

/// Waits until the login is over. When the process that began it stops waiting, the login is given
/// up: whoever pressed Ctrl-C does not want the page to stay open. Others only look on.
pub(super) async fn wait(
    broker: &Arc<Broker>,
    login: LoginId,
    pid: u32,
    replies: &Replies,
) -> Result<Response, WireError> {
    let (mut states, deadline) = broker.watch_login(&login)?;
    let mut guard = GiveUp {
        broker,
        login: Some(login.clone()),
        pid,
    };
    let mut is_news = true;
    loop {
        let state = states.borrow_and_update().clone();
        if let LoginState::Ended(result) = state {
            guard.login = None;
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

struct GiveUp<'a> {
    broker: &'a Broker,
    login: Option<LoginId>,
    pid: u32,
}

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        if let Some(login) = self.login.take() {
            self.broker.cancel_own_login(&login, self.pid);
        }
    }
}
