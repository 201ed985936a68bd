//! The clocks that lifetimes are counted by.
//!
//! How long something is good is counted by a clock that nobody sets and that goes on while the
//! machine sleeps (`CLOCK_BOOTTIME`; on macOS the monotonic clock does). The wall clock is asked only
//! where times cross a restart.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// A point in time since the machine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Boot(Duration);

impl Boot {
    /// The point `since` after the start.
    pub const fn at(since: Duration) -> Self {
        Self(since)
    }

    /// Now.
    fn now() -> Self {
        #[cfg(target_os = "linux")]
        const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
        #[cfg(not(target_os = "linux"))]
        const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;
        // a kernel without that clock has had no token before either
        static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
        Self(clock_gettime(CLOCK).map_or_else(|_| STARTED.elapsed(), Duration::from))
    }

    /// `by` later.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }

    /// `by` earlier, but not before the start.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by))
    }

    /// How long after `earlier` this is; nothing, if it is before.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// What tells the time.
pub trait Tell: Send + Sync {
    /// Since the machine started.
    fn boot(&self) -> Boot;
    /// Seconds since 1970, as the machine believes.
    fn wall(&self) -> i64;
}

/// A handle to what tells the time. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Tell>);

impl Clock {
    /// The machine's own.
    pub fn system() -> Self {
        Self(Arc::new(System))
    }

    /// Another one.
    pub fn of(tell: Arc<dyn Tell>) -> Self {
        Self(tell)
    }

    /// Now, since the machine started.
    pub fn boot(&self) -> Boot {
        self.0.boot()
    }

    /// Now, in seconds since 1970.
    pub fn wall(&self) -> i64 {
        self.0.wall()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock(..)")
    }
}

struct System;

impl Tell for System {
    fn boot(&self) -> Boot {
        Boot::now()
    }

    fn wall(&self) -> i64 {
        jiff::Timestamp::now().as_second()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_since_the_start_goes_on_and_is_not_behind_the_monotonic_one() {
        let clock = Clock::system();
        let first = clock.boot();
        let second = clock.boot();
        assert!(second >= first);
        #[cfg(target_os = "linux")]
        {
            let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
            assert!(clock.boot() >= Boot::at(monotonic.into()));
        }
    }
}
