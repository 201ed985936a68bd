//! The audit log: its last lines, following it, checking its chain.

use authsome_proto::request::LogQuery;
use authsome_proto::response::LogVerified;
use authsome_proto::{ErrorCode, Event, Response, WireError};
use tokio::sync::broadcast::error::RecvError;

use crate::audit::{self, Filter};
use crate::broker::Broker;
use crate::errors::{Explain, storage};
use crate::ipc::session::Replies;

/// Lines of one answer: it must fit a frame.
const LINES_MAX: u32 = 2_000;

pub(super) fn lines(broker: &Broker, query: &LogQuery) -> Result<Vec<String>, WireError> {
    let count = usize::try_from(query.lines.min(LINES_MAX)).unwrap_or(0);
    audit::tail(&broker.places.home.join("audit"), count, &filter(query))
        .map_err(|error| storage("read the audit log", &error))
}

pub(super) async fn follow(
    broker: &Broker,
    query: &LogQuery,
    replies: &Replies,
) -> Result<Response, WireError> {
    let mut lines = broker.audit().await?.subscribe();
    let filter = filter(query);
    for line in self::lines(broker, query)? {
        if !replies.event(Event::Audit { line }).await {
            return Ok(Response::Done);
        }
    }
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            () = replies.cancelled.cancelled() => return Ok(Response::Done),
            () = broker.shutdown.cancelled() => return Ok(Response::Done),
        };
        let event = match line {
            Ok(line) if filter.matches(&line) => Event::Audit {
                line: line.to_string(),
            },
            Ok(_) => continue,
            Err(RecvError::Lagged(count)) => Event::Missed { count },
            Err(RecvError::Closed) => return Ok(Response::Done),
        };
        if !replies.event(event).await {
            return Ok(Response::Done);
        }
    }
}

pub(super) async fn verify(broker: &Broker) -> Result<LogVerified, WireError> {
    let secret = broker
        .vault
        .install_secret()
        .await
        .map_err(|error| error.explain("open the vault"))?;
    // what is not on the disk yet is not part of the check
    drop(broker.audit().await?.flush().await);
    let dir = broker.places.home.join("audit");
    let key = audit::AuditKey::derive((*secret).as_ref());
    let checked = tokio::task::spawn_blocking(move || audit::verify(&dir, &key))
        .await
        .map_err(|error| {
            WireError::new(ErrorCode::Internal, "the check broke off").because(&error)
        })?;
    let checked = checked.map_err(|error| storage("read the audit log", &error))?;
    Ok(match checked {
        Ok(verified) => LogVerified {
            files: u32::try_from(verified.files).unwrap_or(u32::MAX),
            records: verified.records,
            broken: None,
            notes: notes(&verified),
        },
        Err(changed) => LogVerified {
            files: 0,
            records: 0,
            broken: Some(changed.to_string()),
            notes: Vec::new(),
        },
    })
}

fn notes(verified: &audit::Verified) -> Vec<String> {
    let mut notes = Vec::new();
    if verified.pruned > 0 {
        notes.push(format!(
            "{} older files were deleted to make room",
            verified.pruned
        ));
    }
    if verified.unfinished {
        notes.push("the last line is unfinished: it is being written".into());
    }
    notes
}

fn filter(query: &LogQuery) -> Filter {
    Filter {
        provider: query.provider.clone(),
        run: query.run.clone(),
        event: None,
    }
}
