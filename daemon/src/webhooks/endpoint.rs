//! One endpoint as it lives in the daemon: what it checks with, what it remembers, how it fares.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use authsome_proto::WebhookName;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::forward::{Forward, ParseForwardError};
use super::mac::SigningKey;
use super::replay::{Admission, Identity, Replay};
use super::scheme::{ParseSchemeError, Scheme};
use super::secrets::LiveSecret;
use super::store::WebhookRecord;

/// Refusals of an endpoint that are put on record in a minute. The port may be open to the whole
/// internet: without a limit anybody could push older records out of the audit log.
const RECORDED_MAX: u32 = 60;

/// How long [`RECORDED_MAX`] counts for.
const RECORDED_EVERY: Duration = Duration::from_secs(60);

/// Why a record makes no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Its scheme is not bundled, or its description cannot be used.
    #[error("its scheme `{name}` cannot be used")]
    Scheme {
        /// The scheme's name.
        name: WebhookName,
        /// Why.
        #[source]
        source: ParseSchemeError,
    },
    /// The address cannot be forwarded to.
    #[error("`{forward}` cannot be forwarded to")]
    Forward {
        /// The address.
        forward: String,
        /// Why.
        #[source]
        source: ParseForwardError,
    },
}

/// One endpoint.
#[derive(Debug)]
pub struct Endpoint {
    /// Its name.
    pub name: WebhookName,
    /// How its sender signs.
    pub scheme: Scheme,
    /// The local program.
    pub forward: Forward,
    /// The loopback port.
    pub port: u16,
    /// Longest body, in bytes.
    pub body_max: u64,
    /// How long a sender is kept waiting for the program.
    pub wait: Duration,
    /// Ends it.
    pub stop: CancellationToken,
    /// Requests that were good and not seen before.
    pub accepted: AtomicU64,
    /// Requests that were refused.
    pub refused: AtomicU64,
    /// Good requests that the program did not take.
    pub failed: AtomicU64,
    /// The live secrets' keys, once the vault gave them.
    keys: ArcSwapOption<Vec<LiveKey>>,
    /// Which requests came before.
    replay: Mutex<Replay>,
    /// Told when a delivery ends.
    settled: Notify,
    /// Why it does not listen, if it does not.
    problem: Mutex<Option<String>>,
    recorded: Mutex<Recorded>,
}

/// A key, and until when it counts.
#[derive(Debug)]
struct LiveKey {
    key: SigningKey,
    until: Option<Timestamp>,
}

/// How many refusals were put on record lately.
#[derive(Debug)]
struct Recorded {
    since: Instant,
    count: u32,
    left_out: u64,
}

impl Endpoint {
    /// The endpoint that `record` describes; it has no keys yet.
    pub fn new(record: &WebhookRecord) -> Result<Self, EndpointError> {
        let scheme = scheme_of(record).map_err(|source| EndpointError::Scheme {
            name: record.scheme.clone(),
            source,
        })?;
        let forward = Forward::parse(&record.forward).map_err(|source| EndpointError::Forward {
            forward: record.forward.clone(),
            source,
        })?;
        Ok(Self {
            name: record.name.clone(),
            replay: Mutex::new(Replay::new(scheme.lifetime())),
            scheme,
            forward,
            port: record.port,
            body_max: record.max_body,
            wait: Duration::from_secs(record.wait.into()),
            stop: CancellationToken::new(),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            keys: ArcSwapOption::empty(),
            settled: Notify::new(),
            problem: Mutex::new(None),
            recorded: Mutex::new(Recorded {
                since: Instant::now(),
                count: 0,
                left_out: 0,
            }),
        })
    }

    /// Takes over what the vault holds; a secret that is no key of the scheme is left out.
    pub fn set_secrets(&self, secrets: &[LiveSecret]) {
        self.keys.store(Some(self.keys_of(secrets)));
    }

    /// Takes over what was read from the vault, unless there are keys already: those are of a
    /// rotation that happened meanwhile, and what was read is older.
    pub fn offer_secrets(&self, secrets: &[LiveSecret]) {
        let none: Option<Arc<Vec<LiveKey>>> = None;
        self.keys
            .compare_and_swap(&none, Some(self.keys_of(secrets)));
    }

    fn keys_of(&self, secrets: &[LiveSecret]) -> Arc<Vec<LiveKey>> {
        let keys = secrets.iter().filter_map(|live| {
            Some(LiveKey {
                key: self.scheme.key(&live.secret).ok()?,
                until: live.until,
            })
        });
        Arc::new(keys.collect())
    }

    /// The keys that are live at `now`; `None` while the vault has not given any.
    pub fn keys(&self, now: Timestamp) -> Option<Vec<SigningKey>> {
        let keys = self.keys.load_full()?;
        let live = keys
            .iter()
            .filter(|it| it.until.is_none_or(|until| until > now));
        Some(live.map(|it| it.key.clone()).collect())
    }

    /// Why it does not listen, if it does not.
    pub fn problem(&self) -> Option<String> {
        lock(&self.problem).clone()
    }

    pub(super) fn set_problem(&self, problem: Option<String>) {
        *lock(&self.problem) = problem;
    }

