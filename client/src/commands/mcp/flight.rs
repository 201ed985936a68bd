//! Requests in flight: who waits for what, what is not wanted any more, and answers on their way out.
//!
//! - Each request is answered once, or not at all when it was cancelled (F1).
//! - What is told of a request, such as its progress, is told before its answer, and nothing after
//!   (F2): both are written under the lock that its entry is removed under.
//! - The answers of a batch go out together, when the last one is there (F3).

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::message::{self, Id, RpcError};
/// Most requests in flight: more are a client gone wrong, and each is a thread.
const FLIGHT_MAX: usize = 32;

/// Whether a call is still wanted.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Nobody waits for its answer.
    cancelled: AtomicBool,
    /// The client has closed its end: an answer is still written, but not waited for.
    closing: AtomicBool,
}

impl Wanted {
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Whether there is no time to wait for anything.
    pub(super) fn is_over(&self) -> bool {
        self.is_cancelled() || self.closing.load(Ordering::Relaxed)
    }
}

/// Where an answer goes.
#[derive(Debug, Clone)]
pub(super) enum To {
    /// On a line of its own.
    Line,
    /// Into the answer to a batch.
    Batch(Arc<Batch>),
}

/// The answers of a batch.
#[derive(Debug)]
pub(super) struct Batch {
    inner: Mutex<(usize, Vec<Value>)>,
}

impl Batch {
    /// Of so many messages, each of which is to be [`Flight::settle`]d.
    pub(super) fn of(messages: usize) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new((messages, Vec::new())),
        })
    }
}

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// Its id is in use.
    IdInUse,
    /// There are too many.
    TooMany,
}

/// Writes a line.
type Write = Box<dyn Fn(&str) -> io::Result<()> + Send + Sync>;

/// Everything in flight.
pub(super) struct Flight {
    write: Write,
    entries: Mutex<HashMap<Id, Entry>>,
    landed: Condvar,
    /// What we asked the client, and its answers.
    asked: Mutex<HashMap<Id, Question>>,
    heard: Condvar,
    next_question: AtomicU64,
    broken: AtomicBool,
}

/// Something that we asked.
#[derive(Debug)]
enum Question {
    Open,
    /// `None` for an error.
    Answered(Option<Value>),
}

#[derive(Debug)]
struct Entry {
    to: To,
    wanted: Arc<Wanted>,
    /// The last progress that was told, and what under.
    progress: Option<(Value, f64)>,
    /// Whether it is a subscription, which nothing ends but its cancellation.
    listens: bool,
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight")
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

impl Flight {
    /// Nothing yet; what is said goes to `write`, line by line.
    pub(super) fn new(write: impl Fn(&str) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self {
            write: Box::new(write),
            entries: Mutex::default(),
            landed: Condvar::new(),
            asked: Mutex::default(),
            heard: Condvar::new(),
            next_question: AtomicU64::new(1),
            broken: AtomicBool::new(false),
        }
    }

    /// Whether nothing can be written any more: the client has gone.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Takes a request up.
    pub(super) fn begin(
        &self,
        id: &Id,
        to: To,
        progress: Option<Value>,
        listens: bool,
    ) -> Result<Arc<Wanted>, Full> {
        let mut entries = lock(&self.entries);
        if entries.contains_key(id) {
            return Err(Full::IdInUse);
        }
        if entries.len() >= FLIGHT_MAX {
            return Err(Full::TooMany);
        }
        let wanted = Arc::new(Wanted::default());
        let entry = Entry {
            to,
            wanted: Arc::clone(&wanted),
            progress: progress.map(|token| (token, -1.0)),
            listens,
        };
        entries.insert(id.clone(), entry);
        Ok(wanted)
    }

    /// Whoever works on the request `id`.
    pub(super) fn wanted(&self, id: &Id) -> Option<Arc<Wanted>> {
        let entries = lock(&self.entries);
        entries.get(id).map(|entry| Arc::clone(&entry.wanted))
    }

