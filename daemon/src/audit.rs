//! The audit log: one line per login, reveal, injection and refusal, and never a secret.
//!
//! A record goes through a bounded queue to one thread ([`writer`]), which seals it into a chain of
//! MACs ([`chain`]) and writes it to `home/audit/audit-NUMBER.jsonl` ([`journal`], [`disk`]).
//! [`verify`] checks the chain, [`tail`] reads the newest lines ([`read`]).
//!
//! Invariants:
//! - A1 [`Audit::record`] returns only once the record is with the writer; the proxy sends a request
//!   on only after that. A full queue makes it wait, a failing disk makes it an error.
//! - A2 [`Audit::record_durable`] returns only once the record survives a power cut. Logins, reveals
//!   and exports use it.
//! - A3 Anything older than 50 ms survives a power cut, and whatever is lost, the chain still
//!   verifies.
//!
//! On failure: every record is refused with [`AuditError::Write`] until the disk works again, so
//! nothing is injected meanwhile. Records taken before are kept and written then.
//! Not here: the daemon's own log, which is for debugging and promises nothing (`logging`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{broadcast, mpsc, oneshot};

use crate::files;

mod chain;
mod disk;
mod journal;
mod read;
mod record;
mod writer;

pub use chain::{AuditKey, LineFault};
pub use read::{Break, BreakReason, Broken, Filter, ReadError, Verified, tail, verify};
pub use record::{Event, LINE_MAX, Record};

use disk::{Disk, Folder};
use journal::{Journal, Limits};
use writer::{Message, QUEUE_LEN, Shared};

/// Lines a follower may be behind before it misses some (it is told how many).
const FOLLOW_LEN: usize = 1024;

/// Why something is not on record.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    /// The folder of the log cannot be used.
    #[error("cannot use the folder of the audit log")]
    Folder(#[source] Arc<files::DirError>),
    /// The log cannot be opened.
    #[error("cannot open the audit log in `{}`", path.display())]
    Open {
        /// Its folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The writer is gone; only while the daemon ends.
    #[error("the audit log is closed")]
    Closed,
    /// The disk does not take records.
    #[error("the audit log cannot be written")]
    Write(#[source] Arc<io::Error>),
}

/// Why [`Audit::try_record`] did not take a record.
#[derive(Debug)]
pub enum TryRecordError {
    /// The log takes nothing now.
    Failed(AuditError),
    /// The queue is full: here it is back, to be given to [`Audit::record`].
    Full(Box<Record>),
}

/// A handle to the log; cheap to clone. When the last one goes, all is written and synced.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    /// `None` only while dropping.
    queue: Option<mpsc::Sender<Message>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

impl Audit {
    /// Opens the log in `dir` (made 0700) and continues its chain. What a crash or somebody else
    /// left wrong there is put on record and does not keep it from opening.
    pub fn open(dir: &Path, key: &AuditKey) -> Result<Self, AuditError> {
        files::create_private_dir(dir).map_err(|error| AuditError::Folder(Arc::new(error)))?;
        Self::open_on(Folder::new(dir), key, Limits::default()).map_err(|source| AuditError::Open {
            path: dir.into(),
            source: Arc::new(source),
        })
    }

    fn open_on<D>(disk: D, key: &AuditKey, limits: Limits) -> io::Result<Self>
    where
        D: Disk + Send + 'static,
    {
        let journal = Journal::open(disk, key, limits)?;
        let (queue, receiver) = mpsc::channel(QUEUE_LEN);
        let shared = Arc::new(Shared::new(broadcast::Sender::new(FOLLOW_LEN)));
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || writer::run(journal, receiver, &theirs))?;
        Ok(Self(Arc::new(Inner {
            queue: Some(queue),
            thread: Some(thread),
            shared,
        })))
    }

    /// Puts `record` on record, once the queue has room (A1).
    pub async fn record(&self, record: Record) -> Result<(), AuditError> {
        match self.try_record(record) {
            Ok(()) => Ok(()),
            Err(TryRecordError::Failed(error)) => Err(error),
            Err(TryRecordError::Full(record)) => {
                self.send(Message {
                    record: Some(*record),
                    done: None,
                })
                .await?;
                // the disk may have begun to fail while this waited
                self.0.shared.failure().map_or(Ok(()), Err)
            }
        }
    }

    /// Puts `record` on record if the queue has room now.
    pub fn try_record(&self, record: Record) -> Result<(), TryRecordError> {
        if let Some(error) = self.0.shared.failure() {
            return Err(TryRecordError::Failed(error));
        }
        let Some(queue) = &self.0.queue else {
            return Err(TryRecordError::Failed(AuditError::Closed));
        };
        match queue.try_send(Message {
            record: Some(record),
            done: None,
        }) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                Err(TryRecordError::Failed(AuditError::Closed))
            }
            Err(mpsc::error::TrySendError::Full(message)) => match message.record {
                Some(record) => Err(TryRecordError::Full(Box::new(record))),
                None => Ok(()),
            },
        }
    }

    /// Puts `record` on record and returns when it survives a power cut (A2).
    ///
    /// After an error the record may still be written later, once the disk works again: it then
    /// tells of something that was refused.
    pub async fn record_durable(&self, record: Record) -> Result<(), AuditError> {
        if let Some(error) = self.0.shared.failure() {
            return Err(error);
        }
        self.ask(Some(record)).await
    }

    /// Returns when everything recorded so far survives a power cut.
    pub async fn flush(&self) -> Result<(), AuditError> {
        self.ask(None).await
    }

    /// Every line from now on, as it is written; for `log -f`.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<str>> {
        self.0.shared.lines.subscribe()
    }

    /// Why records are refused at this moment, if they are; for `status` and `doctor`.
    pub fn failure(&self) -> Option<AuditError> {
        self.0.shared.failure()
    }

    async fn ask(&self, record: Option<Record>) -> Result<(), AuditError> {
        let (done, answer) = oneshot::channel();
        self.send(Message {
            record,
            done: Some(done),
        })
        .await?;
        if let Some(thread) = &self.0.thread {
            thread.thread().unpark();
        }
        answer.await.map_err(|_| AuditError::Closed)?
    }

    async fn send(&self, message: Message) -> Result<(), AuditError> {
        let queue = self.0.queue.as_ref().ok_or(AuditError::Closed)?;
        queue.send(message).await.map_err(|_| AuditError::Closed)
    }
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit")
            .field("failure", &self.failure())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue = None;
        let ended = self.thread.take().map(JoinHandle::join);
        if matches!(ended, Some(Err(_))) {
            tracing::error!("the audit writer panicked");
        }
    }
}

#[cfg(test)]
mod tests;
