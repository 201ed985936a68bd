//! The audit log: its last lines, following it, checking its chain.

use authsome_proto::frame::FRAME_MAX;
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
    let lines = audit::tail(&broker.places.home.join("audit"), count, &filter(query))
        .map_err(|error| storage("read the audit log", &error))?;
    Ok(newest_that_fit(lines, FRAME_MAX - 1024))
}

/// The last lines that fit an answer of `room` bytes in either encoding: a child chooses how long
/// its paths are, and must not make the log unreadable.
fn newest_that_fit(mut lines: Vec<String>, mut room: usize) -> Vec<String> {
    let fitting = lines
        .iter()
        .rev()
        .take_while(|line| {
            let escaped = line.bytes().filter(|b| matches!(b, b'"' | b'\\')).count();
            // quotes and comma, or a length
            let left = room.checked_sub(line.len() + escaped + 5);
            room = left.unwrap_or(0);
            left.is_some()
        })
        .count();
    lines.drain(..lines.len() - fitting);
    lines
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

#[cfg(test)]
mod tests {
    use super::newest_that_fit;

    #[test]
    fn of_too_many_lines_the_newest_are_kept() {
        let lines: Vec<String> = ["old \"\"", "new \"\"", "newest"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(newest_that_fit(lines.clone(), 1000), lines);
        // 6 + 2 + 5 and 6 + 5 bytes
        assert_eq!(newest_that_fit(lines.clone(), 24), lines[1..]);
        assert_eq!(newest_that_fit(lines.clone(), 23), lines[2..]);
        assert!(newest_that_fit(lines, 10).is_empty());
    }
}
