//! When a run ends by itself: with its first process or its last one, or when its time is up.
//!
//! 1. The first process is waited for by its pidfd. Of a run that keeps, its end is noted, since
//!    its pid means nothing from then on (`inside`), and somebody who is left is looked for: a run
//!    inside of this one, or a process with its mark (`runs/tree.rs`).
//! 2. Whoever is found is waited for, until it ends or bears the mark no longer; then it is looked
//!    again. Nobody left, the run is over.
//! 3. Beside that runs the time. It is told by the wall clock, which goes on while the machine
//!    sleeps, and by the timer, which does not go back when somebody sets the clock.
//!
//! Not here: what the end of a run does (`run`), how much time it gets (`runs/life.rs`).

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authsome_proto::RunEnding;
use tokio::time::{Instant, sleep, sleep_until};

use super::Broker;
use super::run::Run;
use crate::runs::tree::{self, Marked};
use crate::runs::watch::Watched;

/// Longest sleep before the clock is looked at again. After a machine slept, the connections of a
/// run whose time is up stay open for as long as this (new requests are refused at once); shorter
/// would wake the machine more often.
const STEP: Duration = Duration::from_secs(30);

/// Shortest time between two looks for processes. A run whose processes come and go all the time
/// must not keep us reading `/proc`; longer would leave it alive for longer than it is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longest time before a process that is waited for is asked again whether it bears the mark, and
/// how long to wait after the processes could not be looked at. It is asked soon at first, since
/// whoever was seen between `fork` and `env -i` is not one of the run; shorter would wake the
/// machine more often.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Who keeps a run alive when its first process is gone.
enum Left {
    Process(Marked),
    /// Its processes carry its own mark.
    Inner(Arc<Run>),
}

impl Broker {
    /// Returns when the run ends by itself, and tells why. `first` is its first process, if that
    /// still lives.
    pub(super) async fn until_over(&self, run: &Run, first: Option<Watched>) -> RunEnding {
        let life = run.record().life;
        let gone = async {
            if let Some(first) = first {
                // a failing watch counts as the end: better a dead run than one nobody watches
                let _ended = first.ended().await;
            }
            if life.keeps {
                run.set_outlives_its_first();
                self.tree_is_gone(run).await;
            }
        };
        tokio::select! {
            () = gone => RunEnding::ProcessEnded,
            () = time_is_up(life.deadline(), SystemTime::now) => RunEnding::Expired,
        }
    }

    async fn tree_is_gone(&self, run: &Run) {
        loop {
            let looked = Instant::now();
            match self.left_of(run).await {
                Ok(Some(Left::Process(process))) => {
                    is_out(&process).await;
                    sleep_until(looked + LOOK_EVERY).await;
                }
                Ok(Some(Left::Inner(inner))) => inner.view.ended.cancelled().await,
                Ok(None) => return,
                // no descriptors left, for instance: that does not say that nobody is there
                Err(error) => {
                    tracing::warn!(run = %run.view.id, %error, "its processes cannot be looked for");
                    sleep(LOOK_AGAIN).await;
                }
            }
        }
    }

    async fn left_of(&self, run: &Run) -> io::Result<Option<Left>> {
        for pause in tree::LOOKS {
            sleep(pause).await;
            if let Some(inner) = self.inner_of(run) {
                return Ok(Some(Left::Inner(inner)));
            }
            if let Some(process) = tree::somebody(&run.view.id).await? {
                return Ok(Some(Left::Process(process)));
            }
        }
        Ok(None)
    }

    fn inner_of(&self, run: &Run) -> Option<Arc<Run>> {
        let inside = |it: &Arc<Run>| it.record().outer.as_ref() == Some(&run.view.id);
        self.runs.all().into_iter().find(inside)
    }
}

/// Returns when `process` has ended or bears the mark no longer.
async fn is_out(process: &Marked) {
    let mut pause = LOOK_EVERY;
    loop {
        tokio::select! {
            _ended = process.ended() => return,
            () = sleep(pause) => {}
        }
        // if it cannot be asked, looking for all of them will tell why
        if !process.is_marked().await.unwrap_or(false) {
            return;
        }
        pause = LOOK_AGAIN.min(pause * 2);
    }
}

/// Returns at `deadline`; never, if there is none. `now` is the wall clock.
async fn time_is_up(deadline: Option<SystemTime>, now: impl Fn() -> SystemTime) {
    let Some(deadline) = deadline else {
        return std::future::pending().await;
    };
    let left = || deadline.duration_since(now()).unwrap_or_default();
    let by_timer = Instant::now() + left();
    loop {
        let left = left().min(by_timer.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return;
        }
        sleep(left.min(STEP)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A wall clock that runs `factor` times as fast as the timers, set back by an hour at once.
    struct Clock {
        begun: Instant,
        at_first: SystemTime,
        factor: u32,
        set_back: Mutex<Duration>,
    }

    impl Clock {
        fn new(factor: u32) -> Self {
            Self {
                begun: Instant::now(),
                at_first: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000),
                factor,
                set_back: Mutex::default(),
            }
        }

        fn now(&self) -> SystemTime {
            self.at_first + self.begun.elapsed() * self.factor - *self.set_back.lock().unwrap()
        }
    }

    async fn took(clock: &Clock, seconds: u64) -> Duration {
        let deadline = clock.now() + Duration::from_secs(seconds);
        let begun = Instant::now();
        time_is_up(Some(deadline), || clock.now()).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn time_is_up_at_the_deadline_and_not_before() {
        for seconds in [1, 29, 30, 31, 7200] {
            let took = took(&Clock::new(1), seconds).await;
            assert!(took >= Duration::from_secs(seconds), "{took:?}");
            assert!(
                took <= Duration::from_millis(seconds * 1000 + 20),
                "{took:?}"
            );
        }
        assert!(took(&Clock::new(1), 0).await.is_zero());
    }

    /// As after a suspend, in which timers stand still: the wall clock is believed at the next step.
    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_that_runs_ahead_ends_it_within_a_step() {
        let took = took(&Clock::new(1000), 7200).await;
        assert!(took <= STEP + Duration::from_millis(20), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_that_is_set_back_gives_no_more_time() {
        let clock = Clock::new(1);
        let deadline = clock.now() + Duration::from_secs(100);
        let begun = Instant::now();
        let set_back = async {
            sleep(Duration::from_secs(50)).await;
            *clock.set_back.lock().unwrap() = Duration::from_secs(3600);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = time_is_up(Some(deadline), || clock.now()) => {}
            () = set_back => {}
        }
        assert!(begun.elapsed() >= Duration::from_secs(100));
        assert!(begun.elapsed() <= Duration::from_millis(100_020));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_deadline_time_is_never_up() {
        let year = Duration::from_secs(365 * 24 * 3600);
        let waited = tokio::time::timeout(year, time_is_up(None, SystemTime::now));
        assert!(waited.await.is_err());
    }
}
