//! The one thread that formats, seals and writes audit records.
//!
//! Requests only put a record into a bounded queue. The thread takes all that is there, writes it
//! in one go, and naps [`NAP`] before it looks again. The nap is what makes `record` cheap: while
//! the thread naps it waits on nothing, so a sender has nobody to wake, and a thousand requests
//! cost one wake-up instead of a thousand, each a system call on the request's path. Records that
//! somebody waits for end the nap at once.
//!
//! Syncing happens on this thread. The queue takes what arrives meanwhile: at [`QUEUE_LEN`] records
//! a sync of 100 ms is not felt by 160 000 requests a second, so a second thread would buy nothing.
//!
//! On failure: from the first failed write or sync, [`Shared::failure`] refuses new records. The
//! thread keeps what it took and what was queued, and tries again until the disk takes it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc, oneshot};

use super::AuditError;
use super::disk::Disk;
use super::journal::Journal;
use super::record::Record;

/// Records that may wait for the thread. More would hide a slow disk for longer and cost about
/// 400 bytes each; fewer would make requests wait during an ordinary sync.
pub(super) const QUEUE_LEN: usize = 16_384;

/// How long the thread lets records gather. Longer ones delay `log -f` and fill the queue further;
/// shorter ones cost a wake-up (some 5 µs of CPU) more often.
const NAP: Duration = Duration::from_millis(2);

/// Age of the oldest unsynced record at which it is synced. The promise is 50 ms; the rest is for
/// the nap, the scheduler and the sync itself.
const SYNC_AFTER: Duration = Duration::from_millis(40);

/// Unsynced bytes at which a sync happens earlier, because they are held in memory until then.
const UNSYNCED_MAX: usize = 1024 * 1024;

/// Records sealed between two writes, so that a flood does not keep the first of them in memory.
const BATCH_LEN: usize = 1024;

/// Pauses between attempts on a failing disk: from the first to the last, doubling.
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_LAST: Duration = Duration::from_secs(1);

/// What the thread is asked.
pub(super) struct Message {
    /// To be written; none for a mere flush.
    pub(super) record: Option<Record>,
    /// Told once all up to here is safe, or is not.
    pub(super) done: Option<oneshot::Sender<Result<(), AuditError>>>,
}

/// What the thread tells everybody.
pub(super) struct Shared {
    failing: AtomicBool,
    /// The last error, while `failing`.
    error: Mutex<Option<Arc<io::Error>>>,
    pub(super) lines: broadcast::Sender<Arc<str>>,
}

impl Shared {
    pub(super) fn new(lines: broadcast::Sender<Arc<str>>) -> Self {
        Self {
            failing: AtomicBool::new(false),
            error: Mutex::new(None),
            lines,
        }
    }

    /// Why records are refused at this moment, if they are.
    pub(super) fn failure(&self) -> Option<AuditError> {
        if !self.failing.load(Ordering::Relaxed) {
            return None;
        }
        let error = self
            .error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        error.map(AuditError::Write)
    }

    fn set(&self, error: Option<Arc<io::Error>>) {
        let failing = error.is_some();
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = error;
        self.failing.store(failing, Ordering::Relaxed);
    }
}

/// The thread's work; returns when all senders are gone and what they sent is safe, or one last
/// attempt at it failed.
pub(super) fn run<D: Disk>(
    mut journal: Journal<D>,
    mut queue: mpsc::Receiver<Message>,
    shared: &Shared,
) {
    let mut writer = Writer {
        journal: &mut journal,
        shared,
        oldest: None,
        retry: None,
    };
    let mut waiting = Vec::new();
    loop {
        let next = wait_until(&mut queue, writer.deadline());
        let ended = matches!(next, Wait::Closed);
        if let Wait::Message(message) = next {
            let urgent = message.done.is_some();
            writer.take(message, &mut waiting);
            if !urgent {
                thread::park_timeout(NAP);
            }
            writer.drain(&mut queue, &mut waiting);
        }
        writer.settle(ended || !waiting.is_empty());
        for done in waiting.drain(..) {
            // a caller that no longer waits does not need the answer
            drop(done.send(shared.failure().map_or(Ok(()), Err)));
        }
        if ended {
            return;
        }
    }
}

