//! All events, until the client cancels.

use authsome_proto::{Event, Response, WireError};
use tokio::sync::broadcast::error::RecvError;

use crate::broker::Broker;
use crate::ipc::session::Replies;

pub(super) async fn all(broker: &Broker, replies: &Replies) -> Result<Response, WireError> {
    let mut events = broker.events.subscribe();
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = replies.cancelled.cancelled() => return Ok(Response::Done),
            () = broker.shutdown.cancelled() => return Ok(Response::Done),
        };
        let event = match event {
            Ok(event) => event,
            Err(RecvError::Lagged(count)) => Event::Missed { count },
            Err(RecvError::Closed) => return Ok(Response::Done),
        };
        if !replies.event(event).await {
            return Ok(Response::Done);
        }
    }
}