    /// Answers a request in flight, unless it was cancelled; its id may be another's by then.
    pub(super) fn answer(&self, id: &Id, wanted: &Arc<Wanted>, outcome: Result<Value, RpcError>) {
        let mut entries = lock(&self.entries);
        let ours = |entry: &Entry| Arc::ptr_eq(&entry.wanted, wanted);
        if entries.get(id).is_some_and(ours)
            && let Some(entry) = entries.remove(id)
        {
            self.settle(&entry.to, Some(message::response(id, outcome)));
        }
        self.landed.notify_all();
    }

    /// Gives a request up.
    pub(super) fn cancel(&self, id: &Id) {
        let mut entries = lock(&self.entries);
        let Some(entry) = entries.get(id) else {
            return;
        };
        entry.wanted.cancelled.store(true, Ordering::Relaxed);
        // whoever works on it finds no entry when it is done; the id may be used again
        if let Some(entry) = entries.remove(id) {
            self.settle(&entry.to, None);
        }
        self.landed.notify_all();
        self.heard.notify_all();
    }

    /// Puts an answer where it belongs; `None` where there is none.
    pub(super) fn settle(&self, to: &To, answer: Option<Value>) {
        match to {
            To::Line => {
                if let Some(answer) = answer {
                    self.write(&answer);
                }
            }
            To::Batch(batch) => {
                let mut inner = lock(&batch.inner);
                let (left, answers) = &mut *inner;
                *left = left.saturating_sub(1);
                answers.extend(answer);
                if *left == 0 && !answers.is_empty() {
                    self.write(&Value::Array(std::mem::take(answers)));
                }
            }
        }
    }

    /// Tells how far a request in flight has come, if that is wanted. Progress only grows.
    pub(super) fn progress(
        &self,
        id: &Id,
        wanted: &Arc<Wanted>,
        so_far: Duration,
        total: Duration,
        words: Option<&str>,
    ) {
        let mut entries = lock(&self.entries);
        let Some(entry) = entries.get_mut(id) else {
            return;
        };
        // the id may be another request's by now
        if !Arc::ptr_eq(&entry.wanted, wanted) {
            return;
        }
        let Some((token, told)) = &mut entry.progress else {
            return;
        };
        let so_far = so_far.as_secs_f64();
        if so_far <= *told {
            return;
        }
        *told = so_far;
        let mut params = serde_json::json!({
            "progressToken": token,
            "progress": so_far,
            "total": total.as_secs_f64().max(so_far),
        });
        if let (Some(fields), Some(words)) = (params.as_object_mut(), words) {
            fields.insert("message".into(), words.into());
        }
        self.write(&message::notification("notifications/progress", &params));
    }

    /// Says something that belongs to no request.
    pub(super) fn notify(&self, method: &str, params: &Value) {
        self.write(&message::notification(method, params));
    }

