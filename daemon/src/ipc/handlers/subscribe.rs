//! All events, until the client cancels.

use std::sync::Arc;

use authsome_proto::{Event, Response, WireError};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::broker::Broker;
use crate::ipc::session::Replies;

pub(super) async fn all(broker: &Broker, replies: &Replies) -> Result<Response, WireError> {
    let mut events = broker.events.subscribe();
    // the log's lines are sent only to who asks: nothing of them is copied while nobody listens;
    // with the vault shut there is no log yet, and the rest is worth hearing all the same
    let mut lines: Option<Receiver<Arc<str>>> = broker
        .audit()
        .await
        .ok()
        .map(crate::audit::Audit::subscribe);
    loop {
        let heard = tokio::select! {
            event = events.recv() => event,
            line = next(lines.as_mut()) => line.map(|line| Event::Audit { line: line.to_string() }),
            () = replies.cancelled.cancelled() => return Ok(Response::Done),
            () = broker.shutdown.cancelled() => return Ok(Response::Done),
        };
        let event = match heard {
            Ok(event) => event,
            Err(RecvError::Lagged(count)) => Event::Missed { count },
            Err(RecvError::Closed) => return Ok(Response::Done),
        };
        if !replies.event(event).await {
            return Ok(Response::Done);
        }
    }
}

async fn next(lines: Option<&mut Receiver<Arc<str>>>) -> Result<Arc<str>, RecvError> {
    match lines {
        Some(lines) => lines.recv().await,
        None => std::future::pending().await,
    }
}
