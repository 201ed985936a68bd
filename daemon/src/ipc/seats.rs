//! How many clients may be connected, and who makes room when all places are taken (threats L9, H12).
//!
//! 1. There are [`CLIENTS_MAX`] places, and [`CLIENTS_RESERVED`] for callers outside of runs: a run
//!    that takes all others must not keep its user from ending it. With few descriptors there are
//!    fewer, so that storage and proxy keep theirs.
//! 2. A caller outside of runs that finds all taken gets the place of the client that has asked for
//!    nothing for longest, [`QUIET_MIN`] at least. Who has a request in flight, a subscription for
//!    instance, keeps its place. So clients that were forgotten lock nobody out.
//! 3. Everybody else is closed at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How many clients may be connected at once. More would be one program gone wrong; every one of
/// them costs two descriptors (its socket, and a hold on its process) that the proxy needs too.
const CLIENTS_MAX: usize = 256;

/// Further places for callers outside of runs.
const CLIENTS_RESERVED: usize = 32;

/// How long a client must have asked for nothing before it makes room. One that has just come is
/// about to ask.
const QUIET_MIN: Duration = Duration::from_secs(1);

/// How long a new client waits for the place that another one leaves.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// All places.
#[derive(Debug, Clone)]
pub(super) struct Seats {
    ordinary: Arc<Semaphore>,
    reserved: Arc<Semaphore>,
    /// Callers that wait for another one to leave: they hold descriptors, too.
    waiting: Arc<Semaphore>,
    taken: Arc<Mutex<Vec<Arc<State>>>>,
}

/// A caller that may come in.
#[derive(Debug)]
pub(super) enum Turn {
    /// At once.
    Now(Seat),
    /// As soon as another one has left.
    Soon(Seats, OwnedSemaphorePermit),
}

/// One client's place; free again when dropped.
#[derive(Debug)]
pub struct Seat {
    state: Arc<State>,
    seats: Arc<Mutex<Vec<Arc<State>>>>,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct State {
    /// Since when it has asked for nothing; none while a request is in flight.
    quiet: Mutex<Option<Instant>>,
    leave: CancellationToken,
}

impl Seats {
    /// As many as the limit on descriptors allows.
    pub(super) fn new() -> Self {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
        let (ordinary, reserved) = places(usize::try_from(limit).unwrap_or(usize::MAX));
        Self::of(ordinary, reserved)
    }

    fn of(ordinary: usize, reserved: usize) -> Self {
        Self {
            ordinary: Arc::new(Semaphore::new(ordinary)),
            reserved: Arc::new(Semaphore::new(reserved)),
            waiting: Arc::new(Semaphore::new(reserved)),
            taken: Arc::default(),
        }
    }

    /// A place for a caller, if it can have one; `outside` says whether it is outside of runs, and is
    /// asked only when the ordinary ones are taken.
    pub(super) fn take(&self, outside: impl FnOnce() -> bool) -> Option<Turn> {
        if let Ok(place) = Arc::clone(&self.ordinary).try_acquire_owned() {
            return Some(Turn::Now(self.seat(place)));
        }
        if !outside() {
            return None;
        }
        if let Ok(place) = Arc::clone(&self.reserved).try_acquire_owned() {
            return Some(Turn::Now(self.seat(place)));
        }
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().ok()?;
        self.quietest()?.leave.cancel();
        Some(Turn::Soon(self.clone(), waiting))
    }

    fn quietest(&self) -> Option<Arc<State>> {
        let taken = lock(&self.taken);
        let quiet = taken
            .iter()
            .filter(|state| !state.leave.is_cancelled())
            .filter_map(|state| lock(&state.quiet).map(|since| (since, state)));
        let (since, state) = quiet.min_by_key(|(since, _)| *since)?;
        (since.elapsed() >= QUIET_MIN).then(|| Arc::clone(state))
    }