struct Writer<'a, D> {
    journal: &'a mut Journal<D>,
    shared: &'a Shared,
    /// Since when something is unsynced.
    oldest: Option<Instant>,
    /// While the disk fails: when to try again, and the pause after that.
    retry: Option<(Instant, Duration)>,
}

type Waiting = Vec<oneshot::Sender<Result<(), AuditError>>>;

impl<D: Disk> Writer<'_, D> {
    /// When something is due although nobody sends.
    fn deadline(&self) -> Option<Instant> {
        match self.retry {
            Some((at, _)) => Some(at),
            None => self.oldest.map(|oldest| oldest + SYNC_AFTER),
        }
    }

    fn take(&mut self, message: Message, waiting: &mut Waiting) {
        if let Some(record) = message.record {
            self.journal.append(&record);
            self.oldest.get_or_insert_with(Instant::now);
        }
        waiting.extend(message.done);
    }

    /// Takes and writes everything that is queued.
    fn drain(&mut self, queue: &mut mpsc::Receiver<Message>, waiting: &mut Waiting) {
        loop {
            let mut taken = 0;
            while taken < BATCH_LEN {
                let Ok(message) = queue.try_recv() else { break };
                self.take(message, waiting);
                taken += 1;
            }
            if self.retry.is_none()
                && let Err(error) = self.write()
            {
                self.failed(error);
            }
            let enough = self.journal.unsynced_len() > UNSYNCED_MAX || !waiting.is_empty();
            if taken < BATCH_LEN || (enough && self.retry.is_none()) {
                return;
            }
        }
    }

    /// Writes and syncs what is due.
    fn settle(&mut self, now: bool) {
        let due = match (self.retry, self.oldest) {
            (Some((at, _)), _) => Instant::now() >= at,
            (None, Some(oldest)) => {
                oldest.elapsed() >= SYNC_AFTER || self.journal.unsynced_len() > UNSYNCED_MAX
            }
            (None, None) => return,
        };
        if !due && !now {
            return;
        }
        match self.write().and_then(|()| self.journal.sync()) {
            Ok(()) => {
                self.oldest = None;
                if self.retry.take().is_some() {
                    tracing::info!("the audit log can be written again");
                    self.shared.set(None);
                }
            }
            Err(error) => self.failed(error),
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let lines = &self.shared.lines;
        self.journal.write(|line| {
            if lines.receiver_count() > 0 {
                // a line is always UTF-8; nobody listening any more is not an error
                let line = String::from_utf8_lossy(line);
                drop(lines.send(line.into()));
            }
        })
    }

    fn failed(&mut self, error: io::Error) {
        if self.retry.is_none() {
            tracing::warn!(%error, "the audit log cannot be written, so no credentials are injected");
        }
        let pause = self
            .retry
            .map_or(RETRY_FIRST, |(_, pause)| (pause * 2).min(RETRY_LAST));
        self.retry = Some((Instant::now() + pause, pause));
        self.shared.set(Some(Arc::new(error)));
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "moved once, never stored; a box would cost more"
)]
enum Wait {
    Message(Message),
    Deadline,
    Closed,
}

/// Waits for a message, at most until `deadline`. Tokio's blocking receive knows no deadline.
fn wait_until(queue: &mut mpsc::Receiver<Message>, deadline: Option<Instant>) -> Wait {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match queue.poll_recv(&mut context) {
            Poll::Ready(Some(message)) => return Wait::Message(message),
            Poll::Ready(None) => return Wait::Closed,
            Poll::Pending => {}
        }
        match deadline {
            None => thread::park(),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Wait::Deadline;
                }
                thread::park_timeout(left);
            }
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