    /// Asks the client something, and waits for its answer as long as the call is wanted.
    pub(super) fn ask(&self, method: &str, params: &Value, wanted: &Wanted) -> Option<Value> {
        let number = self.next_question.fetch_add(1, Ordering::Relaxed);
        let id = Id::Text(format!("authsome-{number}"));
        lock(&self.asked).insert(id.clone(), Question::Open);
        self.write(&message::request(&id, method, params));
        let mut asked = lock(&self.asked);
        loop {
            let answered = matches!(asked.get(&id), Some(Question::Answered(_)));
            if answered || wanted.is_over() || self.is_broken() {
                return match asked.remove(&id) {
                    Some(Question::Answered(answer)) => answer,
                    Some(Question::Open) | None => None,
                };
            }
            (asked, _) = self
                .heard
                .wait_timeout(asked, Duration::from_millis(100))
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes an answer to something that we asked; others are nobody's.
    pub(super) fn hear(&self, id: &Id, answer: Option<Value>) {
        if let Some(slot) = lock(&self.asked).get_mut(id) {
            *slot = Question::Answered(answer);
        }
        self.heard.notify_all();
    }

    /// Writes a message.
    pub(super) fn write(&self, message: &Value) {
        if (self.write)(&message.to_string()).is_err() {
            // there is nobody to tell; the reader ends us
            self.broken.store(true, Ordering::Relaxed);
        }
    }

    /// The client has closed its end: those who wait stop waiting, and what is under way may still be
    /// answered, for at most `patience`.
    pub(super) fn close(&self, patience: Duration, listening: impl Fn(&Id) -> Value) {
        let deadline = Instant::now() + patience;
        let mut entries = lock(&self.entries);
        let ids: Vec<Id> = entries.keys().cloned().collect();
        for id in ids {
            match entries.get(&id) {
                Some(entry) if entry.listens => {
                    let to = entry.to.clone();
                    self.settle(&to, Some(message::response(&id, Ok(listening(&id)))));
                    entries.remove(&id);
                }
                Some(entry) => entry.wanted.closing.store(true, Ordering::Relaxed),
                None => {}
            }
        }
        while !entries.is_empty() && !self.is_broken() {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return;
            };
            (entries, _) = self
                .landed
                .wait_timeout(entries, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    type Said = Arc<Mutex<Vec<Value>>>;

    fn flight() -> (Flight, Said) {
        let said = Said::default();
        let kept = Arc::clone(&said);
        let flight = Flight::new(move |line| {
            lock(&kept).push(serde_json::from_str(line)?);
            Ok(())
        });
        (flight, said)
    }

    fn id(n: i64) -> Id {
        Id::Number(n.into())
    }

    fn said(said: &Said) -> Vec<Value> {
        std::mem::take(&mut lock(said))
    }

    /// F1
    #[test]
    fn a_request_is_answered_once_and_a_cancelled_one_never() {
        let (flight, out) = flight();
        let first = flight.begin(&id(1), To::Line, None, false).unwrap();
        let again = flight.begin(&id(1), To::Line, None, false);
        assert_eq!(again.unwrap_err(), Full::IdInUse);
        flight.answer(&id(1), &first, Ok(json!({})));
        flight.answer(&id(1), &first, Ok(json!({})));
        assert_eq!(said(&out).len(), 1);

        let old = flight
            .begin(&id(2), To::Line, Some(json!("t")), false)
            .unwrap();
        flight.cancel(&id(2));
        assert!(old.is_cancelled());
        // the id is another request's now: what the old one still says is not taken for its answer
        let new = flight
            .begin(&id(2), To::Line, Some(json!("t")), false)
            .unwrap();
        flight.answer(&id(2), &old, Ok(json!("old")));
        let total = Duration::from_secs(9);
        flight.progress(&id(2), &old, Duration::from_secs(1), total, None);
        assert_eq!(said(&out), Vec::<Value>::new());
        flight.answer(&id(2), &new, Ok(json!("new")));
        assert_eq!(said(&out)[0]["result"], "new");
        flight.cancel(&id(3));
    }

    /// F2
    #[test]
    fn progress_grows_and_ends_with_the_answer() {
        let (flight, out) = flight();
        let wanted = flight
            .begin(&id(1), To::Line, Some(json!("t")), false)
            .unwrap();
        let tell = |seconds| {
            let so_far = Duration::from_secs(seconds);
            flight.progress(
                &id(1),
                &wanted,
                so_far,
                Duration::from_secs(2),
                Some("waiting"),
            );
        };
        for seconds in [0, 1, 1, 0, 3] {
            tell(seconds);
        }
        flight.answer(&id(1), &wanted, Ok(json!({})));
        tell(4);
        let all = said(&out);
        let told: Vec<_> = all
            .iter()
            .filter_map(|one| one["params"]["progress"].as_f64())
            .collect();
        assert_eq!(told, [0.0, 1.0, 3.0]);
        assert_eq!(
            all[2]["params"]["total"], 3.0,
            "never less than what is done"
        );
        assert_eq!(all.last().unwrap()["result"], json!({}));
        // nobody asked
        let wanted = flight.begin(&id(2), To::Line, None, false).unwrap();
        flight.progress(&id(2), &wanted, Duration::ZERO, Duration::ZERO, None);
        assert_eq!(said(&out), Vec::<Value>::new());
    }

    /// F3
    #[test]
    fn a_batch_is_answered_when_its_last_message_is_settled() {
        let (flight, out) = flight();
        let batch = To::Batch(Batch::of(3));
        let slow = flight.begin(&id(1), batch.clone(), None, false).unwrap();
        let given_up = flight.begin(&id(2), batch.clone(), None, false).unwrap();
        flight.settle(&batch, None);
        flight.cancel(&id(2));
        assert_eq!(said(&out), Vec::<Value>::new());
        flight.answer(&id(1), &slow, Ok(json!({})));
        flight.answer(&id(2), &given_up, Ok(json!({})));
        let all = said(&out);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].as_array().unwrap().len(), 1);
    }

    #[test]
    fn requests_in_flight_are_bounded() {
        let (flight, _out) = flight();
        let most = i64::try_from(FLIGHT_MAX).unwrap();
        for n in 0..most {
            assert!(flight.begin(&id(n), To::Line, None, false).is_ok());
        }
        let over = flight.begin(&id(most), To::Line, None, false);
        assert_eq!(over.unwrap_err(), Full::TooMany);
        flight.cancel(&id(0));
        assert!(flight.begin(&id(most), To::Line, None, false).is_ok());
    }

    #[test]
    fn the_end_ends_what_waits_and_lets_the_rest_finish() {
        let (flight, out) = flight();
        let flight = Arc::new(flight);
        flight.begin(&id(1), To::Line, None, true).unwrap();
        let waits = flight.begin(&id(2), To::Line, None, false).unwrap();
        let worker = Arc::clone(&flight);
        let working = std::thread::spawn(move || {
            while !waits.is_over() {
                std::thread::yield_now();
            }
            worker.answer(&id(2), &waits, Ok(json!("so far")));
        });
        flight.close(Duration::from_secs(60), |_| json!("closed"));
        working.join().unwrap();
        let results: Vec<_> = said(&out).iter().map(|one| one["result"].clone()).collect();
        assert_eq!(results, ["closed", "so far"]);
        // one that never ends is not waited for without end
        flight.begin(&id(3), To::Line, None, false).unwrap();
        flight.close(Duration::from_millis(1), |_| json!(null));
    }

    #[test]
    fn a_question_is_answered_once_or_given_up() {
        let (flight, out) = flight();
        let flight = Arc::new(flight);
        let wanted = flight.begin(&id(1), To::Line, None, false).unwrap();
        let (asker, waits) = (Arc::clone(&flight), Arc::clone(&wanted));
        let asking =
            std::thread::spawn(move || asker.ask("elicitation/create", &json!({}), &waits));
        let question = loop {
            if let Some(question) = said(&out).pop() {
                break question;
            }
            std::thread::yield_now();
        };
        flight.hear(&id(99), Some(json!("nobody asked")));
        flight.hear(
            &Id::of(&question["id"]).unwrap(),
            Some(json!({ "action": "accept" })),
        );
        assert_eq!(asking.join().unwrap(), Some(json!({ "action": "accept" })));
        flight.cancel(&id(1));
        assert_eq!(flight.ask("elicitation/create", &json!({}), &wanted), None);
    }

    #[test]
    fn a_reader_that_went_away_is_noticed() {
        let flight = Flight::new(|_| Err(io::ErrorKind::BrokenPipe.into()));
        assert!(!flight.is_broken());
        flight.notify("x", &json!({}));
        assert!(flight.is_broken());
    }
}
