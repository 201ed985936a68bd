//! What the proxy tells the audit log, and when.
//!
//! Invariant (design 3.6): the record of an injection is with the writer before the request
//! leaves; if it cannot be taken, the request does not leave.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;

use super::link::Link;
use super::{Credential, RunView};
use crate::audit::{Audit, Event, Record};
use crate::routing::RefuseCode;

/// Which request a record is about.
pub(super) struct Subject<'a> {
    pub(super) method: &'a str,
    /// Without the query.
    pub(super) path: &'a str,
}

/// Records that `credential` is about to leave. Waits while the writer is behind.
pub(super) async fn inject(
    link: &Link,
    credential: &Credential,
    request: u64,
    subject: &Subject<'_>,
) -> Result<(), RefuseCode> {
    let audit = link.state.audit.get().ok_or(RefuseCode::AuditFailing)?;
    let time = Timestamp::now();
    credential.used.store(time.as_second(), Ordering::Relaxed);
    let record = Record {
        time,
        provider: Some(credential.provider.clone()),
        connection: Some(credential.connection.clone()),
        request: Some(request),
        method: Some(subject.method.into()),
        host: Some(link.host_text.clone()),
        path: Some(subject.path.into()),
        ..of_run(&link.run, Event::Inject)
    };
    audit.record(record).await.map_err(|error| {
        tracing::warn!(%error, "no credential is injected");
        RefuseCode::AuditFailing
    })?;
    link.run.injected.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Records that a request to an intercepted host went through without a credential.
pub(super) fn pass(link: &Link, request: u64, subject: &Subject<'_>) {
    let record = Record {
        request: Some(request),
        method: Some(subject.method.into()),
        host: Some(link.host_text.clone()),
        path: Some(subject.path.into()),
        ..of_run(&link.run, Event::Pass)
    };
    tell(link.state.audit.get(), record);
}

/// Records the end of an answer.
pub(super) fn done(link: &Link, request: u64, status: u16, bytes: u64, duration: Duration) {
    let record = Record {
        run: Some(link.run.id.clone()),
        request: Some(request),
        status: Some(status),
        bytes: Some(bytes),
        duration: Some(duration),
        ..Record::new(Event::Done)
    };
    tell(link.state.audit.get(), record);
}

/// Records a refusal on its way to the child.
pub(super) fn refuse(
    audit: Option<&Audit>,
    run: &RunView,
    host: &str,
    subject: &Subject<'_>,
    code: RefuseCode,
) {
    run.refused.fetch_add(1, Ordering::Relaxed);
    let record = Record {
        method: Some(subject.method.into()),
        host: Some(host.into()),
        path: Some(subject.path.into()),
        code: Some(code.code()),
        status: Some(code.status().as_u16()),
        ..of_run(run, Event::Refuse)
    };
    tell(audit, record);
}

fn of_run(run: &RunView, event: Event) -> Record {
    Record {
        run: Some(run.id.clone()),
        pid: Some(run.pid),
        program: Some(run.program.clone()),
        ..Record::new(event)
    }
}

/// For records that nothing waits for: a full queue loses them rather than hold an answer up.
fn tell(audit: Option<&Audit>, record: Record) {
    if let Some(audit) = audit
        && audit.try_record(record).is_err()
    {
        tracing::debug!("an audit record was dropped: the writer is behind");
    }
}