    /// Asks whether a request came before; waits up to `patience` while the same one is being
    /// delivered. [`Admission::UnderWay`] if it still is then.
    pub(super) async fn admit(&self, request: Identity, patience: Duration) -> Admission {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            // from here on no end of a delivery is missed
            settled.as_mut().enable();
            let admission = lock(&self.replay).admit(request, Instant::now());
            if admission != Admission::UnderWay
                || tokio::time::timeout_at(deadline, settled).await.is_err()
            {
                return admission;
            }
        }
    }

    /// The delivery of a request that was [`Admission::New`]; it failed unless it is said otherwise.
    pub(super) fn ticket(self: &Arc<Self>, request: Identity) -> Ticket {
        Ticket {
            endpoint: Arc::clone(self),
            request,
            delivered: false,
        }
    }

    /// Whether one more refusal goes on record at `now`; if so, how many were left out before it.
    pub(super) fn may_record_refusal(&self, now: Instant) -> Option<u64> {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let mut recorded = lock(&self.recorded);
        if now.saturating_duration_since(recorded.since) >= RECORDED_EVERY {
            recorded.since = now;
            recorded.count = 0;
        }
        if recorded.count >= RECORDED_MAX {
            recorded.left_out += 1;
            return None;
        }
        recorded.count += 1;
        Some(std::mem::take(&mut recorded.left_out))
    }
}

/// A delivery under way. When it goes without a word, the request can be delivered again.
#[derive(Debug)]
pub(super) struct Ticket {
    endpoint: Arc<Endpoint>,
    request: Identity,
    delivered: bool,
}

impl Ticket {
    /// The program took it.
    pub(super) fn delivered(mut self) {
        self.delivered = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut replay = lock(&self.endpoint.replay);
        if self.delivered {
            replay.delivered(self.request, Instant::now());
        } else {
            replay.failed(self.request);
        }
        drop(replay);
        self.endpoint.settled.notify_waiters();
    }
}

fn scheme_of(record: &WebhookRecord) -> Result<Scheme, ParseSchemeError> {
    match &record.definition {
        Some(text) => Scheme::parse(text),
        None => Scheme::bundled(record.scheme.as_str()).ok_or(ParseSchemeError::Field(
            "there is no bundled scheme of that name",
        )),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // a panic while it was held leaves whole entries
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Arc<Endpoint> {
        let record = WebhookRecord {
            name: "fin".parse().unwrap(),
            scheme: "intercom-fin".parse().unwrap(),
            definition: None,
            forward: "http://127.0.0.1:3000/".into(),
            port: 1,
            max_body: 1,
            wait: 1,
            created_at: String::new(),
            rotated_at: None,
        };
        Arc::new(Endpoint::new(&record).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_duplicate_waits_for_the_first_and_takes_over_where_that_fails() {
        let endpoint = endpoint();
        let request = Identity::of_id("1");
        let patience = Duration::from_secs(5);
        assert_eq!(endpoint.admit(request, patience).await, Admission::New);
        let ticket = endpoint.ticket(request);
        assert_eq!(endpoint.admit(request, patience).await, Admission::UnderWay);
        let (waiting, ()) = tokio::join!(endpoint.admit(request, patience), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(ticket);
        });
        assert_eq!(waiting, Admission::New, "the first failed");
        let ticket = endpoint.ticket(request);
        let (waiting, ()) = tokio::join!(endpoint.admit(request, patience), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            ticket.delivered();
        });
        assert_eq!(waiting, Admission::Delivered);
    }

    #[test]
    fn a_secret_whose_time_is_over_is_no_key_any_more() {
        let endpoint = endpoint();
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(endpoint.keys(at(0)).is_none(), "the vault gave nothing yet");
        let live = |until: Option<i64>| LiveSecret {
            secret: authsome_proto::Secret::new("x".into()),
            created_at: at(0),
            until: until.map(at),
        };
        endpoint.set_secrets(&[live(None), live(Some(100))]);
        assert_eq!(endpoint.keys(at(99)).unwrap().len(), 2);
        assert_eq!(endpoint.keys(at(100)).unwrap().len(), 1);
        endpoint.set_secrets(&[]);
        assert_eq!(endpoint.keys(at(0)).unwrap().len(), 0);
    }

    #[test]
    fn what_was_read_before_a_rotation_does_not_undo_it() {
        let endpoint = endpoint();
        let live = |count: usize| {
            let one = LiveSecret {
                secret: authsome_proto::Secret::new("x".into()),
                created_at: Timestamp::UNIX_EPOCH,
                until: None,
            };
            vec![one; count]
        };
        let keys = || endpoint.keys(Timestamp::UNIX_EPOCH).map(|keys| keys.len());
        endpoint.offer_secrets(&live(1));
        assert_eq!(keys(), Some(1), "the vault's count where there are none");
        endpoint.set_secrets(&live(2));
        endpoint.offer_secrets(&live(1));
        assert_eq!(keys(), Some(2));
    }

    #[test]
    fn a_flood_of_refusals_does_not_fill_the_log() {
        let endpoint = endpoint();
        let now = Instant::now();
        let recorded = (0..1000)
            .filter(|_| endpoint.may_record_refusal(now).is_some())
            .count();
        assert_eq!(recorded, 60);
        let later = now + RECORDED_EVERY;
        assert_eq!(endpoint.may_record_refusal(later), Some(940));
        assert_eq!(endpoint.may_record_refusal(later), Some(0));
        assert_eq!(endpoint.refused.load(Ordering::Relaxed), 1002);
    }
}