    fn seat(&self, place: OwnedSemaphorePermit) -> Seat {
        let state = Arc::new(State {
            quiet: Mutex::new(Some(Instant::now())),
            leave: CancellationToken::new(),
        });
        lock(&self.taken).push(Arc::clone(&state));
        Seat {
            state,
            seats: Arc::clone(&self.taken),
            _place: place,
        }
    }
}

impl Turn {
    /// The place. `None` if nobody left in time.
    pub(super) async fn wait(self) -> Option<Seat> {
        let (seats, _waiting) = match self {
            Self::Now(seat) => return Some(seat),
            Self::Soon(seats, waiting) => (seats, waiting),
        };
        let place = tokio::time::timeout(LEAVE_MAX, async {
            tokio::select! {
                place = Arc::clone(&seats.ordinary).acquire_owned() => place,
                place = Arc::clone(&seats.reserved).acquire_owned() => place,
            }
        });
        place.await.ok()?.ok().map(|place| seats.seat(place))
    }
}

impl Seat {
    /// A request came in.
    pub(super) fn asks(&self) {
        *lock(&self.state.quiet) = None;
    }

    /// The last request was answered.
    pub(super) fn is_quiet(&self) {
        *lock(&self.state.quiet) = Some(Instant::now());
    }

    /// Ends when the client is to make room.
    pub(super) async fn leave(&self) {
        self.state.leave.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.seats).retain(|state| !Arc::ptr_eq(state, &self.state));
    }
}

/// Ordinary and reserved places with so many descriptors: two of five go to clients at most.
fn places(descriptors: usize) -> (usize, usize) {
    let all = (descriptors / 5).clamp(4, CLIENTS_MAX + CLIENTS_RESERVED);
    let reserved = (all / 9).max(2);
    (all - reserved, reserved)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(seats: &Seats) -> Seat {
        match seats.take(|| true) {
            Some(Turn::Now(seat)) => seat,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn most_descriptors_stay_for_others() {
        assert_eq!(places(65_536), (CLIENTS_MAX, CLIENTS_RESERVED));
        assert_eq!(places(64), (10, 2));
        assert_eq!(places(0), (2, 2));
        for descriptors in 20..4096 {
            let (ordinary, reserved) = places(descriptors);
            assert!((ordinary + reserved) * 5 <= descriptors && reserved >= 2);
        }
    }

    /// L3: a run that takes all places does not lock its user out.
    #[tokio::test(start_paused = true)]
    async fn callers_inside_runs_get_no_reserved_place_and_move_nobody() {
        let seats = Seats::of(2, 1);
        let _held = [taken(&seats), taken(&seats)];
        assert!(seats.take(|| false).is_none());
        let mine = taken(&seats);
        tokio::time::advance(QUIET_MIN).await;
        assert!(seats.take(|| false).is_none());
        drop(mine);
        assert!(matches!(seats.take(|| true), Some(Turn::Now(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_been_quiet_for_longest_makes_room() {
        let seats = Seats::of(2, 1);
        let [busy, later, longest] = [taken(&seats), taken(&seats), taken(&seats)];
        assert!(seats.take(|| true).is_none(), "all have just come");
        tokio::time::advance(QUIET_MIN).await;
        busy.asks();
        later.asks();
        later.is_quiet();
        tokio::time::advance(QUIET_MIN).await;
        let turn = seats.take(|| true).expect("one of them leaves");
        assert!(longest.state.leave.is_cancelled());
        assert!(!busy.state.leave.is_cancelled() && !later.state.leave.is_cancelled());
        assert!(seats.take(|| true).is_none(), "one waits at a time");
        let leaving = tokio::spawn(async move {
            longest.leave().await;
            drop(longest);
        });
        let seat = turn.wait().await.expect("a place");
        leaving.await.unwrap();
        later.asks();
        seat.asks();
        tokio::time::advance(QUIET_MIN).await;
        assert!(seats.take(|| true).is_none(), "all are busy");
        drop((busy, later, seat));
        assert!(lock(&seats.taken).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_leave_is_not_waited_for_without_end() {
        let seats = Seats::of(2, 1);
        let _held = [taken(&seats), taken(&seats), taken(&seats)];
        tokio::time::advance(QUIET_MIN).await;
        assert!(seats.take(|| true).expect("a turn").wait().await.is_none());
    }
}
